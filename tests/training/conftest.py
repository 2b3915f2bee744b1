"""Examples and a short run over the tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.core.progress import NoProgress, Progress
from assistant.core.records import Example, Message
from assistant.core.runs import Run
from assistant.core.settings import Settings
from assistant.core.settings_train import TrainSettings
from training.dataset import make_example
from training.lora import train_adapter
from training.session import TrainReport

SETTINGS = TrainSettings(rank=4, alpha=8, learning_rate=5e-3, epochs=3, step_tokens=96)


def make_examples() -> list[Example]:
    """Twelve examples in two languages, three on each context."""
    texts = [("en", "The pump stops.", "valve"), ("zh", "水泵会停止。", "阀门")]
    return [
        make_example(
            recipe="test",
            language=language,  # type: ignore[arg-type]
            messages=(
                Message(role="system", content=f"[1] {context} {number // 3}"),
                Message(role="user", content=f"{word} {number}?"),
            ),
            answer=f"{word} {number} [1].",
        )
        for language, context, word in texts
        for number in range(6)
    ]


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return make_examples()


TrainTiny = Callable[..., TrainReport]


@pytest.fixture
def train_tiny(tmp_path: Path, tiny_model: Path, examples: list[Example]) -> TrainTiny:
    """Train on the examples below ``tmp_path``; settings as keywords change the short run's."""

    def train(
        name: str = "a",
        *,
        base: Path = tiny_model,
        folder: Path = tmp_path,
        progress: Progress | None = None,
        rows: list[Example] = examples,
        **changes: object,
    ) -> TrainReport:
        import msgspec

        settings = msgspec.structs.replace(SETTINGS, **changes)
        run = Run.start(folder / "runs", "train", name, Settings(train=settings))
        target = folder / "adapters" / name
        return train_adapter(rows, base, target, run, settings, progress or NoProgress(), dtype="float32")

    return train
