from __future__ import annotations

from pathlib import Path

import pytest

from assistant.core.errors import IndexBroken
from indexing.analysis import new_words
from indexing.lexical_index import LexicalIndex, read_words, update_lexical, write_lexical

TEXTS = [
    (11, "Replace the pump seal HQ-1204 every two years."),
    (12, "The pump runs at 50 Hz; the pump must not run dry. 设备 field:value"),
    (13, "更换水泵密封圈 HQ-1205 后，请检查是否漏水。"),
    (14, "路由器的无线网络设置。"),
    (15, "Nothing of interest stands here, only words about the weather."),
]


@pytest.fixture
def index(tmp_path: Path) -> LexicalIndex:
    write_lexical(tmp_path / "lexical", TEXTS)
    return LexicalIndex(tmp_path / "lexical")


@pytest.mark.parametrize(
    ("query", "best"),
    [("replacing seals", 11), ("密封圈漏水", 13), ("hq1205", 13), ("Ｗｅａｔｈｅｒ", 15), ("无线网", 14)],
)
def test_the_best_passage_comes_first(index: LexicalIndex, query: str, best: int) -> None:
    found = index.search(query, 3)
    assert found[0][0] == best
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert found[0][1] > 0


@pytest.mark.parametrize(
    "query",
    [
        'pump" OR *:*',
        "terms:pump",
        "(pump",
        "pump^100 AND NOT pump",
        "[pump TO seal]",
        "pump\\",
        "+pump -pump",
        "/pump.*/",
    ],
)
def test_no_character_of_a_query_is_syntax(index: LexicalIndex, query: str) -> None:
    assert {number for number, _ in index.search(query, 5)} >= {12}
    assert 15 not in {number for number, _ in index.search(query, 5)}


@pytest.mark.parametrize("query", ["*", "?!", "《》", "zzzz"])
def test_what_is_not_there_is_not_found(index: LexicalIndex, query: str) -> None:
    assert index.search(query, 5) == []


def test_rare_terms_weigh_more_and_absent_ones_most(index: LexicalIndex) -> None:
    assert 0 < index.rarity("pump") < index.rarity("weather") < index.rarity("absent")


def test_no_lock_file_is_left_and_the_same_texts_rank_the_same(tmp_path: Path) -> None:
    rows = []
    for name in ("one", "two"):
        write_lexical(tmp_path / name, TEXTS)
        assert not [*(tmp_path / name).glob("*lock*")]
        rows.append(LexicalIndex(tmp_path / name).search("pump", 5))
    assert rows[0] == rows[1]


def test_an_empty_index_finds_nothing_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    write_lexical(tmp_path / "empty", [])
    assert LexicalIndex(tmp_path / "empty").search("pump", 5) == []
    (tmp_path / "broken").mkdir()
    with pytest.raises(IndexBroken, match="lexical index"):
        LexicalIndex(tmp_path / "broken")


@pytest.mark.parametrize("share", [1, 2, 100])
def test_of_allowed_numbers_none_is_lost_and_scores_stay(tmp_path: Path, share: int) -> None:
    texts = [(number, f"seal 密封圈 {'pump ' * (number % 7)}") for number in range(400)]
    write_lexical(tmp_path / "lexical", texts)
    index = LexicalIndex(tmp_path / "lexical")
    few = set(range(0, 400, share)) | {7}
    everything = dict(index.search("pump seal 密封圈", 400))
    best = sorted((everything[number] for number in few), reverse=True)[:10]
    for allowed in (few, few | set(range(1000, 20_000))):  # listed in the query, and too many for that
        found = index.search("pump seal 密封圈", 10, allowed)
        assert {number for number, _ in found} <= few
        assert [score for _, score in found] == pytest.approx(best)
    assert index.search("absent", 10, few) == []


@pytest.mark.parametrize(("query", "best"), [("软水滤芯", 22), ("filter cartridge 软水滤芯", 22)])
def test_own_words_are_terms_of_texts_and_of_queries(tmp_path: Path, query: str, best: int) -> None:
    texts = [
        (21, "软水装置旁有滤芯，滤芯旁有软水，软水经过滤芯。"),
        (
            22,
            "请每年更换一次设备里的软水滤芯，filter cartridge。更换后请冲洗五分钟，再检查是否漏水。",
        ),
        (23, "安装前请阅读说明。"),
    ]
    write_lexical(tmp_path / "plain", texts)
    write_lexical(tmp_path / "own", texts, new_words(["软水滤芯", "更换", "Filter cartridge", "Q7 滤芯"]))
    assert read_words(tmp_path / "own") == ["软水滤芯"], "only what is a Chinese word and no term yet"
    plain, own = LexicalIndex(tmp_path / "plain"), LexicalIndex(tmp_path / "own")
    gain = {
        number: score - dict(plain.search(query, 3)).get(number, 0) for number, score in own.search(query, 3)
    }
    assert max(gain, key=gain.__getitem__) == best
    assert own.search("filter cartridge", 1)[0][0] == best


def test_what_is_added_is_cut_by_the_words_that_the_index_was_written_with(tmp_path: Path) -> None:
    write_lexical(tmp_path / "own", [(31, "设备说明。")], ["软水滤芯"])
    update_lexical(tmp_path / "own", [], [(32, "软水滤芯要更换。"), (33, "软水和滤芯。")])
    index = LexicalIndex(tmp_path / "own")
    assert index.rarity("软水滤芯") < index.rarity("absent")
    assert index.search("软水滤芯", 2)[0][0] == 32
