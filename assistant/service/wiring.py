"""What lives as long as the service: open pipelines, who may work at once, whether all is ready."""

import asyncio
import contextlib
import functools
import logging
import shlex
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread
from prometheus_client import Metric

from assistant.answering.pipeline import Pipeline
from assistant.core.access import Caller
from assistant.core.errors import DeskmateError, EngineBusy, NotFoundError
from assistant.core.records import Arm, Record
from assistant.core.settings import Settings
from assistant.service.problems import NotReady
from assistant.store.reading import FoundChunk
from assistant.store.splits import Split

T = TypeVar("T")
UNTUNED: tuple[Arm, ...] = ("base", "rag")
TUNED: tuple[Arm, ...] = (*UNTUNED, "ft", "rag+ft")
OPENING = "still opening"
REOPEN_SECONDS = 5.0
FOLLOW_SECONDS = 1.0
CONCURRENT_LOOKUPS = 8
OTHER_RELEASES = 2
_log = logging.getLogger(__name__)


class Embedded(Record, frozen=True, kw_only=True):
    """Embeddings: the embedder's name, one vector a text, and the tokens that were read."""

    model: str
    vectors: tuple[tuple[float, ...], ...]
    token_count: int


class Served(Record, frozen=True, kw_only=True):
    """What answers a collection: a pipeline, and in an A/B another one for a share of the conversations."""

    pipeline: Pipeline
    challenger: Pipeline | None = None
    split: Split | None = None

    def choose(self, conversation: str) -> Pipeline:
        """Return the pipeline that answers a conversation."""
        if self.split is not None and self.challenger is not None and self.split.takes(conversation):
            return self.challenger
        return self.pipeline


class PipelineSource(Protocol):
    """Where pipelines come from. Its methods block; they are called in worker threads."""

    def collections(self) -> tuple[str, ...]:
        """Return the names of all collections."""

    def arms(self) -> dict[str, tuple[Arm, ...]]:
        """Return all collections with the arms that each can be asked with."""

    def open(self, collection: str) -> Pipeline:
        """Open a collection's pipeline.

        Raises:
            DeskmateError: it cannot be opened.
        """

    def open_release(self, collection: str, release: str) -> Pipeline:
        """Open another release of a collection than the served one.

        Raises:
            DeskmateError: it cannot be opened.
        """

    def split(self, collection: str) -> tuple[Split, Pipeline] | None:
        """Return a collection's A/B and its challenger opened, None where there is none.

        Raises:
            DeskmateError: it cannot be opened.
        """

    def tidy(self) -> None:
        """Let go of what must not be served any more."""

    def stamp(self, collection: str) -> str:
        """Return what changes when another release or adapter of a collection is to be served."""

    def embed(self, texts: Sequence[str], *, are_queries: bool) -> Embedded:
        """Return a unit vector for each text, as questions or as passages are embedded."""

    def chunk(self, chunk_id: str, caller: Caller) -> FoundChunk | None:
        """Return a chunk that the caller may read, None if there is none of that id."""

    def close(self) -> None:
        """Free what the source and its pipelines hold."""


