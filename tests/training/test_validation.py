"""Held-out answers decide: what is held out, how it is scored, when training stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from assistant.core.errors import InputError
from assistant.core.prompts import not_covered
from assistant.core.records import Example, Message
from assistant.core.settings_train import TrainSettings
from assistant.engine.adapters import check_adapter
from training import session
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


def asked_rows(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "runs" / "train-a" / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if "validation_score" in row]


def held_out(examples: list[Example]) -> list[Example]:
    valid = [msgspec.structs.replace(row, id=f"v{row.id}", split="valid") for row in examples[:2]]
    return [*examples, *valid]


@pytest.mark.parametrize("times", [1, 4, 5, 99])
def test_answers_are_scored_as_often_as_set(
    times: int, train_tiny: TrainTiny, tmp_path: Path, examples: list[Example]
) -> None:
    report = train_tiny(rows=held_out(examples), validation_examples=2, validations=times, patience=0)
    steps = [row["step"] for row in asked_rows(tmp_path)]
    assert len(steps) == min(times, report.steps)
    assert steps[-1] == report.steps - 1


def test_stopped_while_it_asks_it_asks_again(
    train_tiny: TrainTiny, tmp_path: Path, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_tiny(rows=held_out(examples), folder=tmp_path / "whole", validation_examples=2, patience=0)

    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    asked = session.validation_score
    scored: list[float] = []

    def stopped_at_the_last(*arguments: object) -> float:
        if len(scored) == 3:
            raise KeyboardInterrupt
        scored.append(asked(*arguments))  # type: ignore[arg-type]
        return scored[-1]

    for stop in (stopped_at_the_last, interrupted):
        monkeypatch.setattr(session, "validation_score", stop)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(rows=held_out(examples), validation_examples=2, patience=0)
    monkeypatch.setattr(session, "validation_score", asked)
    resumed = train_tiny(rows=held_out(examples), validation_examples=2, patience=0)
    assert resumed.validation_score == whole.validation_score
    assert [row["step"] for row in asked_rows(tmp_path)] == [
        row["step"] for row in asked_rows(tmp_path / "whole")
    ]


def test_questions_longer_than_the_window_are_not_asked(
    tmp_path: Path, tiny_model: Path, train_tiny: TrainTiny, examples: list[Example]
) -> None:
    """GPT-2 has no position beyond its window."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(str(tiny_model))
    tokenizer.save_pretrained(str(tmp_path / "gpt2"))
    torch.manual_seed(1)
    sizes = {"n_positions": 96, "n_embd": 32, "n_layer": 2, "n_head": 4}
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    config = GPT2Config(vocab_size=len(tokenizer), **sizes, **ends)
    GPT2LMHeadModel(config).save_pretrained(str(tmp_path / "gpt2"))
    rows = held_out(examples)
    long = msgspec.structs.replace(
        rows[-1], messages=(Message(role="user", content="valve " * 96), *rows[-1].messages[-1:])
    )
    report = train_tiny(
        rows=[*rows[:-1], long], base=tmp_path / "gpt2", epochs=1, validation_examples=2, validations=1
    )
    assert report.validation_examples == 1
    assert report.validation_score is not None
    check_adapter(Path(report.adapter), tmp_path / "gpt2")
