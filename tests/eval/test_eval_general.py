from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.answering.pipeline import Pipeline
from assistant.core.errors import NotFoundError
from assistant.core.progress import NoProgress
from assistant.core.records import ARMS
from assistant.core.settings import EvalSettings
from eval.fingerprints import Fingerprint
from eval.general import GENERAL_FILE, GeneralTask, general_tasks, is_task_right, run_general, score_general

PRINT = Fingerprint(engine="e", index="i", adapter="a")
# right texts of the tasks that are held to a pattern or a schema
RIGHT = {
    "order": ("381", "381。"),
    "spell": ("PUMP", "PUMP"),
    "urgent": (None, "是。"),
    "extract-mail": ("info@harbour.example", "info@harbour.example"),
    "extract-date": ("1932.", "1932 年"),
    "json": ('```json\n{"name": "Mara", "age": 31}\n```', '{"name": "小玛", "age": 31}'),
    "list": ("red, green, blue", "红、黄、蓝。"),
    "say": ("ready", "好的"),
    "count-lines": ("1 2 3 4 5", "1 2 3 4 5"),
    "next": ("10", "10"),
}


def right_text(task: GeneralTask) -> str:
    texts = RIGHT.get(task.id[3:], (None, None))
    return texts[task.lang == "zh"] or " ".join(forms[0] for forms in task.facts)


def test_the_tasks_are_twins_in_both_languages_and_each_can_be_got_right() -> None:
    tasks = general_tasks()
    assert len({task.id for task in tasks}) == len(tasks) == 60
    assert Counter(task.lang for task in tasks) == {"en": 30, "zh": 30}
    assert {task.id[3:] for task in tasks if task.lang == "en"} == {
        task.id[3:] for task in tasks if task.lang == "zh"
    }
    assert all(task.facts or task.pattern or task.schema for task in tasks)
    assert [task.id for task in tasks if not is_task_right(task, right_text(task))] == []


@pytest.mark.parametrize(
    "text", ["", "I do not know.", "我不知道。", "x " * 40, "The documents do not cover this."]
)
def test_no_task_is_got_right_by_saying_nothing(text: str) -> None:
    assert [task.id for task in general_tasks() if is_task_right(task, text)] == []


def test_both_sides_of_a_choice_are_wrong() -> None:
    by_id = {task.id: task for task in general_tasks()}
    assert not is_task_right(by_id["en-sentiment-good"], "positive or negative")
    assert not is_task_right(by_id["zh-read-name"], "小玛和小涛")
    assert not is_task_right(by_id["en-spell"], "The word in capitals is PUMP")
    assert is_task_right(by_id["zh-sum"], "等于四十三。")


def test_the_engine_is_asked_once_for_each_set_of_weights_and_resumes(
    open_scripted: Callable[..., Pipeline], tmp_path: Path
) -> None:
    rules = [("capital of France", "Paris"), ("法国的首都", "巴黎")]
    first = run_general(open_scripted(rules), ARMS, tmp_path, PRINT, NoProgress())
    assert len((tmp_path / GENERAL_FILE).read_bytes().splitlines()) == 120
    assert first.scores["base"] == first.scores["rag"]
    assert sum(first.scores["base"]) == 2
    assert first.intervals(EvalSettings())["base"].mean == pytest.approx(2 / 60)
    # the same weights are not asked again, other weights are
    again = run_general(open_scripted([]), ARMS, tmp_path, PRINT, NoProgress())
    assert again == first
    tuned = Fingerprint(engine="e", index="other", adapter="b")
    changed = run_general(open_scripted([]), ("base", "ft"), tmp_path, tuned, NoProgress())
    assert sum(changed.scores["base"]) == 2
    assert sum(changed.scores["ft"]) == 0
    rows = [json.loads(line) for line in (tmp_path / GENERAL_FILE).read_bytes().splitlines()]
    assert len(rows) == 180


def test_differences_are_paired_by_task() -> None:
    tasks = general_tasks()
    texts = tuple(right_text(task) for task in tasks)
    worse = tuple("" if place < 6 else text for place, text in enumerate(texts))
    result = score_general(tasks, {"base": texts, "rag+ft": worse})
    difference = result.differences("rag+ft", EvalSettings())
    assert list(difference) == ["base"]
    assert difference["base"].mean == pytest.approx(-0.1)
    assert difference["base"].is_clear


def test_a_tuned_arm_without_an_adapter_is_refused(
    open_scripted: Callable[..., Pipeline], tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="need an adapter"):
        run_general(open_scripted(has_adapter=False), ("base", "rag+ft"), tmp_path, PRINT, NoProgress())
