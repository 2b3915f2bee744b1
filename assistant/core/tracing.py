"""Spans of what is done for one request; where nobody listens, nothing is made and nothing is kept.

Whoever listens puts a `Tracer` into ``listener``; it goes along into worker threads with the context.
Questions, answers and texts of documents never stand in a span.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol

Value = str | bool | int | float | tuple[str, ...]


class Span(Protocol):
    """Something that is being done."""

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Add what became known of it."""


class Tracer(Protocol):
    """Listens to what is done for one request. Safe to call from several threads."""

    @property
    def trace_id(self) -> str:
        """The trace's id, 32 hex digits."""

    def span(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[Span]:
        """Time a step; an exception that leaves it marks it as failed."""

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Add what became known of the request as a whole."""


listener: ContextVar[Tracer | None] = ContextVar("listener", default=None)


def span(name: str, attributes: Mapping[str, Value] | None = None) -> AbstractContextManager[Span]:
    """Time a step of the request that is being answered.

    Args:
        name: such as ``retrieve``; few of them, so that they can be compared.
        attributes: what is known of it beforehand.
    """
    tracer = listener.get()
    return tracer.span(name, attributes or {}) if tracer else _SILENCE


def note(attributes: Mapping[str, Value]) -> None:
    """Add what became known of the request that is being answered."""
    tracer = listener.get()
    if tracer:
        tracer.note(attributes)


def trace_id() -> str:
    """Return the id of the trace of the request that is being answered, empty where there is none."""
    tracer = listener.get()
    return tracer.trace_id if tracer else ""


class _Silence:
    """The span of a step that nobody times."""

    def __enter__(self) -> _Silence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Forget it."""


_SILENCE = _Silence()
