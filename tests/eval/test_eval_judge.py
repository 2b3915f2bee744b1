from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from assistant.answering.pipeline import Pipeline
from assistant.core.errors import EngineUnavailable
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.records import Case
from assistant.core.settings import EvalSettings, Settings
from assistant.core.settings_judge import JudgeSettings
from assistant.engine.protocol import Completion, GenerationRequest
from assistant.engine.scripted import ScriptedEngine
from eval.fingerprints import Fingerprint
from eval.judge import JUDGE_FILE, Judge, agree, judge_answers, judge_lines, open_judge, read_verdict
from eval.runner import EvalResult, run_arms

SETTINGS = EvalSettings(bootstrap_samples=200)
PRINT = Fingerprint(engine="e", index="i", adapter="a")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("yes", True),
        ("Yes.", True),
        (" **No**, the torque differs.", False),
        ("是", True),
        ("是的。", True),
        ("否。", False),
        ("不是", False),
        ("“是”", True),
        ("yes or no", None),
        ("是或否", None),
        ("是否一致取决于资料", None),
        ("Yesterday", None),
        ("Not sure", None),
        ("The answer is yes", None),
        ("7/10", None),
        ("", None),
        ("♥♥♥", None),
    ],
)
def test_a_verdict_is_yes_no_or_unreadable(text: str, *, verdict: bool | None) -> None:
    assert read_verdict(text) is verdict


def test_kappa_worked_out_by_hand() -> None:
    # 10 readable: both yes 4, both no 3, judge alone 2, judge-free alone 1
    verdicts = [True] * 6 + [False] * 4 + [None] * 2
    free = [True] * 4 + [False] * 2 + [False] * 3 + [True] + [True] * 2
    row = agree("answers", verdicts, free)
    chance = 0.6 * 0.5 + 0.4 * 0.5
    assert (row.asked, row.unreadable, row.agreement) == (12, 2, 0.7)
    assert row.kappa == pytest.approx((0.7 - chance) / (1 - chance))
    assert (row.judge_yes, row.judge_free_yes) == (0.6, 0.5)


def test_kappa_is_undefined_where_both_always_say_the_same() -> None:
    row = agree("answers", [True] * 5, [True] * 5)
    assert (row.agreement, row.kappa, row.undefined) == (1, None, "both always say the same")
    assert agree("answers", [], []).undefined == "there was nothing to judge"
    assert agree("answers", [None], [True]).undefined == "no verdict is readable"


class Grader(ScriptedEngine):
    """Says yes where one of the prompt's last two parts holds the other."""

    def __init__(self, says: Callable[[str], str] | None = None) -> None:
        super().__init__()
        self.says = says
        self.asked = 0

    def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        self.asked += len(requests)
        texts = [request.messages[-1].content for request in requests]
        says = self.says or self.grade
        return [
            Completion(text=says(text), finish_reason="stop", usage=done.usage)
            for text, done in zip(texts, super().complete(requests), strict=True)
        ]

    def grade(self, text: str) -> str:
        parts = [
            part.split(": ", 1)[-1].split("：", 1)[-1].strip(" .。") for part in text.split("\n\n")[1:-1]
        ]
        is_same = parts[-2] in parts[-1] or parts[-1] in parts[-2]
        words = ("是", "否") if "只回复" in text else ("Yes.", "No.")
        return words[0] if is_same else words[1]


@pytest.fixture
def result(open_scripted: Callable[..., Pipeline], suite: tuple[Case, ...], tmp_path: Path) -> EvalResult:
    return run_arms(open_scripted(), suite, ("base", "rag"), tmp_path / "run", PRINT, NoProgress())


def judged(engine: ScriptedEngine, folder: Path) -> Judge:
    return Judge(engine, folder, NoProgress(), batch_size=2)


