from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.core.errors import NotFoundError
from assistant.core.home import Home
from assistant.store.database import Database
from assistant.store.sessions import Sessions


@pytest.fixture
def opened(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    database = Database(home.database_url)
    with database.write() as session:
        for person, name, seconds in (("user-1", "安娜", 60), ("user-1", "安娜", 90), ("user-2", "Bob", 60)):
            Sessions(session).begin(person, name, "agent", ["pumps"] if name == "Bob" else None, seconds)
        Sessions(session, lambda: 1.0).begin("user-3", "gone", "admin", None, 1.0)
    database.close()
    return home


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["sessions", *arguments])


def test_who_is_logged_in_and_who_is_sent_out(opened: Home) -> None:
    lines = run("list").output.splitlines()
    assert sorted(line.split()[0] for line in lines) == ["user-1", "user-1", "user-2"]
    assert any("安娜" in line and "all collections" in line for line in lines)
    assert any("Bob" in line and line.endswith("pumps") for line in lines)
    assert run("end", "user-1").output == "2 sessions ended\n"
    assert [row["caller"]["id"] for row in json.loads(run("list", "--json").output)["sessions"]] == ["user-2"]
    assert isinstance(run("end", "user-1").exception, NotFoundError)
    assert json.loads(run("end", "--all", "--json").output)["ended"] >= 1
    assert run("list").output == "nobody is logged in\n"


@pytest.mark.parametrize("arguments", [(), ("user-1", "--all")])
def test_one_or_all(opened: Home, arguments: tuple[str, ...]) -> None:
    assert run("end", *arguments).exit_code == 2
