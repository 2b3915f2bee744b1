from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.answering.pipeline import Pipeline
from assistant.core.errors import EngineUnavailable, InputError, NotFoundError
from assistant.core.progress import NoProgress
from assistant.core.records import ARMS, Case
from assistant.core.settings import EvalSettings, Settings
from assistant.core.settings_answer import AnswerSettings
from eval.fingerprints import Fingerprint, code_hash, fingerprint_of
from eval.runner import ANSWERS_FILE, EvalResult, run_arms

Opener = Callable[..., Pipeline]
Suite = tuple[Case, ...]
PRINT = Fingerprint(engine="e", index="i", adapter="a")


class Interrupting(NoProgress):
    """Presses Ctrl-C when so many questions are answered."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, count: int = 1, note: str = "") -> None:
        del note
        self.left -= count
        if self.left <= 0 and count:
            raise KeyboardInterrupt


def line_count(folder: Path) -> int:
    return len((folder / ANSWERS_FILE).read_bytes().splitlines())


def test_each_arm_is_asked_every_case_and_scored(open_scripted: Opener, suite: Suite, tmp_path: Path) -> None:
    result = run_arms(open_scripted(), suite, ARMS, tmp_path / "run", PRINT, NoProgress())
    assert tuple(result.outcomes) == ARMS
    scores = {arm: [row.score for row in rows] for arm, rows in result.outcomes.items()}
    assert scores == {"base": [0, 0, 0], "rag": [1, 1, 1], "ft": [0, 0, 0], "rag+ft": [1, 1, 1]}
    assert [row.citations.right for row in result.outcomes["rag"]] == [1, 1, 0]
    assert [row.answer.abstained for row in result.outcomes["rag"]] == [False, False, True]
    assert all(row.answer.arm == arm for arm, rows in result.outcomes.items() for row in rows)


@pytest.mark.parametrize("after", [1, 3, 4, 9])
def test_an_interrupted_run_asks_only_what_is_missing(
    open_scripted: Opener, suite: Suite, tmp_path: Path, after: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_arms(open_scripted(), suite, ARMS, tmp_path, PRINT, Interrupting(after))
    before = (tmp_path / ANSWERS_FILE).read_bytes()
    assert after <= line_count(tmp_path) < 12
    result = run_arms(open_scripted(), suite, ARMS, tmp_path, PRINT, NoProgress())
    assert (tmp_path / ANSWERS_FILE).read_bytes().startswith(before)
    assert line_count(tmp_path) == 12
    again = run_arms(closed(open_scripted()), suite, ARMS, tmp_path, PRINT, NoProgress())
    assert again == result


def closed(pipeline: Pipeline) -> Pipeline:
    pipeline.engine.close()
    return pipeline


def test_a_row_cut_off_by_a_crash_is_asked_again(open_scripted: Opener, suite: Suite, tmp_path: Path) -> None:
    whole = run_arms(open_scripted(), suite, ("rag",), tmp_path, PRINT, NoProgress())
    file = tmp_path / ANSWERS_FILE
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1] + lines[2][:-20])
    result = run_arms(open_scripted(), suite, ("rag",), tmp_path, PRINT, NoProgress())
    assert [json.loads(line)["case_id"] for line in file.read_bytes().splitlines()] == [
        "en-1",
        "zh-1",
        "en-2",
    ]
    assert [row.answer.id for row in result.outcomes["rag"]][:2] == [
        row.answer.id for row in whole.outcomes["rag"]
    ][:2]


def test_a_failing_engine_ends_the_run_and_keeps_what_it_answered(
    open_scripted: Opener, suite: Suite, tmp_path: Path
) -> None:
    run_arms(open_scripted(), suite[:1], ("rag",), tmp_path, PRINT, NoProgress())
    with pytest.raises(EngineUnavailable, match=r"arm rag after 1 of 3 answers: .*closed; these are kept"):
        run_arms(closed(open_scripted()), suite, ("rag",), tmp_path, PRINT, NoProgress())
    assert line_count(tmp_path) == 1


KILLED = """
import sys
from pathlib import Path
from assistant.answering.pipeline import Pipeline
from assistant.core.progress import NoProgress
from assistant.core.records import Case
from assistant.core.settings import EngineSettings, Settings
from assistant.engine.scripted import ScriptedEngine
from eval.fingerprints import Fingerprint
from eval.runner import run_arms
seconds, folder, count = float(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
suite = tuple(
    Case(id=str(n), lang="en", question=f"Question {n}?", answerable=False) for n in range(count)
)
settings = Settings(engine=EngineSettings(kind="scripted", batch_size=1))
pipeline = Pipeline(engine=ScriptedEngine(token_seconds=seconds), searcher=None, settings=settings)
result = run_arms(pipeline, suite, ("base",), folder, Fingerprint(engine="e"), NoProgress())
print(result.engine_share)
"""


def test_what_kill_9_leaves_is_taken_up(tmp_path: Path) -> None:
    def command(seconds: float) -> list[str]:
        return [sys.executable, "-c", KILLED, str(seconds), str(tmp_path), "12"]

    file = tmp_path / ANSWERS_FILE
    with subprocess.Popen(command(0.05)) as process:
        while process.poll() is None and not (file.exists() and line_count(tmp_path) >= 3):
            time.sleep(0.01)
        process.kill()
    before = file.read_bytes()
    kept = before.count(b"\n")
    assert 3 <= kept < 12
    done = subprocess.run(command(0.001), capture_output=True, text=True, check=True)
    after = file.read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    assert [json.loads(line)["case_id"] for line in after.splitlines()] == [str(n) for n in range(12)]
    assert 0.9 < float(done.stdout) <= 1


def test_the_time_inside_the_engine_is_kept_with_each_answer(
    open_scripted: Opener, suite: Suite, tmp_path: Path
) -> None:
    result = run_arms(open_scripted(), suite, ("base", "rag"), tmp_path, PRINT, NoProgress())
    rows = [row for outcomes in result.outcomes.values() for row in outcomes]
    assert all(0 <= row.engine_seconds <= row.seconds for row in rows)
    again = run_arms(closed(open_scripted()), suite, ("base", "rag"), tmp_path, PRINT, NoProgress())
    assert again.engine_share == result.engine_share
    assert EvalResult(suite=(), outcomes={"rag": ()}).engine_share is None


def test_answers_of_another_version_are_set_aside(
    open_scripted: Opener, suite: Suite, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ANSWERS_FILE).write_text('{"key": "k", "older": true}\n')
    with caplog.at_level(logging.WARNING):
        run_arms(open_scripted(), suite, ("rag",), tmp_path, PRINT, NoProgress())
    assert "set aside" in caplog.text
    assert line_count(tmp_path) == 3
    assert (tmp_path / "answers.unreadable").read_text().startswith('{"key": "k"')


def test_only_arms_that_a_change_touches_are_asked_again(
    open_scripted: Opener, suite: Suite, tmp_path: Path
) -> None:
    def asked(fingerprint: Fingerprint) -> set[str]:
        before = line_count(tmp_path) if (tmp_path / ANSWERS_FILE).exists() else 0
        run_arms(open_scripted(), suite, ARMS, tmp_path, fingerprint, NoProgress())
        rows = (tmp_path / ANSWERS_FILE).read_bytes().splitlines()[before:]
        return {json.loads(row)["answer"]["arm"] for row in rows}

    assert asked(PRINT) == set(ARMS)
    assert asked(PRINT) == set()
    assert asked(Fingerprint(engine="e", index="i", adapter="new")) == {"ft", "rag+ft"}
    assert asked(Fingerprint(engine="e", index="new", adapter="a")) == {"rag", "rag+ft"}
    assert asked(Fingerprint(engine="new", index="i", adapter="a")) == set(ARMS)


def test_a_changed_question_is_asked_again(open_scripted: Opener, suite: Suite, tmp_path: Path) -> None:
    run_arms(open_scripted(), suite, ("rag",), tmp_path, PRINT, NoProgress())
    changed = (
        Case(id="en-1", lang="en", question="How tight?", answers=("48 Nm",), gold=suite[0].gold),
        *suite[1:],
    )
    run_arms(open_scripted(), changed, ("rag",), tmp_path, PRINT, NoProgress())
    assert line_count(tmp_path) == 4


@pytest.mark.parametrize("arms", [(), ("rag", "rag"), ("rag", "magic")])
def test_bad_arms_are_refused(
    open_scripted: Opener, suite: Suite, tmp_path: Path, arms: tuple[str, ...]
) -> None:
    with pytest.raises(InputError, match="base,rag,ft,rag"):
        run_arms(open_scripted(), suite, arms, tmp_path, PRINT, NoProgress())  # type: ignore[arg-type]


def test_a_missing_adapter_or_index_is_told_before_anything_is_asked(
    open_scripted: Opener, suite: Suite, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match=r"adapter.*deskmate train"):
        run_arms(open_scripted(has_adapter=False), suite, ARMS, tmp_path, PRINT, NoProgress())
    pipeline = open_scripted()
    pipeline.searcher = None
    with pytest.raises(NotFoundError, match=r"index.*deskmate index add"):
        run_arms(pipeline, suite, ARMS, tmp_path, PRINT, NoProgress())
    assert not (tmp_path / ANSWERS_FILE).exists()


def test_the_fingerprint_follows_what_shapes_answers_and_nothing_else() -> None:
    plain = fingerprint_of(Settings(), model="m", index="i", adapter="a")
    assert plain == fingerprint_of(
        Settings(eval=EvalSettings(bootstrap_samples=9)), model="m", index="i", adapter="a"
    )
    longer = fingerprint_of(Settings(eval=EvalSettings(max_new_tokens=9)), model="m", index="i", adapter="a")
    stricter = Settings(answer=AnswerSettings(evidence_threshold=0.9))
    assert longer.for_arm("base") != plain.for_arm("base")
    assert fingerprint_of(stricter, model="m", index="i").for_arm("base") == plain.for_arm("base")
    assert fingerprint_of(stricter, model="m", index="i").for_arm("rag") != plain.for_arm("rag")
    assert fingerprint_of(Settings(), model="m", index="new").for_arm("rag") != plain.for_arm("rag")
    assert fingerprint_of(Settings(), model="new", index="i").for_arm("base") != plain.for_arm("base")
    assert len({plain.for_arm(arm) for arm in ARMS}) == 4
    assert code_hash("eval") != code_hash("indexing")
