"""Fixtures of all tests: no hub, no telemetry, patient threads; a data folder per test."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.core.environment import prepare_environment
from assistant.core.home import Home

prepare_environment()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write the golden files anew")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").make()


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> object:
    """Return a function that compares a text with ``tests/golden/NAME``, or rewrites it."""
    folder = Path(__file__).parent / "golden"

    def check(name: str, text: str) -> None:
        file = folder / name
        if request.config.getoption("--rewrite-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        assert file.read_text("utf-8") == text

    return check
