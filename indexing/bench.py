"""How fast and how large an index is, beside what it stands on.

Run ``python -m indexing.bench search --chunks 100000``, ``… encode --documents FOLDER``, ``… swaps`` or
``… pdf --documents FILE``, which sets one PDF beside unstructured's own reader of it.

``search`` and ``swaps`` use made-up texts (English and Chinese) and vectors, so they need no model. Limits
stand beside the figures; on a machine that others use, ratios and processor time are the steadier ones.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import psutil

from assistant.core.environment import prepare_environment
from assistant.core.home import Home
from assistant.core.language import Language
from assistant.core.progress import NoProgress, Progress
from assistant.core.records import Chunk
from assistant.core.settings import EmbedderSettings, Settings
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents, NewVersion
from indexing.bench_texts import TOPICS, Texts
from indexing.build import Builder
from indexing.embedding import HashingEmbedder, Vectors, load_embedder, passage_text
from indexing.parsing.pdf_bench import bench_pdf
from indexing.queries import plain_questions
from indexing.search import Searcher
from indexing.snapshots import VECTORS_FILE, current_name, open_current
from indexing.table_rows import embed_chunks, row_texts

T = TypeVar("T")
_COLLECTION = "bench"
_DIMENSION = 384
_NOISE = 0.8
_PER_DOCUMENT = 20
_DOCUMENTS_PER_TRANSACTION = 200
_QUERIES = 1000
_ROUNDS = 5
_SEARCH_LIMITS = {100_000: (2.0, 5.0), 1_000_000: (15.0, 15.0)}
_REMOVE_SECONDS = 1.0
_ENCODE_SHARE = 0.95
_QUERY_MILLISECONDS = 15.0
_SWAPS = 20
_START_SECONDS = 120
_SWAP_SLOWDOWN = 2.0


class TopicEmbedder(HashingEmbedder):
    """Makes vectors that lie in clusters, as those of texts do: a text's first word is its topic."""

    def __init__(self) -> None:
        super().__init__()
        self.name = self.fingerprint = "bench"
        self.dimension = _DIMENSION
        self._topics = np.random.default_rng(1).normal(size=(TOPICS, _DIMENSION)).astype(np.float32)

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed texts."""
        rows = np.array([self._topics[_topic(text)] for text in texts], np.float32).reshape(-1, _DIMENSION)
        seeds = [random.Random(text).getrandbits(32) for text in texts]
        noise = [np.random.default_rng(seed).normal(size=_DIMENSION) for seed in seeds]
        rows += _NOISE * np.array(noise, np.float32).reshape(-1, _DIMENSION)
        if progress:
            progress.advance(len(texts))
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _topic(text: str) -> int:
    return random.Random(text.split(maxsplit=1)[0]).randrange(TOPICS)


@contextmanager
def made_collection(count: int, kept: Path | None = None) -> Iterator[tuple[Home, Database]]:
    """Give a data folder with a collection of so many made-up chunks, not yet published.

    Args:
        count: chunks.
        kept: folder to make it in and to leave it in, and to take it from where it is there already.
    """
    with tempfile.TemporaryDirectory(prefix="deskmate-bench-") as folder:
        home = Home(kept or Path(folder)).make()
        database = Database(home.database_url)
        try:
            texts, total = Texts(), -(-count // _PER_DOCUMENT)
            with database.write() as session:
                Documents(session).make_collection(_COLLECTION)
            made = len(stored_documents(database))
            for start in range(made, total, _DOCUMENTS_PER_TRANSACTION):
                save_documents(database, range(start, min(start + _DOCUMENTS_PER_TRANSACTION, total)), texts)
            yield home, database
        finally:
            database.close()


def stored_documents(database: Database) -> dict[str, int]:
    """Return document → chunks of the made-up collection."""
    with database.read() as session:
        collection = Documents(session).find_collection(_COLLECTION)
        return Chunks(session).counts(collection.id) if collection else {}


def save_documents(database: Database, numbers: range, texts: Texts) -> None:
    """Store made-up documents in one transaction."""
    with database.write() as session:
        documents, chunks = Documents(session), Chunks(session)
        collection = documents.make_collection(_COLLECTION)
        for number in numbers:
            name = f"d{number:06d}.txt"
            new = NewVersion(document=name, number=1, sha256="", recipe="", size_bytes=1, title=name)
            made = [
                _chunk(name, position, *texts.text(number * _PER_DOCUMENT + position))
                for position in range(_PER_DOCUMENT)
            ]
            chunks.save(documents.save_version(collection.id, new), made, [chunk.text for chunk in made])


def _chunk(document: str, position: int, text: str, language: Language) -> Chunk:
    return Chunk(
        id=f"{document}-{position}",
        document=document,
        version=1,
        position=position,
        text=text,
        heading_path=("Manual", f"Part {position}"),
        language=language,
    )


def make_builder(home: Home, database: Database) -> Builder:
    """Return a builder over the made-up collection."""
    return Builder(_COLLECTION, home, _settings(), database, TopicEmbedder(), NoProgress())


def _settings() -> Settings:
    return Settings(embedder=EmbedderSettings(model="hashing"))


class Given:
    """An embedder that has the queries' vectors already: what is measured is the search alone."""

    def __init__(self, embedder: TopicEmbedder, queries: Sequence[str]) -> None:
        self.name, self.fingerprint, self.dimension = embedder.name, embedder.fingerprint, embedder.dimension
        self.max_tokens, self.tokenizer = embedder.max_tokens, embedder.tokenizer
        self._vectors = dict(zip(queries, embedder.embed_passages(queries), strict=True))

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of known queries."""
        return np.array([self._vectors[text] for text in texts], np.float32)

    embed_passages = HashingEmbedder.embed_passages


def bench_search(count: int, query_count: int = _QUERIES, kept: Path | None = None) -> None:
    """Measure building, opening, searching, adding a little, removing and compacting.

    With a folder to keep the collection in, only searching and opening: the next run measures the same.
    """
    with made_collection(count, kept) as (home, database):
        builder = make_builder(home, database)
        folder = home.collection(_COLLECTION)
        if current_name(folder) is None:
            _timed("first snapshot", builder.rebuild)
        snapshot, manifest = open_current(folder)
        (base,) = manifest.segments
        _say(f"{count} chunks: {base.kind}, recall@10 {base.recall}")
        queries = _queries(query_count)
        embedder = Given(TopicEmbedder(), queries)
        before = _resident()
        searcher = _timed("opening", lambda: Searcher(folder, _settings(), embedder))
        opened = _resident()
        p50, p95 = _latencies(searcher, queries)
        limits = _SEARCH_LIMITS.get(count, (0.0, 0.0))
        _say(f"search p50 {p50:.2f} ms (limit {limits[0]}), p95 {p95:.2f} ms (limit {limits[1]})")
        p50, p95 = _latencies(searcher, queries, _ROUNDS)
        _say(f"best of {_ROUNDS} rounds a query, past other work: p50 {p50:.2f} ms, p95 {p95:.2f} ms")
        after = _resident()
        raw = (snapshot / "base" / VECTORS_FILE).stat().st_size >> 20
        _say(
            f"memory: {opened[0] - before[0]} MiB of its own after opening, {after[0] - before[0]} after "
            f"queries, {after[1] - before[1]} MiB of files mapped; the vector index alone is {raw} MiB"
        )
        if kept is not None:
            return
        save_documents(database, range(10**6 - 1, 10**6 + 9), Texts(seed=4))
        _timed("adding 200 chunks", builder.publish)
        _timed(f"removing 20 chunks (limit {_REMOVE_SECONDS} s)", lambda: builder.remove("d000001.txt"))
        p50, p95 = _latencies(searcher, queries)
        _say(f"search after both p50 {p50:.2f} ms, p95 {p95:.2f} ms")
        _timed("compacting", builder.compact)


def _queries(count: int) -> list[str]:
    texts = Texts(seed=9)
    return [texts.query() for _ in range(count)]


def _latencies(searcher: Searcher, queries: Sequence[str], rounds: int = 1) -> tuple[float, float]:
    """Return p50 and p95 in milliseconds of each query's best round, after some that warm the caches."""
    for query in queries[:100]:
        searcher.search(query)
    best = [float("inf")] * len(queries)
    for _ in range(rounds):
        for place, query in enumerate(queries):
            started = time.perf_counter()
            searcher.search(query)
            best[place] = min(best[place], 1000 * (time.perf_counter() - started))
    return _percentiles(best)


