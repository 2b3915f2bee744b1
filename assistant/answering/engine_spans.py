"""Spans around an engine, with OpenTelemetry's names for generating; texts stay out of them."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack

from assistant.core.tracing import Span, Value, span
from assistant.engine.protocol import Engine, GenerationRequest, StreamEnd, TextDelta


def traced_stream(engine: Engine, request: GenerationRequest) -> Generator[TextDelta | StreamEnd, None, None]:
    """Ask an engine for a stream within a span; errors of the call come from the call.

    Args:
        engine: that generates.
        request: what to generate.
    """
    model = f"{engine.base_model}:{request.adapter}" if request.adapter else engine.base_model
    kind = type(engine).__name__.removesuffix("Engine").lower()
    with ExitStack() as stack:
        step = stack.enter_context(span(f"chat {model}", _asked(request, model, kind)))
        events = engine.stream(request)
        return _watched(events, step, stack.pop_all())


def _asked(request: GenerationRequest, model: str, kind: str) -> Mapping[str, Value]:
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": kind,
        "gen_ai.request.model": model,
        "gen_ai.request.max_tokens": request.max_new_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p,
        "gen_ai.request.stream": True,
    }
    if request.seed is not None:
        attributes["gen_ai.request.seed"] = request.seed
    return attributes


def _watched(
    events: Generator[TextDelta | StreamEnd, None, None], step: Span, stack: ExitStack
) -> Generator[TextDelta | StreamEnd, None, None]:
    began, has_begun = time.perf_counter(), False
    with stack:
        try:
            for event in events:
                if isinstance(event, TextDelta) and not has_begun:
                    has_begun = True
                    step.note({"gen_ai.response.time_to_first_chunk": time.perf_counter() - began})
                elif isinstance(event, StreamEnd):
                    step.note(
                        {
                            "gen_ai.response.finish_reasons": (event.finish_reason,),
                            "gen_ai.usage.input_tokens": event.usage.prompt_tokens,
                            "gen_ai.usage.output_tokens": event.usage.completion_tokens,
                        }
                    )
                yield event
        finally:
            close = getattr(events, "close", None)
            if close is not None:
                close()
