"""Files → index → instruction data → adapter → cited answer → report, through the commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from assistant.cli.app import run

DRY = ["--set", "engine.kind=scripted", "--set", "embedder.model=hashing"]
ENGLISH = "Which torque do the motor flange bolts of the Q7 take?"
CHINESE = "T6 的门封条多久更换一次？"


class Deskmate:
    """Runs the command in this process, as the shell would: arguments, variables, output, exit code."""

    def __init__(
        self, home: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], options: list[str]
    ) -> None:
        self.home = home
        self.options = options
        self._patch = patch
        self._capture = capture

    def run(self, *arguments: str, expect: int = 0) -> tuple[str, str]:
        """Return what went to standard output and standard error."""
        self._patch.setenv("DESKMATE_HOME", str(self.home))
        self._patch.setattr(sys, "argv", ["deskmate", *self.options, *arguments])
        self._capture.readouterr()
        code = 0
        try:
            run()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = self._capture.readouterr()
        assert code == expect, err
        return out, err

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json")[0])


Start = Callable[..., Deskmate]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Start:
    """Make a command with a data folder of its own."""

    def make(*options: str) -> Deskmate:
        return Deskmate(tmp_path / "home", monkeypatch, capsys, list(options))

    return make


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The sample collection, copied so that a test can change it."""
    target = tmp_path / "files"
    with resources.as_file(resources.files("assistant.samples").joinpath("files")) as source:
        shutil.copytree(source, target)
    return target


def test_the_dry_loop(start: Start, tmp_path: Path, files: Path) -> None:
    deskmate = start(*DRY)
    report = deskmate.json("index", "add", str(files), "--collection", "demo")
    assert len(report["added"]) == 11
    assert report["refused"] == []
    found = deskmate.json("search", ENGLISH, "--collection", "demo", "--top-k", "3")["passages"]
    assert [passage["rank"] for passage in found] == [1, 2, 3]
    assert set(found[0]) >= {"rank", "score", "document", "version", "page", "heading_path", "text"}
    for question, needle in ((ENGLISH, "Nm"), (CHINESE, "个月")):
        answer = deskmate.json("ask", question, "--collection", "demo")
        assert needle in answer["answer"]
        for citation in answer["citations"]:
            assert {"number", "document", "version", "page", "quote"} <= set(citation)
            assert f"[{citation['number']}]" in answer["answer"]
    unknown = deskmate.json("ask", "What does E-47 mean?", "--collection", "demo")
    assert unknown["abstained"]
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(
            json.dumps({"id": str(n), "question": q}) + "\n" for n, q in enumerate([ENGLISH, "", CHINESE])
        )
    )
    out, _ = deskmate.run("ask", "--batch", str(rows), "--collection", "demo")
    answers = [json.loads(line) for line in out.splitlines()]
    assert [row["id"] for row in answers] == ["0", "1", "2"]
    assert "empty" in answers[1]["error"]
    measured = deskmate.json("eval", "--collection", "demo", "--limit", "6")
    assert Path(measured["page"]).exists()
    assert {row["arm"] for row in measured["arms"]} == {"base", "rag"}


def test_a_changed_file_is_a_new_version_and_a_removed_one_is_gone(start: Start, files: Path) -> None:
    deskmate = start(*DRY)
    notes = files / "company" / "en" / "release-notes.md"
    deskmate.run("index", "add", str(files), "--collection", "c")
    again = deskmate.json("index", "add", str(files), "--collection", "c")
    assert (len(again["unchanged"]), again["embedded_count"]) == (11, 0)
    notes.write_text(notes.read_text() + "\n## 9.9.9\n\n- The zebra valve opens at 77 bar.\n")
    changed = deskmate.json("index", "add", str(files), "--collection", "c")
    assert changed["replaced"] == ["company/en/release-notes.md"]
    (best, *_) = deskmate.json("search", "zebra valve", "--collection", "c")["passages"]
    assert (best["document"], best["version"]) == ("company/en/release-notes.md", 2)
    deskmate.run("index", "remove", "company/en/release-notes.md", "--collection", "c")
    left = deskmate.json("search", "zebra valve", "--collection", "c")["passages"]
    assert all(passage["document"] != "company/en/release-notes.md" for passage in left)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ask", "hello", "--collection", "none"], 3, "deskmate index add"),
        (["search", "hello", "--collection", "none"], 3, "deskmate index add"),
        (["synth", "--collection", "none"], 3, "deskmate index add"),
        (["train", "--collection", "none"], 3, "deskmate synth"),
        (["ask", "", "--collection", "none"], 2, "empty"),
        (["ask", "x" * 100_000, "--collection", "none"], 2, "100000 characters"),
        (["index", "add", "/nowhere/at/all"], 2, "/nowhere/at/all"),
        (["index", "add", ".", "--collection", "../up"], 2, "collection name"),
        (["ask", "hello", "--batch", "nowhere.jsonl"], 2, "QUESTION or --batch"),
        (["--set", "engine.kind=none", "config", "check"], 2, "engine.kind"),
        (["--set", "engine.base_model=/nowhere", "ask", "hello", "--arm", "base"], 5, "/nowhere"),
    ],
)
def test_errors_name_the_thing_and_the_next_command(
    start: Start, arguments: list[str], code: int, words: str
) -> None:
    options = DRY if "engine.base_model=/nowhere" not in arguments else []
    out, err = start(*options).run(*arguments, expect=code)
    assert words in err
    assert "Traceback" not in out + err


