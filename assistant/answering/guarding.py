"""Passages and questions as data: what orders a language model about in them is no order here.

The engine does not get to see such spans, or sees them marked as quoted; answers are held against the
passages without them, so that no sentence can stand on one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from assistant.core.injection import Injection, find_injections, neutral
from assistant.core.language import Language, han_count
from assistant.core.prompts import render
from assistant.core.records import Message, Passage, Record, Withheld
from assistant.core.sentences import split_sentences

Policy = Literal["withhold", "mark", "keep"]

_LEFT_OUT = "[…]"
_LONGEST_TURN = 20_000  # characters; what no budget of tokens keeps needs no reading
_ASKS = re.compile(
    r"[?？]|\b(?:what|which|how|when|where|why|who|whose|can|does|do|is|are|may|should|will)\b|[吗呢么]|什么|怎么|如何|多少|哪|几|为何|是否|能不能",
    re.IGNORECASE,
)
# words of the instructions that an answer may share with them by chance; Chinese characters
_LEAK_WORDS, _LEAK_HAN = 9, 14
_TOKENS = re.compile(r"[a-z0-9]+|[㐀-䶿一-鿿]")


class GuardedPassages(Record, frozen=True, kw_only=True):
    """A context in two forms.

    Attributes:
        shown: for the prompt: orders left out or marked, marks of chat templates taken apart.
        checked: to hold an answer against: orders blanked, offsets unchanged.
        withheld: the orders, by number of passage.
    """

    shown: tuple[Passage, ...]
    checked: tuple[Passage, ...]
    withheld: tuple[Withheld, ...] = ()


class GuardedQuestion(Record, frozen=True, kw_only=True):
    """A question without orders, and the orders; empty where it was nothing else."""

    text: str
    withheld: tuple[Withheld, ...] = ()


def guard_passages(passages: tuple[Passage, ...], policy: Policy, language: Language) -> GuardedPassages:
    """Return a context for the prompt and one for the checks."""
    if policy == "keep":
        return GuardedPassages(shown=passages, checked=passages)
    shown: list[Passage] = []
    checked: list[Passage] = []
    withheld: list[Withheld] = []
    for number, passage in enumerate(passages, 1):
        text = passage.chunk.text
        found = find_injections(text)
        withheld += [Withheld(number=number, start=row.start, end=row.end, kind=row.kind) for row in found]
        headings = tuple(_guard_heading(title) for title in passage.chunk.heading_path)
        document = _guard_heading(passage.chunk.document)
        shown.append(_changed(passage, _shown(text, found, policy, language), headings, document))
        checked.append(_changed(passage, _blanked(text, found), headings, passage.chunk.document))
    return GuardedPassages(shown=tuple(shown), checked=tuple(checked), withheld=tuple(withheld))


def guard_question(text: str, policy: Policy) -> GuardedQuestion:
    """Return a question without orders to a language model.

    Of a question with such an order only what asks something stays.
    """
    if policy == "keep":
        return GuardedQuestion(text=text)
    found = find_injections(text)
    if not found:
        return GuardedQuestion(text=neutral(text))
    # what an order taints in a passage, to the end of its line, may be the question itself here
    kept = [
        span for span in split_sentences(text) if not find_injections(span.text) and _ASKS.search(span.text)
    ]
    return GuardedQuestion(
        text=neutral(" ".join(span.text for span in kept)),
        withheld=tuple(Withheld(number=0, start=row.start, end=row.end, kind=row.kind) for row in found),
    )


def guard_history(history: tuple[Message, ...], policy: Policy) -> tuple[Message, ...]:
    """Return earlier turns, cut to what can be kept, in which nobody gives orders or forges a turn."""
    if policy == "keep":
        return history
    return tuple(
        turn
        if turn.role == "system"
        else msgspec.structs.replace(turn, content=_turn_text(turn, policy) or _LEFT_OUT)
        for turn in history
    )


def guard_tools(turns: tuple[Message, ...], policy: Policy) -> tuple[Message, ...]:
    """Return calls of tools and their results, which forge no turn and no number of a passage.

    What a tool says is not the caller's own word: it may be a page or a mail of a stranger.
    """
    if policy == "keep":
        return turns
    return tuple(msgspec.structs.replace(turn, content=neutral(turn.content)) for turn in turns)


def repeats_instructions(text: str, instructions: Sequence[str]) -> bool:
    """Tell whether an answer repeats, word for word, a run of the instructions that the engine was given."""
    return any(_shares_run(text, secret) for secret in instructions)


def _shares_run(text: str, secret: str) -> bool:
    run = _LEAK_HAN if 2 * han_count(secret) > len(secret) else _LEAK_WORDS
    said, known = _runs(text, run), _runs(secret, run)
    return not said.isdisjoint(known)


def _runs(text: str, length: int) -> set[tuple[str, ...]]:
    words = _TOKENS.findall(text.lower())
    return {tuple(words[place : place + length]) for place in range(len(words) - length + 1)}


def _turn_text(turn: Message, policy: Policy) -> str:
    said = turn.content[:_LONGEST_TURN]
    return guard_question(said, policy).text if turn.role == "user" else neutral(said)


def _guard_heading(title: str) -> str:
    return _LEFT_OUT if find_injections(title) else neutral(title)


def _changed(passage: Passage, text: str, headings: tuple[str, ...], document: str) -> Passage:
    chunk = passage.chunk
    if (text, headings, document) == (chunk.text, chunk.heading_path, chunk.document):
        return passage
    other = msgspec.structs.replace(chunk, text=text, heading_path=headings, document=document)
    return msgspec.structs.replace(passage, chunk=other)


def _shown(text: str, found: tuple[Injection, ...], policy: Policy, language: Language) -> str:
    pieces: list[str] = []
    end = 0
    for row in found:
        order = text[row.start : row.end]
        marked = render("quoted_order", language, order=order) if policy == "mark" else _LEFT_OUT
        pieces += [text[end : row.start], marked]
        end = row.end
    return neutral("".join([*pieces, text[end:]]))


def _blanked(text: str, found: tuple[Injection, ...]) -> str:
    pieces: list[str] = []
    end = 0
    for row in found:
        # a line's end keeps what stands before and behind from becoming one sentence
        pieces += [text[end : row.start], "\n" * (row.end - row.start)]
        end = row.end
    return "".join([*pieces, text[end:]])
