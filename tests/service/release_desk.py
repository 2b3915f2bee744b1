"""A data folder with two adapters and two states of its documents, for the tests of releases."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from litestar.testing import TestClient

from assistant.cli.app import root
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.settings import EmbedderSettings, EngineSettings, Settings
from assistant.store.adapters import Adapter, Adapters
from assistant.store.database import Database
from indexing.build import Builder
from indexing.embedding import load_embedder

SETTINGS = Settings(engine=EngineSettings(kind="scripted"), embedder=EmbedderSettings(model="hashing"))
OPTIONS = ["--set", "engine.kind=scripted", "--set", "embedder.model=hashing"]


class Desk:
    """The folder, and the commands over it."""

    settings = SETTINGS

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home").make()
        self.files = folder / "files"
        self.files.mkdir(exist_ok=True)
        self.database = Database(self.home.database_url)

    def add_adapters(self) -> None:
        for number, name in enumerate(("first", "second")):
            weights = self.home.adapters / name
            weights.mkdir(parents=True)
            for file in ("adapter_config.json", "adapter_model.safetensors"):
                (weights / file).write_text(f"{{}} {number}")
            with self.database.write() as session:
                Adapters(session).save(
                    Adapter(
                        name=name,
                        collection="default",
                        folder=str(weights),
                        base_fingerprint="x",
                        dataset_hash=name,
                        created=f"2026-01-0{number + 1}",
                        is_active=number == 0,
                    )
                )

    def write(self, torque: int, months: int) -> None:
        (self.files / "q7.md").write_text(f"# Q7 pump\n\nThe flange bolts of the Q7 take {torque} Nm.\n")
        (self.files / "t6.md").write_text(f"# T6 烤箱\n\nT6 烤箱的门封条每 {months} 个月更换一次。\n")
        embedder = load_embedder(SETTINGS, self.home)
        Builder("default", self.home, SETTINGS, self.database, embedder, NoProgress()).add([self.files])

    def run(self, *words: str, fails: bool = False) -> Result:
        done = CliRunner().invoke(root, [*OPTIONS, *words])
        assert bool(done.exception) == fails, done.output + repr(done.exception)
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def release(self, adapter: str) -> str:
        return str(self.json("release", "create", "--adapter", adapter)["id"])

    def promote(self, release: str) -> None:
        self.run("release", "promote", release, "--without-gate")

    @staticmethod
    def asked(client: TestClient[Any], question: str) -> tuple[str, str | None]:
        reply = client.post(
            "/v1/chat/completions", json={"messages": [{"role": "user", "content": question}]}
        )
        assert reply.status_code == 200, reply.text
        return reply.json()["choices"][0]["message"]["content"], reply.json()["deskmate"].get("release")

    @staticmethod
    def wait_for(holds: Callable[[], bool], seconds: float = 10) -> float:
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < seconds
            time.sleep(0.02)
        return time.monotonic() - began
