"""From stored chunks to the served snapshot: embed what is new, write the indexes aside, switch.

Documents may be removed while this runs: what is written comes from one state of the rows, and what was
removed since is hidden in it by the tombstones.

A snapshot is written whole where there is none, where another embedder made it, or where more than a tenth
of its base changed; else its files are kept and only what came since is written (``delta``).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from assistant.core.errors import IndexBroken, NotFoundError
from assistant.core.progress import Progress
from assistant.core.records import Record
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Collection, Documents, Version
from assistant.store.embeddings import Embeddings
from indexing.ahead import embed_missing, missing_embeddings
from indexing.analysis import new_words
from indexing.contents import write_contents
from indexing.corpus import ChunkFile, CorpusRow, indexed_text, read_dead, write_dead
from indexing.crowding import CROWDING_FILE, sample_vectors
from indexing.embedding import Embedder, Vectors
from indexing.evidence import measure_background, script_of
from indexing.glossary import ServedGlossary
from indexing.hiding import forget_removed, show_again
from indexing.lexical_index import update_lexical, write_lexical
from indexing.lineage import Lineage
from indexing.segments import write_segment
from indexing.snapshots import (
    BASE,
    DELTA,
    LEXICAL_FOLDER,
    TUNING_FILE,
    VECTORS_FILE,
    Background,
    Manifest,
    Segment,
    current_name,
    disk_errors,
    link_files,
    new_snapshot,
    open_current,
    publish,
    released_names,
    set_released,
    switching_lock,
    verify,
)
from indexing.tombstones import Numbers, difference, read_removed, write_removed

_VECTORS_AT_ONCE = 4096
_DELTA_SHARE = 0.1
_LEAST_DELTA = 256


class Stages:
    """Tells of stages and keeps the seconds of each.

    Args:
        progress: told of them.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, title: str, total: int) -> Iterator[Progress]:
        """Time a stage under a short name and give the progress to tell of its steps."""
        self.progress.start(title, total)
        started = time.perf_counter()
        try:
            yield self.progress
        finally:
            self.seconds[name] = round(time.perf_counter() - started, 3)
            self.progress.finish()


class Published(Record, frozen=True, kw_only=True):
    """What is served after publishing."""

    snapshot: str
    document_count: int
    chunk_count: int
    embedded_count: int


class _State:
    """What the database says of a collection in one session."""

    def __init__(self, session: Session, collection: Collection) -> None:
        self.session = session
        self.live = _live(session, collection)
        self.versions: Sequence[Version] = Documents(session).live_versions(collection.id)
        self.counts = Chunks(session).counts(collection.id)


