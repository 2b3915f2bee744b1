"""What is said of a fault code stands in that code's row, in both languages."""

from __future__ import annotations

import pytest

from assistant.answering.code_rows import mend_codes
from assistant.core.records import Chunk, Passage

E31 = "Code: E-31 · Meaning: Pressure sensor signal lost · Remedy: Dry plug X4; replace sensor QP-4417"
E42 = "Code: E-42 · Meaning: Drive module too hot · Remedy: Replace the cooling fan QP-5136"
E47 = "Code: E-47 · Meaning: Shaft seal leaks · Remedy: Replace the shaft seal kit QP-2208"
F03 = "代码: F03 · 含义: 腔体温度传感器断路 · 处理方法: 插紧 J5；更换腔体温度传感器 HT-4051"
F31 = "代码: F31 · 含义: 显示板通信中断 · 处理方法: 插紧 J9；更换显示板排线 HT-6118"
ASKED = "What does E-31 stand for?"
ZH_ASKED = "T6 显示 F03 是什么故障，怎么处理？"


def passages(*texts: str, heading: str = "9.2 Fault codes") -> tuple[Passage, ...]:
    return tuple(
        Passage(
            rank=rank,
            score=1.0,
            chunk=Chunk(
                id=str(rank), document="m.pdf", version=1, position=0, text=text, heading_path=(heading,)
            ),
        )
        for rank, text in enumerate(texts, 1)
    )


TABLES = passages(f"{E31}\n{E42}\n{E47}", f"{F03}\n{F31}")


@pytest.mark.parametrize(
    ("question", "answer", "mended"),
    [
        pytest.param(ASKED, "E-31 means that the shaft seal leaks [1].", E31, id="another code's meaning"),
        pytest.param(
            ASKED,
            "E-31 means that the shaft seal leaks [1]. Dry plug X4 and replace sensor QP-4417 [1].",
            f"{E31}\nDry plug X4 and replace sensor QP-4417 [1].",
            id="only the sentence that is wrong",
        ),
        pytest.param(
            ZH_ASKED,
            "F03：显示板通信中断[2]。处理方法：插紧 J9，更换显示板排线[2]。",
            F03,
            id="Chinese, once",
        ),
        pytest.param(ASKED, "The shaft seal leaks; replace the kit [1].", E31, id="the question's code"),
    ],
)
def test_a_code_read_from_another_row_gives_way_to_its_own(question: str, answer: str, mended: str) -> None:
    assert mend_codes(question, answer, TABLES) == mended


@pytest.mark.parametrize(
    ("question", "answer", "context"),
    [
        pytest.param(ASKED, "E-31 means that the pressure sensor signal is lost [1].", TABLES, id="right"),
        pytest.param(ZH_ASKED, "F03 表示腔体温度传感器断路[2]。插紧 J5[2]。", TABLES, id="right, Chinese"),
        pytest.param(
            "What are E-31 and E-47?",
            "The shaft seal leaks at E-47 and not at E-31 [1].",
            TABLES,
            id="two codes",
        ),
        pytest.param("How is the seal replaced?", "Replace the shaft seal kit [1].", TABLES, id="no code"),
        pytest.param(
            ASKED, "E-31 means that the shaft seal leaks [1].", passages(E47), id="no row of its own"
        ),
        pytest.param(
            ASKED,
            "Call the service when the shaft seal leaks [2].",
            passages(f"{E31}\n{E47}", "Call the service when the shaft seal leaks.", heading="Help"),
            id="a sentence without a code says it",
        ),
        pytest.param(
            "Which head has the Q7?", "The Q7 has 9 m [1].", passages("Q5: 9 m\nQ7: 48 m"), id="models"
        ),
        pytest.param(ASKED, "Yes [1].", TABLES, id="too little to judge"),
    ],
)
def test_what_may_be_right_stays(question: str, answer: str, context: tuple[Passage, ...]) -> None:
    assert mend_codes(question, answer, context) == answer


def test_a_section_named_by_its_code_counts_as_its_row() -> None:
    context = (
        *passages("The pressure sensor gives no signal. Dry plug X4.", heading="E-31"),
        *passages("The shaft seal leaks. Replace the seal kit.", heading="E-47"),
    )
    mended = mend_codes(ASKED, "E-31: the shaft seal leaks, replace the seal kit.", context)
    assert "pressure sensor" in mended
    assert "leaks" not in mended
