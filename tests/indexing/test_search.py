from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from assistant.core.errors import IndexBroken, InputError, NotFoundError
from assistant.core.home import Home
from assistant.core.records import Message
from assistant.core.settings import EmbedderSettings, IndexSettings, SearchSettings, Settings
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.search import Searcher, query_in_context
from indexing.snapshots import open_current

SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"))


@pytest.fixture
def searcher(make_builder: type[Builder], documents: Path, home: Home) -> Searcher:
    make_builder().add([documents])
    return Searcher.open("pumps", home, SETTINGS, HashingEmbedder())


@pytest.mark.parametrize(
    ("query", "document", "heading"),
    [
        ("how often do I replace the seal of the pump", "pump.txt", "Seals"),
        ("水泵密封圈多久更换", "zh/guide.txt", "维护"),
        ("怎么连接无线网", "zh/guide.txt", "网络"),
    ],
)
def test_the_right_passage_comes_first(searcher: Searcher, query: str, document: str, heading: str) -> None:
    passages = searcher.search(query)
    best = passages[0]
    assert (best.chunk.document, best.chunk.heading_path) == (document, (heading,))
    assert [passage.rank for passage in passages] == list(range(1, len(passages) + 1))
    scores = [passage.score for passage in passages]
    assert scores == sorted(scores, reverse=True)
    assert best.dense is not None
    assert best.lexical is not None
    assert not best.is_code_match


@pytest.mark.parametrize("query", ["e47", "Ｅ-47 怎么处理？水泵密封圈 replace pump seal every two years"])
def test_a_passage_that_holds_the_code_comes_first(searcher: Searcher, query: str) -> None:
    first, second, *_ = searcher.search(query)
    assert "E-47" in first.chunk.text
    assert (first.is_code_match, second.is_code_match) == (True, False)
    assert searcher.unknown_codes("E-50?")[0].nearest == ("E-49", "E-48", "E-47")
    assert searcher.unknown_codes(query) == ()


def test_codes_of_documents_that_a_filter_leaves_out_are_not_named(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    (documents / "fan.txt").write_text("# Faults\nError E-60: stuck.\nError E-61: loud.\n", "utf-8")
    rules = ({"path": "fan.txt", "product": "fan"}, {"path": "zh/*", "product": "水泵"})
    index = IndexSettings(metadata_rules=rules)
    make_builder(settings=msgspec.structs.replace(SETTINGS, index=index)).add([documents])
    searcher = Searcher.open("pumps", home, SETTINGS, HashingEmbedder())
    assert searcher.unknown_codes("E-50?", {})[0].nearest == ("E-49", "E-48", "E-47")
    for code in ("E-50", "E-47"):  # what only another document has is as unknown as what none has
        (unknown,) = searcher.unknown_codes(f"{code}?", {"product": "fan"})
        assert unknown.nearest == ("E-60", "E-61")
    assert searcher.unknown_codes("E-60?", {"product": "fan"}) == ()
    assert searcher.unknown_codes("E-60 是什么意思？", {"product": "水泵"}) == ()  # no codes, none to name
    with pytest.raises(InputError, match="unknown filter 'colour'"):
        searcher.unknown_codes("E-50?", {"colour": "red"})


def test_many_queries_give_what_each_alone_gives(searcher: Searcher) -> None:
    queries = ["pump seal", "无线网络", "E-48"]
    assert searcher.search_many(queries, 3) == [searcher.search(query, 3) for query in queries]
    assert all(len(passages) == 3 for passages in searcher.search_many(queries, 3))
    assert searcher.search_many([], 3) == []


def test_equal_texts_are_returned_once(
    make_builder: type[Builder], documents: Path, home: Home, searcher: Searcher
) -> None:
    shutil.copy(documents / "pump.txt", documents / "pump-copy.txt")
    assert make_builder().add([documents]).chunk_count == 8
    texts = [passage.chunk.text for passage in searcher.search("pump seal", 20)]
    assert len(texts) == len(set(texts)) == 5


@pytest.mark.parametrize(
    "query", ["", " \n\t", "a" * 100_000, "\x00\x01binary", "\udcff\udcfe", "bad \ufffd text"]
)
def test_what_is_no_question_is_refused(searcher: Searcher, query: str) -> None:
    with pytest.raises(InputError, match="question"):
        searcher.search(query)


@pytest.mark.parametrize("query", ["!?", "🙂", "zzzzqqqq", "《》（）", "SELECT * FROM x; --"])
def test_what_means_nothing_gives_passages_or_none_but_no_error(searcher: Searcher, query: str) -> None:
    assert len(searcher.search(query)) <= 5


def test_evidence_tells_covered_from_not_covered(searcher: Searcher) -> None:
    covered = ["How often must the pump seal be replaced?", "水泵密封圈多久更换一次？"]
    foreign = ["Who won the Super Bowl in 1998?", "黑豹队在超级碗中输给了谁？"]
    evidence = {query: searcher.evidence(query, searcher.search(query)) for query in covered + foreign}
    assert all(0 <= value <= 1 for value in evidence.values())
    assert min(evidence[query] for query in covered) > max(evidence[query] for query in foreign)
    assert searcher.evidence("pump", ()) == 0


def test_a_new_snapshot_is_picked_up_while_queries_run(
    make_builder: type[Builder], documents: Path, searcher: Searcher
) -> None:
    done = threading.Event()

    def ask() -> int:
        count = 0
        while not done.is_set():
            count += bool(searcher.search("pump seal"))
        return count

    pool = ThreadPoolExecutor(3)
    counts = [pool.submit(ask) for _ in range(3)]
    for number in range(3):
        (documents / f"new{number}.txt").write_text(f"Valve number {number} of the compressor.", "utf-8")
        make_builder().add([documents])
    done.set()
    assert all(count.result() > 0 for count in counts)
    assert searcher.search("compressor valve number 2")[0].chunk.document == "new2.txt"
    assert searcher.stats().document_count == 5


def test_what_cannot_be_searched_says_what_to_run(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    with pytest.raises(NotFoundError, match="no index for collection 'pumps'; run: deskmate index add PATH"):
        Searcher.open("pumps", home, SETTINGS, HashingEmbedder())
    make_builder().add([documents])
    other = HashingEmbedder()
    other.fingerprint = "other"
    with pytest.raises(IndexBroken, match="run: deskmate index rebuild --collection pumps"):
        Searcher.open("pumps", home, SETTINGS, other)
    snapshot, _ = open_current(home.collection("pumps"))
    (snapshot / "base" / "codes.json").write_text("{}")
    with pytest.raises(IndexBroken, match=r"codes\.json"):
        Searcher.open("pumps", home, SETTINGS, HashingEmbedder())


def test_the_weight_moves_the_order_between_the_lanes(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    make_builder().add([documents])
    embedder = HashingEmbedder()
    query = "unblocking fans and doors"
    firsts = {}
    for weight in (0.0, 1.0):
        settings = Settings(search=SearchSettings(dense_weight=weight))
        firsts[weight] = Searcher.open("pumps", home, settings, embedder).search(query)[0]
    assert firsts[1.0].dense == max(p.dense or 0 for p in firsts.values())
    assert firsts[0.0].lexical == max(p.lexical or 0 for p in firsts.values())


def test_a_question_after_others_is_searched_with_them() -> None:
    history = (
        Message(role="user", content="Does the T6 have Wi-Fi?"),
        Message(role="assistant", content="Yes."),
    )
    assert "T6" in query_in_context("How do I switch it off?", history)
    assert query_in_context("How?", ()) == "How?"
