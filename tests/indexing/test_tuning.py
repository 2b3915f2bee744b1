"""Questions made from chunks, and the weight that is kept only where it wins."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from assistant.core.errors import IndexBroken
from assistant.core.home import Home
from assistant.core.settings import SearchSettings
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.opening import OpenSnapshot
from indexing.snapshots import TUNING_FILE, open_current
from indexing.tuning import (
    Tuning,
    TuningQuestion,
    _first_half,
    make_questions,
    tune,
    tuned_settings,
    write_tuning,
)


@pytest.fixture
def snapshot(make_builder: type[Builder], documents: Path, home: Home) -> OpenSnapshot:
    make_builder().add([documents])
    return OpenSnapshot(home.collection("pumps"), HashingEmbedder())


def test_made_questions_lack_the_rarest_words_and_stay_the_same(snapshot: OpenSnapshot) -> None:
    questions = make_questions(snapshot)
    assert questions == make_questions(snapshot)
    texts = {row.number: row.chunk.text for row in snapshot.corpus.rows}
    asked = {number: question.text for question in questions for number in question.gold}
    assert set(asked) <= set(texts)
    seal = next(number for number, text in texts.items() if "pump seal" in text)
    assert 0 < len(asked[seal].split()) < len(texts[seal].split())
    assert set(asked[seal].lower().split()) <= set(texts[seal].lower().replace(".", "").split())
    chinese = next(number for number, text in texts.items() if "密封圈" in text)
    assert asked[chinese]
    assert asked[chinese] not in texts[chinese]


def test_every_way_to_rank_is_measured_with_its_interval(snapshot: OpenSnapshot) -> None:
    tuning = tune(snapshot, HashingEmbedder(), SearchSettings())
    assert tuning is not None
    assert {"BM25", "dense", "RRF", "weighted 0.6"} <= {row.name for row in tuning.rows}
    for row in tuning.rows:
        assert row.mrr_interval[0] <= row.mrr_at_10 <= row.mrr_interval[1]
        assert row.hit_at_5 > 0.5
    assert (tuning.is_made, tuning.is_used) == (True, False)


@pytest.mark.parametrize("wordings", [1, 2, 3])
def test_wordings_of_one_question_are_in_one_half(wordings: int) -> None:
    asked = [
        TuningQuestion(text=f"{text} {number}", gold=frozenset({number}))
        for number in range(12)
        for text in ("How heavy is it?", "多重？", "Its weight?")[:wordings]
    ]
    halves = _first_half(asked)
    assert halves.sum() == len(asked) // 2
    assert len({(min(row.gold), bool(half)) for row, half in zip(asked, halves, strict=True)}) == 12
    assert _first_half(asked[:wordings]).tolist() == [True, False, True][:wordings]


def test_only_real_questions_change_the_weight(snapshot: OpenSnapshot) -> None:
    numbers = [row.number for row in snapshot.corpus.rows]
    asked = [TuningQuestion(text="E-47", gold=frozenset(numbers[:1])) for _ in range(8)]
    tuning = tune(snapshot, HashingEmbedder(), SearchSettings(), asked)
    assert tuning is not None
    assert (tuning.is_made, tuning.question_count) == (False, 8)
    assert tuning.is_used == (tuning.gain[1] > 0)


def kept(folder: Path, *, is_used: bool = True, fingerprint: str = "f") -> None:
    folder.mkdir(exist_ok=True)
    gain = (0.1, 0.05, 0.2) if is_used else (0.0, -0.1, 0.1)
    tuning = Tuning(
        fingerprint=fingerprint,
        question_count=2,
        rows=(),
        dense_weight=0.8,
        gain=gain,
        is_made=False,
        is_used=is_used,
    )
    write_tuning(folder, tuning)


@pytest.mark.parametrize(
    ("kept_options", "settings", "weight"),
    [
        ({}, SearchSettings(), 0.8),
        ({"is_used": False}, SearchSettings(), 0.6),
        ({"fingerprint": "other"}, SearchSettings(), 0.6),
        ({}, SearchSettings(dense_weight=0.5), 0.5),
    ],
)
def test_a_kept_weight_is_used_only_where_it_won(
    tmp_path: Path, kept_options: dict[str, object], settings: SearchSettings, weight: float
) -> None:
    assert tuned_settings(tmp_path, settings, "f") == settings
    kept(tmp_path, **kept_options)  # type: ignore[arg-type]
    assert tuned_settings(tmp_path, settings, "f") == msgspec.structs.replace(settings, dense_weight=weight)


def test_a_damaged_file_names_the_command(tmp_path: Path) -> None:
    (tmp_path / TUNING_FILE).write_text("{")
    with pytest.raises(IndexBroken, match=TUNING_FILE) as raised:
        tuned_settings(tmp_path, SearchSettings(), "f")
    assert "--suite FILE" in str(raised.value)


def test_the_next_snapshot_holds_what_tuning_found(
    snapshot: OpenSnapshot, make_builder: type[Builder], home: Home, tmp_path: Path
) -> None:
    folder = home.collection("pumps")
    _, manifest = open_current(folder)
    assert TUNING_FILE not in manifest.files
    tuning = tune(snapshot, HashingEmbedder(), SearchSettings())
    assert tuning is not None
    write_tuning(folder, tuning)
    (tmp_path / "new.txt").write_text("The Q9 has a heater.", "utf-8")
    make_builder().add([tmp_path / "new.txt"])
    path, manifest = open_current(folder)
    assert TUNING_FILE in manifest.files
    assert msgspec.json.decode((path / TUNING_FILE).read_bytes(), type=Tuning) == tuning
