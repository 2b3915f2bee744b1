"""OpenAI's chat requests as questions: messages, options, tools, the format that is asked for."""

import re
from typing import Any

import msgspec

from assistant.answering.composing import GenerationOptions
from assistant.answering.events import Question
from assistant.answering.formats import ANY_OBJECT
from assistant.answering.json_schemas import check_schema
from assistant.core.errors import InputError, NotFoundError
from assistant.core.records import ARMS, Arm, Message, Record, Role, ToolCall, ToolTurn
from assistant.service.problems import RequestRefused
from assistant.service.schemas_chat import ChatMessage, ChatRequest, ObjectFormat, SchemaFormat, ToolChosen

_RELEASE = re.compile(r"rel-[0-9a-f]{12}")
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


class ModelNamed(Record, frozen=True, kw_only=True):
    """What a model's name names.

    Attributes:
        collection: None where only a release is named.
        release: its id, None for the served one.
        arm: None for the best one that is there.
    """

    collection: str | None
    release: str | None = None
    arm: Arm | None = None


def read_model(name: str | None, default: str) -> ModelNamed:
    """Read ``collection``, ``release`` or ``collection@release``, each with ``:arm`` behind it or not.

    Raises:
        NotFoundError: there is no such arm.
    """
    wanted, _, named = (name or default).partition(":")
    arm = next((arm for arm in ARMS if arm == named), None)
    if named and arm is None:
        raise NotFoundError(f"model {name!r} names no arm: {', '.join(ARMS)}")
    collection, _, release = wanted.partition("@")
    if _RELEASE.fullmatch(wanted):
        return ModelNamed(collection=None, release=wanted, arm=arm)
    return ModelNamed(collection=collection or default, release=release or None, arm=arm)


def to_question(request: ChatRequest, history_turns: int) -> Question:
    """Return the question that a request asks: its last message of the user.

    System messages come first in the history and are never cut off; of the other turns the latest
    are kept. What stands behind the question are calls of tools and their results.

    Raises:
        RequestRefused: the last message is neither the user's nor a tool's, or a message cannot be used.
    """
    if request.n not in {None, 1}:
        raise RequestRefused(f"n is {request.n}; one answer is given to a question", "n")
    if request.logprobs or request.top_logprobs:
        reason = "log-probabilities are not given: an answer is checked after it was written"
        raise RequestRefused(reason, "logprobs")
    asked = _place_of_question(request)
    turns = [_turn(message, place) for place, message in enumerate(request.messages)]
    before = [turn for turn in turns[:asked] if not isinstance(turn, ToolTurn)]
    system = "\n\n".join(turn.content for turn in before if turn.role == "system" and turn.content)
    history = [turn for turn in before if turn.role != "system" and turn.content]
    if system:
        kept = max(2 * history_turns - 1, 0)
        history = [Message(role="system", content=system), *(history[-kept:] if kept else [])]
    return Question(
        text=turns[asked].content,
        history=tuple(history),
        after=tuple(turns[asked + 1 :]),
        filters=request.filters,
    )


def _place_of_question(request: ChatRequest) -> int:
    last = request.messages[-1]
    places = [place for place, message in enumerate(request.messages) if message.role == "user"]
    if not places and last.role in {"system", "developer"}:
        return len(request.messages) - 1  # as OpenAI does: what is said alone is what is asked
    if last.role != "user" and not (last.role == "tool" and request.tools):
        raise RequestRefused(f"the last message is the {last.role}'s, not the user's", "messages")
    if not places:
        raise RequestRefused("no message is the user's", "messages")
    return places[-1]


def to_options(request: ChatRequest, limit: int) -> GenerationOptions:
    """Return how to generate; an answer is never longer than ``limit`` tokens.

    Raises:
        RequestRefused: the JSON Schema is none that can be kept to.
    """
    wanted = request.max_completion_tokens or request.max_tokens
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    return GenerationOptions(
        max_new_tokens=min(wanted or limit, limit),
        temperature=request.temperature or 0.0,
        top_p=1.0 if request.top_p is None else request.top_p,
        seed=request.seed,
        stop=tuple(text for text in stop if text),
        json_schema=_schema(request),
        tools=tuple(_plain(tool) for tool in request.tools or ()) if request.tool_choice != "none" else (),
        tool_choice=_choice(request),
    )


def _schema(request: ChatRequest) -> dict[str, Any] | None:
    wanted = request.response_format
    if isinstance(wanted, ObjectFormat):
        schema = ANY_OBJECT
    elif isinstance(wanted, SchemaFormat):
        schema = wanted.json_schema.schema
    else:
        return None
    if request.tools:
        raise RequestRefused("give tools or a response_format, not both", "response_format")
    try:
        check_schema(schema)
    except InputError as error:
        raise RequestRefused(error.message, "response_format") from error
    return schema


def _choice(request: ChatRequest) -> str | dict[str, Any] | None:
    chosen = request.tool_choice
    if chosen in {"auto", "required"} and not request.tools:
        raise RequestRefused("tool_choice needs tools", "tool_choice")
    if not isinstance(chosen, ToolChosen):
        return None if chosen == "none" else chosen
    if chosen.function.name not in {tool.function.name for tool in request.tools or ()}:
        raise RequestRefused(f"there is no tool {chosen.function.name!r}", "tool_choice")
    return _plain(chosen)


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(value))
    return plain


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(child) for key, child in value.items() if child is not None}
    return value


def _turn(message: ChatMessage, place: int) -> Message:
    if message.role not in _ROLES:
        raise RequestRefused(f"messages of role {message.role!r} are not supported", f"messages.{place}.role")
    role, text = _ROLES[message.role], _text(message, place)
    if role == "tool":
        if not message.tool_call_id:
            raise RequestRefused("a tool's message names its tool_call_id", f"messages.{place}.tool_call_id")
        return ToolTurn(role=role, content=text, tool_call_id=message.tool_call_id)
    if role == "assistant" and message.tool_calls:
        calls = tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in message.tool_calls
        )
        return ToolTurn(role=role, content=text, tool_calls=calls)
    return Message(role=role, content=text)


def _text(message: ChatMessage, place: int) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    for part in message.content:
        if part.type != "text":
            raise RequestRefused(
                f"content parts of type {part.type[:32]!r} are not supported", f"messages.{place}.content"
            )
    return "\n".join(part.text or "" for part in message.content)
