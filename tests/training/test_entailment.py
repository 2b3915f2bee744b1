"""Free answers are held to their chunk by embedding; what stands there, and what rules made, is not."""

from __future__ import annotations

import msgspec
import pytest

from assistant.core.language import Language
from assistant.core.records import Chunk
from indexing.embedding import HashingEmbedder
from training.entailment import unsupported
from training.pairs import Pair

TOPICS: dict[Language, tuple[str, ...]] = {
    "en": (
        "Rinse the filter basket under warm water every Friday.",
        "A yellow lamp asks for descaling of the boiler.",
        "Our branch in Orbury opens at nine.",
        "Grease the bearing with lithium soap.",
        "Invoices are payable within thirty days.",
        "The door gasket is replaced by two people.",
        "Batteries go back to the collection point.",
        "Firmware is updated over the network cable.",
        "Children must not play near the conveyor.",
        "Spare fuses lie behind the left panel.",
    ),
    "zh": (
        "每周五用温水冲洗滤网。",
        "黄灯亮表示锅炉需要除垢。",
        "奥伯里门店九点开门。",
        "轴承使用锂基润滑脂。",
        "发票须在三十天内付清。",
        "门封条需要两个人更换。",
        "废旧电池送回收点处理。",
        "固件通过网线升级。",
        "儿童不得在传送带旁玩耍。",
        "备用保险丝放在左侧面板后。",
    ),
}


def pairs(language: Language, answer: str, **more: object) -> list[Pair]:
    made = [
        Pair(
            question="?",
            answer=text,
            chunk=Chunk(
                id=f"c{place}", document="d.md", version=1, position=place, text=text, language=language
            ),
            recipe="correction",
            teacher="people",
        )
        for place, text in enumerate(TOPICS[language])
    ]
    return [*made, msgspec.structs.replace(made[0], answer=answer, **more)]


@pytest.mark.parametrize(
    ("language", "answer", "is_carried"),
    [
        ("en", "Rinse the basket of the filter in warm water, each Friday.", True),
        ("en", "Rinse the filter basket under warm water every Friday. Invoices are due in a month.", False),
        ("zh", "滤网每周五要用温水冲洗干净。", True),
        ("zh", "发票要在一个月之内付清。", False),
    ],
)
def test_another_wording_passes_and_another_subject_does_not(
    language: Language, answer: str, *, is_carried: bool
) -> None:
    rows = pairs(language, answer)
    found = unsupported(rows, 0, HashingEmbedder())
    assert list(found) == ([] if is_carried else [len(rows) - 1])
    if not is_carried:
        assert found[len(rows) - 1].reason == "not carried by embedding"


def test_what_rules_made_json_and_refusals_are_not_checked() -> None:
    off = "Invoices are due in a month."
    for change in ({"teacher": "rules"}, {"is_covered": False}):
        assert unsupported(pairs("en", off, **change), 0, HashingEmbedder()) == {}
    assert unsupported(pairs("en", '{"due": "Invoices are due in a month."}'), 0, HashingEmbedder()) == {}


def test_among_few_chunks_nothing_is_unrelated_enough() -> None:
    assert unsupported(pairs("en", "Invoices are due in a month.")[-4:], 0, HashingEmbedder()) == {}
