"""Held-out answers decide: what is held out, how it is scored, when training stops."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from assistant.core.errors import InputError
from assistant.core.prompts import not_covered
from assistant.core.records import Example, Message
from assistant.core.settings_train import TrainSettings
from training.lora import split_examples
from training.session import TrainReport
from training.validation import answer_score, hold_out

TrainTiny = Callable[..., TrainReport]


def example(answer: str, language: str = "en", **fields: object) -> Example:
    turns = (Message(role="user", content="?"), Message(role="assistant", content=answer))
    row = Example(id=f"{answer}{fields}", recipe="r", language=language, messages=turns)  # type: ignore[arg-type]
    return msgspec.structs.replace(row, **fields)


@pytest.mark.parametrize(
    ("target", "answer", "language", "score"),
    [
        ("Close the valve for 10 minutes [1].", "Close the valve for 10 minutes [2].", "en", 1.0),
        ("Close the valve for 10 minutes [1].", "Close the valve for 15 minutes [1].", "en", 0.0),
        ("关闭阀门10分钟 [1]。", "关闭阀门10分钟。", "zh", 1.0),
        ("关闭阀门10分钟 [1]。", "关闭阀门12分钟。", "zh", 0.0),
        ("Close the valve.", not_covered("en"), "en", 0.0),
        (not_covered("en"), not_covered("en"), "en", 1.0),
        (not_covered("zh"), "关闭阀门。", "zh", 0.0),
        (not_covered("zh"), not_covered("zh"), "zh", 1.0),
    ],
)
def test_an_answer_is_scored(target: str, answer: str, language: str, score: float) -> None:
    assert answer_score(example(target, language), answer) == pytest.approx(score)


def test_half_an_answer_is_worth_half() -> None:
    assert 0.2 < answer_score(example("Close the inlet valve slowly."), "Close the valve.") < 0.9


def test_whole_documents_are_held_out() -> None:
    rows = [example(str(n), documents=(f"d{n % 5}.md",)) for n in range(20)]
    rows.append(example("both", documents=("d0.md", "d1.md", "d2.md", "d3.md", "d4.md")))
    split = hold_out(rows, 4, seed=7)
    held = {name for row in split.valid for name in row.documents}
    assert len(split.valid) == 4
    assert held.isdisjoint(name for row in split.train for name in row.documents)
    assert "both" not in {row.messages[-1].content for row in (*split.train, *split.valid)}
    assert hold_out(rows, 0, seed=7).train == tuple(rows)


def test_of_one_document_whole_chunks_are_held_out() -> None:
    rows = [example(str(n), documents=("d.md",), chunk_ids=(f"c{n % 6}",)) for n in range(18)]
    split = hold_out(rows, 3, seed=7)
    assert len(split.valid) == 3
    assert len(split.train) == 15
    held = {chunk for row in split.valid for chunk in row.chunk_ids}
    assert held.isdisjoint(chunk for row in split.train for chunk in row.chunk_ids)


def test_a_document_that_holds_most_of_the_examples_is_not_held_out() -> None:
    rows = [example(str(n), documents=("big.md",), chunk_ids=(f"c{n}",)) for n in range(9)]
    rows += [example("small", documents=("small.md",), chunk_ids=("s",))]
    for seed in range(5):
        split = hold_out(rows, 4, seed)
        assert [row.documents for row in split.valid] == [("small.md",)]
        assert len(split.train) == 9


def test_where_nothing_can_be_held_out_all_is_trained_on() -> None:
    rows = [example(str(n), documents=("d.md",), chunk_ids=("c",)) for n in range(4)]
    split = hold_out([*rows, example("general")], 2, seed=7)
    assert len(split.train) == 5
    assert not split.valid


def test_the_datasets_own_split_is_taken() -> None:
    rows = [example(name, split=name) for name in ("train", "valid", "test")]
    split = split_examples(rows, TrainSettings(validation_examples=4))
    assert [row.split for row in split.train] == ["train"]
    assert [row.split for row in split.valid] == ["valid"]
    assert not split_examples(rows, TrainSettings()).valid


def test_rows_without_an_answer_and_empty_datasets_are_refused() -> None:
    with pytest.raises(InputError, match="does not end with an answer"):
        split_examples([example(" ")], TrainSettings())
    with pytest.raises(InputError, match="nothing to train on"):
        split_examples([example("a", split="test")], TrainSettings())


def test_training_stops_where_answers_gain_nothing(train_tiny: TrainTiny, examples: list[Example]) -> None:
    valid = [msgspec.structs.replace(row, id=f"v{row.id}", split="valid") for row in examples[:2]]
    report = train_tiny(
        rows=[*examples, *valid], learning_rate=1e-9, validation_examples=2, validations=12, patience=1
    )
    assert report.stopped_early
    assert report.steps < 12
    assert report.validation_score is not None
    assert report.validation_examples == 2
