"""Earlier turns within a budget of tokens: the latest word for word, those before them as a summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from assistant.core.language import detect_language
from assistant.core.prompts import render
from assistant.core.records import Message
from assistant.core.sentences import split_sentences

_SUMMARY_SHARE = 0.4
_LONGEST_LINE = 160


def bounded_history(
    history: Sequence[Message], count_tokens: Callable[[str], int], *, turns: int, tokens: int
) -> tuple[Message, ...]:
    """Return earlier turns for a prompt.

    Instructions among them stay. Of what was said the last ``turns`` exchanges stay word for word, as far as
    the budget goes; what was asked and answered before them is put before the first that stays, a line each,
    the latest first to be kept.

    Args:
        history: oldest first.
        count_tokens: of the engine.
        turns: exchanges that stay at most; with 0 only instructions do.
        tokens: budget of all turns but the instructions.
    """
    added = tuple(turn for turn in history if turn.role == "system")
    spoken = [turn for turn in history if turn.role != "system"]
    if not turns or not spoken:
        return added
    first = max(0, len(spoken) - 2 * turns)
    costs = [count_tokens(turn.content) for turn in spoken]
    while sum(costs[first:]) > tokens:
        first += 1
    # what stays begins with something that the person said
    while first < len(spoken) and spoken[first].role != "user":
        first += 1
    kept = spoken[first:]
    left = min(int(_SUMMARY_SHARE * tokens), tokens - sum(costs[first:]))
    told = summarise(spoken[:first], count_tokens, tokens=left)
    if told and kept:
        kept[0] = msgspec.structs.replace(kept[0], content=f"{told}\n\n{kept[0].content}")
    return (*added, *kept)


def summarise(spoken: Sequence[Message], count_tokens: Callable[[str], int], *, tokens: int) -> str:
    """Return what was asked and answered, one line an exchange, oldest first; empty where nothing fits.

    Args:
        spoken: turns of person and assistant, oldest first.
        count_tokens: of the engine.
        tokens: most of the summary; the latest exchanges are kept.
    """
    exchanges = list(_exchanges(spoken))
    if not exchanges:
        return ""
    language = detect_language(exchanges[-1][0])
    lines: list[str] = []
    for question, answer in reversed(exchanges):
        line = f"- {_line(question)}" + (f" → {_line(answer, is_answer=True)}" if answer else "")
        text = render("earlier_turns", language, turns="\n".join([line, *lines]))
        if count_tokens(text) > tokens:
            break
        lines.insert(0, line)
    return render("earlier_turns", language, turns="\n".join(lines)) if lines else ""


def _exchanges(spoken: Sequence[Message]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for turn in spoken:
        if turn.role == "user":
            rows.append((turn.content, ""))
        elif turn.role == "assistant" and rows and not rows[-1][1]:
            rows[-1] = (rows[-1][0], turn.content)
    return rows


def _line(text: str, *, is_answer: bool = False) -> str:
    """Return the first sentence of a text, without line breaks and shortened."""
    sentences = split_sentences(text)
    first = " ".join((sentences[0].text if sentences and is_answer else text).split())
    return first if len(first) <= _LONGEST_LINE else first[: _LONGEST_LINE - 1] + "…"
