from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from assistant.core.errors import NotFoundError
from assistant.core.records import Chunk
from assistant.store.chunks import Chunks, NumberedChunk
from assistant.store.database import Database
from assistant.store.documents import Collection, Documents, NewVersion
from assistant.store.embeddings import Embeddings
from assistant.store.history import History


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    database = Database(f"sqlite:///{tmp_path / 'rows.sqlite3'}")
    with database.write() as session:
        yield session
    database.close()


@pytest.fixture
def pumps(session: Session) -> Collection:
    return Documents(session).make_collection("pumps")


def add(session: Session, collection: Collection, document: str, *texts: str) -> None:
    """Store one version a text, each with two chunks."""
    for text in texts:
        number = Documents(session).next_number(collection.id, document)
        new = NewVersion(
            document=document, number=number, sha256=text, recipe="r", size_bytes=1, title="T",
            metadata={"product": "泵", "tags": ("a", "b")}, stated={"product": "泵"},
            requested={"tags": ("a",)},
        )  # fmt: skip
        chunks = [
            Chunk(
                id=f"{text}-{place}",
                document=document,
                version=number,
                position=place,
                text=f"{text}-{place}",
            )
            for place in range(2)
        ]
        version_id = Documents(session).save_version(collection.id, new)
        Chunks(session).save(version_id, chunks, [chunk.text for chunk in chunks])


def rows(session: Session, collection: Collection) -> list[NumberedChunk]:
    return list(Chunks(session).numbered(Chunks(session).numbers(collection.id)))


def live(session: Session, collection: Collection) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows(session, collection):
        found.setdefault(row.chunk.document, set()).add(row.chunk.text.split("-")[0])
    return found


def test_metadata_comes_back_as_it_went_in(session: Session, pumps: Collection) -> None:
    add(session, pumps, "a.md", "one")
    (version,) = Documents(session).live_versions(pumps.id)
    assert version.metadata == {"product": "泵", "tags": ("a", "b")}
    assert (version.stated, version.requested) == ({"product": "泵"}, {"tags": ("a",)})
    History(session, pumps).describe(version, {"product": "Q7"}, {})
    (version,) = Documents(session).live_versions(pumps.id)
    assert (version.metadata, version.stated, version.requested) == ({"product": "Q7"}, {"product": "泵"}, {})


def test_serving_an_older_version_gives_its_chunks_new_numbers(session: Session, pumps: Collection) -> None:
    add(session, pumps, "a.md", "one", "two")
    add(session, pumps, "b.md", "bee")
    before = {row.number for row in rows(session, pumps)}
    generation = Documents(session).make_collection("pumps").generation
    history = History(session, pumps)
    history.serve(history.version("a.md", 1))
    assert live(session, pumps) == {"a.md": {"one"}, "b.md": {"bee"}}
    numbers = {row.number for row in rows(session, pumps) if row.chunk.document == "a.md"}
    assert min(numbers) > max(before)
    assert Documents(session).make_collection("pumps").generation == generation + 1
    history.serve(history.version("a.md", 1))  # it is live already: nothing changes
    assert Documents(session).make_collection("pumps").generation == generation + 1
    assert numbers <= {row.number for row in rows(session, pumps)}
    assert [version.number for version in Documents(session).newest_versions(pumps.id)] == [2, 1]


def test_serving_all_takes_away_what_is_not_wanted(session: Session, pumps: Collection) -> None:
    add(session, pumps, "a.md", "one", "two")
    add(session, pumps, "b.md", "bee")
    history = History(session, pumps)
    first = history.version("a.md", 1)
    history.serve_all({first.document_id: first.id}, {version.document_id for version in history.kept()})
    assert live(session, pumps) == {"a.md": {"one"}}
    assert history.version("b.md").state == "replaced"
    Documents(session).delete(pumps, "b.md")  # what does not answer can be removed
    with pytest.raises(NotFoundError, match="it is deleted"):
        history.version("b.md", 1)


def test_a_renamed_document_is_found_by_both_paths(session: Session, pumps: Collection) -> None:
    add(session, pumps, "a.md", "one", "two")
    history = History(session, pumps)
    number = rows(session, pumps)[0].number
    history.rename(history.version("a.md"), "b.md")
    assert live(session, pumps) == {"b.md": {"two"}}
    assert rows(session, pumps)[0].number > number
    assert [(v.document, v.number) for v in history.versions("a.md")] == [("b.md", 1), ("b.md", 2)]
    assert history.version("a.md", 1).id == history.version("b.md", 1).id
    assert not history.is_free("a.md", 99)
    add(session, pumps, "a.md", "new")  # another document, whose numbers go on
    assert history.version("a.md").number == 3
    assert history.version("a.md", 2).document == "b.md"
    assert not history.is_free("a.md", history.version("b.md").document_id)
    history.rename(history.version("b.md"), "c.md")
    history.rename(history.version("c.md"), "b.md")  # back: its own earlier path is free
    assert live(session, pumps) == {"a.md": {"new"}, "b.md": {"two"}}
    with pytest.raises(NotFoundError, match=r"no document 'z\.md' in collection 'pumps'"):
        history.versions("z.md")


def test_pruning_drops_the_oldest_texts_and_their_embeddings(session: Session, pumps: Collection) -> None:
    add(session, pumps, "a.md", "one", "two", "three", "four")
    keys = {row.embedding_key for row in rows(session, pumps)}
    history = History(session, pumps)
    old = history.version("a.md", 1)
    dropped = Chunks(session).keys(Chunks(session).numbers_of([old.id]))
    Embeddings(session).save(dict.fromkeys([*keys, *dropped.values()], b"1234"), "f")
    assert [version.number for version in history.prune("a.md", 2)] == [1, 2]
    assert [version.state for version in history.versions("a.md")] == ["pruned", "pruned", "replaced", "live"]
    assert set(Embeddings(session).load([*keys, *dropped.values()], "f")) == keys
    assert Documents(session).next_number(pumps.id, "a.md") == 5
    history.serve(history.version("a.md", 3))
    assert history.prune("a.md", 1)[0].number == 4
    assert live(session, pumps) == {"a.md": {"three"}}