class Service:
    """The state of one running service.

    Args:
        settings: all settings.
        source: of the pipelines.
    """

    def __init__(self, settings: Settings, source: PipelineSource) -> None:
        self.settings = settings
        self.started = int(time.time())
        self.answering = anyio.CapacityLimiter(settings.service.concurrent_answers)
        self._lookups = anyio.CapacityLimiter(CONCURRENT_LOOKUPS)
        self._source = source
        self._open: dict[str, Served] = {}
        self._others: OrderedDict[str, Pipeline] = OrderedDict()
        self._stamps: dict[str, str] = {}
        self._refused: dict[str, tuple[str, float]] = {}
        self._opening = threading.Lock()
        self._reason: str | None = OPENING
        self._admitted_count = 0

    @property
    def default_collection(self) -> str:
        """The collection that requests without a name get."""
        return self.settings.service.collection

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Open the default collection in the background, and close all at the end."""
        tasks = [asyncio.create_task(work()) for work in (self._open_default, self._follow)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await anyio.to_thread.run_sync(self._source.close)

    async def run(self, work: Callable[[], T]) -> T:
        """Run a short blocking look-up in a worker thread."""
        return await anyio.to_thread.run_sync(work, limiter=self._lookups)

    def problems(self) -> tuple[str, ...]:
        """Return why questions cannot be answered now; empty when all is ready."""
        served = self._open.get(self.default_collection)
        if served is None:
            return (f"collection {self.default_collection!r}: {self._reason}",)
        return served.pipeline.engine.problems()

    async def engine_metrics(self) -> list[Metric]:
        """Return the figures of the engines that answer."""
        engines = {id(served.pipeline.engine): served.pipeline.engine for served in self._open.values()}

        def read() -> list[Metric]:
            return [family for engine in engines.values() for family in engine.metrics()]

        return await self.run(read)

    async def models(self) -> tuple[tuple[str, tuple[Arm, ...]], ...]:
        """Return every collection with its arms, the default collection first."""
        found = await self.run(self._source.arms)
        return tuple(sorted(found.items(), key=lambda row: (row[0] != self.default_collection, row[0])))

    async def embed(self, texts: Sequence[str], *, are_queries: bool) -> Embedded:
        """Return a unit vector for each text."""
        return await self.run(lambda: self._source.embed(texts, are_queries=are_queries))

    async def check_collection(self, collection: str) -> None:
        """Make sure that there is a collection.

        Raises:
            NotFoundError: there is none of that name.
        """
        if collection not in self._open and collection not in await self.run(self._source.collections):
            raise _no_collection(collection)

    async def chunk(self, chunk_id: str, caller: Caller) -> FoundChunk:
        """Return a chunk.

        Raises:
            NotFoundError: the caller may read none of that id, or its document was deleted.
        """
        found = await self.run(lambda: self._source.chunk(chunk_id, caller))
        if found is None:
            raise NotFoundError(f"no chunk {chunk_id[:64]!r}: it never was, or its document was deleted")
        return found

    async def pipeline(self, collection: str, release: str | None = None, conversation: str = "") -> Pipeline:
        """Return a collection's pipeline, opened if it was not.

        Args:
            collection: name.
            release: another one than the served one.
            conversation: what tells one from another: in an A/B each stays with one release; empty gets
                the served one.

        Raises:
            NotReady: the default collection is still being opened.
            DeskmateError: there is no such collection, or it cannot be opened.
        """
        if release is not None:
            return await self.run(lambda: self._open_other(collection, release))
        found = self._open.get(collection)
        if found is None:
            if collection == self.default_collection and self._reason == OPENING:
                raise NotReady(self.problems())
            found = await self.run(lambda: self._open_now(collection))
        return found.choose(conversation) if conversation else found.pipeline

    @contextlib.contextmanager
    def admitted(self) -> Generator[None, None, None]:
        """Hold a place among the questions that are answered or wait.

        Raises:
            EngineBusy: too many wait already.
        """
        limit = self.settings.engine.queue_limit
        if self._admitted_count >= self.settings.service.concurrent_answers + limit:
            raise EngineBusy(f"{limit} questions wait already; ask again in a moment")
        self._admitted_count += 1
        try:
            yield
        finally:
            self._admitted_count -= 1

    def _open_now(self, collection: str) -> Served:
        with self._opening:
            if collection not in self._open:
                if collection not in self._source.collections():
                    raise _no_collection(collection)
                stamp = self._source.stamp(collection)  # before opening: what comes between is seen later
                self._open[collection] = self._open_served(collection)
                self._stamps[collection] = stamp
            return self._open[collection]

    def _open_other(self, collection: str, release: str) -> Pipeline:
        """Open a release beside the served one; those asked for last stay open."""
        with self._opening:
            found = self._others.pop(release, None) or self._source.open_release(collection, release)
            self._others[release] = found
            while len(self._others) > OTHER_RELEASES:
                self._others.popitem(last=False)
            return found

    def _open_served(self, collection: str) -> Served:
        pipeline = self._source.open(collection)
        try:
            found = self._source.split(collection)
        except DeskmateError as error:
            _log.error("collection %r is answered without its A/B: %s", collection, error)
            found = None
        split, challenger = found or (None, None)
        return Served(pipeline=pipeline, challenger=challenger, split=split)

    async def _follow(self) -> None:
        """Switch to what was promoted since, without stopping any answer under way."""
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            looks: list[Callable[[], None]] = [
                functools.partial(self._renew, collection) for collection in tuple(self._open)
            ]
            looks.append(self._source.tidy)
            for look in looks:
                try:
                    await anyio.to_thread.run_sync(look, abandon_on_cancel=True)
                except Exception:  # noqa: BLE001 - what is open is served on, and looked at again
                    _log.exception("what is served cannot be looked at")

    def _renew(self, collection: str) -> None:
        """Open what is to be served aside, then switch; where it cannot be opened, serve on."""
        stamp = self._source.stamp(collection)
        refused, when = self._refused.get(collection, ("", 0.0))
        is_too_soon = stamp == refused and time.monotonic() - when < REOPEN_SECONDS
        if stamp == self._stamps.get(collection) or is_too_soon:
            return
        try:
            served = self._open_served(collection)
        except DeskmateError as error:
            if stamp != refused:
                _log.error("collection %r is served on as it was: %s", collection, error)
            self._refused[collection] = (stamp, time.monotonic())
            return
        with self._opening:
            self._open[collection], self._stamps[collection] = served, stamp

    async def _open_default(self) -> None:
        """Open the default collection; try again as long as it cannot be opened."""
        while True:
            try:
                # abandoned on cancel: a model that is being read must not hold up the end
                await anyio.to_thread.run_sync(
                    self._open_now, self.default_collection, abandon_on_cancel=True
                )
            except DeskmateError as error:
                if str(error) != self._reason:
                    _log.warning("collection %r cannot be opened: %s", self.default_collection, error)
                self._reason = str(error)
            except Exception:  # noqa: BLE001 - the service lives on and says so
                _log.exception("collection %r cannot be opened", self.default_collection)
                self._reason = "cannot be opened for an unforeseen reason; the service's log says which"
            else:
                self._reason = None
                return
            await asyncio.sleep(REOPEN_SECONDS)


@contextlib.asynccontextmanager
async def in_background(*works: Coroutine[None, None, None]) -> AsyncGenerator[None, None]:
    """Do some things beside all else, until the end."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _no_collection(name: str) -> NotFoundError:
    return NotFoundError(
        f"no collection {name[:64]!r}",
        next_command=f"deskmate index add PATH --collection {shlex.quote(name[:64])}",
    )
