from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.core.home import Home
from assistant.core.records import Chunk
from assistant.core.settings import EmbedderSettings, Settings
from indexing.build import Builder
from indexing.codes import build_codes
from indexing.embedding import HashingEmbedder
from indexing.search import Searcher
from indexing.second_step import second_step, with_second_step

FAULTS = """Fault codes
Code: E-42 · Meaning: Drive too hot · Remedy: Replace the cooling fan QP-5136
Code: E-45 · Meaning: Insulation fault · Remedy: Dry the motor
Code: E-31 · Meaning: Sensor signal lost · Remedy: Replace the sensor QP-4417"""
PARTS = "Part number: QP-5136 · Wear part: no\nPart number: QP-4417 · Wear part: no"
PRICES = "Part number: QP-5136 · Price (EUR): 46.70\nPart number: QP-4417 · Price (EUR): 132.00"
FAULTS_ZH = """故障代码表
代码: F05 · 含义: 腔体超温 · 处理方法: 更换主接触器 HT-5220
代码: F09 · 含义: 水位过高 · 处理方法: 清洗水箱
代码: F38 · 含义: 主控板过热 · 处理方法: 更换散热风扇 HT-5342"""
PRICES_ZH = "零件号: HT-5220 · 价格（元）: 215.00\n零件号: HT-5342 · 价格（元）: 76.00"
TEXTS = [FAULTS, PARTS, PRICES, FAULTS_ZH, PRICES_ZH, "The fan hums."]


def chunk(number: int) -> Chunk:
    return Chunk(
        id=str(number), document=f"{number}.md", version=1, position=0, text=TEXTS[number], heading_path=()
    )


CHUNKS = {number: chunk(number) for number in range(len(TEXTS))}
CODES = build_codes([(number, "", text) for number, text in enumerate(TEXTS)])


@pytest.mark.parametrize(
    ("question", "explaining", "scores", "wanted"),
    [
        ("What does the part against E-42 cost?", 0, {1: 0.7, 2: 0.6}, 2),
        ("F05 要换的零件多少钱？", 3, {4: 0.5}, 4),
        ("Which part is it for E-42?", 0, {1: 0.7, 2: 0.2}, 1),
        ("How hot is E-42?", 0, {1: 0.2, 2: 0.3}, None),
        ("How is E-45 reset?", 0, {1: 0.9, 2: 0.9}, None),
        ("F09 怎么处理？", 3, {4: 0.9}, None),
        ("What does a cooling fan cost?", 0, {1: 0.9, 2: 0.9}, None),
        ("What does the part against E-42 cost?", 0, {}, None),
    ],
    ids=[
        "a figure comes first",
        "Chinese",
        "resembles the question",
        "far from the question",
        "its row names no part",
        "its row names no part, Chinese",
        "no code asked",
        "no candidate",
    ],
)
def test_the_part_in_the_row_of_the_asked_code_is_followed(
    question: str, explaining: int, scores: dict[int, float], wanted: int | None
) -> None:
    assert second_step(question, CODES, [CHUNKS[explaining]], CHUNKS, scores) == wanted


def test_a_removed_price_list_is_no_step() -> None:
    codes = CODES.without({2})
    scores = {1: 0.6, 2: 0.9}
    assert second_step("Price of the part for E-42?", codes, [CHUNKS[0]], CHUNKS, scores) == 1


def test_the_step_stands_behind_the_row_of_the_code() -> None:
    assert with_second_step([7, 3, 9, 4], 4) == [7, 4, 3, 9]
    assert with_second_step([7, 3], 3) == [7, 3]


def test_a_search_finds_the_price_of_the_part_that_a_fault_needs(
    make_builder: Callable[..., Builder], home: Home, tmp_path: Path
) -> None:
    (tmp_path / "faults.md").write_text(f"# Faults\n\n{FAULTS}\n", "utf-8")
    (tmp_path / "prices.md").write_text(f"# Price of each part\n\n{PRICES}\n", "utf-8")
    tickets = (f"# Ticket {n}\n\nE-42 again, part {n} of the story, what to order next?\n" for n in range(9))
    (tmp_path / "tickets.md").write_text("\n".join(tickets), "utf-8")
    make_builder().add([tmp_path])
    settings = Settings(embedder=EmbedderSettings(model="hashing"))
    searcher = Searcher(home.collection("pumps"), settings, HashingEmbedder())
    passages = searcher.search("What is the price of the part for E-42?", 3)
    assert [passage.chunk.document for passage in passages[:2]] == ["faults.md", "prices.md"]
    assert [passage.is_code_match for passage in passages] == [True, False, True]
    assert sorted((passage.score for passage in passages), reverse=True) == [p.score for p in passages]
