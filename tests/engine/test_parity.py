"""Parity over the tiny model: the local engine against transformers, and an engine that mixes adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from assistant.core.records import Message, Usage
from assistant.engine.local import LocalEngine
from assistant.engine.parity import LOGPROB_BOUND, References, _compare, check_parity, compute_references
from assistant.engine.protocol import Completion, GenerationRequest

PROMPTS = [
    (Message(role="user", content="Why does the valve leak?"),),
    (Message(role="user", content="阀门为什么漏水？"),),
]


@pytest.fixture(scope="module")
def references(tiny_model: Path, tiny_adapters: dict[str, Path]) -> References:
    return compute_references(tiny_model, tiny_adapters, PROMPTS, "float32")


def test_the_local_engine_is_equal_in_float32(
    local: Callable[..., LocalEngine], tiny_adapters: dict[str, Path], references: References
) -> None:
    assert len({reference.text for reference in references.said.values()}) > len(PROMPTS)
    measured = check_parity(local(), tiny_adapters, PROMPTS, references, "float32")
    assert [row for row in measured.rows if not row.is_equal] == []
    assert {row.phase for row in measured.rows} == {"alone", "resident", "concurrent", "reloaded"}
    assert measured.is_equal


def test_an_engine_that_answers_with_another_adapter_is_found_out(
    local: Callable[..., LocalEngine], tiny_adapters: dict[str, Path], references: References
) -> None:
    class Mixing:
        """Serves the base model whatever is asked for."""

        def __init__(self, engine: LocalEngine) -> None:
            self._engine = engine

        def load_adapter(self, name: str, folder: str) -> None:
            self._engine.load_adapter(name, folder)

        def unload_adapter(self, name: str) -> None:
            self._engine.unload_adapter(name)

        def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
            return self._engine.complete(
                [GenerationRequest(messages=r.messages, max_new_tokens=r.max_new_tokens) for r in requests]
            )

    engine = Mixing(local())
    measured = check_parity(engine, tiny_adapters, PROMPTS, references, "float32")  # type: ignore[arg-type]
    wrong = {row.adapter for row in measured.rows if not row.is_equal}
    assert None not in wrong
    assert wrong
    assert not measured.is_equal


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_text_of_another_adapter_is_no_near_tie(references: References, dtype: str) -> None:
    """In half precision texts may part, but not to what the adapter itself finds unlikely."""
    for place in range(len(PROMPTS)):
        own = references.said["pumps", place]
        for name in (None, "ovens.v2"):
            other = references.said[name, place]
            done = Completion(text=other.text, finish_reason="length", usage=Usage(), logprobs=other.logprobs)
            gap, is_equal = _compare(references, "pumps", place, done, dtype)
            assert not is_equal, (name, gap)
        done = Completion(text=own.text, finish_reason="length", usage=Usage(), logprobs=own.logprobs)
        assert _compare(references, "pumps", place, done, dtype) == (0.0, True)


def test_a_text_that_parts_at_a_near_tie_counts_in_half_precision_only(references: References) -> None:
    """The second best token at a place where both are near is as good; what follows is its own text."""
    own = references.said[None, 0]
    done = Completion(text=own.text + " and more", finish_reason="length", usage=Usage())
    regret = references.regret(None, 0, done)
    assert regret > 0
    _, in_single = _compare(references, None, 0, done, "float32")
    gap, in_half = _compare(references, None, 0, done, "bfloat16")
    assert not in_single
    assert in_half == (gap is not None and gap <= LOGPROB_BOUND["bfloat16"])
