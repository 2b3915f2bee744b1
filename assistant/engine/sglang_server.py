"""An SGLang server of our own, from the settings: run and watched here, looked at from elsewhere."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx

from assistant.core.errors import NotFoundError, ResourceError
from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.engine.leftovers import end_leftovers, mark
from assistant.engine.sglang_home import SglangHome, make_keys
from assistant.engine.sglang_install import installed
from assistant.engine.sglang_launch import (
    HOST,
    launch_command,
    launch_environment,
    served_name,
    write_launch_file,
)
from assistant.engine.watching import Limits, Watcher, WatchState, watch_lock
from assistant.models.folders import resolve_model

_PROBE_SECONDS = 5.0
_LOG_BYTES = 64 << 20


def server_url(settings: Settings) -> str:
    """Return where our server listens."""
    return f"http://{HOST}:{settings.sglang.port}"


def check_start(settings: Settings, home: SglangHome) -> None:
    """End what is left of an earlier server, then refuse to start what could not run.

    To be called by who holds the right to watch.

    Raises:
        NotFoundError: SGLang is not installed.
        ResourceError: the port is taken by something else, or what is left cannot be ended.
    """
    if installed(home) is None:
        raise NotFoundError(
            f"SGLang is not installed in {home.environment}", next_command="deskmate engine install"
        )
    end_leftovers(home.root, settings.sglang.stop_seconds)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((HOST, settings.sglang.port))
        except OSError as error:
            raise ResourceError(
                f"port {settings.sglang.port} on {HOST} is busy",
                next_command=f"deskmate --set sglang.port={settings.sglang.port + 1} engine start",
            ) from error


def serve_engine(settings: Settings, home: Home, environment: Mapping[str, str]) -> bool:
    """Run and watch the server until SIGTERM or Ctrl-C.

    Returns:
        Whether it was stopped, False where it died too often and was given up.

    Raises:
        NotFoundError: SGLang is not installed.
        ResourceError: it runs already, or the port is taken.
        ModelError: the base model is missing or broken.
    """
    own = SglangHome(home, settings.sglang)
    with watch_lock(own.lock):
        check_start(settings, own)
        model = resolve_model(settings.engine.base_model, "generator", home, settings.models)
        write_launch_file(own, make_keys(own, environment))
        watcher = _watcher(settings, own, model, environment)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in handlers:
            signal.signal(number, lambda *_: watcher.stop())
        try:
            return watcher.run()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _watcher(settings: Settings, own: SglangHome, model: Path, environment: Mapping[str, str]) -> Watcher:
    command = launch_command(settings, model, own)
    variables = launch_environment(settings, environment) | mark(own.root)
    url = server_url(settings)

    def launch() -> subprocess.Popen[bytes]:
        _cut_log(own.log)
        with own.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own words
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables,
                start_new_session=True,
            )

    def is_healthy() -> bool:
        try:
            return httpx.get(f"{url}/health", timeout=_PROBE_SECONDS, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    limits = Limits(
        start_seconds=settings.sglang.start_seconds,
        stop_seconds=settings.sglang.stop_seconds,
        restarts=settings.sglang.restarts,
        restart_window_seconds=settings.sglang.restart_window_seconds,
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    first = WatchState(phase="starting", url=url, model=served_name(settings))
    return Watcher(launch, is_healthy, own.state, first, limits)


def last_lines(file: Path, count: int) -> list[str]:
    """Return the last lines of a log."""
    try:
        with file.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 400 * max(count, 1)))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[-count:] if count else []


def _cut_log(log: Path) -> None:
    """Keep one older log, so that a server that dies for days does not fill the disk."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))
