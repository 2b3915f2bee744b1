from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from assistant.core.errors import NotFoundError
from assistant.core.records import Chunk
from assistant.store.adapters import Adapter, Adapters
from assistant.store.chunks import Chunks, embedding_key
from assistant.store.database import Database
from assistant.store.documents import Documents, NewVersion
from assistant.store.embeddings import Embeddings


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    database = Database(f"sqlite:///{tmp_path / 'rows.sqlite3'}")
    with database.write() as session:
        yield session
    database.close()


def new_version(document: str, number: int, sha256: str = "0" * 64) -> NewVersion:
    return NewVersion(
        document=document, number=number, sha256=sha256, recipe="r", size_bytes=9, title="T", warnings=("w",)
    )


def chunk(text: str, document: str = "a.md", version: int = 1, position: int = 0) -> Chunk:
    return Chunk(
        id=f"id-{text}",
        document=document,
        version=version,
        position=position,
        text=text,
        heading_path=("泵", "Seals"),
        page=3,
        kind="table",
        language="zh",
    )


def test_a_document_keeps_its_identity_over_versions(session: Session) -> None:
    documents = Documents(session)
    pumps = documents.make_collection("pumps")
    assert documents.make_collection("pumps") == pumps
    assert documents.next_number(pumps.id, "a.md") == 1
    documents.save_version(pumps.id, new_version("a.md", 1))
    documents.save_version(pumps.id, new_version("b.md", 1))
    assert documents.next_number(pumps.id, "a.md") == 2
    documents.save_version(pumps.id, new_version("a.md", 2))
    states = [(version.number, version.state) for version in documents.versions(pumps.id, "a.md")]
    assert states == [(1, "replaced"), (2, "live")]
    assert [(v.document, v.number, v.warnings) for v in documents.live_versions(pumps.id)] == [
        ("a.md", 2, ("w",)),
        ("b.md", 1, ("w",)),
    ]
    assert documents.make_collection("pumps").generation == pumps.generation + 3


def test_deleting_what_is_not_there_names_it(session: Session) -> None:
    documents = Documents(session)
    pumps = documents.make_collection("pumps")
    documents.save_version(pumps.id, new_version("a.md", 1))
    documents.delete(pumps, "a.md")
    assert documents.live_versions(pumps.id) == []
    with pytest.raises(NotFoundError, match=r"'a\.md' in collection 'pumps'"):
        documents.delete(pumps, "a.md")


def test_chunks_come_back_as_they_went_in_and_numbers_are_never_reused(session: Session) -> None:
    documents, chunks = Documents(session), Chunks(session)
    pumps = documents.make_collection("pumps")
    version = documents.save_version(pumps.id, new_version("a.md", 1))
    given = [chunk("one"), chunk("two", position=1)]
    chunks.save(version, given, ["one", "two"])
    first = list(chunks.numbered(chunks.numbers(pumps.id)))
    assert [row.chunk for row in first] == given
    assert [row.number for row in first] == [1, 2]
    chunks.save(version, [chunk("three")], ["three"])
    assert chunks.numbers(pumps.id) == chunks.numbers_of([version]) == [3]
    assert chunks.keys([1, 3]) == {3: embedding_key("three")}
    assert chunks.counts(pumps.id) == {"a.md": 1}


def test_chunks_of_replaced_versions_stay_but_are_not_live(session: Session) -> None:
    documents, chunks = Documents(session), Chunks(session)
    pumps = documents.make_collection("pumps")
    chunks.save(documents.save_version(pumps.id, new_version("a.md", 1)), [chunk("old")], ["old"])
    second = documents.save_version(pumps.id, new_version("a.md", 2))
    chunks.save(second, [chunk("new", version=2)], ["new"])
    assert [row.chunk.text for row in chunks.numbered(chunks.numbers(pumps.id))] == ["new"]
    Embeddings(session).save({embedding_key("old"): b"1234"}, "f")
    Embeddings(session).delete_unused([embedding_key("old")])
    assert Embeddings(session).load([embedding_key("old")], "f")


def test_embeddings_are_kept_by_text_and_embedder(session: Session) -> None:
    embeddings = Embeddings(session)
    many = {f"k{number}": bytes([number % 256]) for number in range(1200)}
    embeddings.save(many, "f1")
    embeddings.save({"k0": b"other"}, "f1")  # what is there stays
    assert embeddings.load([*many, *many], "f1") == many
    assert embeddings.missing(["x", "k1", "x", "y"], "f1") == ["x", "y"]
    assert embeddings.missing(["k1"], "f2") == ["k1"]
    embeddings.delete_unused(["k0", *list(many)[600:]])
    assert set(embeddings.load(many, "f1")) == set(list(many)[1:600])


def test_one_adapter_of_a_collection_is_active(session: Session) -> None:
    adapters = Adapters(session)

    def adapter(name: str, created: str) -> Adapter:
        return Adapter(
            name=name,
            collection="pumps",
            folder=f"/x/{name}",
            base_fingerprint="b",
            dataset_hash="d",
            created=created,
        )

    adapters.save(adapter("first", "2026-01-01"))
    adapters.save(adapter("second", "2026-01-02"))
    assert adapters.active("pumps") is None
    adapters.activate("first")
    adapters.activate("second")
    active = adapters.active("pumps")
    assert active is not None
    assert active.name == "second"
    assert [(item.name, item.is_active) for item in adapters.of("pumps")] == [
        ("second", True),
        ("first", False),
    ]
    with pytest.raises(NotFoundError, match="third"):
        adapters.activate("third")