class _Served:
    """A served snapshot that is whole; what is published next may keep its files.

    Raises:
        NotFoundError: there is none.
        IndexBroken: it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.manifest = open_current(folder)
        verify(self.path, folder.name, self.manifest.files)
        self.numbers = {
            segment.name: ChunkFile(self.path / segment.name).numbers for segment in self.manifest.segments
        }
        self.live: Numbers = np.setdiff1d(
            np.concatenate(list(self.numbers.values())), read_dead(self.path), assume_unique=True
        )

    def is_worth_keeping(self, live: Numbers) -> bool:
        """Tell whether so little of the base changed that it is kept."""
        base = self.numbers[BASE]
        changed = max(len(difference(live, base)), len(difference(base, live)))
        return changed <= max(_LEAST_DELTA, int(_DELTA_SHARE * len(base)))


class Publisher:
    """Makes the served snapshot of a collection what the database says.

    Args:
        folder: of the collection; its lock is held by the caller.
        database: the rows.
        embedder: makes the embeddings.
        stages: told of the stages ``embed`` and ``write``.
        kept: snapshots left on disk.
    """

    def __init__(
        self, folder: Path, database: Database, embedder: Embedder, stages: Stages, kept: int
    ) -> None:
        self._folder = folder
        self._database = database
        self._embedder = embedder
        self._stages = stages
        self._kept = kept

    def publish(self, collection: Collection, *, always: bool = False) -> Published:
        """Switch to a snapshot of the database's state where the served one is another.

        Args:
            collection: as stored.
            always: write a whole snapshot even where the served one is up to date.
        """
        lineage = Lineage(self._folder, self._database, collection)
        is_ours, was_hidden = self._mend_tombstones(collection, lineage)
        served = self._served() if is_ours and not always else None
        embedded_count = 0
        if served is None or was_hidden or served.manifest.generation != collection.generation:
            with self._database.read() as session:
                live = _live(session, collection)
            if served is not None and not served.is_worth_keeping(live):
                served = None
            embedded_count = self._embed(live if served is None else difference(live, served.numbers[BASE]))
            # numbers in snapshots that are not ours mean other texts: none of those is kept
            with self._database.read() as session:
                state = _State(session, collection)
                if not is_ours:
                    self._let_go(lineage)
                self._write(collection, state, served, lineage, self._kept if is_ours else 1)
            self._forget_tombstones(collection, state.live, is_ours=is_ours)
        return self._counts(collection, embedded_count)

    def _let_go(self, lineage: Lineage) -> None:
        """Let snapshots of other databases be pruned that a release was served from; ours stay for it."""
        with switching_lock(self._folder):
            try:
                read_removed(self._folder)
                kept = released_names(self._folder) & lineage.own_names
            except IndexBroken:  # what they hide is not known any more
                kept = set()
            set_released(self._folder, kept)

    def _mend_tombstones(self, collection: Collection, lineage: Lineage) -> tuple[bool, bool]:
        """Show what the database still has; tell whether snapshots are ours, and any was hidden."""
        try:
            if not lineage.is_ours:
                return False, False
            with switching_lock(self._folder), self._database.read() as session:
                return True, show_again(self._folder, _live(session, collection))
        except IndexBroken:  # what older snapshots hide is not known any more
            return False, False

    def _forget_tombstones(self, collection: Collection, written: Numbers, *, is_ours: bool) -> None:
        """Forget what no snapshot holds any more.

        Args:
            collection: as stored.
            written: live numbers of the snapshot that was switched to.
            is_ours: the snapshots before came from this database.
        """
        with switching_lock(self._folder):
            if is_ours:
                forget_removed(self._folder)
                return
            with self._database.read() as session:
                live = _live(session, collection)
            hidden = difference(written, live)
            with suppress(IndexBroken):  # else our own snapshots were let go of
                show_again(self._folder, live)
                forget_removed(self._folder)
                hidden = np.union1d(hidden, read_removed(self._folder))
            write_removed(self._folder, hidden)

    def _counts(self, collection: Collection, embedded_count: int) -> Published:
        with self._database.read() as session:
            counts = Chunks(session).counts(collection.id)
        return Published(
            snapshot=current_name(self._folder) or "",
            document_count=len(counts),
            chunk_count=sum(counts.values()),
            embedded_count=embedded_count,
        )

    def _served(self) -> _Served | None:
        """Return the served snapshot where it is whole, made by this embedder and by no earlier Deskmate."""
        try:
            served = _Served(self._folder)
        except (NotFoundError, IndexBroken):
            return None
        has_all = (served.path / BASE / CROWDING_FILE).exists()
        return served if has_all and served.manifest.fingerprint == self._embedder.fingerprint else None

    def _embed(self, wanted: Numbers) -> int:
        """Embed what has no embedding yet; return how many texts."""
        missing = missing_embeddings(self._database, self._embedder, wanted.tolist())
        with self._stages.stage("embed", "embedding chunks", len(missing)) as progress:
            embedded_count = embed_missing(self._database, self._embedder, missing, progress)
        if embedded_count < len(missing):  # a removed text may stand in another document too
            embedded_count += self._embed(wanted)
        return embedded_count

    def _write(
        self, collection: Collection, state: _State, served: _Served | None, lineage: Lineage, kept: int
    ) -> None:
        with (
            self._stages.stage("write", "writing the index", 4) as progress,
            new_snapshot(self._folder) as unfinished,
            disk_errors(self._folder),
        ):
            write_contents(unfinished, state.versions, state.counts)
            with suppress(FileNotFoundError):  # how it is ranked, as long as nobody tunes again
                shutil.copyfile(self._folder / TUNING_FILE, unfinished / TUNING_FILE)
            progress.advance()
            segments, background = self._write_segments(unfinished, state, served)
            progress.advance()
            self._write_lexical(unfinished / LEXICAL_FOLDER, state, served)
            progress.advance()
            written = [ChunkFile(unfinished / segment.name).numbers for segment in segments]
            write_dead(unfinished, difference(np.concatenate(written), state.live))
            manifest = Manifest(
                collection=collection.name,
                generation=collection.generation,
                mark=lineage.new_mark(),
                embedder=self._embedder.name,
                fingerprint=self._embedder.fingerprint,
                dimension=self._embedder.dimension,
                chunk_count=len(state.live),
                document_count=len(state.versions),
                segments=tuple(segments),
                background=background,
            )
            publish(self._folder, unfinished, manifest, kept)
            progress.advance()

    def _write_segments(
        self, unfinished: Path, state: _State, served: _Served | None
    ) -> tuple[list[Segment], dict[str, Background]]:
        if served is None:
            segment, background = self._write_segment(unfinished / BASE, state.session, state.live)
            return [segment], background
        known = {segment.name: segment for segment in served.manifest.segments}
        link_files(served.path / BASE, unfinished / BASE)
        background = served.manifest.background
        since = difference(state.live, served.numbers[BASE])
        if not len(since):
            return [known[BASE]], background
        if DELTA in known and not len(difference(since, served.numbers[DELTA])):
            link_files(served.path / DELTA, unfinished / DELTA)
            return [known[BASE], known[DELTA]], background
        sample = sample_vectors(served.path / BASE / VECTORS_FILE)
        segment, its_background = self._write_segment(unfinished / DELTA, state.session, since, sample)
        return [known[BASE], segment], _larger(background, its_background)

    def _write_segment(
        self, folder: Path, session: Session, numbers: Numbers, sample: Vectors | None = None
    ) -> tuple[Segment, dict[str, Background]]:
        languages, scripts = [], []

        def rows() -> Iterator[CorpusRow]:
            for row in Chunks(session).numbered(numbers.tolist()):
                languages.append(row.chunk.language)
                scripts.append(script_of(row.chunk))
                yield CorpusRow(number=row.number, chunk=row.chunk)

        vectors, table_rows, owners = self._vectors(session, numbers)
        segment = write_segment(folder, rows(), vectors, table_rows, owners, sample)
        return segment, measure_background(vectors, languages, scripts)

    def _vectors(self, session: Session, numbers: Numbers) -> tuple[Vectors, Vectors, list[int]]:
        """Return the chunks' own vectors, those of the rows in them, and for each row its chunk's place."""
        dimension = self._embedder.dimension
        vectors = np.zeros((len(numbers), dimension), np.float32)
        table_rows, owners = [np.zeros((0, dimension), np.float32)], list[int]()
        for start in range(0, len(numbers), _VECTORS_AT_ONCE):
            part = numbers[start : start + _VECTORS_AT_ONCE].tolist()
            keys = Chunks(session).keys(part)
            stored = Embeddings(session).load(keys.values(), self._embedder.fingerprint)
            for place, number in enumerate(part, start):
                vectors[place], *rows = np.frombuffer(stored[keys[number]], "<f4").reshape(-1, dimension)
                table_rows += [row[np.newaxis] for row in rows]
                owners += [place] * len(rows)
        return vectors, np.vstack(table_rows), owners

    def _write_lexical(self, folder: Path, state: _State, served: _Served | None) -> None:
        live = state.live
        if served is None:  # approved words become terms here: what is only updated keeps the words it has
            terms = ServedGlossary(self._folder).terms
            words = new_words(word for term in terms for word in (term.said, term.meant))
            write_lexical(folder, _texts(state.session, live), words)
            return
        link_files(served.path / LEXICAL_FOLDER, folder)
        gone, added = difference(served.live, live), difference(live, served.live)
        if len(gone) or len(added):
            update_lexical(folder, gone.tolist(), _texts(state.session, added))


def _live(session: Session, collection: Collection) -> Numbers:
    return np.array(Chunks(session).numbers(collection.id), np.int64)


def _texts(session: Session, numbers: Numbers) -> Iterator[tuple[int, str]]:
    for row in Chunks(session).numbered(numbers.tolist()):
        yield row.number, indexed_text(row.chunk)


def _larger(left: dict[str, Background], right: dict[str, Background]) -> dict[str, Background]:
    """Return for each language the background that was measured on more chunks."""
    found = sorted((*left.items(), *right.items()), key=lambda item: item[1].count)
    return dict(found)
