"""An answer in our own shape as server-sent events with names."""

import logging
from collections.abc import AsyncGenerator

import msgspec

from assistant.answering.events import AnswerEvent, AnswerText, PassagesFound
from assistant.core.errors import DeskmateError
from assistant.service.asking import Ask
from assistant.service.problems import to_problem
from assistant.service.schemas_answers import (
    AnswerReply,
    CitationsEvent,
    PassagesEvent,
    TokenEvent,
    found_passages,
)
from assistant.service.sse import encode_line

_log = logging.getLogger(__name__)


def named_event(name: str, value: msgspec.Struct) -> bytes:
    """Return one event."""
    return f"event: {name}\ndata: ".encode() + encode_line(value) + b"\n\n"


async def native_stream(
    first: AnswerEvent, rest: AsyncGenerator[AnswerEvent, None], asked: Ask
) -> AsyncGenerator[bytes, None]:
    """Yield ``passages``, each ``token``, ``citations`` and ``done`` with the whole answer, or ``error``.

    Args:
        first: the first event, taken before the reply began.
        rest: the other events; closed at the end, which cancels what is still being generated.
        asked: the question.
    """
    try:
        for written in _write(first, asked):
            yield written
        async for event in rest:
            for written in _write(event, asked):
                yield written
    except Exception as error:  # noqa: BLE001 - the status line has gone: the stream can only tell it
        if not isinstance(error, DeskmateError):
            _log.exception("an answer broke off")
        yield named_event("error", to_problem(error))
    finally:
        await rest.aclose()


def _write(event: AnswerEvent, asked: Ask) -> list[bytes]:
    if isinstance(event, PassagesFound):
        return [named_event("passages", PassagesEvent(passages=found_passages(event.passages)))]
    if isinstance(event, AnswerText):
        return [named_event("token", TokenEvent(text=event.text))]
    reply = AnswerReply.from_answer(event.answer, asked.collection, asked.conversation_id)
    return [
        named_event("citations", CitationsEvent(citations=reply.citations)),
        named_event("done", reply),
    ]
