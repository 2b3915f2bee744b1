"""Missing topics: questions that were not answered, of both languages together, grouped by what they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Protocol

import msgspec

from assistant.core.language import Language
from assistant.core.records import Passage, Record
from assistant.store.unanswered import Unanswered
from indexing.personal_data import mask_text

if TYPE_CHECKING:
    from indexing.embedding import Vectors

# of 60 topics asked in both languages, 0.97 of the pairs that are joined belong together, and 0.91 of those
# that belong together are joined; without the languages' own directions taken out 0.58 and 0.59 at best
LIKENESS = 0.5
_EVERYDAY_WEIGHT = 10
MOST_EXAMPLES = 5
MOST_SECTIONS = 3
_LONGEST = 300


class Meaning(Protocol):
    """Makes vectors of questions; an embedder does."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Return a unit vector a text, shape (texts, dimensions)."""


class Finder(Protocol):
    """Finds the passages nearest to a question; a searcher does."""

    def search(self, query: str, top_k: int | None = None) -> tuple[Passage, ...]:
        """Return them, best first."""


class Section(Record, frozen=True, kw_only=True):
    """A section of the documents that comes near a topic without covering it."""

    document: str
    version: int
    heading_path: tuple[str, ...]
    page: int | None


class Topic(Record, frozen=True, kw_only=True):
    """What several people asked and nobody was told.

    Attributes:
        question: the one in the middle of them.
        count: how often it was asked.
        abstained: of them, that the documents did not cover.
        handed_over: of them, that were passed to a person.
        disliked: of them, whose answer was called bad or did not settle it.
        languages: language → how often.
        first_day: when it was first asked, ISO date.
        last_day: when it was last asked.
        examples: differently worded ones, personal data replaced by its kind.
        nearest: sections that come near.
    """

    question: str
    count: int
    abstained: int
    handed_over: int
    disliked: int
    languages: dict[str, int]
    first_day: str
    last_day: str
    examples: tuple[str, ...]
    nearest: tuple[Section, ...]


def find_topics(
    asked: Sequence[Unanswered],
    meaning: Meaning,
    finder: Finder,
    *,
    likeness: float = LIKENESS,
    limit: int = 20,
) -> list[Topic]:
    """Return the topics, the most asked first.

    Args:
        asked: the questions.
        meaning: the collection's embedder.
        finder: the collection's index.
        likeness: least mean cosine between two groups that become one.
        limit: most topics.
    """
    by_text: dict[str, list[Unanswered]] = {}
    for one in asked:
        by_text.setdefault(_shown(one), []).append(one)
    texts = list(by_text)
    if not texts:
        return []
    vectors = _embedded(texts, [by_text[text][0].language for text in texts], meaning)
    found = [
        (sum(len(by_text[texts[place]]) for place in places), places) for places in group(vectors, likeness)
    ]
    found.sort(key=lambda row: -row[0])
    return [_topic(texts, by_text, places, vectors, finder) for _, places in found[:limit]]


def _embedded(texts: Sequence[str], languages: Sequence[Language], meaning: Meaning) -> Vectors:
    """Return unit vectors of what a question asks, whatever language it is in.

    An embedder's vectors of one language lie close together, whatever they say: questions about anything in
    Chinese are more alike than one question in both languages. The mean of a language's questions is taken
    out; everyday questions keep it from being that of the one topic that everybody asks about.
    """
    import numpy as np

    everyday = _everyday()
    vectors = np.array(meaning.embed_queries(texts), np.float32)
    for language in dict.fromkeys(languages):
        rows = [place for place, found in enumerate(languages) if found == language]
        usual = meaning.embed_queries([pair[language] for pair in everyday]).mean(axis=0)
        centre = (vectors[rows].sum(axis=0) + _EVERYDAY_WEIGHT * usual) / (len(rows) + _EVERYDAY_WEIGHT)
        vectors[rows] -= centre
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), np.float32)


def _everyday() -> list[dict[Language, str]]:
    """Return questions about nothing in particular, in both languages."""
    lines = resources.files("assistant.answering").joinpath("everyday.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line) for line in lines]


def group(vectors: Vectors, likeness: float) -> list[list[int]]:
    """Return groups of places whose vectors are alike, by average linkage.

    Args:
        vectors: of length one, shape (texts, dimensions).
        likeness: least mean cosine between two groups that become one.
    """
    from sklearn.cluster import AgglomerativeClustering

    if len(vectors) == 1:
        return [[0]]
    clustering = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=1 - likeness
    )
    groups: dict[int, list[int]] = {}
    for place, label in enumerate(clustering.fit_predict(1 - vectors @ vectors.T)):
        groups.setdefault(int(label), []).append(place)
    return list(groups.values())


def _topic(
    texts: Sequence[str],
    by_text: dict[str, list[Unanswered]],
    places: Sequence[int],
    vectors: Vectors,
    finder: Finder,
) -> Topic:
    middle = vectors[list(places)].sum(axis=0)
    nearest_first = sorted(places, key=lambda place: -float(vectors[place] @ middle))
    rows = [row for place in places for row in by_text[texts[place]]]
    days = sorted(row.day for row in rows)
    shown = [texts[place] for place in nearest_first]
    return Topic(
        question=shown[0],
        count=len(rows),
        abstained=sum(row.abstained for row in rows),
        handed_over=sum(row.handed_over for row in rows),
        disliked=sum(row.disliked for row in rows),
        languages=dict(Counter(row.language for row in rows)),
        first_day=days[0],
        last_day=days[-1],
        examples=tuple(shown[:MOST_EXAMPLES]),
        nearest=_nearest(finder.search(shown[0], 2 * MOST_SECTIONS)),
    )


def _shown(row: Unanswered) -> str:
    """Return a question as it is compared and shown: what somebody's number is says nothing of the topic."""
    return mask_text(" ".join(row.question.split()), row.language)[:_LONGEST]


def _nearest(passages: Sequence[Passage]) -> tuple[Section, ...]:
    sections = [
        Section(
            document=passage.chunk.document,
            version=passage.chunk.version,
            heading_path=passage.chunk.heading_path,
            page=passage.chunk.page,
        )
        for passage in passages
    ]
    # two chunks of one section may stand on two pages
    by_heading = {(section.document, section.heading_path): section for section in reversed(sections)}
    return tuple(section for section in sections if section in by_heading.values())[:MOST_SECTIONS]
