"""What goes over the wire to an SGLang server and comes back: requests, replies, errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec

from assistant.core.errors import EngineBusy, EngineError, EngineUnavailable
from assistant.core.records import Message, ToolCall, ToolTurn, Usage
from assistant.engine.protocol import (
    TEMPLATE_OPTIONS,
    Completion,
    FinishReason,
    GenerationRequest,
    PromptTooLong,
    StreamEnd,
    TextDelta,
)

_DATA = b"data:"
_DONE = b"[DONE]"
_REASONS: dict[str, FinishReason] = {"length": "length", "abort": "cancelled", "tool_calls": "tool_calls"}
_NOT_LOADED = re.compile(
    r"lora.*(never been loaded|not (loaded|found|registered))", re.IGNORECASE | re.DOTALL
)
_BUSY = {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}
_REFUSED = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}


class UnknownAdapter(EngineError):
    """The server holds no adapter of the name that was asked for."""


class _Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _CallPiece(msgspec.Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Text(msgspec.Struct, frozen=True):
    content: str | None = None
    tool_calls: list[_CallPiece] | None = None


class _Logprob(msgspec.Struct, frozen=True):
    logprob: float = 0.0


class _Logprobs(msgspec.Struct, frozen=True):
    content: list[_Logprob] | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Text = _Text()
    delta: _Text = _Text()
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Reply(msgspec.Struct, frozen=True):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


def request_body(request: GenerationRequest, model: str, *, stream: bool) -> dict[str, Any]:
    """Return the body of a chat completion; there is never more than one choice.

    Several choices followed by an unload have deadlocked a server.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [_turn(message) for message in request.messages],
        "max_tokens": request.max_new_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "chat_template_kwargs": TEMPLATE_OPTIONS,
    }
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    if request.json_schema is not None:
        shape = {"name": "answer", "schema": request.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": shape}
    if request.logprobs:
        body["logprobs"] = True
    if request.tools:
        body["tools"] = list(request.tools)
        if request.tool_choice is not None:
            body["tool_choice"] = request.tool_choice
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if isinstance(message, ToolTurn):
        if message.tool_calls:
            turn["tool_calls"] = [_called(call) for call in message.tool_calls]
        if message.tool_call_id:
            turn["tool_call_id"] = message.tool_call_id
    return turn


def _called(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def read_completion(content: bytes) -> Completion:
    """Return the generated text of a reply.

    Raises:
        EngineError: the reply is not of OpenAI's shape.
    """
    reply = _decode(content)
    if not reply.choices:
        raise EngineError("the engine's reply holds no choice")
    choice = reply.choices[0]
    tokens = (choice.logprobs.content if choice.logprobs else None) or []
    return Completion(
        text=choice.message.content or "",
        finish_reason=_reason(choice),
        usage=_usage(reply.usage),
        logprobs=tuple(token.logprob for token in tokens),
    )


def read_stream(chunks: Iterator[bytes]) -> Iterator[TextDelta | StreamEnd]:
    """Yield the events of a stream of server-sent events.

    Raises:
        EngineError: the stream carries an error, is not of OpenAI's shape or breaks off.
    """
    reason: FinishReason | None = None
    usage: _Usage | None = None
    calls: dict[int, list[_CallPiece]] = {}
    for line in _lines(chunks):
        if not line.startswith(_DATA):
            continue
        payload = line[len(_DATA) :].strip()
        if payload == _DONE:
            break
        reply = _decode(payload)
        usage = reply.usage or usage
        for choice in reply.choices:
            if choice.delta.content:
                yield TextDelta(text=choice.delta.content)
            for piece in choice.delta.tool_calls or ():
                calls.setdefault(piece.index, []).append(piece)
            if choice.finish_reason:
                reason = _reason(choice)
    if reason is None:
        raise EngineError("the engine's stream broke off")
    told = tuple(_call(pieces) for _, pieces in sorted(calls.items()))
    yield StreamEnd(finish_reason=reason, usage=_usage(usage), tool_calls=told)


def _call(pieces: list[_CallPiece]) -> ToolCall:
    """Put a streamed call together: its id and name come once, its arguments in pieces."""
    return ToolCall(
        id=next((piece.id for piece in pieces if piece.id), "call"),
        name=next((piece.function.name for piece in pieces if piece.function.name), ""),
        arguments="".join(piece.function.arguments or "" for piece in pieces),
    )


def error_of(response: httpx.Response) -> EngineError:
    """Return the error that a reply other than 200 stands for; its body must have been read."""
    message = _message(response)
    if response.status_code in _BUSY:
        return EngineBusy(f"the engine is busy: {message}")
    if response.status_code in _REFUSED:
        return EngineUnavailable(
            f"the engine refuses the key ({response.status_code}): set DESKMATE_ENGINE_API_KEY, and "
            "DESKMATE_ENGINE_ADMIN_KEY for adapters",
            next_command="deskmate doctor",
        )
    if "context length" in message or "maximum allowed length" in message:
        return PromptTooLong(message)
    if "out of memory" in message.lower():
        return EngineError(
            f"the engine ran out of memory: {message}; a lower [sglang] max_total_tokens helps",
            next_command="deskmate engine logs",
        )
    if response.status_code == httpx.codes.BAD_REQUEST and _NOT_LOADED.search(message):
        return UnknownAdapter(f"the engine answers 400: {message}")
    return EngineError(f"the engine answers {response.status_code}: {message}")


def _message(response: httpx.Response) -> str:
    """Return the reason in an error's body, whatever its shape, cut to a readable length."""
    try:
        body = json.loads(response.content)
    except ValueError:
        body = response.text
    for key in ("error", "message", "error_message", "detail"):
        if isinstance(body, dict) and key in body:
            body = body[key]
    return (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False))[:500]


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Split at line feeds only: a text may hold other characters that Python takes for line ends."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _decode(content: bytes) -> _Reply:
    try:
        reply = msgspec.json.decode(content, type=_Reply)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError(f"the engine's reply is not of OpenAI's shape: {error}") from error
    if reply.error is not None:
        detail = reply.error.get("message") if isinstance(reply.error, dict) else reply.error
        raise EngineError(f"the engine failed: {detail}")
    return reply


def _reason(choice: _Choice) -> FinishReason:
    return _REASONS.get(choice.finish_reason or "stop", "stop")


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    return Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
