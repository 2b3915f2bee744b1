"""Which curated answer a question asks for: the same words, or words that are as good as the same."""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta
from sqlalchemy.orm import Session

from assistant.core.errors import InputError, NotFoundError
from assistant.core.language import Language, detect_language
from assistant.core.moments import to_moment
from assistant.core.records import Citation, Filters, Record
from assistant.core.settings_curated import CuratedSettings
from assistant.core.wordings import fold_wording, particulars
from assistant.store.chunks import Chunks
from assistant.store.curated import MOST_WORDINGS, Curated, CuratedAnswer, NewCurated, Wording
from assistant.store.database import Database
from assistant.store.documents import Documents
from assistant.store.history import History
from assistant.store.reading import Reading
from indexing.embedding import Embedder
from indexing.filters import passes
from indexing.metadata import normalise_metadata

Vectors = npt.NDArray[np.float32]
_MARK = re.compile(r"\[(\d{1,2})\]")


class CuratedMatch(Record, frozen=True, kw_only=True):
    """A curated answer that a question asks for.

    Attributes:
        answer: to be given as it stands.
        wording: of the answer's questions, the one that fitted.
        likeness: cosine similarity of the two; 1 for equal wordings.
        how: whether the wordings are equal or only alike.
    """

    answer: CuratedAnswer
    wording: str
    likeness: float
    how: Literal["exact", "similar"]


class WantedCitation(Record, frozen=True, kw_only=True):
    """Words of a document that an answer is to stand on; of its present version if none is named."""

    document: Annotated[str, Meta(min_length=1, max_length=500)]
    quote: Annotated[str, Meta(min_length=1, max_length=2000, description="Verbatim, of one passage.")]
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class CuratedDraft(Record, frozen=True, kw_only=True):
    """An answer as a person writes it; the language is that of the questions if absent."""

    questions: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=1000)], ...],
        Meta(min_length=1, max_length=MOST_WORDINGS, description="Wordings of one question."),
    ]
    text: Annotated[
        str, Meta(min_length=1, max_length=20_000, description="The answer; `[n]` cites the n-th citation.")
    ]
    language: Language | None = None
    citations: Annotated[tuple[WantedCitation, ...], Meta(max_length=99)] = ()
    metadata: Annotated[
        dict[str, str | list[str]],
        Meta(max_length=32, description="As a document's: it exists for those only who may read such ones."),
    ] = msgspec.field(default_factory=dict)
    valid_from: Annotated[str, Meta(max_length=40, description="ISO 8601; UTC without an offset.")] | None = (
        None
    )
    valid_until: Annotated[str, Meta(max_length=40, description="A date alone counts to its end.")] | None = (
        None
    )


