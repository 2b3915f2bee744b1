"""Groups of letters: parts of words count where the words differ, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from assistant.core.errors import IndexBroken
from assistant.core.records import Chunk
from indexing.build import Builder
from indexing.candidates import Candidates
from indexing.corpus import CorpusRow, write_chunks
from indexing.embedding import HashingEmbedder
from indexing.letters import (
    LETTER_COUNTS_FILE,
    LETTER_ENDS_FILE,
    LETTERS_FILE,
    LetterFile,
    LetterLane,
    letter_groups,
    write_letters,
)
from indexing.opening import OpenSnapshot
from indexing.snapshots import BASE, open_current

MakeBuilder = Callable[..., Builder]


def share(left: str, right: str) -> float:
    """Return the share of the left text's groups that the right one has."""
    groups = letter_groups(left)
    return float(np.isin(groups, letter_groups(right)).mean())


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("seal", 3),  # #sea seal eal#
        ("Seal SEAL ｓｅａｌ", 3),
        ("of", 1),
        ("a", 0),
        ("水泵", 1),
        ("更换密封圈", 4),
        ("泵", 0),
        ("Q7泵", 1),  # the border is kept between scripts
        ("", 0),
        ("!? … 😀", 0),
    ],
)
def test_how_many_groups_a_text_has(text: str, count: int) -> None:
    groups = letter_groups(text)
    assert len(groups) == count
    assert groups.dtype == np.uint16
    assert np.array_equal(groups, np.unique(groups))


def test_parts_of_words_are_found_in_both_languages() -> None:
    assert share("hotkey", "the hot key of a menu") >= 0.3
    assert share("断线路", "检查断开线路") >= 0.5
    assert share("hotkey", "replace the gasket") == 0
    assert share("断路", "更换密封圈") == 0


def test_no_group_crosses_words() -> None:
    assert share("eth", "replace the") == 0
    assert share("泵更", "水泵 更换") == 0


def lane(folder: Path, texts: dict[int, str]) -> LetterLane:
    """Return a lane over one segment of texts by number."""
    folder.mkdir()
    rows = [
        CorpusRow(number=number, chunk=Chunk(id=text, document="a", version=1, position=number, text=text))
        for number, text in texts.items()
    ]
    chunks = write_chunks(folder, rows)
    write_letters(folder, texts.values())
    return LetterLane([(chunks, LetterFile(folder, len(texts)))])


def test_rare_groups_count_more_and_long_chunks_less(tmp_path: Path) -> None:
    texts = {
        3: "the pump",
        5: "the gasket",
        8: "the gasket " + " ".join(f"word{number}" for number in range(60)),
        9: "",
        11: "the valve",
    }
    found = lane(tmp_path / "s", texts).scores("gaskets of the", Candidates(texts))
    scores = dict(zip(texts, found.tolist(), strict=True))
    assert scores[5] > scores[8] > scores[11] > 0
    assert scores[3] == pytest.approx(scores[11], rel=0.3)
    assert scores[9] == 0


def test_segments_are_weighed_together(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    one = lane(tmp_path / "whole", {1: "pump seal", 2: "fan filter", 3: "pump valve"})
    lane(first, {1: "pump seal", 2: "fan filter"})
    lane(second, {3: "pump valve"})
    parts = []
    for folder, numbers in ((first, [1, 2]), (second, [3])):
        rows = [
            CorpusRow(number=n, chunk=Chunk(id=str(n), document="a", version=1, position=n, text="x"))
            for n in numbers
        ]
        (tmp_path / f"chunks{numbers[0]}").mkdir()
        chunks = write_chunks(tmp_path / f"chunks{numbers[0]}", rows)
        parts.append((chunks, LetterFile(folder, len(numbers))))
    candidates = Candidates([3, 1, 2])
    scores = LetterLane(parts).scores("pump valves", candidates)
    assert scores == pytest.approx(one.scores("pump valves", candidates))
    assert scores.argmax() == candidates.numbers.index(3)


def test_an_earlier_segment_has_none_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    assert len(LetterFile(tmp_path, 2)) == 0
    assert LetterLane([]).scores("pump", Candidates([1])).tolist() == [0.0]
    write_letters(tmp_path, ["pump", "fan"])
    with pytest.raises(IndexBroken, match="not those of 3"):
        LetterFile(tmp_path, 3)
    for file in (LETTER_ENDS_FILE, LETTER_COUNTS_FILE):
        kept = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(b"no array")
        with pytest.raises(IndexBroken, match="cannot be read"):
            LetterFile(tmp_path, 2)
        (tmp_path / file).write_bytes(kept)
    (tmp_path / LETTERS_FILE).write_bytes(b"")
    with pytest.raises(IndexBroken, match="not those of 2"):
        LetterFile(tmp_path, 2)


def test_a_chunk_with_parts_of_the_question_passes_one_without(
    make_builder: MakeBuilder, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number, text in enumerate(["Change the gasketing.", "Change the lamp.", "Clean the fan."]):
        (files / f"{number}.txt").write_text(text)
    builder = make_builder()
    builder.add([files])
    folder, _ = open_current(builder.folder)
    assert (folder / BASE / LETTERS_FILE).exists()
    snapshot = OpenSnapshot(builder.folder, HashingEmbedder())
    documents = {row.number: row.chunk.document for row in snapshot.corpus.rows}
    candidates = Candidates(documents)
    scores = snapshot.letters.scores("gaskets", candidates)
    assert documents[candidates.numbers[int(scores.argmax())]] == "0.txt"
