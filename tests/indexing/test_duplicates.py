from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from assistant.core.language import Language, detect_language
from assistant.core.records import Chunk
from assistant.store.chunks import NumberedChunk
from indexing.duplicates import Duplicates, find_duplicates
from indexing.minhash import candidates, sign
from indexing.shingles import jaccard, shingles

WORDS: dict[Language, str] = {
    "en": "pump seal valve torque rotor display menu alarm filter drain heater sensor cable fuse relay door",
    "zh": "水泵密封圈阀门扭矩转子显示屏菜单报警过滤排水加热传感电缆熔断继电器门把手清洁保养维修",
}


class Store:
    """Chunks by number, as the database gives them; counts what was read."""

    def __init__(self) -> None:
        self.chunks: dict[int, Chunk] = {}
        self.read_count = 0

    def add(self, document: str, *texts: str) -> None:
        for position, text in enumerate(texts):
            number = len(self.chunks) + 1
            self.chunks[number] = Chunk(
                id=str(number), document=document, version=1, position=position, text=text,
                language=detect_language(text),
            )  # fmt: skip

    def read(self, numbers: Iterable[int]) -> Iterator[NumberedChunk]:
        for number in sorted(numbers):
            self.read_count += 1
            yield NumberedChunk(number=number, embedding_key="", chunk=self.chunks[number])

    def find(self, folder: Path, without: str = "") -> Duplicates:
        live = [number for number, chunk in self.chunks.items() if chunk.document != without]
        return find_duplicates(folder, live, self.read)


def sentence(seed: int, language: Language = "en", units: int = 60) -> str:
    words = WORDS["en"].split() if language == "en" else list(WORDS["zh"])
    return ("" if language == "zh" else " ").join(random.Random(seed).choices(words, k=units))


def changed(text: str, language: Language, seed: int) -> str:
    """Replace one unit in the middle."""
    units = list(text) if language == "zh" else text.split()
    units[len(units) // 2] = "改" if language == "zh" else f"changed{'abc'[seed % 3]}"
    return ("" if language == "zh" else " ").join(units)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_copied_document_and_a_copied_passage_are_found(tmp_path: Path, language: Language) -> None:
    store, texts = Store(), [sentence(seed, language) for seed in range(6)]
    store.add("manual.md", *texts)
    store.add("copy/manual.md", *(changed(text, language, 0) for text in texts[:5]), texts[5])
    store.add("other.md", sentence(11, language), sentence(12, language), changed(texts[0], language, 1))
    found = store.find(tmp_path)
    (pair,) = found.documents
    assert (pair.left, pair.right) == ("manual.md", "copy/manual.md")
    assert 0.8 < pair.similarity < 1.0
    assert {row.document for row in found.groups[0]} == {
        "manual.md", "copy/manual.md", "other.md",
    }  # fmt: skip
    assert found.counts.passage_count == 6
    assert found.groups[5][0].similarity == 1.0


def test_a_document_that_holds_another_one_is_found(tmp_path: Path) -> None:
    store = Store()
    store.add("excerpt.md", *(sentence(seed) for seed in range(3)))
    store.add("manual.md", *(sentence(seed) for seed in range(20)))
    (pair,) = store.find(tmp_path).documents
    assert (pair.left, pair.of_left) == ("excerpt.md", 1.0)
    assert pair.similarity < 0.2


def test_repetition_within_one_document_and_short_texts_are_left_out(tmp_path: Path) -> None:
    store = Store()
    store.add("a.md", sentence(1), sentence(1), "See chapter three.", sentence(2))
    store.add("b.md", sentence(3), "See chapter three.")
    assert store.find(tmp_path) == Duplicates()


def test_only_what_is_new_is_read_and_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    store = Store()
    for document in range(30):
        store.add(f"{document}.md", *(sentence(100 * document + position) for position in range(4)))
    assert store.find(tmp_path) == Duplicates()
    assert store.read_count == 120
    assert store.find(tmp_path) == Duplicates()
    assert store.read_count == 120
    store.add("new.md", store.chunks[1].text, sentence(7777))
    assert len(store.find(tmp_path).groups) == 1
    assert store.read_count == 130  # the two new ones, the pair that may be alike, and their two documents
    again = store.read_count
    assert store.find(tmp_path, without="new.md") == Duplicates()
    assert len(store.find(tmp_path).groups) == 1
    assert store.read_count <= again + 10
    (tmp_path / "duplicates.msgpack").write_bytes(b"damaged")
    assert len(store.find(tmp_path).groups) == 1


def test_text_in_hundreds_of_files_costs_no_square_of_them(tmp_path: Path) -> None:
    store = Store()
    for document in range(400):
        store.add(f"{document}.md", sentence(1), sentence(1000 + document))
    (group,) = store.find(tmp_path).groups
    assert len(group) == 400
    assert len(candidates(sign(shingles(sentence(1), "en") for _ in range(400)))) < 2 * 400


def test_signatures_estimate_likeness_and_candidates_miss_none_of_the_alike() -> None:
    texts = [sentence(seed, units=80) for seed in range(60)]
    texts += [changed(changed(text, "en", 1) + " end", "en", 2) for text in texts]
    runs = [shingles(text, "en") for text in texts]
    signed = sign(runs)
    assert np.array_equal(np.minimum(signed[0], signed[1]), sign([np.union1d(runs[0], runs[1])])[0])
    exact = jaccard(runs[0], runs[60])
    assert abs((signed[0] == signed[60]).mean() - exact) < 0.2
    alike = {
        (left, right)
        for left in range(120)
        for right in range(left + 1, 120)
        if jaccard(runs[left], runs[right]) >= 0.8
    }
    assert len(alike) == 60
    assert alike <= set(map(tuple, candidates(signed).tolist()))


def test_nothing_and_one_chunk_are_no_duplicates(tmp_path: Path) -> None:
    store = Store()
    assert store.find(tmp_path) == Duplicates()
    store.add("a.md", sentence(1))
    assert store.find(tmp_path) == Duplicates()
