"""How much of an evaluation's time the engine takes."""

from __future__ import annotations

import copy
import time
from collections.abc import Generator, Sequence

from prometheus_client import Metric

from assistant.answering.pipeline import Pipeline
from assistant.engine.protocol import Completion, Engine, GenerationRequest, Offer, StreamEnd, TextDelta


class EngineClock:
    """An engine that adds up the time of the calls to another; closing it is left to the other's owner."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds = 0.0

    @property
    def base_model(self) -> str:
        """Name of the base model."""
        return self._engine.base_model

    @property
    def offers(self) -> frozenset[Offer]:
        """What the engine offers."""
        return self._engine.offers

    def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Generate, and add the time it took."""
        began = time.perf_counter()
        try:
            return self._engine.complete(requests)
        finally:
            self.seconds += time.perf_counter() - began

    def stream(self, request: GenerationRequest) -> Generator[TextDelta | StreamEnd, None, None]:
        """Generate piece by piece; not timed, since the consumer's time would count."""
        return self._engine.stream(request)

    def load_adapter(self, name: str, folder: str) -> None:
        """Make an adapter available."""
        self._engine.load_adapter(name, folder)

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter."""
        self._engine.unload_adapter(name)

    def prove_adapter(self, name: str) -> bool:
        """Ask a loaded adapter its canary."""
        return self._engine.prove_adapter(name)

    def numerics(self) -> str:
        """Return what texts hang on."""
        return self._engine.numerics()

    def metrics(self) -> list[Metric]:
        """Return the engine's own figures."""
        return self._engine.metrics()

    def adapters(self) -> tuple[str, ...]:
        """Return the names of the loaded adapters."""
        return self._engine.adapters()

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return self._engine.count_tokens(text)

    def problems(self) -> tuple[str, ...]:
        """Return why the engine cannot answer now."""
        return self._engine.problems()

    def close(self) -> None:
        """Do nothing."""


def timed(pipeline: Pipeline) -> tuple[Pipeline, EngineClock]:
    """Return the pipeline over a clock, and the clock."""
    clock = EngineClock(pipeline.engine)
    ours = copy.copy(pipeline)
    ours.engine = clock
    return ours, clock
