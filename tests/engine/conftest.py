"""A tiny random model with a real tokenizer, and engines over it: no download, under a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant.core.environment import prepare_environment
from assistant.core.records import Message
from assistant.core.settings import EngineSettings
from assistant.engine.local import LocalEngine
from assistant.engine.protocol import GenerationRequest, StreamEnd, TextDelta

prepare_environment()


def build_adapter(folder: Path, base: Path, *, seed: int, rank: int = 4) -> Path:
    """Write a random LoRA adapter that changes the base's text."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    targets = ["q_proj", "v_proj", "down_proj"]
    config = LoraConfig(r=rank, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_adapters(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiny-adapters")
    return {
        name: build_adapter(folder / name, tiny_model, seed=seed)
        for seed, name in enumerate(("pumps", "ovens.v2"), 1)
    }


LocalFactory = Callable[..., LocalEngine]


@pytest.fixture
def local(tiny_model: Path) -> Iterator[LocalFactory]:
    """Make engines over the tiny model in full precision; they are closed at the end."""
    engines: list[LocalEngine] = []

    def make(folder: Path = tiny_model, **settings: object) -> LocalEngine:
        chosen = EngineSettings(**({"dtype": "float32", "timeout_seconds": 30.0} | settings))  # type: ignore[arg-type]
        engines.append(LocalEngine("tiny", folder, chosen))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


Ask = Callable[..., GenerationRequest]
Read = Callable[[Iterator[TextDelta | StreamEnd]], tuple[str, StreamEnd]]


@pytest.fixture
def ask() -> Ask:
    """Make requests of one user message."""

    def make(question: str, **options: object) -> GenerationRequest:
        message = Message(role="user", content=question)
        return GenerationRequest(messages=(message,), **({"max_new_tokens": 24} | options))  # type: ignore[arg-type]

    return make


@pytest.fixture
def read() -> Read:
    """Return text and end of a stream; the end must come last and once, and no piece be empty."""

    def take(events: Iterator[TextDelta | StreamEnd]) -> tuple[str, StreamEnd]:
        *pieces, end = list(events)
        assert isinstance(end, StreamEnd)
        assert all(isinstance(piece, TextDelta) and piece.text for piece in pieces)
        return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)), end

    return take
