"""The watcher over a real process: healthy, killed, deaf, given up, stopped with all its children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from assistant.core.errors import ResourceError
from assistant.engine.watching import (
    Limits,
    Watcher,
    WatchState,
    is_watched,
    read_state,
    watch_lock,
)

LIMITS = Limits(
    start_seconds=20,
    stop_seconds=5,
    restarts=3,
    restart_window_seconds=60,
    pause_seconds=0.01,
    deaf_seconds=0.5,
)
# starts a child, writes its pid, waits
SERVER = (
    "import pathlib,subprocess,sys,time; child = subprocess.Popen(['sleep', '600']); "
    "pathlib.Path(sys.argv[1]).write_text(str(child.pid)); time.sleep(600)"
)


class Running:
    """A watcher in a thread over a server that is healthy once its file is there."""

    def __init__(self, folder: Path, program: str = SERVER, limits: Limits = LIMITS) -> None:
        self.ready, self.state_file = folder / "ready", folder / "state.json"
        self.is_deaf = False
        self.launches = 0
        self._program = program
        first = WatchState(phase="starting", url="http://x", model="m")
        self.watcher = Watcher(self._launch, self._is_healthy, self.state_file, first, limits)
        self.result: list[bool] = []
        self.thread = threading.Thread(target=lambda: self.result.append(self.watcher.run()))

    def _launch(self) -> subprocess.Popen[bytes]:
        self.launches += 1
        self.ready.unlink(missing_ok=True)
        command = [sys.executable, "-c", self._program, str(self.ready)]
        return subprocess.Popen(command, start_new_session=True)

    def _is_healthy(self) -> bool:
        return self.ready.exists() and bool(self.ready.read_text()) and not self.is_deaf

    def wait(self, holds: Callable[[WatchState], bool]) -> WatchState:
        until = time.monotonic() + 20
        while (state := read_state(self.state_file)) is None or not holds(state):
            assert time.monotonic() < until, state
            time.sleep(0.02)
        return state


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def make(*arguments: object) -> Running:
        running = Running(tmp_path, *arguments)  # type: ignore[arg-type]
        running.thread.start()
        started.append(running)
        return running

    yield make
    for running in started:
        running.watcher.stop()
        running.thread.join(20)


def test_a_killed_server_is_started_again_and_a_stop_ends_its_children_too(
    run: Callable[..., Running],
) -> None:
    running = run()
    first = running.wait(lambda state: state.phase == "ready")
    os.kill(first.server_pid, signal.SIGKILL)
    second = running.wait(lambda state: state.phase == "ready" and state.deaths == 1)
    assert second.server_pid != first.server_pid
    child = int(running.ready.read_text())
    running.watcher.stop()
    running.thread.join(20)
    assert running.result == [True]
    state = read_state(running.state_file)
    assert state is not None
    assert (state.phase, state.server_pid) == ("stopped", 0)
    alive = [p for p in (child, second.server_pid) if psutil.pid_exists(p)]
    assert [p for p in alive if psutil.Process(p).status() != psutil.STATUS_ZOMBIE] == []


def test_a_server_that_dies_again_and_again_is_given_up_with_the_reason(run: Callable[..., Running]) -> None:
    running = run("raise SystemExit(3)")
    running.thread.join(20)
    assert running.result == [False]
    assert running.launches == LIMITS.restarts
    state = read_state(running.state_file)
    assert state is not None
    assert state.phase == "failed"
    assert "given up after 3 deaths: it ended with exit code 3" in state.reason


def test_a_server_that_stops_answering_is_started_again(run: Callable[..., Running]) -> None:
    running = run()
    running.wait(lambda state: state.phase == "ready")
    running.is_deaf = True
    state = running.wait(lambda state: state.deaths == 1)
    assert "not answered" in state.reason
    running.is_deaf = False
    assert running.wait(lambda state: state.phase == "ready").deaths == 1


def test_only_one_watcher_runs(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not is_watched(lock)
    with watch_lock(lock):
        assert is_watched(lock)
        with pytest.raises(ResourceError, match="runs already"), watch_lock(lock):
            pass