def test_a_judge_that_can_grade_is_believed_and_agrees(result: EvalResult, tmp_path: Path) -> None:
    found = judge_answers(judged(Grader(), tmp_path), result.outcomes, SETTINGS)
    assert (found.judge, found.controls_right, found.doubt) == ("scripted", 1.0, "")
    answers, statements = found.agreements
    # two answers an arm: of base wrong ones, of RAG one that holds the reference as it stands
    assert (answers.asked, answers.unreadable) == (4, 0)
    assert answers.agreement == 0.75
    assert (statements.asked, statements.agreement) == (2, 1)
    assert found.right["base"].mean == 0
    assert found.right["rag"].mean == 0.5
    assert found.citation_recall["rag"].mean == 1
    assert found.undefined == {
        "base citation_recall": "the judge gave no readable verdict, or there was nothing to judge",
        "base citation_precision": "the judge gave no readable verdict, or there was nothing to judge",
    }
    assert judge_lines(found)[0].endswith("known answers right; believed")


@pytest.mark.parametrize("nonsense", ["", "banana", "yes or no", "我认为这个问题很好"])
def test_nonsense_is_counted_and_not_believed(result: EvalResult, tmp_path: Path, nonsense: str) -> None:
    found = judge_answers(judged(Grader(lambda _: nonsense), tmp_path), result.outcomes, SETTINGS)
    answers, _ = found.agreements
    assert answers.unreadable == answers.asked == 4
    assert answers.kappa is None
    assert found.right == {}
    assert set(found.undefined) == {
        f"{arm} {metric}"
        for arm in ("base", "rag")
        for metric in ("right", "citation_recall", "citation_precision")
    }
    assert "not believed: it gets 0.00 of known answers right" in judge_lines(found)[0]
    assert "kappa – (no verdict is readable)" in judge_lines(found)[1]


@pytest.mark.parametrize("word", ["yes", "否"])
def test_a_judge_that_always_says_the_same_is_not_believed(
    result: EvalResult, tmp_path: Path, word: str
) -> None:
    found = judge_answers(judged(Grader(lambda _: word), tmp_path), result.outcomes, SETTINGS)
    assert found.controls_right < 0.8
    assert "known answers right" in found.doubt


def test_with_one_reference_there_is_nothing_to_check_a_judge_with(
    open_scripted: Callable[..., Pipeline], suite: tuple[Case, ...], tmp_path: Path
) -> None:
    result = run_arms(open_scripted(), suite[:1], ("rag",), tmp_path / "run", PRINT, NoProgress())
    found = judge_answers(judged(Grader(), tmp_path), result.outcomes, SETTINGS)
    assert (found.control_count, found.doubt[:13]) == (0, "too few cases")


def test_verdicts_are_kept_and_not_asked_again(result: EvalResult, tmp_path: Path) -> None:
    first = Grader()
    before = judge_answers(judged(first, tmp_path), result.outcomes, SETTINGS)
    assert first.asked == len((tmp_path / JUDGE_FILE).read_bytes().splitlines()) > 6
    second = Grader()
    assert judge_answers(judged(second, tmp_path), result.outcomes, SETTINGS) == before
    assert second.asked == 0


def test_what_a_judge_said_before_it_died_is_kept(result: EvalResult, tmp_path: Path) -> None:
    class Dying(Grader):
        def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
            if self.asked >= 4:
                raise EngineUnavailable("gone")
            return super().complete(requests)

    with pytest.raises(EngineUnavailable):
        judge_answers(judged(Dying(), tmp_path), result.outcomes, SETTINGS)
    assert len((tmp_path / JUDGE_FILE).read_bytes().splitlines()) == 4


def test_the_settings_name_the_judge(home: Home) -> None:
    own = ScriptedEngine()
    assert open_judge(Settings(), home, lambda: own) is None
    assert open_judge(Settings(judge=JudgeSettings(kind="base")), home, lambda: own) is own
    other = open_judge(Settings(judge=JudgeSettings(kind="scripted")), home, lambda: own)
    assert isinstance(other, ScriptedEngine)
    assert other is not own
