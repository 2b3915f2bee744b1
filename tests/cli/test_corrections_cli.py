"""``deskmate synth corrections``: from people's feedback to rows that a person reads first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.records import Answer, Citation
from assistant.store.answers import Answers, Lineage
from assistant.store.database import Database
from assistant.store.feedback import Feedbacks

DRY = ["--set", "engine.kind=scripted", "--set", "embedder.model=hashing"]
ASKED = {
    "ans-1": ("How long is the warranty?", "pumps.md"),
    "ans-2": ("多久保修？", ""),
    "ans-3": ("How heavy is the old pump?", "old.md"),
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, [*DRY, *arguments, "--collection", "pumps"])


@pytest.fixture
def corrected(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection whose answers people corrected; the file to write to."""
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    for name in ("pumps.md", "old.md"):
        (tmp_path / name).write_text(f"# {name}\n\nThe warranty of {name} lasts 24 months.\n", "utf-8")
    assert run("index", "add", *(str(tmp_path / name) for name in ("pumps.md", "old.md"))).exit_code == 0
    database = Database(home.database_url)
    with database.write() as session:
        for name, (question, document) in ASKED.items():
            cited = Citation(
                number=1,
                document=document,
                version=1,
                page=None,
                quote="24 months",
                heading_path=(),
                chunk_id="c",
                start=0,
                end=9,
            )
            answer = Answer(
                id=name,
                question=question,
                text="12 months.",
                abstained=False,
                citations=(cited,) if document else (),
                passages=(),
                arm="rag",
                language="en",
                timings={},
            )
            Answers(session).save(answer, key_id="k", collection="pumps", lineage=Lineage(reason="evidence"))
        told = Feedbacks(session)
        told.add("ans-1", "k", "pumps", rating="down", correction="36 months.")
        told.add("ans-1", "k", "pumps", rating="down", comment="wrong")
        told.add("ans-1", "k", "pumps", correction=" The warranty lasts 24 months. ")
        told.add("ans-2", "k", "pumps", correction="保修期为 24 个月。")
        told.add("ans-3", "k", "pumps", correction="It weighs 7 kg.")
    database.close()
    assert run("index", "remove", "old.md").exit_code == 0
    return tmp_path / "corrections.jsonl"


def test_corrections_are_written_read_and_taught(corrected: Path) -> None:
    assert "3 corrections, to be read" in run("synth", "corrections", str(corrected)).output
    rows = [json.loads(line) for line in corrected.read_text("utf-8").splitlines()]
    assert [(row["question"], row["answer"], row["kind"], row["document"]) for row in rows] == [
        ("How long is the warranty?", "36 months.", "correction", "pumps.md"),
        ("How long is the warranty?", "The warranty lasts 24 months.", "correction", "pumps.md"),
        ("多久保修？", "保修期为 24 个月。", "correction", ""),
    ]
    done = run("synth", "--pairs", str(corrected), "--json")
    assert json.loads(done.output.splitlines()[-1])["recipes"]["correction"] == 2
    shown = json.loads(run("dataset", "show", "--recipe", "correction", "--rows", "9", "--json").output)
    taught = {row["messages"][-1]["content"]: row["weight"] for row in shown["rows"]}
    assert taught == {"The warranty lasts 24 months.": 3.0, "保修期为 24 个月。": 3.0}


def test_a_file_that_a_person_may_have_edited_stays(tmp_path: Path) -> None:
    corrected = tmp_path / "corrections.jsonl"
    corrected.write_text("mine\n", "utf-8")
    assert isinstance(run("synth", "corrections", str(corrected)).exception, InputError)
    assert corrected.read_text("utf-8") == "mine\n"


def test_no_corrections_write_no_file(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    assert "no corrections" in run("synth", "corrections", str(tmp_path / "none.jsonl")).output
    assert not (tmp_path / "none.jsonl").exists()
