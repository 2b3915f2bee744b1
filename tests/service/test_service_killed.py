"""Service, worker, engine and database server are killed under load: nothing acknowledged is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent / "killing_service.py"


def run(home: Path, rounds: int, *words: str, **variables: str) -> str:
    home.mkdir()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(home), str(rounds), "1", *words],
        env={**os.environ, **variables},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.stdout.write(done.stdout)
    return done.stdout


@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    told = run(tmp_path / "home", 1)
    for part in ("engine", "service", "worker"):
        assert f"{part}: 1 kills, back in" in told


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_on_postgres(tmp_path: Path, postgres: Any) -> None:
    url, control = postgres.new_database(), str(postgres.programs / "pg_ctl")
    told = run(tmp_path / "home", 1, str(postgres.data), DESKMATE_DATABASE_URL=url, PG_CTL=control)
    assert "postgres: 1 kills, back in" in told
