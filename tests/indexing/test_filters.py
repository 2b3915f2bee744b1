from __future__ import annotations

from pathlib import Path

import pytest

from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.settings import EmbedderSettings, IndexSettings, SearchSettings, Settings
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.filters import GrantedFilters
from indexing.search import Searcher

# a pool of two candidates a lane: what filters only after the pool is cut finds nothing
SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"), search=SearchSettings(pool=2, top_k=5))
RULES = Settings(
    embedder=EmbedderSettings(model="hashing"),
    index=IndexSettings(
        metadata_rules=(
            {"path": "q5/*", "product": "Q5", "date": "2025-06-01"},
            {"path": "q7/*", "product": ("Q7", "Q7 Pro"), "date": "2026-03-05", "tags": ("manual", "手册")},
        )
    ),
)


@pytest.fixture
def searcher(make_builder: type[Builder], tmp_path: Path, home: Home) -> Searcher:
    parts = [
        f"# Part {number}\nReplace the pump seal HQ-1204 of part {number} every two years.\n"
        f"# 部件 {number}\n水泵密封圈每两年更换一次，第{number}号。\n"
        for number in range(10)
    ]
    texts = {
        "q5/parts.txt": "".join(parts),
        "q7/en.txt": "The seal HQ-1204 and other parts. The fan is loud.\n",
        "q7/zh.txt": "水泵的密封圈和其他零件。风扇很响。\n",
    }
    for name, text in texts.items():
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_text(text, "utf-8")
    make_builder(settings=RULES).add([tmp_path / "files"])
    return Searcher.open("pumps", home, SETTINGS, HashingEmbedder())


def documents(searcher: Searcher, query: str, **filters: str | list[str]) -> set[str]:
    return {passage.chunk.document for passage in searcher.search(query, filters=filters)}


@pytest.mark.parametrize("query", ["Replace the pump seal every two years", "水泵密封圈多久更换", "HQ-1204"])
def test_every_lane_searches_only_what_passes_and_loses_none_of_it(searcher: Searcher, query: str) -> None:
    assert "q5/parts.txt" in documents(searcher, query)
    found = searcher.search(query, filters={"product": "Q7"})
    assert {passage.chunk.document for passage in found} == {"q7/en.txt", "q7/zh.txt"}
    assert any(passage.dense is not None for passage in found)
    assert any(passage.lexical for passage in found)
    if "HQ" in query:
        assert found[0].is_code_match


def test_many_queries_share_a_filter(searcher: Searcher) -> None:
    queries = ["pump seal", "水泵密封圈"]
    many = searcher.search_many(queries, 3, {"product": "Q7"})
    assert many == [searcher.search(query, 3, {"product": "Q7"}) for query in queries]
    assert all(many)


@pytest.mark.parametrize(
    ("filters", "folders"),
    [
        ({"product": "ｑ７ pro"}, {"q7"}),
        ({"产品": ["Q5", "Q7"]}, {"q5", "q7"}),
        ({"language": "zh-CN"}, {"q5", "q7"}),
        ({"tags": "手册", "product": "Q7"}, {"q7"}),
        ({"tags": "手册", "product": "Q5"}, set()),
        ({"audience": "agents"}, set()),
        ({"date": "2026"}, {"q7"}),
        ({"date": "2026-03"}, {"q7"}),
        ({"date": "2026-03-05"}, {"q7"}),
        ({"date": "2026-04"}, set()),
        ({"date": "20"}, None),
        ({"date": "2025..2026-03"}, {"q5", "q7"}),
        ({"date": "..2025"}, {"q5"}),
        ({"date": "2025-06-02.."}, {"q7"}),
    ],
)
def test_a_filter_matches(searcher: Searcher, filters: dict[str, str], folders: set[str] | None) -> None:
    if folders is None:
        with pytest.raises(InputError, match="YYYY-MM-DD"):
            searcher.search("seal 密封圈", 20, filters)
        return
    found = searcher.search("seal 密封圈 零件", 20, filters)
    assert {passage.chunk.document.split("/")[0] for passage in found} == folders


def test_language_is_known_without_being_stated(searcher: Searcher) -> None:
    assert documents(searcher, "零件 parts", language="zh", product="Q7") == {"q7/zh.txt"}
    assert documents(searcher, "零件 parts", language="en", product="Q7") == {"q7/en.txt"}


def test_of_a_document_in_two_languages_the_wanted_one_is_found(searcher: Searcher) -> None:
    for language in ("en", "zh"):
        found = searcher.search("pump seal 水泵密封圈", 20, {"product": "Q5", "language": language})
        assert {passage.chunk.language for passage in found} == {language}


def test_passages_carry_the_metadata_of_their_document(searcher: Searcher) -> None:
    (best, *_) = searcher.search("风扇很响", filters={"product": "Q7"})
    assert best.metadata == {
        "language": "zh",
        "product": ("Q7", "Q7 Pro"),
        "date": "2026-03-05",
        "tags": ("manual", "手册"),
    }


def test_an_unknown_key_is_refused_without_telling_the_known_ones(searcher: Searcher) -> None:
    known = "unknown filter 'colour': no document here has it; run: deskmate index status --collection "
    with pytest.raises(InputError, match=known):
        searcher.search("seal", filters={"colour": "red"})
    for bad in ({"product": ""}, {"product": []}, {"date": ".."}, {"date": "soon..2026"}):
        with pytest.raises(InputError, match="no value"):
            searcher.search("seal", filters=bad)


def test_an_access_list_by_a_key_that_no_document_has_finds_nothing(searcher: Searcher) -> None:
    filters = GrantedFilters(colour="red")
    with pytest.raises(InputError, match="unknown filter"):
        searcher.search("seal", filters=filters)
    filters.granted = frozenset({"colour"})
    assert searcher.search("seal", filters=filters) == ()


def test_a_key_of_ones_own_can_be_filtered(
    make_builder: type[Builder], searcher: Searcher, tmp_path: Path
) -> None:
    make_builder(settings=RULES).add([tmp_path / "files" / "q7" / "en.txt"], {"plant": "Graz"})
    assert documents(searcher, "seal", plant="graz") == {"en.txt"}
