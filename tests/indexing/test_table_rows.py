"""Rows of tables: what is embedded for them, and that a chunk is as near as its best row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assistant.core.errors import IndexBroken
from assistant.core.records import Chunk, ChunkKind
from indexing.embedding import HashingEmbedder
from indexing.snapshots import VECTORS_FILE
from indexing.table_rows import ROW_OWNERS_FILE, ChunkVectors, embed_chunks, row_texts, write_rows
from indexing.vector_index import Selection, write_vectors

TABLE = "Table 2: Data\nProperty: Weight · Q5: 14 kg\nProperty: Head · Q5: 9 m"
BARS = "表 5\n项目 | T3\n门封条 | 每天\n滤网 | 每周"


def chunk(text: str, kind: ChunkKind = "table") -> Chunk:
    return Chunk(id=text, document="a.md", version=1, position=0, text=text, kind=kind)


@pytest.mark.parametrize(
    ("text", "kind", "rows"),
    [
        (TABLE, "table", [f"Table 2: Data\n{row}" for row in TABLE.split("\n")[1:]]),
        (BARS, "table", [f"表 5\n项目 | T3\n{row}" for row in BARS.split("\n")[2:]]),
        (TABLE, "text", []),
        ("Property: Weight · Q5: 14 kg", "table", []),
    ],
)
def test_each_row_stands_under_what_explains_it(text: str, kind: ChunkKind, rows: list[str]) -> None:
    assert row_texts(chunk(text, kind)) == rows


def test_a_chunk_has_its_own_vector_first_then_its_rows() -> None:
    embedder = HashingEmbedder()
    chunks = [chunk("plain", "text"), chunk(TABLE)]
    plain, table = embed_chunks(embedder, chunks)
    assert (len(plain), len(table)) == (1, 3)
    assert np.array_equal(table[0], embedder.embed_passages([TABLE])[0])
    assert np.array_equal(table[1:], embedder.embed_passages(row_texts(chunks[1])))
    assert embed_chunks(embedder, []) == []


@pytest.fixture
def vectors(tmp_path: Path) -> ChunkVectors:
    """Four chunks along the axes; the third has rows along the first axis and against it."""
    axes = np.eye(4, dtype=np.float32)
    write_vectors(tmp_path / VECTORS_FILE, axes, "flat")
    write_rows(tmp_path, np.stack([0.9 * axes[0], -axes[0]]), [2, 2])
    return ChunkVectors(tmp_path / VECTORS_FILE)


def test_a_chunk_is_as_near_as_its_best_row(vectors: ChunkVectors) -> None:
    query = np.array([1.0, 0.5, 0.0, 0.0], np.float32)
    cosines, places = vectors.search(query[np.newaxis], 3)
    assert places.tolist() == [[0, 2, 1]]
    assert cosines[0].tolist() == pytest.approx([1.0, 0.9, 0.5])
    places = np.array([1, 2, 0])
    assert vectors.cosines(query, places).tolist() == pytest.approx([0.5, 0.9, 1.0])
    assert vectors.cosines(query, np.array([3])).tolist() == [0.0]


def test_rows_of_what_is_left_out_are_left_out(vectors: ChunkVectors) -> None:
    query = np.array([[1.0, 0.5, 0.0, 0.0]], np.float32)
    _, places = vectors.search(query, 4, Selection(np.array([True, True, False, True])))
    assert 2 not in places
    assert set(places[0].tolist()) <= {0, 1, 3, -1}


def test_without_tables_nothing_is_written(tmp_path: Path) -> None:
    write_rows(tmp_path, np.zeros((0, 4), np.float32), [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_damaged_owners_are_named(tmp_path: Path, content: bytes) -> None:
    write_vectors(tmp_path / VECTORS_FILE, np.eye(4, dtype=np.float32), "flat")
    write_rows(tmp_path, np.eye(4, dtype=np.float32)[:2], [2, 2])
    (tmp_path / ROW_OWNERS_FILE).write_bytes(content)
    with pytest.raises(IndexBroken, match=r"row_owners\.npy cannot be read"):
        ChunkVectors(tmp_path / VECTORS_FILE)
