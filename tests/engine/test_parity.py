"""Parity over the tiny model: the local engine against transformers, and an engine that mixes adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from assistant.core.records import Message
from assistant.engine.local import LocalEngine
from assistant.engine.parity import References, check_parity, compute_references
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
    assert len({reference.text for reference in references.values()}) > len(PROMPTS)
    measured = check_parity(local(), tiny_adapters, PROMPTS, references, "float32")
    assert [row for row in measured.rows if not row.is_equal] == []
    assert {row.phase for row in measured.rows} == {"alone", "resident", "concurrent"}
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
