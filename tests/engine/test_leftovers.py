"""Processes that outlive a watcher and its server, both killed: found by their mark, others' left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant.engine.leftovers import end_leftovers, mark

PATIENCE_SECONDS = 20
# a child in a session of its own that does not hear SIGTERM, as SGLang's helpers are
SERVER = (
    "import subprocess, sys, time\n"
    "deaf = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "
    "time.sleep(600)'\n"
    "child = subprocess.Popen([sys.executable, '-c', deaf], start_new_session=True, stdout=subprocess.PIPE)\n"
    "child.stdout.readline()\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)\n"
)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def make(program: str, variables: dict[str, str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program]
        started.append(
            subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield make
    for process in started:
        process.kill()
        process.communicate()


def _is_running(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_child_of_a_killed_server_is_ended_and_others_are_not(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    ours, foreign = tmp_path / "ours", tmp_path / "foreign"
    server = start(SERVER, mark(ours))
    other = start("import time; print(1, flush=True); time.sleep(600)", mark(foreign))
    assert server.stdout is not None
    assert other.stdout is not None
    child = int(server.stdout.readline())
    other.stdout.readline()
    server.send_signal(signal.SIGKILL)  # as its watcher was
    server.wait(PATIENCE_SECONDS)
    assert _is_running(child)
    assert end_leftovers(foreign.with_name("nobody"), PATIENCE_SECONDS) == 0
    assert _is_running(child)
    assert end_leftovers(ours, 0) == 1  # asked, not heard, killed
    assert not _is_running(child)
    assert other.poll() is None
    assert end_leftovers(ours, PATIENCE_SECONDS) == 0


def test_a_server_that_hears_is_asked_only(
    tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    said = tmp_path / "said"
    program = (
        "import pathlib, signal, sys, time\n"
        f"def end(*_): pathlib.Path({str(said)!r}).write_text('bye'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print(1, flush=True); time.sleep(600)\n"
    )
    server = start(program, mark(tmp_path))
    assert server.stdout is not None
    server.stdout.readline()
    assert end_leftovers(tmp_path, PATIENCE_SECONDS) == 1
    assert said.read_text() == "bye"
    assert server.wait(PATIENCE_SECONDS) == 0
