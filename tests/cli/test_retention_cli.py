from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from assistant.cli.app import root
from assistant.cli.context import Context
from assistant.cli.retention import HourlyRetention
from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.moments import to_moment
from assistant.store.database import Database
from assistant.store.feedback import Conversations
from assistant.store.service_tables import ConversationRow

DAY = 86400.0


@pytest.fixture(autouse=True)
def data(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return a data folder with a conversation of 40 days ago and one of now."""
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    database = Database(home.database_url)
    with database.write() as session:
        old = Conversations(session).begin("k", "pumps", "old 旧").id
        Conversations(session).begin("k", "pumps", "new")
        made = to_moment(time.time() - 40 * DAY)
        session.execute(update(ConversationRow).where(ConversationRow.id == old).values(created=made))
    database.close()
    return home


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, [*arguments])


def titles(home: Home) -> set[str]:
    database = Database(home.database_url)
    with database.read() as session:
        found = {row.title for row in Conversations(session).listed("k")}
    database.close()
    return found


def test_it_is_told_first_and_deleted_then(data: Home) -> None:
    told = run("retention", "apply", "--days", "30", "--dry-run")
    assert told.output.startswith("older than 30 days: 0 answers, 0 feedback, 1 conversations, 0 handovers;")
    assert titles(data) == {"old 旧", "new"}
    done = json.loads(
        run("--set", "retention.answer_days=30", "retention", "apply", "--json").output,
    )
    assert (done["conversations"], done["is_dry_run"], done["days"]) == (1, False, 30)
    assert titles(data) == {"new"}


def test_nothing_is_deleted_unless_days_are_given(data: Home) -> None:
    refused = run("retention", "apply")
    assert isinstance(refused.exception, InputError)
    assert "answer_days is 0" in refused.exception.message
    assert run("retention", "apply", "--days", "0").exit_code == 2
    assert run("worker", "--once").exit_code == 0
    assert titles(data) == {"old 旧", "new"}


def test_a_worker_does_it(data: Home) -> None:
    ended = run("--set", "retention.answer_days=30", "worker", "--once")
    assert ended.exit_code == 0
    assert "1 conversations" in ended.output
    assert titles(data) == {"new"}


def test_every_hour(data: Home) -> None:
    now = time.time()
    said: list[str] = []
    clock = iter([now, now + 3599, now + 3600, now + 9 * DAY, now - 30 * DAY])
    context = Context((), {"DESKMATE__RETENTION__ANSWER_DAYS": "45"}, {})
    retention = HourlyRetention(context, said.append, lambda: next(clock))
    assert [bool(found) if found is not None else None for found in (retention.turn() for _ in range(5))] == [
        False,  # 40 days
        None,  # asked again too soon
        False,
        True,  # 49 days
        False,  # the clock was set back
    ]
    assert said == ["older than 45 days: 0 answers, 0 feedback, 1 conversations, 0 handovers deleted"]


def test_a_worker_outlives_a_database_that_refuses(data: Home) -> None:
    said: list[str] = []
    context = Context((), {"DESKMATE__RETENTION__ANSWER_DAYS": "30"}, {})
    retention = HourlyRetention(context, said.append)
    (data.root / "deskmate.sqlite3").write_bytes(b"no database at all" * 100)
    assert retention.turn() is None
    assert "retention" in said[0]
