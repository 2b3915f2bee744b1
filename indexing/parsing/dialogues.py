"""Resolved tickets and dialogues: one block each, never split or merged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.decoding import decode
from indexing.parsing.partition import Partition

_MOST_BAD_LINES_NAMED = 3
# Names of fields as usual exports and training sets have them; of each the first that is there counts.
_TURNS = (
    "turns", "messages", "conversations", "conversation", "dialogue", "dialog", "utterances", "chat", "items",
    "对话", "消息",
)  # fmt: skip
_ROLE = ("role", "from", "speaker", "sender", "author", "角色")
_SAID = ("text", "content", "value", "utterance", "message", "body", "内容")
_QUESTION = ("question", "query", "instruction", "prompt", "problem", "issue", "问题", "提问", "问")
_MORE = ("input", "context", "补充")
_ANSWER = (
    "answer", "answers", "response", "output", "completion", "reply", "chosen", "答案", "回答", "答复", "答",
)  # fmt: skip
_RESOLUTION = ("resolution", "solution", "解决方案", "处理结果")
_TITLE = ("title", "subject", "标题", "主题")
_PLAIN = ("text", "content", "body", "passage", "内容", "正文")
# What the file says to a model, not to a customer.
_UNSPOKEN = {"system", "developer", "tool", "function"}
_PAIR = 2


def read_jsonl_dialogues(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read JSON Lines, or one JSON list, of dialogues, tickets or texts; bad lines are named and left out."""
    elements: list[Any] = []
    bad: list[int] = []
    for number, row in _rows(decode(path.read_bytes(), path)):
        text, origin = _row_text(row) if isinstance(row, Mapping) else ("", "")
        if text:
            elements.append(whole_element(text, origin))
        else:
            bad.append(number)
    if not elements:
        raise FileRefused(
            path, 'holds no dialogue: each line must be an object with "turns", "question" or "text"'
        )
    return Partition(elements=elements, warnings=_warn(bad))


def _rows(text: str) -> Iterator[tuple[int, object]]:
    """Yield each value with its number; None for a line that is no JSON."""
    if text.lstrip().startswith("["):
        whole = _decode(text)
        if isinstance(whole, list):
            yield from enumerate(whole, 1)
            return
    if text.lstrip().startswith("{") and isinstance(whole := _decode(text), Mapping):
        # One object over several lines: what it holds is its only list, or itself.
        lists = [value for value in whole.values() if isinstance(value, list)]
        is_holder = len(lists) == 1 and not _row_text(whole)[0]
        yield from enumerate(lists[0] if is_holder else [whole], 1)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _decode(line)


def _decode(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _warn(bad: Sequence[int]) -> list[str]:
    if not bad:
        return []
    named = ", ".join(map(str, bad[:_MOST_BAD_LINES_NAMED])) + (
        ", …" if len(bad) > _MOST_BAD_LINES_NAMED else ""
    )
    return [f"{len(bad)} lines hold no dialogue and are left out (line {named})"]


def _row_text(row: Mapping[str, object]) -> tuple[str, str]:
    """Return a row's text and what it is."""
    title = _string(_pick(row, _TITLE))
    resolution = _string(_pick(row, _RESOLUTION))
    turns = _turns(_pick(row, _TURNS))
    question, answer = _string(_pick(row, _QUESTION)), _string(_pick(row, _ANSWER))
    lines = [title]
    if turns:
        lines += [*turns, f"resolution: {resolution}" if resolution else ""]
        return _join(lines), "dialogue"
    if question:
        asked = " ".join(filter(None, (question, _string(_pick(row, _MORE)))))
        history = _turns(row.get("history"))
        lines += [*history, f"question: {asked}"]
        lines += [f"resolution: {found}" for found in (answer, resolution) if found]
        return _join(lines), "ticket"
    plain = _string(_pick(row, _PLAIN))
    return (_join([title, plain]) if plain else ""), ""


def _join(lines: Sequence[str]) -> str:
    return "\n".join(line for line in lines if line)


def _pick(row: Mapping[str, object], names: Sequence[str]) -> object:
    """Return the first field of these names that holds something."""
    folded = {key.strip().lower(): value for key, value in row.items()}
    return next((folded[name] for name in names if folded.get(name)), None)


def _string(value: object) -> str:
    """Return a value's text: of a list of parts or of several answers, all of them; of an object its text."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return " ".join(filter(None, map(_string, value)))
    if isinstance(value, Mapping):
        return _string(_pick(value, _SAID))
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _turns(value: object) -> list[str]:
    """Return the turns of a dialogue as lines: objects, pairs of question and answer, or bare strings."""
    lines: list[str] = []
    for place, turn in enumerate(value if isinstance(value, list) else []):
        if isinstance(turn, Mapping):
            role, said = _string(_pick(turn, _ROLE)), _string(_pick(turn, _SAID))
            if said and role.lower() not in _UNSPOKEN:
                lines.append(f"{role or _speaker(place)}: {said}")
        elif isinstance(turn, list) and len(turn) == _PAIR:
            lines += [f"{_speaker(side)}: {said}" for side, said in enumerate(map(_string, turn)) if said]
        elif isinstance(turn, str) and turn.strip():
            lines.append(f"{_speaker(place)}: {turn.strip()}")
    return lines


def _speaker(place: int) -> str:
    return "agent" if place % 2 else "user"


def whole_element(text: str, origin: str) -> Any:
    """Return an unstructured element that chunking keeps whole."""
    from unstructured.documents.elements import ElementMetadata, Text

    metadata = ElementMetadata()
    if origin:
        metadata.origin = origin
    return Text(text, metadata=metadata)
