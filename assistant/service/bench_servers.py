"""What the bench loads: the service over an engine of a steady pace, and a bare Litestar route beside it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
from litestar import Litestar, get

from assistant.core.home import Home
from assistant.core.settings import EmbedderSettings, EngineSettings, ServiceSettings, Settings
from assistant.core.settings_limits import LimitSettings
from assistant.engine.scripted import ScriptedEngine
from assistant.service.app import create_app
from assistant.service.home_pipelines import HomePipelines
from assistant.service.running import TellingServer, server_config
from assistant.service.schemas import Schema
from assistant.store.keys import Keys, NewKey

COLLECTION = "bench"
_PLACES = 512
_MEBIBYTE = 1 << 20


class Small(Schema, frozen=True, kw_only=True):
    """A reply of the bare route."""

    status: str = "ok"


@get("/bare", sync_to_thread=False)
def _bare() -> Small:
    return Small()


def bench_settings(embedder: str) -> Settings:
    """Return the settings of the service that is measured."""
    return Settings(
        embedder=EmbedderSettings(model=embedder),
        engine=EngineSettings(kind="scripted", max_new_tokens=1000),
        service=ServiceSettings(collection=COLLECTION, concurrent_answers=_PLACES),
        limits=LimitSettings(requests_per_minute=0, concurrent_requests=2 * _PLACES),
    )


def serve(home: Home, embedder: str, token_seconds: float, tokens: int) -> None:
    """Serve a data folder with an engine of a steady pace until SIGTERM."""
    engine = ScriptedEngine(token_seconds=token_seconds, least_tokens=tokens)
    settings = bench_settings(embedder)
    _run(create_app(settings, home=home, pipelines=HomePipelines(home, settings, engine)))


def serve_bare() -> None:
    """Serve one route without anything around it until SIGTERM."""
    _run(Litestar([_bare], openapi_config=None))


def _run(app: Litestar) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.suppress(KeyboardInterrupt):
        port = listening.getsockname()[1]
        TellingServer(server_config(app), f"http://127.0.0.1:{port}").run(sockets=[listening])


def make_key(home: Home) -> str:
    """Make an admin's API key."""
    from assistant.store.database import Database

    database = Database(home.database_url)
    with database.write() as session:
        _, secret = Keys(session).create(NewKey(name="bench", role="admin"))
    database.close()
    return secret


class Started:
    """A process of Deskmate's own, measured from outside.

    Args:
        process: as started.
        url: where it listens, empty where it does not.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self._seen = psutil.Process(process.pid)

    def cpu_seconds(self) -> float:
        """Return the processor time it has taken."""
        times = self._seen.cpu_times()
        return float(times.user) + float(times.system)

    def resident_mebibytes(self) -> float:
        """Return its memory, without that of mapped files."""
        memory = self._seen.memory_info()
        return float(memory.rss - memory.shared) / _MEBIBYTE


@contextlib.contextmanager
def started(words: Sequence[str], home: Home, *, listens: bool = True) -> Iterator[Started]:
    """Give a process that runs ``python …words`` over a data folder; it is stopped at the end."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, *words],
        env=environment(home),
        stdout=subprocess.PIPE if listens else subprocess.DEVNULL,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r"http://[\d.]+:\d+", line)
        if listens and not found:
            raise RuntimeError(f"{' '.join(words)} did not start: {line!r}")
        yield Started(process, found.group() if found else "")
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.communicate()


def environment(home: Home, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a process over a data folder."""
    return {**os.environ, "DESKMATE_HOME": str(home.root), "PYTHONUNBUFFERED": "1", **(more or {})}


def link_models(home: Home, models: Path) -> None:
    """Let a data folder use the models of another one."""
    if models.is_dir() and not home.models.exists():
        home.models.symlink_to(models)
