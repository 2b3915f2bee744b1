"""What an engine is: text in, text out, by adapter name. Nothing else in the project talks to a model."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Literal, Protocol

from prometheus_client import Metric

from assistant.core.errors import EngineError
from assistant.core.records import Message, Record, ToolCall, Usage

FinishReason = Literal["stop", "length", "cancelled", "tool_calls"]
Offer = Literal["json_schema", "tools"]
# a base that can think aloud (Qwen3) answers at once, as its adapter is taught; other templates pass it over
TEMPLATE_OPTIONS = {"enable_thinking": False}


class GenerationRequest(Record, frozen=True, kw_only=True):
    """What to generate.

    Attributes:
        messages: the conversation; the engine renders it with the base model's chat template.
        adapter: name of a loaded adapter, None for the base model.
        max_new_tokens: most tokens to generate.
        temperature: 0 is greedy.
        top_p: nucleus, used above temperature 0.
        seed: of sampling; the same seed gives the same text on the same engine.
        stop: texts that end the generation; they are not part of the result.
        json_schema: JSON Schema that the text must follow; only an engine that can constrain takes one.
        logprobs: ask for the tokens' log-probabilities, where the engine offers them.
        tools: functions that the engine may ask to have called, in OpenAI's shape; for engines that offer it.
        tool_choice: ``auto``, ``none``, ``required`` or one function, in OpenAI's shape; None for ``auto``.
    """

    messages: tuple[Message, ...]
    adapter: str | None = None
    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    logprobs: bool = False
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] | None = None


class Completion(Record, frozen=True, kw_only=True):
    """What was generated; ``logprobs`` holds one value a token where they were asked for and offered."""

    text: str
    finish_reason: FinishReason
    usage: Usage
    logprobs: tuple[float, ...] = ()


class TextDelta(Record, frozen=True, kw_only=True):
    """A piece of streamed text; never splits a character."""

    text: str


class StreamEnd(Record, frozen=True, kw_only=True):
    """The last event of a stream."""

    finish_reason: FinishReason
    usage: Usage
    tool_calls: tuple[ToolCall, ...] = ()


class PromptTooLong(EngineError):
    """A prompt does not fit into the model's window."""

    exit_code = 2
    status = 400
    slug = "prompt-too-long"


class Engine(Protocol):
    """Generates text. Safe to call from several threads at once."""

    @property
    def base_model(self) -> str:
        """Name of the base model."""

    @property
    def offers(self) -> frozenset[Offer]:
        """What it can do beside writing text: keep to a JSON schema while writing, ask for tools."""

    def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Generate for all requests, batched as the engine does best; results in the order given.

        Raises:
            NotFoundError: a request names an adapter that is not loaded.
            PromptTooLong: a prompt does not fit into the model's window.
            EngineError: generation failed.
        """

    def stream(self, request: GenerationRequest) -> Generator[TextDelta | StreamEnd, None, None]:
        """Generate one text piece by piece; closing the iterator cancels the generation.

        The request is taken at once, so that these errors come from the call and not from the first
        ``next``; an error in the midst of the generation comes from ``next``.

        Raises:
            NotFoundError: the request names an adapter that is not loaded.
            PromptTooLong: the prompt does not fit into the model's window.
            EngineBusy: too many requests wait already.
            EngineError: generation failed.
        """

    def load_adapter(self, name: str, folder: str) -> None:
        """Make an adapter available under a name; loading the same folder again does nothing.

        Raises:
            ModelError: the folder is broken or does not fit the base model.
        """

    def unload_adapter(self, name: str) -> None:
        """Let an adapter's requests end and forget it; one that is not loaded is left alone.

        Raises:
            EngineError: its requests do not end.
        """

    def prove_adapter(self, name: str) -> bool:
        """Ask a loaded adapter its canary; return whether its texts were known.

        Raises:
            NotFoundError: it is not loaded.
            ModelError: it does not say what it said before.
        """

    def numerics(self) -> str:
        """Return what a greedy text hangs on beside weights and prompt: kind, version, device, format."""

    def adapters(self) -> tuple[str, ...]:
        """Return the names of the loaded adapters."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""

    def problems(self) -> tuple[str, ...]:
        """Return why the engine cannot answer now; empty when it is ready."""

    def metrics(self) -> list[Metric]:
        """Return the engine's own figures for Prometheus; never fails."""

    def close(self) -> None:
        """Free what the engine holds; waiting requests end as cancelled."""
