"""Documents that say the same: translations, copies and versions of one manual. They share a split.

Else what is validated or tested on was trained on under another name.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence, Set

from assistant.core.records import Chunk

_LANGUAGE = re.compile(
    r"(?<![a-z0-9])(?:en|eng|english|zh|chs?|cn|chinese|zh[-_](?:cn|tw|hk|hans|hant)|en[-_](?:us|gb)|英文版?|中文版?)"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
_BORDERS = re.compile(r"[^\w/]+|_+")
_SHARED, _FEWEST_SHARED = 0.5, 2
# a text that stands in more documents is a notice that all of them carry
_MOST_HOLDERS = 8


def stand_ins(chunks: Sequence[Chunk]) -> dict[str, str]:
    """Return for each document the one that stands for it and those like it, the first by name.

    Alike are those whose paths differ in the language alone, and those of which one holds half of the
    other's chunks.
    """
    parents = {chunk.document: chunk.document for chunk in chunks}

    def root(name: str) -> str:
        while parents[name] != name:
            name = parents[name]
        return name

    for one, other in [*_translations(sorted(parents)), *_copies(chunks)]:
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    return {name: root(name) for name in parents}


def _translations(documents: Sequence[str]) -> list[tuple[str, str]]:
    by_name: dict[str, str] = {}
    found = []
    for name in documents:
        stem = name.rsplit(".", 1)[0]
        bare = _BORDERS.sub(" ", _LANGUAGE.sub(" ", stem)).strip(" /")
        first = by_name.setdefault(" ".join(bare.split()) or name, name)
        if first != name:
            found.append((first, name))
    return found


def _copies(chunks: Sequence[Chunk]) -> list[tuple[str, str]]:
    holders: defaultdict[str, set[str]] = defaultdict(set)
    for chunk in chunks:
        holders["".join(chunk.text.split()).lower()].add(chunk.document)
    sizes: Counter[str] = Counter()
    shared: Counter[tuple[str, str]] = Counter()
    for names in holders.values():
        sizes.update(names)
        ordered = sorted(names) if len(names) <= _MOST_HOLDERS else []
        shared.update((one, other) for place, one in enumerate(ordered) for other in ordered[place + 1 :])
    return [
        pair
        for pair, count in shared.items()
        if count >= max(_FEWEST_SHARED, _SHARED * min(sizes[name] for name in pair))
    ]


def with_twins(documents: Set[str], chunks: Sequence[Chunk]) -> frozenset[str]:
    """Return documents with all of a collection's that are like one of them."""
    if not documents:
        return frozenset()
    twins = stand_ins(chunks)
    families = {twins.get(name, name) for name in documents}
    return frozenset(documents) | {name for name, first in twins.items() if first in families}
