"""What ``deskmate train`` refuses before it opens a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from click.testing import CliRunner

from assistant.cli.app import root
from assistant.core.errors import InputError, ModelError
from assistant.core.home import Home
from assistant.core.records import Chunk, Message
from assistant.store.database import Database
from assistant.store.documents import Collection, Documents, NewVersion
from assistant.store.history import History
from training.dataset import make_example, write_dataset


@pytest.fixture
def database(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Two documents, and a dataset with an example of each."""
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    names = ("a.md", "zh/泵.md")
    examples = [
        make_example(
            recipe="r",
            language="en",
            messages=(Message(role="user", content=f"What is {name}?"),),
            answer="A manual.",
            chunks=[Chunk(id=name, document=name, version=1, position=0, text="A manual.")],
        )
        for name in names
    ]
    folder = home.collection("泵") / "datasets"
    write_dataset(folder, examples, collection="泵", snapshot="1", rejected={}, chunk_count=2, key="k")
    with closing(Database(home.database_url)) as opened:
        with opened.write() as session:
            documents = Documents(session)
            row = documents.make_collection("泵").id
            for name in names:
                new = NewVersion(document=name, number=1, sha256=name, recipe="r", size_bytes=1, title=name)
                documents.save_version(row, new)
        yield opened


def collection(documents: Documents) -> Collection:
    found = documents.find_collection("泵")
    assert found is not None
    return found


def trained() -> BaseException | None:
    return CliRunner().invoke(root, ["train", "--collection", "泵"]).exception


def test_what_was_removed_is_not_learnt(database: Database) -> None:
    assert isinstance(trained(), ModelError)  # the model is not there: the dataset was taken
    with database.write() as session:
        Documents(session).delete(collection(Documents(session)), "zh/泵.md")
    refused = trained()
    assert isinstance(refused, InputError)
    assert "no longer in it: 1, such as 'zh/泵.md'" in refused.message
    assert refused.next_command == "deskmate synth --collection 泵"


def test_a_document_that_was_renamed_is_still_there(database: Database) -> None:
    with database.write() as session:
        history = History(session, collection(Documents(session)))
        history.rename(history.version("a.md"), "b.md")
        assert history.paths() == {"a.md", "b.md", "zh/泵.md"}
    assert isinstance(trained(), ModelError)
    with database.write() as session:
        Documents(session).delete(collection(Documents(session)), "b.md")
    refused = trained()
    assert isinstance(refused, InputError)
    assert "'a.md'" in refused.message
