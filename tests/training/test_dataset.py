from __future__ import annotations

from pathlib import Path

import pytest

from assistant.core.errors import InputError, NotFoundError
from assistant.core.records import Message
from training.dataset import current_dataset, make_example, read_examples, write_dataset


def _write(folder: Path, *questions: str, key: str = "k") -> str:
    examples = [
        make_example(
            recipe="r",
            language="zh",
            messages=(Message(role="system", content="s"), Message(role="user", content=question)),
            answer="好",
        )
        for question in questions
    ]
    manifest = write_dataset(
        folder, examples, collection="c", snapshot="000001", rejected={"x": 2}, chunk_count=4, key=key
    )
    return manifest.id


def test_the_same_rows_are_the_same_dataset(tmp_path: Path) -> None:
    first = _write(tmp_path, "一", "二")
    assert _write(tmp_path, "一", "二") == first
    second = _write(tmp_path, "一", "三", key="other")
    assert second != first
    manifest, examples = read_examples(tmp_path, "c")
    assert manifest.id == second
    assert [example.messages[1].content for example in examples] == ["一", "三"]
    assert (tmp_path / first / "examples.jsonl").exists()


def test_a_missing_dataset_says_how_to_make_it(tmp_path: Path) -> None:
    assert current_dataset(tmp_path) is None
    with pytest.raises(NotFoundError) as caught:
        read_examples(tmp_path, "pumps")
    assert caught.value.next_command == "deskmate synth --collection pumps"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [("好", "坏", "row 1 was changed"), ("三", "三三", "row 3 was changed"), ("LINE", "", "taken away")],
)
def test_rows_changed_by_hand_are_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    name = _write(tmp_path, "一", "二", "三")
    path = tmp_path / name / "examples.jsonl"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(line.replace(old, new) for line in lines if new or line != lines[1]), "utf-8")
    with pytest.raises(InputError, match=reason) as caught:
        read_examples(tmp_path, "c")
    assert caught.value.next_command == "deskmate synth --collection c"


def test_a_dataset_without_its_rows_is_made_again(tmp_path: Path) -> None:
    name = _write(tmp_path, "一", "二")
    (tmp_path / name / "examples.jsonl").unlink()
    assert current_dataset(tmp_path) is None
    assert _write(tmp_path, "一", "二") == name
    manifest, rows = read_examples(tmp_path, "c")
    assert (manifest.id, len(rows)) == (name, 2)


def test_a_broken_row_is_named_with_what_to_do(tmp_path: Path) -> None:
    name = _write(tmp_path, "一", "二")
    with (tmp_path / name / "examples.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"broken\n')
    with pytest.raises(InputError, match=r"line 3: .*remove") as caught:
        read_examples(tmp_path, "c")
    assert caught.value.next_command == "deskmate synth --collection c"
