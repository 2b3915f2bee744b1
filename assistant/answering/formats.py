"""Answers in a format that was asked for: JSON that fits a schema, or a refusal, never something else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import msgspec

from assistant.answering.abstention import is_abstention
from assistant.answering.citations import cite, is_grounded
from assistant.answering.engine_spans import traced_stream
from assistant.answering.json_schemas import find_error
from assistant.answering.sanitising import sanitise
from assistant.core.errors import EngineError
from assistant.core.language import Language
from assistant.core.prompts import not_covered, render
from assistant.core.records import Answer, Citation, Message, Passage, Usage
from assistant.engine.protocol import Completion, Engine, GenerationRequest, StreamEnd, TextDelta

ANY_OBJECT: dict[str, Any] = {"type": "object"}
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*?)\n?```$", re.DOTALL)
_MARK = re.compile(r"\[\d{1,2}\]")
_REASON_CHARACTERS = 300
_LONGEST_LABEL = 40
_SENTENCE = re.compile(r"\w[.。！？!?](?:\s|$)|\[\d|[。！？]")


class FormatNotKept(EngineError):
    """The engine did not write what fits the format that was asked for, not even when asked again."""

    slug = "format-not-kept"


def instruct(schema: Mapping[str, object], language: Language) -> Message:
    """Return the instruction to write JSON that fits a schema."""
    text = msgspec.json.encode(schema).decode()
    return Message(role="system", content=render("json_answer", language, schema=text))


def write_formed(
    engine: Engine, request: GenerationRequest, schema: Mapping[str, object], language: Language
) -> Completion:
    """Return what the engine writes once it fits a schema: constrained where it can be, else asked again.

    Args:
        engine: what generates.
        request: whose messages hold the instruction.
        schema: JSON Schema.
        language: of the instruction to write it again.

    Raises:
        FormatNotKept: it does not fit, not even when asked again, or is cut off.
        EngineError: generation failed.
    """
    if "json_schema" in engine.offers:
        request = msgspec.structs.replace(request, json_schema=dict(schema))
    first = _collect(engine, request)
    text, reason = read_formed(first.text, schema)
    if not reason:
        return msgspec.structs.replace(first, text=text)
    if first.finish_reason == "length":
        raise FormatNotKept(f"the JSON was cut off at {request.max_new_tokens} tokens; allow more of them")
    again = (
        Message(role="assistant", content=first.text),
        Message(role="user", content=render("json_again", language, reason=reason)),
    )
    second = _collect(engine, msgspec.structs.replace(request, messages=(*request.messages, *again)))
    text, reason = read_formed(second.text, schema)
    if reason:
        told = f"the engine wrote no JSON that fits the schema: {reason}"
        free = "" if "json_schema" in engine.offers else "; this engine cannot be held to one, SGLang can"
        raise FormatNotKept(told + free)
    usage = Usage(
        prompt_tokens=first.usage.prompt_tokens + second.usage.prompt_tokens,
        completion_tokens=first.usage.completion_tokens + second.usage.completion_tokens,
    )
    return msgspec.structs.replace(second, text=text, usage=usage)


def read_formed(text: str, schema: Mapping[str, object]) -> tuple[str, str]:
    """Return a text's JSON, without what stands around it, and why it does not fit; empty where it does.

    Raises:
        InputError: the schema asks for more work than there is time.
    """
    reason = "it is no JSON"
    for candidate in _candidates(text.strip()):
        if candidate != text.strip() and _MARK.fullmatch(candidate):  # a citation is no list
            continue
        try:
            value = json.loads(candidate, parse_constant=_refuse_constant)
            found = find_error(schema, value)
        except (ValueError, RecursionError):
            continue
        if not found:
            return candidate, ""
        reason = found[:_REASON_CHARACTERS]
    return text, reason


def finish_formed(answer: Answer, schema: Mapping[str, object]) -> Answer:
    """Return an answer in JSON checked against its passages; one that is made up is a refusal in words.

    Only strings that say something are checked and marked: an enumerated value stands on no passage.
    """
    if answer.arm not in {"rag", "rag+ft"}:
        return answer
    said = {value for value in _strings(json.loads(answer.text)) if _says_something(value)}
    declines = any(is_abstention(value, answer.language) for value in said)
    if declines or (said and not is_grounded("\n".join(sorted(said)), answer.passages)):
        return msgspec.structs.replace(answer, text=not_covered(answer.language), abstained=True)
    marked, citations = _cite(answer.text, said, answer.passages)
    fits = not read_formed(marked, schema)[1]
    return msgspec.structs.replace(answer, text=marked if fits else answer.text, citations=citations)


def sanitise_formed(text: str, schema: Mapping[str, object], sources: Sequence[str]) -> str | None:
    """Return JSON whose keys and strings are sanitised as other answers are; None if that breaks the schema.

    Args:
        text: JSON.
        schema: that it fits; addresses that the schema itself names may stay.
        sources: texts whose addresses may be named.
    """
    named = (*sources, *_strings(schema))
    value = json.loads(text)
    clean = _mapped(value, lambda said: sanitise(said, named))
    if clean == value:
        return text
    made = json.dumps(clean, ensure_ascii=False)
    return None if read_formed(made, schema)[1] else made


def _cite(text: str, said: Set[str], passages: tuple[Passage, ...]) -> tuple[str, tuple[Citation, ...]]:
    """Check the ``[n]`` marks inside strings as ``cite`` does; the JSON around them stays."""
    found: dict[int, Citation] = {}

    def checked(value: str) -> str:
        if value not in said:
            return value
        marked, citations = cite(value, passages)
        found.update({row.number: row for row in citations})
        return marked

    value = _mapped(json.loads(text), checked, keys=False)
    return json.dumps(value, ensure_ascii=False), tuple(found[number] for number in sorted(found))


def _says_something(value: str) -> bool:
    return len(value) > _LONGEST_LABEL or bool(_SENTENCE.search(value))


def _candidates(text: str) -> list[str]:
    """Return what may be the JSON of a text: all of it, what is fenced, what stands between brackets."""
    found = [text]
    fenced = _FENCE.match(text)
    if fenced:
        found.append(fenced[1].strip())
    for opening, closing in ("{}", "[]"):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            found.append(text[start : end + 1])
    return found


def _collect(engine: Engine, request: GenerationRequest) -> Completion:
    """Stream, so that closing the caller's stream can end it, and return the whole."""
    pieces: list[str] = []
    events = traced_stream(engine, request)
    try:
        for event in events:
            if isinstance(event, TextDelta):
                pieces.append(event.text)
            elif isinstance(event, StreamEnd):
                return Completion(text="".join(pieces), finish_reason=event.finish_reason, usage=event.usage)
    finally:
        events.close()
    raise EngineError("the answer ended before it was finished")


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for child in children for text in _strings(child)]


def _mapped(value: Any, change: Callable[[str], str], *, keys: bool = True) -> Any:
    """Return JSON with each string changed, and each key where they are wanted too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {
            (change(key) if keys else key): _mapped(child, change, keys=keys) for key, child in value.items()
        }
    return [_mapped(child, change, keys=keys) for child in value] if isinstance(value, list) else value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
