import pytest

from assistant.answering.figures import mend_figures
from assistant.core.records import Chunk, Passage

TORQUES = (
    "Fastener: Impeller nut · Q5: 14 Nm · Q7: 23 Nm\nFastener: Motor flange bolts · Q5: 27 Nm · Q7: 48 Nm"
)
ZH_TORQUES = "紧固件: 风机叶轮螺母 · T3: 18 N·m · T6: 24 N·m\n紧固件: 加热管法兰螺母 · T3: 9 N·m · T6: 12 N·m"
BOLTS = "Fastener: Motor flange bolts · Q5: 27 Nm · Q7: 48 Nm"
ASKED = "Which torque do the motor flange bolts of the Q7 take?"
ZH_ASKED = "T6 的加热管法兰螺母拧到多少？"


def passages(*texts: str, heading: str = "3.2 Tightening torques") -> tuple[Passage, ...]:
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


@pytest.mark.parametrize(
    ("question", "answer", "mended"),
    [
        pytest.param(ASKED, "The motor flange bolts of the Q7 take 23 Nm [1].", BOLTS, id="another row"),
        pytest.param(ASKED, "The motor flange bolts of the Q7 take 27 Nm [1].", BOLTS, id="another column"),
        pytest.param(ASKED, "27 [1]", BOLTS, id="nothing but a figure"),
        pytest.param(
            ZH_ASKED,
            "T6 的加热管法兰螺母拧到 9 N·m [1]。",
            "紧固件: 加热管法兰螺母 · T3: 9 N·m · T6: 12 N·m",
            id="Chinese column",
        ),
    ],
)
def test_a_misread_figure_gives_way_to_its_line(question: str, answer: str, mended: str) -> None:
    assert mend_figures(question, answer, passages(TORQUES, ZH_TORQUES)) == mended


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        pytest.param(ASKED, "The motor flange bolts of the Q7 take 48 Nm [1].", id="right"),
        pytest.param(ZH_ASKED, "T6 的加热管法兰螺母拧到 12 N·m [1]。", id="right, Chinese"),
        pytest.param(ASKED, "The Q7 takes 23 Nm at the impeller nut [1].", id="of another subject"),
        pytest.param(
            "How many Nm for the motor flange bolts?", "27 Nm (Q5) and 48 Nm (Q7) [1].", id="both columns"
        ),
        pytest.param(ASKED, "See 3.2 Tightening torques [1].", id="a heading's number"),
        pytest.param(
            "Does the Q7 take 23 Nm?", "No, the Q7 does not take 23 Nm.", id="the question's figure"
        ),
        pytest.param(ASKED, "Tighten them crosswise [1].", id="no figure"),
        pytest.param(
            "How do I tighten the motor flange bolts of the Q7?",
            "1. Set the key [1].\n2. Tighten the bolts [1].\n3. Close the box [1].",
            id="a numbered list",
        ),
        pytest.param(
            "What do the motor flange bolts and the impeller nut of the Q7 take?",
            "The motor flange bolts of the Q7 take 48 Nm and its impeller nut 23 Nm [1].",
            id="from two lines",
        ),
    ],
)
def test_what_is_read_rightly_stays(question: str, answer: str) -> None:
    assert mend_figures(question, answer, passages(TORQUES, ZH_TORQUES)) == answer


def test_sentences_around_it_stay_and_no_context_changes_nothing() -> None:
    answer = "Let it cool first [1]. The motor flange bolts of the Q7 take 23 Nm [1]. Then close the box."
    mended = f"Let it cool first [1].\n{BOLTS}\nThen close the box."
    assert mend_figures(ASKED, answer, passages(TORQUES)) == mended
    assert mend_figures(ASKED, answer, ()) == answer
