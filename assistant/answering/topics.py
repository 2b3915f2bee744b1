"""Missing topics: questions that were not answered, of both languages together, grouped by what they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from assistant.core.records import Passage, Record
from assistant.store.unanswered import Unanswered
from indexing.personal_data import mask_text

if TYPE_CHECKING:
    from indexing.embedding import Vectors

LIKENESS = 0.86
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
        likeness: least mean cosine within a topic; at 0.86 …
        limit: most topics.
    """
    by_text: dict[str, list[Unanswered]] = {}
    for one in asked:
        by_text.setdefault(" ".join(one.question.split()), []).append(one)
    texts = list(by_text)
    if not texts:
        return []
    vectors = meaning.embed_queries([text[:_LONGEST] for text in texts])
    found = [
        (sum(len(by_text[texts[place]]) for place in places), places) for places in group(vectors, likeness)
    ]
    found.sort(key=lambda row: -row[0])
    return [_topic(texts, by_text, places, vectors, finder) for _, places in found[:limit]]


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
        n_clusters=None, metric="cosine", linkage="average", distance_threshold=1 - likeness
    )
    groups: dict[int, list[int]] = {}
    for place, label in enumerate(clustering.fit_predict(vectors)):
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
    shown = [_shown(by_text[texts[place]][0]) for place in nearest_first]
    return Topic(
        question=shown[0],
        count=len(rows),
        abstained=sum(row.abstained for row in rows),
        handed_over=sum(row.handed_over for row in rows),
        disliked=sum(row.disliked for row in rows),
        languages=dict(Counter(row.language for row in rows)),
        first_day=days[0],
        last_day=days[-1],
        examples=tuple(dict.fromkeys(shown))[:MOST_EXAMPLES],
        nearest=_nearest(finder.search(texts[nearest_first[0]], 2 * MOST_SECTIONS)),
    )


def _shown(row: Unanswered) -> str:
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
