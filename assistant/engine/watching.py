"""Keeps a server process alive: starts it, waits until it is healthy, starts it again when it dies."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from assistant.core.errors import ResourceError
from assistant.core.jsonl import write_json
from assistant.core.records import Record

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.25
_PROBE_SECONDS = 5.0
_DEAF_SECONDS = 60.0
_MOST_PAUSE_SECONDS = 30.0

Phase = Literal["starting", "ready", "restarting", "failed", "stopped"]


class WatchState(Record, frozen=True, kw_only=True):
    """What the watcher knows, for other processes to read.

    Attributes:
        phase: of the server.
        url: where it listens.
        model: that it serves.
        watcher_pid: of the watcher.
        server_pid: of the server, 0 where none runs; it leads a process group of its own.
        deaths: how often it died since the watcher began.
        since: when the phase began, Unix time.
        reason: why it restarts or was given up.
    """

    phase: Phase
    url: str
    model: str
    watcher_pid: int = 0
    server_pid: int = 0
    deaths: int = 0
    since: float = 0.0
    reason: str = ""


class Limits(Record, frozen=True, kw_only=True):
    """When patience ends, in seconds but for ``restarts``; see ``SglangSettings``."""

    start_seconds: float
    stop_seconds: float
    restarts: int
    restart_window_seconds: float
    pause_seconds: float = 1.0
    deaf_seconds: float = _DEAF_SECONDS


class Watcher:
    """Runs one server until it is told to stop or dies too often.

    Args:
        launch: starts the server's process as the leader of a group of its own.
        is_healthy: asks the server.
        state_file: where the state is told.
        first: the state's fixed fields.
        limits: of patience.
    """

    def __init__(
        self,
        launch: Callable[[], subprocess.Popen[bytes]],
        is_healthy: Callable[[], bool],
        state_file: Path,
        first: WatchState,
        limits: Limits,
    ) -> None:
        self._launch = launch
        self._is_healthy = is_healthy
        self._file = state_file
        self._state = msgspec.structs.replace(first, watcher_pid=os.getpid())
        self._limits = limits
        self._stopping = threading.Event()
        self._deaths: deque[float] = deque()

    def stop(self) -> None:
        """Let ``run`` end the server and return; may be called from a signal handler or another thread."""
        self._stopping.set()

    def run(self) -> bool:
        """Watch until stopped.

        Returns:
            Whether it was stopped, False where the server was given up.
        """
        while not self._stopping.is_set():
            reason = self._run_once()
            if self._stopping.is_set():
                break
            if not self._may_restart():
                self._tell("failed", reason=f"given up after {len(self._deaths)} deaths: {reason}")
                _LOG.error("the server is given up: %s", reason)
                return False
            pause = min(self._limits.pause_seconds * 2 ** (len(self._deaths) - 1), _MOST_PAUSE_SECONDS)
            self._tell("restarting", reason=reason, deaths=self._state.deaths + 1)
            _LOG.warning("the server is started again in %.0f s: %s", pause, reason)
            self._stopping.wait(pause)
        self._tell("stopped")
        return True

    def _run_once(self) -> str:
        """Run the server from start to end and return why it ended."""
        process = self._launch()
        self._tell("starting", server_pid=process.pid)
        try:
            return self._await_health(process) or self._await_end(process)
        finally:
            end_group(process, self._limits.stop_seconds)
            self._state = msgspec.structs.replace(self._state, server_pid=0)

    def _await_health(self, process: subprocess.Popen[bytes]) -> str:
        """Return nothing once the server is healthy, else why it never was."""
        until = time.monotonic() + self._limits.start_seconds
        while not self._stopping.wait(_LOOK_SECONDS):
            if process.poll() is not None:
                return _ended(process)
            if self._is_healthy():
                self._tell("ready", reason="")
                return ""
            if time.monotonic() > until:
                return f"it was not healthy within {self._limits.start_seconds:.0f} s"
        return "stopped"

    def _await_end(self, process: subprocess.Popen[bytes]) -> str:
        heard = asked = time.monotonic()
        while not self._stopping.wait(_LOOK_SECONDS):
            if process.poll() is not None:
                return _ended(process)
            now = time.monotonic()
            if now - asked >= min(_PROBE_SECONDS, self._limits.deaf_seconds / 2):
                asked = now
                heard = now if self._is_healthy() else heard
            if now - heard > self._limits.deaf_seconds:
                return f"it has not answered for {self._limits.deaf_seconds:.0f} s"
        return "stopped"

    def _may_restart(self) -> bool:
        now = time.monotonic()
        self._deaths.append(now)
        while self._deaths and now - self._deaths[0] > self._limits.restart_window_seconds:
            self._deaths.popleft()
        return len(self._deaths) < self._limits.restarts

    def _tell(self, phase: Phase, **changes: object) -> None:
        since = time.time()
        self._state = msgspec.structs.replace(self._state, phase=phase, since=since, **changes)
        write_json(self._file, self._state)


def read_state(file: Path) -> WatchState | None:
    """Return what a watcher told last, None where none ever did."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=WatchState)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


@contextlib.contextmanager
def watch_lock(file: Path) -> Iterator[None]:
    """Hold the right to watch.

    Raises:
        ResourceError: another watcher runs.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResourceError("the engine runs already", next_command="deskmate engine status") from error
        yield


def is_watched(file: Path) -> bool:
    """Return whether a watcher runs."""
    try:
        with watch_lock(file):
            return False
    except ResourceError:
        return True


def end_group(process: subprocess.Popen[bytes], patience_seconds: float) -> None:
    """End a process and all of its group, by force when patience ends."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_seconds)
    _signal_group(process.pid, signal.SIGKILL)  # its children too, which may outlive it
    process.wait()


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _ended(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"
