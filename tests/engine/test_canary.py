"""Canary prompts from training, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from assistant.core.errors import ModelError
from assistant.core.records import Example, Message, Usage
from assistant.engine.canary import COMMON_PROMPTS, CanaryCounts, check_canary, read_canary, write_prompts
from assistant.engine.protocol import Completion, GenerationRequest


def example(number: int, language: str, question: str) -> Example:
    turns = (Message(role="user", content=question), Message(role="assistant", content="secret answer"))
    return Example(id=str(number), recipe="r", language=language, messages=turns)  # type: ignore[arg-type]


class Speaker:
    """Says a word for the base model and another for an adapter."""

    def __init__(self, *words: str) -> None:
        self.words = list(words)

    def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        word = self.words.pop(0) if len(self.words) > 1 else self.words[0]
        return [
            Completion(
                text=word if request.adapter else "base",
                finish_reason="stop",
                usage=Usage(),
            )
            for request in requests
        ]


def test_training_leaves_short_prompts_of_both_languages_without_answers(tmp_path: Path) -> None:
    rows = [example(n, "en", "Which torque? " * (n + 1)) for n in range(5)] + [
        example(9, "zh", "多久更换？" * 20)
    ]
    write_prompts(tmp_path, rows)
    found = read_canary(tmp_path)
    texts = [prompt[-1].content for prompt in found.prompts]
    assert texts == ["Which torque? ", "Which torque? " * 2, "多久更换？" * 20]
    assert found.is_taught


def test_texts_are_kept_by_engine_and_number_format(tmp_path: Path) -> None:
    assert read_canary(tmp_path).prompts == COMMON_PROMPTS
    assert not check_canary("a", tmp_path, "sglang/float32", Speaker("one").complete)
    assert not check_canary("a", tmp_path, "local/bfloat16", Speaker("two").complete)
    assert check_canary("a", tmp_path, "sglang/float32", Speaker("one").complete)
    assert check_canary(
        "a", tmp_path, "local/bfloat16", Speaker("slip", "two").complete
    )  # one slip is let pass
    with pytest.raises(ModelError, match="fails its canary in local/bfloat16"):
        check_canary("a", tmp_path, "local/bfloat16", Speaker("one").complete)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "canary.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        read_canary(tmp_path)


class Slipping:
    """Says another word to some of the prompts."""

    def __init__(self, slips: int) -> None:
        self.slips = slips

    def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        texts = ["slip"] * self.slips + ["word"] * (len(requests) - self.slips)
        return [Completion(text=text, finish_reason="stop", usage=Usage()) for text in texts]


@pytest.mark.parametrize(
    ("key", "slips", "passes"),
    [("x/float32", 1, False), ("x/bfloat16", 1, True), ("x/bfloat16", 2, False)],
)
def test_one_near_tie_of_three_is_let_pass_in_half_precision(
    tmp_path: Path, key: str, slips: int, passes: bool
) -> None:
    check_canary("a", tmp_path, key, Slipping(0).complete)
    if passes:
        assert check_canary("a", tmp_path, key, Slipping(slips).complete)
    else:
        with pytest.raises(ModelError, match="fails its canary"):
            check_canary("a", tmp_path, key, Slipping(slips).complete)


def test_outcomes_are_counted_by_adapter(tmp_path: Path) -> None:
    counts = CanaryCounts()
    for word in ("one", "one", "other"):
        try:
            counts.ask("a", tmp_path, "x/float32", Speaker(word).complete)
        except ModelError:
            assert word == "other"
    assert counts.counts() == {("a", "recorded"): 1, ("a", "passed"): 1, ("a", "failed"): 1}


def test_only_a_server_may_not_answer_as_the_base_model_does(tmp_path: Path) -> None:
    write_prompts(tmp_path, [example(1, "en", "Which torque?")])
    with pytest.raises(ModelError, match="as the base model does"):
        check_canary("a", tmp_path, "sglang/float32", Speaker("base").complete)
    assert not check_canary("a", tmp_path, "local/float32", Speaker("base").complete, is_remote=False)
