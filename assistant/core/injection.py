"""Text that gives orders to a language model, found in documents and questions.

What a document says is data: no sentence of it is an instruction to whoever answers from it. The wordings
are in ``injections/*.txt``, for English and Chinese; they are found under the disguises of
``assistant.core.disguises`` too.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Iterator
from importlib import resources
from typing import Literal, NamedTuple, cast

from assistant.core.disguises import fold, unmask
from assistant.core.errors import InputError
from assistant.core.sentences import Span, split_sentences

InjectionKind = Literal["override", "persona", "leak", "output", "addressed", "covert", "markup", "disguised"]

# passages come again and again; longer texts, such as turns of a conversation, would fill the memory
_LONGEST_REMEMBERED = 4000
_FILES = ("en", "zh", "other", "markup")
_LINE = re.compile(r"(@?[a-z_]+)(?: \[(.+?)\])? = (.+)")
_PART = re.compile(r"%([a-z_]+)%")
# what follows such an order in the same line belongs to it
_TAINTING = frozenset({"override", "persona", "addressed", "markup"})
_MARKUP_TOKEN = re.compile(
    r"<[|｜]([^|｜<>\n]{1,40})[|｜]>|\[(/?inst)\]|<<(/?sys)>>|<(/?s|(?:start|end)_of_turn|[be]os)>",
    re.IGNORECASE,
)
_FORGED_NUMBER = re.compile(r"^([^\S\n]*+)[\[【［](\d{1,2})[\]】］]", re.MULTILINE)


class Injection(NamedTuple):
    """A span of a text, whole sentences, that gives an order to a language model."""

    start: int
    end: int
    kind: InjectionKind


class _Wording(NamedTuple):
    """A pattern, and groups of words: one of each stands in whatever it matches, which is looked at first."""

    kind: InjectionKind
    needs: tuple[tuple[str, ...], ...]
    pattern: str

    def found_in(self, folded: str) -> Iterator[re.Match[str]]:
        """Yield the matches in a folded text."""
        may_match = all(any(word in folded for word in words) for words in self.needs)
        # most are never needed, and compiling all of them takes as long as a short answer
        return re.finditer(self.pattern, folded, re.MULTILINE) if may_match else iter(())


def find_injections(text: str) -> tuple[Injection, ...]:
    """Return the spans that read like orders to a language model, in order, none within another."""
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _find(text)


@functools.lru_cache(maxsize=4096)
def _remembered(text: str) -> tuple[Injection, ...]:
    return _find(text)


def _find(text: str) -> tuple[Injection, ...]:
    found: dict[int, InjectionKind] = {}
    folded, offsets = fold(text)
    for wording in _wordings():
        for match in wording.found_in(folded):
            found.setdefault(_place(offsets, match), wording.kind)
    for places, hidden in unmask(text):
        if any(True for wording in _wordings() for _ in wording.found_in(hidden)):
            found.update((place, "disguised") for place in places if place not in found)
    return _whole_sentences(text, found) if found else ()


def neutral(text: str) -> str:
    """Return a text for a prompt without a chat template's marks and forged numbers of passages."""
    text = _MARKUP_TOKEN.sub(lambda match: f"({next(filter(None, match.groups()))})", text)
    return _FORGED_NUMBER.sub(r"\1(\2)", text)


def _place(offsets: list[int] | None, match: re.Match[str]) -> int:
    # a pattern may begin with the blank or sign before the order
    first = (
        match.start() + len(match.group()) - len(match.group().lstrip(" \t\n.!?;:,\"'“([*>|—–-。！？：，"))
    )
    first = min(first, match.end() - 1)
    return first if offsets is None else offsets[first]


def _whole_sentences(text: str, found: dict[int, InjectionKind]) -> tuple[Injection, ...]:
    """Return the sentences that hold the places, joined with what the order taints."""
    spans: list[Injection] = []
    sentences = split_sentences(text)
    for place, kind in sorted(found.items()):
        at = bisect.bisect_right(sentences, place, key=_start) - 1
        is_within = at >= 0 and place < sentences[at].end
        start, end = sentences[at][:2] if is_within else (place, place + 1)
        if kind in _TAINTING:
            line_end = text.find("\n", end)
            end = line_end if line_end >= 0 else len(text)
        if spans and start < spans[-1].end:
            last = spans[-1]
            spans[-1] = Injection(last.start, max(last.end, end), last.kind)
        else:
            spans.append(Injection(start, end, kind))
    return tuple(spans)


def _start(span: Span) -> int:
    return span.start


@functools.cache
def _wordings() -> tuple[_Wording, ...]:
    rows: list[_Wording] = []
    parts: dict[str, str] = {}
    for name in _FILES:
        file = resources.files("assistant.core").joinpath("injections", f"{name}.txt")
        for line in file.read_text("utf-8").splitlines():
            if line.startswith("#") or not line.strip():
                continue
            read = _LINE.fullmatch(line)
            if read is None:
                raise InputError(f"injections/{name}.txt: not KIND = PATTERN: {line[:60]!r}")
            key, needs, pattern = read[1], read[2], _PART.sub(lambda part: parts[part[1]], read[3])
            if key.startswith("@"):
                parts[key[1:]] = pattern
            else:
                words = tuple(tuple(group.split("|")) for group in needs.split("&"))
                rows.append(_Wording(cast("InjectionKind", key), words, pattern))
    return tuple(rows)
