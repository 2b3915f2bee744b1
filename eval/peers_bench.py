"""Retrieval beside other libraries: the same files, questions and embedder, one table.

Run ``python -m eval.peers_bench --documents FOLDER --suite FILE`` with the extra ``peers`` installed, or with
``--own`` for Deskmate's own ways alone. BM25, dense and RRF are plain lanes over Deskmate's chunks.

hit@5, recall@5 and MRR@10 look at places, and longer chunks are right at more of them. documents@5 is for
golds that are a whole page: is it among the first five that passages come from? context@1k looks at what the
first 1,000 tokens of the results hold, so it compares libraries whatever their chunks.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from assistant.core.environment import prepare_environment
from assistant.core.errors import DeskmateError, InputError
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.records import Case, Chunk, Passage, Record
from assistant.core.settings import SearchSettings, Settings
from assistant.store.database import Database
from eval.compare import Interval, mean_intervals
from eval.context_budget import context_hit
from eval.peers import PEERS, PeerBuild, PeerFile, read_files
from eval.ranking_metrics import hit_at_k, mrr, recall_at_k
from eval.retrieval import context_texts, first_ranks, is_same_document, shown_text
from eval.suites import load_suite
from indexing.build import Builder, ParserFactory
from indexing.embedding import Embedder, load_embedder
from indexing.opening import OpenSnapshot, open_snapshot
from indexing.parsing import ParserPool
from indexing.search import Searcher, query_in_context
from indexing.tuning import reciprocal_ranks

METRICS = ("hit@5", "documents@5", "recall@5", "MRR@10", "context@1k")
OWN = "Deskmate"
_PASSAGES = 40
_COLLECTION = "bench"
_SAMPLES, _SEED = 2000, 7

Found = list[Sequence[Passage]]


class BenchRow(Record, frozen=True, kw_only=True):
    """One way to search, measured.

    Attributes:
        name: of the way.
        metrics: name → mean with its interval.
    """

    name: str
    metrics: dict[str, Interval]


def own_ways(
    files: Sequence[PeerFile],
    cases: Sequence[Case],
    embedder: Embedder,
    open_parser: ParserFactory = ParserPool,
) -> dict[str, Found]:
    """Index files and return name → what each of Deskmate's ways finds for each case.

    Raises:
        InputError: nothing could be indexed.
    """
    settings = Settings(search=SearchSettings(top_k=_PASSAGES))
    queries = [query_in_context(case.question, case.history) for case in cases]
    with tempfile.TemporaryDirectory(prefix="deskmate-bench-") as root:
        folder = _copied(files, Path(root) / "documents")
        home = Home(Path(root) / "home").make()
        database = Database(home.database_url)
        try:
            builder = Builder(_COLLECTION, home, settings, database, embedder, NoProgress(), open_parser)
            builder.add([folder])
        finally:
            database.close()
        snapshot = open_snapshot(home.collection(_COLLECTION), embedder)
        ways: dict[str, Found] = dict(_lanes(snapshot, queries, embedder))
        searcher = Searcher.open(_COLLECTION, home, settings, embedder)
        ways[OWN] = [*searcher.search_many(queries, _PASSAGES)]
    return ways


def _copied(files: Sequence[PeerFile], folder: Path) -> Path:
    """Copy the files, so that nothing else that lies beside them is indexed."""
    for file in files:
        path = folder / file.document
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, path)
    return folder


def _lanes(snapshot: OpenSnapshot, queries: Sequence[str], embedder: Embedder) -> dict[str, Found]:
    vectors = embedder.embed_queries(queries)
    found: dict[str, Found] = {"BM25": [], "dense": [], "RRF": []}
    for query, dense in zip(queries, snapshot.vectors.search(vectors, _PASSAGES), strict=True):
        lexical = snapshot.lexical.search(query, _PASSAGES)
        fused = reciprocal_ranks(dict(dense), dict(lexical))
        for name, lane in (("BM25", lexical), ("dense", dense), ("RRF", list(fused.items()))):
            best = sorted(lane, key=lambda row: (-row[1], row[0]))[:_PASSAGES]
            chunks = snapshot.corpus.by_number([number for number, _ in best])
            found[name].append(_passages(best, chunks))
    return found


def _passages(best: Sequence[tuple[int, float]], chunks: Mapping[int, Chunk]) -> list[Passage]:
    return [
        Passage(rank=place, score=score, chunk=chunks[number])
        for place, (number, score) in enumerate(best, 1)
    ]


def peer_ways(
    files: tuple[PeerFile, ...],
    cases: Sequence[Case],
    embedder: Embedder,
    max_tokens: int,
    say: Callable[[str], None],
) -> dict[str, Found]:
    """Index files with each peer and return name → what it finds for each case.

    Raises:
        InputError: a peer is not installed.
    """
    build = PeerBuild(files=files, embedder=embedder, max_tokens=max_tokens, count=_PASSAGES)
    found: dict[str, Found] = {}
    for name, make in PEERS.items():
        say(name)
        peer = make(build)
        found[name] = [peer.search(query_in_context(case.question, case.history)) for case in cases]
    return found


def measure(name: str, cases: Sequence[Case], found: Found) -> BenchRow:
    """Return a way's metrics over cases that all have gold.

    Deskmate's results are laid end to end in the order of its answers' context (``context_texts``), those of
    the other ways best first, because that is all they give.
    """
    fill = context_texts if name == OWN else _end_to_end
    ranks = [first_ranks(case, passages) for case, passages in zip(cases, found, strict=True)]
    columns = [
        [hit_at_k(row, 5) for row in ranks],
        [hit_at_k(document_ranks(case, row), 5) for case, row in zip(cases, found, strict=True)],
        [recall_at_k(row, 5) for row in ranks],
        [mrr(row) for row in ranks],
    ]
    intervals = mean_intervals(columns, samples=_SAMPLES, seed=_SEED)
    hits = [
        context_hit([gold.evidence for gold in case.gold], fill(passages))
        for case, passages in zip(cases, found, strict=True)
    ]
    held = [hit for hit in hits if hit is not None]
    if held:
        intervals += mean_intervals([held], samples=_SAMPLES, seed=_SEED)
    return BenchRow(name=name, metrics=dict(zip(METRICS, intervals, strict=False)))


def _end_to_end(passages: Sequence[Passage]) -> list[str]:
    return [shown_text(passage.chunk) for passage in passages]


def document_ranks(case: Case, passages: Sequence[Passage]) -> list[int | None]:
    """Return for each gold the place, from 1, of its document among the documents found."""
    documents = list(dict.fromkeys(passage.chunk.document for passage in passages))
    return [
        next((place for place, name in enumerate(documents, 1) if is_same_document(gold.doc, name)), None)
        for gold in case.gold
    ]


def table(rows: Sequence[BenchRow]) -> str:
    """Return the rows as a Markdown table; an interval is of 95 %."""
    head = ["", *METRICS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [_cell(row.metrics.get(metric)) for metric in METRICS]
        lines.append(f"| {' | '.join([row.name, *cells])} |")
    return "\n".join(lines)


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    mean, low, high = (f"{value:.3f}" for value in (interval.mean, interval.low, interval.high))
    return f"{mean} [{low}, {high}]"


def read_cases(suite: Path) -> list[Case]:
    """Return a suite's cases that have gold.

    Raises:
        InputError: the suite cannot be read, or none has.
    """
    cases = [case for case in load_suite(suite) if case.gold]
    if not cases:
        raise InputError(f"{suite}: no case has gold, so that retrieval cannot be measured")
    return cases


def bench(
    folder: Path,
    cases: Sequence[Case],
    embedder: Embedder,
    say: Callable[[str], None],
    *,
    own_only: bool = False,
) -> list[BenchRow]:
    """Measure all ways on one folder and its cases.

    Args:
        folder: of Markdown and text files.
        cases: with gold; those whose gold lies in no such file are left out.
        embedder: of all ways.
        say: is told what is being done.
        own_only: without the peers.

    Raises:
        InputError: a peer is not installed, a file cannot be read, or no case is left.
    """
    files = read_files(folder)
    asked = [case for case in cases if _is_covered(case, files)]
    if not asked:
        raise InputError(f"no case has its gold in a file of {folder}")
    say(f"{len(files)} files, {len(asked)} of {len(cases)} cases")
    max_tokens = Settings().index.chunk_tokens
    peers = {} if own_only else peer_ways(files, asked, embedder, max_tokens, say)
    say("Deskmate")
    ways = own_ways(files, asked, embedder) | peers
    return [measure(name, asked, found) for name, found in ways.items()]


def _is_covered(case: Case, files: Sequence[PeerFile]) -> bool:
    return all(any(is_same_document(gold.doc, file.document) for file in files) for gold in case.gold)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=Path, required=True, help="folder of .md and .txt files")
    parser.add_argument("--suite", type=Path, required=True, help="questions with gold, JSON Lines")
    parser.add_argument("--own", action="store_true", help="without the other libraries")
    options = parser.parse_args(arguments)
    prepare_environment()
    try:
        cases = read_cases(options.suite)
        embedder = load_embedder(Settings(), Home.from_environment())
        rows = bench(options.documents, cases, embedder, _tell, own_only=options.own)
    except DeskmateError as error:
        _tell(f"error: {error.message}" + (f"\nrun: {error.next_command}" if error.next_command else ""))
        return error.exit_code
    sys.stdout.write(table(rows) + "\n")
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