def test_binary_from_standard_input_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from assistant.cli import main; main()", *DRY, "ask", "-"]
    environment = os.environ | {"DESKMATE_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, input=b"\x00\x01\x02", check=False)
    assert done.returncode == 2
    assert b"not text" in done.stderr


def test_a_folder_without_documents_and_bad_files(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    deskmate = start(*DRY)
    deskmate.run("index", "add", str(folder), expect=2)
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing here")
    (folder / "old.doc").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    _, err = deskmate.run("index", "add", str(folder), expect=2)
    for name in ("empty.pdf", "broken.pdf", "old.doc", "photo.jpg"):
        assert name in err
    (folder / "good.md").write_text("# 泵\n\n水泵的扬程为 13.5 米。\n")
    report = deskmate.json("index", "add", str(folder))
    assert report["added"] == ["good.md"]
    assert len(report["refused"]) == 4


@pytest.mark.slow
def test_a_process_that_used_the_local_engine_ends_well(tmp_path: Path, tiny_model: Path) -> None:
    """An engine's thread that outlives the interpreter aborts the process after its answer is printed."""
    code = "from assistant.cli import main; main()"
    options = ["--set", f"engine.base_model={tiny_model}", "--set", "engine.max_new_tokens=4"]
    done = subprocess.run(
        [sys.executable, "-c", code, *options, "ask", "What is a pump?", "--arm", "base"],
        env=os.environ | {"DESKMATE_HOME": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"terminate" not in done.stderr


@pytest.mark.slow
def test_the_whole_loop_with_real_models(start: Start, tmp_path: Path, files: Path) -> None:
    """A short tuning on a part of the collection; skips where the default models are not prepared."""
    from assistant.core.home import Home

    prepared = Home.from_environment().models
    if not (prepared / "qwen2.5-coder-0.5b-instruct").is_dir():
        pytest.skip("models are not prepared; run: deskmate models prepare")
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(prepared)
    short = ["synth.teacher_questions=2", "synth.closed_book=24", "synth.grounded_groups=3", "synth.replay=0"]
    short += ["train.epochs=1", "eval.max_new_tokens=24"]
    deskmate = start(*(word for setting in short for word in ("--set", setting)))
    deskmate.run("index", "add", str(files / "company"), "--collection", "demo")
    dataset = deskmate.json("synth", "--collection", "demo")
    assert dataset["recipes"]["grounded"] >= 3
    assert dataset["recipes"]["closed-book table"] >= 10
    trained = deskmate.json("train", "--collection", "demo")
    assert trained["report"]["steps"] >= 4
    assert deskmate.json("ask", "What does E-14 mean?", "--collection", "demo")["arm"] == "rag"
    assert deskmate.json("train", "--serve", "--collection", "demo")["report"] is None
    answer = deskmate.json("ask", "What does shaft seal kit QP-2209 cost?", "--collection", "demo")
    assert answer["arm"] == "rag+ft"
    found = deskmate.json("search", "shaft seal kit QP-2209", "--collection", "demo", "--top-k", "10")[
        "passages"
    ]
    assert "58.90" in found[0]["text"]
    for citation in answer["citations"]:
        assert any(citation["quote"] in passage["text"] for passage in found)
    measured = deskmate.json("eval", "--collection", "demo", "--limit", "2")
    assert [row["arm"] for row in measured["arms"]] == ["base", "rag", "ft", "rag+ft"]
