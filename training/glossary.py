"""Terms mined from tickets and dialogues: what customers say that no manual says, and what was meant.

A customer's word is proposed for a term of the manuals where the two meet in a case again and again
(co-occurrence), where the term is rare in other cases, and where both resemble each other (embedding).
Nothing of it counts before the owner has approved it.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from assistant.core.language import Language, detect_language, han_count
from assistant.core.records import Chunk
from assistant.core.sentences import terms
from indexing.analysis import analyze, cut_words, fold
from indexing.embedding import Embedder, Vectors
from indexing.glossary import Term
from training.pairs import ticket_pairs
from training.recipes.conversations import read_turns
from training.tables import read_rows
from training.wording import read_list

MOST_TERMS = 60
# chosen, as what a word seen once is worth, on the sample's tickets: docs/experiments.md has the other ways
LEAST_SCORE = 0.3
_RESEMBLANCE = 0.5
_SEEN_ONCE, _DOUBT_KEPT = 0.4, 0.4
# how a verb's outcome, place or form ends: "洗到", "油得", "插上" are parts of sentences, no words of a thing
_COMPLEMENTS = frozenset("完得到上下过了着")
_LONGEST_EN, _LONGEST_ZH = 4, 8
_MOST_OF_ONE_MEANING = 4
_WORD = re.compile(r"[a-z][a-z'’-]+")
_HAN_RUN = re.compile(r"[一-鿿]+")
_CODE = re.compile(r"[A-Z]{1,4}-?\d+")
_ID = re.compile(r"^id\s*[:：]\s*(\S+)", re.MULTILINE)


class CustomerCase(NamedTuple):
    """One ticket or dialogue.

    Attributes:
        name: to find it again.
        said: what the customer wrote.
        meant: what the other side wrote.
    """

    name: str
    said: str
    meant: str


class _Meeting(NamedTuple):
    said: str
    meant: str
    cases: int
    share: float
    rarity: float


def mine(chunks: Sequence[Chunk], embedder: Embedder) -> list[Term]:
    """Return proposals, the surest first, at most 60 a language.

    Args:
        chunks: of the collection: tickets and dialogues, and the manuals beside them.
        embedder: tells how near two terms are.
    """
    languages: tuple[Language, ...] = ("en", "zh")
    found: list[Term] = []
    for language in languages:
        fitting = [chunk for chunk in chunks if chunk.language == language]
        manuals = [chunk for chunk in fitting if chunk.kind in {"text", "table"}]
        cases = [case for chunk in fitting for case in read_cases(chunk)]
        if cases and manuals:
            found.extend(_mine_language(cases, manuals, language, embedder))
    return found


def read_cases(chunk: Chunk) -> Iterator[CustomerCase]:
    """Yield the case of a ticket's or a dialogue's chunk."""
    if chunk.kind not in {"ticket", "dialogue"}:
        return
    name = match.group(1) if (match := _ID.search(chunk.text)) else f"{chunk.document}#{chunk.position}"
    turns = read_turns(chunk.text)
    said = [turn.content for turn in turns if turn.role == "user"]
    meant = [turn.content for turn in turns if turn.role == "assistant"]
    for pair in ticket_pairs(chunk):
        said.append(pair.question)
        meant.append(pair.answer)
    if said and meant:
        yield CustomerCase(name, "\n".join(dict.fromkeys(said)), "\n".join(dict.fromkeys(meant)))


def manual_terms(manuals: Sequence[Chunk], language: Language) -> tuple[str, ...]:
    """Return what the manuals name: cells and titles short enough to be a term."""
    found: Counter[str] = Counter()
    for chunk in manuals:
        cells = [text for row in read_rows(chunk) for text in (row.key, *(value for _, value in row.cells))]
        for text in (*cells, *(title.lstrip("0123456789. ") for title in chunk.heading_path[-1:])):
            for piece in re.split(r"[;；,，、（(]", text):
                term = piece.strip(" 。.）)")
                if _is_term(term, language):
                    found[fold(term)] += 1
        if language == "en":  # English manuals name many things in running text only
            found.update(word for word in terms(chunk.text) if _is_noun_like(word))
    return tuple(found)


def _is_noun_like(word: str) -> bool:
    """Return whether a word may name a thing: long enough, and no form of a verb or adverb."""
    return word.isalpha() and len(word) > 5 and not word.endswith(("ed", "ing", "ly"))  # noqa: PLR2004


def _is_term(text: str, language: Language) -> bool:
    if not text or any(character.isdigit() for character in text) or detect_language(text) != language:
        return False
    if language == "zh":
        return 2 <= han_count(text) <= _LONGEST_ZH  # noqa: PLR2004 - one character is no term
    words = text.split()
    is_telling = 2 * len(terms(text)) > len(words)  # "Who may do what" is mostly stop words
    return 1 <= len(words) <= _LONGEST_EN and len(text) > 3 and is_telling  # noqa: PLR2004 - "Yes", "no", "Nm"


def _mine_language(
    cases: Sequence[CustomerCase], manuals: Sequence[Chunk], language: Language, embedder: Embedder
) -> list[Term]:
    manual_text = fold("\n".join(text for chunk in manuals for text in (*chunk.heading_path, chunk.text)))
    said_in = _holders(_new_words(case.said, manual_text, language) for case in cases)
    targets = {term: terms(term) for term in manual_terms(manuals, language)}
    in_case = [terms(case.meant) for case in cases]
    meant_in = _holders([term for term, own in targets.items() if own and own <= held] for held in in_case)
    meetings = list(_meetings(said_in, meant_in, len(cases)))
    if not meetings:
        return []
    likeness = _likeness(meetings, embedder)
    scored = sorted(
        ((_score(meeting, likeness[meeting.said, meeting.meant]), meeting) for meeting in meetings),
        key=lambda row: (-row[0], row[1].said, row[1].meant),
    )
    return list(_best(scored, language, cases, said_in))


def _best(
    scored: Iterable[tuple[float, _Meeting]],
    language: Language,
    cases: Sequence[CustomerCase],
    said_in: dict[str, set[int]],
) -> Iterator[Term]:
    """Yield the surest meaning of each word, few words for one meaning."""
    said: set[str] = set()
    meant: Counter[str] = Counter()
    for score, meeting in scored:
        if score < LEAST_SCORE or len(said) >= MOST_TERMS:
            return
        if meeting.said in said or meant[meeting.meant] >= _MOST_OF_ONE_MEANING:
            continue
        said.add(meeting.said)
        meant[meeting.meant] += 1
        sources = tuple(cases[place].name for place in sorted(said_in[meeting.said]))
        yield Term(
            said=meeting.said, meant=meeting.meant, language=language, score=round(score, 3), sources=sources
        )


def _meetings(
    said_in: dict[str, set[int]], meant_in: dict[str, set[int]], case_count: int
) -> Iterator[_Meeting]:
    by_case: dict[int, list[str]] = defaultdict(list)
    for meant, places in meant_in.items():
        for place in places:
            by_case[place].append(meant)
    for said, places in said_in.items():
        counts = Counter(meant for place in places for meant in by_case[place])
        for meant, count in counts.items():
            rarity = math.log(case_count / len(meant_in[meant])) / math.log(max(2, case_count))
            yield _Meeting(said, meant, count, count / len(places), max(0.0, rarity))


def _score(meeting: _Meeting, likeness: float) -> float:
    """Return from 0 to 1 how sure a proposal is; a word seen once is held back."""
    doubt = (1 - _SEEN_ONCE) * _DOUBT_KEPT ** (meeting.cases - 1)
    together = meeting.share * meeting.rarity * (1 - doubt)
    return (1 - _RESEMBLANCE) * together + _RESEMBLANCE * max(0.0, likeness)


def _likeness(meetings: Sequence[_Meeting], embedder: Embedder) -> dict[tuple[str, str], float]:
    """Return the cosine of each pair, the means of both sides taken off: all short texts are alike else."""
    said = list(dict.fromkeys(meeting.said for meeting in meetings))
    meant = list(dict.fromkeys(meeting.meant for meeting in meetings))
    left, right = (_centred(embedder.embed_queries(texts)) for texts in (said, meant))
    rows = {text: place for place, text in enumerate(said)}
    columns = {text: place for place, text in enumerate(meant)}
    return {
        (meeting.said, meeting.meant): float(left[rows[meeting.said]] @ right[columns[meeting.meant]])
        for meeting in meetings
    }


def _centred(vectors: Vectors) -> Vectors:
    moved = vectors - vectors.mean(axis=0) if len(vectors) > 1 else vectors
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(moved / np.maximum(lengths, 1e-6), np.float32)


def _holders(found: Iterable[Iterable[str]]) -> dict[str, set[int]]:
    places: dict[str, set[int]] = defaultdict(set)
    for place, texts in enumerate(found):
        for text in texts:
            places[text].add(place)
    return dict(places)


def _new_words(text: str, manual_text: str, language: Language) -> set[str]:
    """Return the words of a customer's text that stand nowhere in the manuals."""
    idle = frozenset(read_list("idle_words", language))
    folded = fold(_CODE.sub(" ", text))
    if language == "zh":
        return {word for run in _HAN_RUN.findall(folded) for word in _han_words(run, manual_text, idle)}
    known = set(analyze(manual_text))
    words = [word for word in _WORD.findall(folded) if word not in idle and len(word) > 3]  # noqa: PLR2004
    return {word for word in words if not set(analyze(word)) <= known}


def _han_words(run: str, manual_text: str, idle: frozenset[str]) -> Iterator[str]:
    """Yield jieba's words of two characters and more, and pairs of single characters that it leaves."""
    pieces = cut_words(run)
    for first, second in zip(pieces, [*pieces[1:], ""], strict=True):
        is_pair = len(first) == 1 and len(second) == 1
        word = first + second if is_pair else first
        has_idle = any(character in idle for character in word) or word in idle
        is_whole = len(word) > 1 and word[-1] not in _COMPLEMENTS
        if is_whole and not has_idle and word not in manual_text:
            yield word