class CuratedAnswers:
    """Matches questions. Safe to use from several threads; other processes' changes are seen at once.

    Args:
        database: holds the answers.
        settings: how alike wordings must be.
        clock: seconds since 1970.
    """

    def __init__(
        self, database: Database, settings: CuratedSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._reading = threading.Lock()
        self._read: dict[str, _Read] = {}

    def match(
        self,
        collection: str,
        question: str,
        embedding: Vectors | Sequence[float] | None = None,
        *,
        embedder: Embedder | None = None,
        filters: Filters | None = None,
    ) -> CuratedMatch | None:
        """Return the curated answer that a question asks for, None where there is none.

        Args:
            collection: that is asked.
            question: as asked.
            embedding: of the question as a query; without one only equal wordings are found.
            embedder: that made it; embeds wordings that it has not embedded yet.
            filters: an answer whose metadata does not pass them does not exist for this question.

        Raises:
            InputError: a filter has no value.
        """
        read = self._current(collection)
        if not read.answers:
            return None
        moment = to_moment(self._clock())
        given = {
            name: answer
            for name, answer in read.answers.items()
            if answer.is_valid(moment) and (not filters or passes(answer.metadata, filters))
        }
        folded = fold_wording(question)
        for row, wording in zip(read.wordings, read.folded, strict=True):
            if wording == folded and row.answer in given:
                return CuratedMatch(answer=given[row.answer], wording=row.text, likeness=1.0, how="exact")
        if embedding is None or embedder is None or not given:
            return None
        return self._nearest(read, given, question, np.asarray(embedding, np.float32), embedder)

    def holds(self, collection: str) -> bool:
        """Tell whether a collection had curated answers when it was last matched."""
        read = self._read.get(collection) or self._current(collection)
        return bool(read.answers)

    def _nearest(
        self,
        read: _Read,
        given: Mapping[str, CuratedAnswer],
        question: str,
        embedding: Vectors,
        embedder: Embedder,
    ) -> CuratedMatch | None:
        asked, language = particulars(fold_wording(question)), detect_language(question)
        likeness = self._vectors(read, embedder) @ embedding
        for place in np.argsort(-likeness):
            if likeness[place] < self._settings.likeness:
                break
            row = read.wordings[place]
            answer = given.get(row.answer)
            is_same = asked == particulars(read.folded[place])
            if answer is not None and answer.language == language and is_same:
                share = min(float(likeness[place]), 1.0)
                return CuratedMatch(answer=answer, wording=row.text, likeness=share, how="similar")
        return None

    def _current(self, collection: str) -> _Read:
        with self._database.read() as session:
            stamp = Curated(session).stamp(collection)
            found = self._read.get(collection)
            if found is None or found.stamp != stamp:
                found = _Read(session, collection, stamp)
                self._read[collection] = found
        return found

    def _vectors(self, read: _Read, embedder: Embedder) -> Vectors:
        """Return the wordings' embeddings; what this embedder has not made yet it makes, and it is kept."""
        with self._reading:
            if read.fingerprint != embedder.fingerprint:
                missing = [row for row in read.wordings if row.fingerprint != embedder.fingerprint]
                made = embedder.embed_queries([row.text for row in missing]) if missing else ()
                new = {row.number: vector for row, vector in zip(missing, made, strict=True)}
                read.vectors = np.stack(
                    [
                        new[row.number] if row.number in new else np.frombuffer(row.vector, "<f4")
                        for row in read.wordings
                    ]
                )
                read.fingerprint = embedder.fingerprint
                if new:
                    kept = {number: vector.astype("<f4").tobytes() for number, vector in new.items()}
                    with self._database.write() as session:
                        Curated(session).keep_vectors(kept, embedder.fingerprint)
        return read.vectors


class _Read:
    """A collection's answers as they were at a stamp; those whose documents are gone are left out."""

    def __init__(self, session: Session, collection: str, stamp: tuple[int, int]) -> None:
        found = Curated(session).listed([collection])
        self.stamp = stamp
        self.answers = {row.id: row for row in found if stands(session, row)}
        self.wordings: list[Wording] = [
            row for row in Curated(session).wordings(collection) if row.answer in self.answers
        ]
        self.folded = [fold_wording(row.text) for row in self.wordings]
        self.fingerprint = ""
        self.vectors: Vectors = np.empty((0, 0), np.float32)


def stands(session: Session, answer: CuratedAnswer) -> bool:
    """Tell whether all that an answer cites is still kept: what was removed is quoted no more."""
    reading = Reading(session)
    return all(
        any(found.collection == answer.collection for found in reading.chunks(citation.chunk_id))
        for citation in answer.citations
    )


def read_draft(session: Session, collection: str, draft: CuratedDraft) -> NewCurated:
    """Return what a draft says, held to the collection's documents.

    Raises:
        InputError: a quote does not stand verbatim in one passage of its document, a mark of the text has no
            citation, or the metadata cannot be used.
        NotFoundError: there is no such collection, document or version.
    """
    known = Documents(session).find_collection(collection)
    if known is None:
        raise NotFoundError(f"no collection {collection[:64]!r}", next_command="deskmate index add PATH")
    history = History(session, known)
    citations = tuple(
        _find_citation(session, history, number, wanted) for number, wanted in enumerate(draft.citations, 1)
    )
    bad = {int(number) for number in _MARK.findall(draft.text)} - {row.number for row in citations}
    if bad:
        raise InputError(f"the text cites [{min(bad)}], and there are {len(citations)} citations")
    return NewCurated(
        questions=draft.questions,
        text=draft.text,
        language=draft.language,
        citations=citations,
        metadata=normalise_metadata(draft.metadata, "metadata"),
        valid_from=draft.valid_from,
        valid_until=draft.valid_until,
    )


def _find_citation(session: Session, history: History, number: int, wanted: WantedCitation) -> Citation:
    version = history.version(wanted.document, wanted.version)
    quote = wanted.quote.strip()
    for chunk in Chunks(session).of(version.id) if quote else ():
        start = chunk.text.find(quote)
        if start >= 0:
            return Citation(
                number=number,
                document=chunk.document,
                version=chunk.version,
                page=chunk.page,
                quote=quote,
                heading_path=chunk.heading_path,
                chunk_id=chunk.id,
                start=start,
                end=start + len(quote),
            )
    raise InputError(
        f"{quote[:60]!r} does not stand in a passage of {wanted.document!r}, version {version.number}",
        next_command=f"deskmate index show {shlex.quote(wanted.document)}",
    )
