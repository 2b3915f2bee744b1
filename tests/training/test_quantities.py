from __future__ import annotations

import pytest

from assistant.core.language import Language
from assistant.core.records import Chunk, ChunkKind
from training.filtering import PairFilter
from training.quantities import quantity_pairs


def chunk(text: str, kind: ChunkKind = "text", language: Language = "zh") -> Chunk:
    return Chunk(
        id="c",
        document="d",
        version=1,
        position=0,
        text=text,
        kind=kind,
        language=language,
        heading_path=("维护", "4.2 更换叶轮"),
    )


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("风机每 2 分钟换向一次，使各层受热均匀。", "风机每多少分钟换向一次？"),
        ("- 停用超过 3 天时，排空蒸汽发生器，关闭水阀。", "停用超过多少天时，排空蒸汽发生器？"),
        ("装回导流板，检查四处间隙，应为 6 mm。", "更换叶轮：应为多少 mm？"),
        ("进水压力低于 0.2 MPa 时，T3 误报 F08。", "进水压力低于多少 MPa 时，T3 误报 F08？"),
    ],
)
def test_the_clause_of_a_quantity_becomes_a_question(text: str, question: str) -> None:
    (pair,) = PairFilter().keep(quantity_pairs(chunk(text)))
    assert pair.question == question
    assert pair.answer == text.removeprefix("- ")
    assert pair.recipe == "sentence"


@pytest.mark.parametrize(
    "text",
    [
        "2025 年 3 月 1 日起生效，保修 18 个月。",
        "服务时间为 9:30 分至 16:00 点。",
        "T6 报 F08 时检查 HT-3306。",
        "按“确认”，程序开始运行。",
        "错误码为 WIFI_REASON_4WAY_HANDSHAKE_TIMEOUT 时断开。",
        "其中 0x0f 为该字段的总长度。",
        "第一种方法是用 3V3 供电。",
    ],
)
def test_dates_times_and_codes_are_no_quantities(text: str) -> None:
    assert not list(quantity_pairs(chunk(text)))


@pytest.mark.parametrize(
    "text",
    [
        "对于 5 GHz 信道，需要采用被动扫描。",
        "一般来说，例如在 24 MHz 的时钟下，频率较低。",
        "如果挂 3 个从机，请分别通信。",
        "是因为启动后剩余内存约 300 KB。",
        "若每 10 秒发送一次，说明在保活。",
        "开发板（供电为 5 V，带保险丝）可以连接。",
    ],
)
def test_what_leans_on_something_else_is_not_asked(text: str) -> None:
    assert not list(quantity_pairs(chunk(text)))


def test_only_chinese_running_text_is_asked_about() -> None:
    assert not list(quantity_pairs(chunk("The fan turns every 2 minutes.", language="en")))
    assert not list(quantity_pairs(chunk("代码: F08 · 时限: 40 秒", kind="table")))
