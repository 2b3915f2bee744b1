from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.core.errors import InputError, NotFoundError
from assistant.core.home import Home
from assistant.store.database import Database
from assistant.store.documents import Documents


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "home"))
    database = Database(Home.from_environment().make().database_url)
    with database.write() as session:
        Documents(session).make_collection("default")
    database.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, list(arguments))


def test_an_answer_is_added_listed_and_removed() -> None:
    made = json.loads(
        run(
            *("curated", "add", "保修期多久？", "保修多长时间？", "--answer", "24 个月。"),
            *("--until", "2099-12-31", "--meta", "customer=红", "--json"),
        ).output
    )
    listed = run("curated", "list").output
    assert (made["language"], made["metadata"]) == ("zh", {"customer": "红"})
    assert "保修期多久？ | 保修多长时间？  until 2100-01-01T00:00:00+00:00" in listed
    assert "is removed" in run("curated", "remove", made["id"]).output
    assert "none; next:" in run("curated", "list").output
    assert isinstance(run("curated", "remove", made["id"]).exception, NotFoundError)


def test_bad_answers_are_refused(tmp_path: Path) -> None:
    assert isinstance(run("curated", "add", "x?", "--answer", "See [1].").exception, InputError)
    assert isinstance(run("curated", "add", "x?", "--answer", "").exception, InputError)
    assert isinstance(
        run("curated", "add", "x?", "--answer", "y", "--collection", "no").exception, NotFoundError
    )


def test_a_file_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    rows = [
        {"questions": ["How long?"], "text": "24 months."},
        {"questions": ["Where?"], "text": "Here [1]."},
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    failed = run("curated", "import", str(file))
    assert isinstance(failed.exception, InputError)
    assert "row 2" in failed.exception.message
    assert "none; next:" in run("curated", "list").output
    file.write_text(json.dumps(rows[0]), "utf-8")
    assert "1 added, 0 replaced, 0 unchanged" in run("curated", "import", str(file)).output
    assert "0 added, 0 replaced, 1 unchanged" in run("curated", "import", str(file)).output
