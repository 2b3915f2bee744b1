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
        ("装回导流板，检查四处间隙，应为 6 mm。", "更换叶轮：检查四处间隙，应为多少 mm？"),
        ("拉闸并挂牌后，至少等待 4 分钟，验明无电。", "拉闸并挂牌后，至少等待多少分钟？"),
        ("夜间和法定节假日：工时费加收 60%", "夜间和法定节假日：工时费加收多少 %？"),
        ("存放超过 18 个月的机器，通电前须测绝缘。", "存放超过多少个月的机器，通电前须测绝缘？"),
        ("安装后 45 天内登记的用户，整机保修再加一季。", "安装后多少天内登记的用户，整机保修再加一季？"),
        ("注意：T6 净重超过 100 kg，搬运须用叉车。", "T6 净重超过多少 kg，搬运须用叉车？"),
        ("3 分钟不操作，菜单自动退出。", "多少分钟不操作，菜单自动退出？"),
        ("锁紧螺母拧到 7.5 N·m（T3）或 11 N·m（T6）。", "锁紧螺母拧到多少 N·m？"),
        ("进水总硬度不得超过 70 mg/L，否则会结垢。", "进水总硬度不得超过多少 mg/L？"),
        ("烤箱只支持 2.4 GHz 无线网络。", "烤箱只支持多少 GHz 无线网络？"),
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
        "由于压降，即使使用 3.3 V 供电，输出更低。",
        "支持，其最多 16 个。",
        "开发板（供电为 5 V，带保险丝）可以连接。",
    ],
)
def test_what_leans_on_something_else_is_not_asked(text: str) -> None:
    assert not list(quantity_pairs(chunk(text)))


@pytest.mark.parametrize(
    "text",
    [
        "500 V 兆欧表",
        "电压范围为 2.43 V ~ 2.80 V。",
        "频段为 2.4 GHz 和 5 GHz。",
        "内存共需 24 KB + 23 KB = 47 KB。",
        "Expected 9 read 4.",
        "手机连接到 5G 频段。",
        "默认使用 802.11b 模式。",
    ],
)
def test_names_ranges_and_formulas_are_not_asked(text: str) -> None:
    assert not list(quantity_pairs(chunk(text)))


def test_only_chinese_running_text_is_asked_about() -> None:
    assert not list(quantity_pairs(chunk("The fan turns every 2 minutes.", language="en")))
    assert not list(quantity_pairs(chunk("代码: F08 · 时限: 40 秒", kind="table")))
