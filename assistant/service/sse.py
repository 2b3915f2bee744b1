"""An answer as server-sent events."""

import logging
from collections.abc import AsyncGenerator

import msgspec

from assistant.answering.events import AnswerDone, AnswerEvent, AnswerText, PassagesFound
from assistant.core.errors import DeskmateError
from assistant.service.chat import Reply
from assistant.service.problems import to_openai_error
from assistant.service.schemas import Schema

DONE = b"data: [DONE]\n\n"
_LINE_ENDS = tuple((sign.encode(), f"\\u{ord(sign):04x}".encode()) for sign in ("\u0085", "\u2028", "\u2029"))
_encoder = msgspec.json.Encoder()
_log = logging.getLogger(__name__)


def encode_event(value: Schema) -> bytes:
    """Return one event."""
    return b"data: " + encode_line(value) + b"\n\n"


def encode_line(value: object) -> bytes:
    """Return JSON on one line; signs that some readers take for the end of a line are escaped."""
    text = _encoder.encode(value)
    for sign, escaped in _LINE_ENDS:
        text = text.replace(sign, escaped)
    return text


async def answer_stream(
    first: AnswerEvent, rest: AsyncGenerator[AnswerEvent, None], reply: Reply, *, include_usage: bool
) -> AsyncGenerator[bytes, None]:
    """Yield an answer as it is made, event by event.

    The status line has gone when this runs, so an error is an event of its own, never text of the
    answer, and no ``[DONE]`` follows it.

    Args:
        first: the first event, taken before the reply began.
        rest: the other events; closed at the end, which cancels what is still being generated.
        reply: writes the chunks.
        include_usage: send the token counts before ``[DONE]``.
    """
    streamed: list[str] = []
    try:
        if isinstance(first, PassagesFound):
            yield encode_event(reply.opening(first))
        async for event in rest:
            if isinstance(event, AnswerText) and not reply.has_format:
                streamed.append(event.text)
                yield encode_event(reply.text(event.text))
            elif isinstance(event, AnswerDone):
                if late := reply.late_text(event.answer):
                    streamed.append(late)
                    yield encode_event(reply.text(late))
                yield encode_event(reply.closing(event.answer, "".join(streamed)))
                if include_usage:
                    yield encode_event(reply.usage(event.answer))
                yield DONE
    except Exception as error:  # noqa: BLE001 - the stream can only tell it
        if not isinstance(error, DeskmateError):
            _log.exception("an answer broke off")
        yield encode_event(to_openai_error(error)[1])
    finally:
        await rest.aclose()
