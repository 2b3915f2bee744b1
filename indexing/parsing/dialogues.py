"""Resolved tickets and dialogues: one block each, never split or merged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.decoding import decode
from indexing.parsing.partition import Partition

_MOST_BAD_LINES_NAMED = 3
# Names of columns, lower case, that make a table one of tickets: what was asked and what helped.
QUESTION_NAMES = {
    "question", "problem", "issue", "subject", "description", "symptom", "request", "query", "complaint",
    "问题", "问题描述", "描述", "故障现象", "现象", "主题", "提问", "报修内容", "用户描述", "客户描述",
}  # fmt: skip
RESOLUTION_NAMES = {
    "resolution", "solution", "answer", "fix", "response", "reply",
    "解决", "解决方案", "解决办法", "处理", "处理结果", "处理方法", "答复", "回答", "回复", "解答",
}  # fmt: skip


class Turn(msgspec.Struct, frozen=True):
    """One turn; foreign names of its two fields are understood."""

    role: str = ""
    text: str = ""
    content: str = ""


class DialogueRow(msgspec.Struct, frozen=True):
    """One line of a file of dialogues or tickets."""

    turns: tuple[Turn, ...] = ()
    messages: tuple[Turn, ...] = ()
    question: str = ""
    answer: str = ""
    resolution: str = ""
    text: str = ""
    title: str = ""
    subject: str = ""


def read_jsonl_dialogues(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read JSON Lines with one dialogue, ticket or text a line; bad lines are named and left out."""
    elements: list[Any] = []
    bad: list[int] = []
    for number, line in enumerate(decode(path.read_bytes(), path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            text, origin = _row_text(msgspec.json.decode(line, type=DialogueRow))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            text, origin = "", ""
        if text:
            elements.append(whole_element(text, origin))
        else:
            bad.append(number)
    if not elements:
        raise FileRefused(
            path, 'holds no dialogue: each line must be an object with "turns", "question" or "text"'
        )
    return Partition(elements=elements, warnings=_warn(bad))


def _warn(bad: Sequence[int]) -> list[str]:
    if not bad:
        return []
    named = ", ".join(map(str, bad[:_MOST_BAD_LINES_NAMED])) + (
        ", …" if len(bad) > _MOST_BAD_LINES_NAMED else ""
    )
    return [f"{len(bad)} lines hold no dialogue and are left out (line {named})"]


def _row_text(row: DialogueRow) -> tuple[str, str]:
    lines = [row.title or row.subject]
    turns = row.turns or row.messages
    if turns:
        lines += [
            f"{turn.role}: {(turn.text or turn.content).strip()}"
            for turn in turns
            if turn.text or turn.content
        ]
        lines += [f"resolution: {row.resolution.strip()}"] if row.resolution.strip() else []
        return "\n".join(line for line in lines if line), "dialogue"
    if row.question:
        lines += [f"question: {row.question.strip()}"]
        lines += [f"resolution: {found.strip()}" for found in (row.answer, row.resolution) if found.strip()]
        return "\n".join(line for line in lines if line), "ticket"
    return row.text.strip(), ""


def is_ticket_header(header: Sequence[str]) -> bool:
    """Return whether a table's columns are those of tickets: what was asked, and what helped."""
    names = {name.strip().lower() for name in header}
    return not names.isdisjoint(QUESTION_NAMES) and not names.isdisjoint(RESOLUTION_NAMES)


def ticket_text(header: Sequence[str], row: Sequence[str]) -> str:
    """Return one ticket, a line a field."""
    return "\n".join(f"{name}: {cell}" for name, cell in zip(header, row, strict=False) if cell)


def whole_element(text: str, origin: str) -> Any:
    """Return an unstructured element that chunking keeps whole."""
    from unstructured.documents.elements import ElementMetadata, Text

    metadata = ElementMetadata()
    if origin:
        metadata.origin = origin
    return Text(text, metadata=metadata)