def _percentiles(times: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[94]


def bench_swaps(count: int, swaps: int = _SWAPS, queries: int = _QUERIES, threads: int = 2) -> int:
    """Search from several threads, quiet and then while snapshots are switched; return how many failed."""
    with made_collection(count) as (home, database):
        builder = make_builder(home, database)
        builder.rebuild()
        asked = _queries(queries)
        searcher = Searcher(home.collection(_COLLECTION), _settings(), Given(TopicEmbedder(), asked))
        quiet, failed = _ask_all(searcher, asked, threads)
        # As in service: a worker's process writes, this one only opens what was written.
        processes = multiprocessing.get_context("spawn")
        has_started = processes.Event()
        swapping = processes.Process(target=_swap, args=(home.root, swaps, has_started))
        swapping.start()
        has_started.wait(_START_SECONDS)
        busy, more_failed = _ask_all(searcher, asked, threads, swapping.is_alive)
        swapping.join()
        failed += more_failed + bool(swapping.exitcode)
        slowdown = _percentiles(busy)[1] / _percentiles(quiet)[1]
        _say(f"{len(busy)} queries during {swaps} swaps: {failed} failed (limit 0)")
        _say(
            f"p95 quiet {_percentiles(quiet)[1]:.2f} ms, during swaps {_percentiles(busy)[1]:.2f} ms: "
            f"{slowdown:.1f} times (limit {_SWAP_SLOWDOWN}); longest {max(busy):.0f} ms"
        )
        return failed


def _swap(path: Path, count: int, has_started: Event) -> None:
    """Publish so many snapshots of a made-up collection, a new document in each."""
    home = Home(path)
    database = Database(home.database_url)
    try:
        builder = make_builder(home, database)
        has_started.set()
        for number in range(count):
            save_documents(database, range(10**6 + number, 10**6 + number + 1), Texts(seed=number))
            builder.publish()
    finally:
        database.close()


def _ask_all(
    searcher: Searcher,
    queries: Sequence[str],
    threads: int,
    goes_on: Callable[[], bool] | None = None,
) -> tuple[list[float], int]:
    """Ask all queries, again as long as it ``goes_on``; return milliseconds and how many failed."""
    times: list[float] = []
    failures: list[Exception] = []

    def ask(part: Sequence[str]) -> None:
        while True:
            for query in part:
                started = time.perf_counter()
                try:
                    found = searcher.search(query)
                    if not found:
                        failures.append(ValueError(query))
                except Exception as error:  # noqa: BLE001 - counted, whatever it is
                    failures.append(error)
                times.append(1000 * (time.perf_counter() - started))
            if goes_on is None or not goes_on():
                return

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(ask, [queries[place::threads] for place in range(threads)]))
    for failure in failures[:3]:
        _say(f"failed: {failure!r}")
    return times, len(failures)


