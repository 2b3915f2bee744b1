"""An engine beside the service's own, such as a teacher: its server hears no key but its own."""

from __future__ import annotations

from contextlib import closing
from typing import Any, cast

import pytest

from assistant.core.errors import EngineError
from assistant.core.home import Home
from assistant.core.records import Message
from assistant.core.settings import EngineSettings, Settings
from assistant.core.settings_judge import JudgeSettings
from assistant.engine.protocol import Engine, GenerationRequest
from assistant.engine.registry import load_engine, load_other_engine
from assistant.engine.scripted import ScriptedEngine
from assistant.engine.sglang import SglangEngine
from eval.judge import open_judge

USER_KEY = "user-key-4711"


def test_another_server_is_told_its_own_key_only(
    server: Any, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESKMATE_ENGINE_API_KEY", USER_KEY)
    url = f"http://127.0.0.1:{server.server_port}"
    settings = Settings(engine=EngineSettings(kind="sglang", url=url, timeout_seconds=5.0))
    asked = [GenerationRequest(messages=(Message(role="user", content="hello"),))]

    def ask(engine: Engine) -> str:
        with closing(cast("SglangEngine", engine)) as opened:
            return opened.complete(asked)[0].text

    assert ask(load_engine(settings, home))
    for key in ("", "another"):
        with pytest.raises(EngineError, match="401"):
            ask(load_other_engine(settings, home, key))
    assert ask(load_other_engine(settings, home, USER_KEY))


def test_a_judge_is_told_its_own_key_only(server: Any, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKMATE_ENGINE_API_KEY", USER_KEY)
    url = f"http://127.0.0.1:{server.server_port}"
    judge = JudgeSettings(kind="sglang", url=url, timeout_seconds=5.0)
    asked = [GenerationRequest(messages=(Message(role="user", content="hello"),))]

    def ask(settings: Settings, key: str) -> str:
        engine = open_judge(settings, home, ScriptedEngine, key)
        with closing(cast("SglangEngine", engine)) as opened:
            return opened.complete(asked)[0].text

    with pytest.raises(EngineError, match="401"):
        ask(Settings(judge=judge), "")
    assert ask(Settings(judge=judge), USER_KEY)
    # the server that answers as well
    assert ask(Settings(judge=judge, engine=EngineSettings(kind="sglang", url=url)), "")


def test_another_engine_may_run_in_this_process(home: Home) -> None:
    settings = Settings(engine=EngineSettings(kind="scripted"))
    assert isinstance(load_other_engine(settings, home, "unused"), ScriptedEngine)