def bench_encode(documents: Path, dtype: Literal["auto", "bfloat16", "float32"]) -> None:
    """Measure adding files beside embedding the same chunks alone, and one query's embedding."""
    settings = Settings(embedder=EmbedderSettings(dtype=dtype))
    models = Home.from_environment()
    embedder = load_embedder(settings, models)
    embedder.embed_passages(["warm up"])
    with tempfile.TemporaryDirectory(prefix="deskmate-bench-") as folder:
        home = Home(Path(folder)).make()
        database = Database(home.database_url)
        builder = Builder(_COLLECTION, home, settings, database, embedder, NoProgress())
        started, cpu = time.perf_counter(), _processor_seconds()
        report = builder.add([documents])
        wall, own_cpu = time.perf_counter() - started, _processor_seconds() - cpu
        chunks = Searcher.open(_COLLECTION, home, settings, embedder).corpus.chunks
        database.close()
    distinct = list({passage_text(chunk): chunk for chunk in chunks}.values())
    row_count = sum(len(row_texts(chunk)) for chunk in distinct)
    started, cpu = time.perf_counter(), _processor_seconds()
    embed_chunks(embedder, distinct)
    raw, raw_cpu = time.perf_counter() - started, _processor_seconds() - cpu
    _say(
        f"{report.document_count} documents, {len(chunks)} chunks and {row_count} rows of tables, {dtype}: "
        f"{report.seconds}"
    )
    _say(
        f"end to end {len(chunks) / wall:.1f} chunks/s, encoder alone {len(chunks) / raw:.1f}: "
        f"{raw / wall:.3f} by wall time, {raw_cpu / own_cpu:.3f} by CPU time (limit {_ENCODE_SHARE}); "
        f"CPU seconds {own_cpu:.1f}, encoder {raw_cpu:.1f}"
    )
    times = []
    for query in [*plain_questions("en"), *plain_questions("zh")] * 2:
        started = time.perf_counter()
        embedder.embed_queries([query])
        times.append(1000 * (time.perf_counter() - started))
    p50, p95 = _percentiles(times)
    _say(f"one query's embedding p50 {p50:.1f} ms, p95 {p95:.1f} ms (limit {_QUERY_MILLISECONDS})")


def _timed(name: str, run: Callable[[], T]) -> T:
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    _say(f"{name}: {wall:.2f} s, {cpu:.2f} CPU seconds")
    return result


def _processor_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _resident() -> tuple[int, int]:
    """Return the process's own memory and that of files mapped into it, in MiB."""
    memory = psutil.Process().memory_info()
    return (memory.rss - memory.shared) >> 20, memory.shared >> 20


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["search", "encode", "swaps", "pdf"])
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--documents", type=Path, help="folder of files, for encode; a file, for pdf")
    parser.add_argument("--own", action="store_true", help="for pdf: without unstructured's reader")
    parser.add_argument("--dtype", default="auto", choices=["auto", "bfloat16", "float32"])
    parser.add_argument("--kept", type=Path, help="folder for the made-up collection, for search; is left")
    options = parser.parse_args(arguments)
    prepare_environment()
    if options.what == "encode":
        bench_encode(options.documents, options.dtype)
    elif options.what == "pdf":
        for line in bench_pdf(options.documents, _settings().index, has_peer=not options.own):
            _say(line)
    elif options.what == "swaps":
        sys.exit(bool(bench_swaps(options.chunks)))
    else:
        bench_search(options.chunks, kept=options.kept)


if __name__ == "__main__":
    main()
