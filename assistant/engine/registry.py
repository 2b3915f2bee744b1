"""Engines by the name that stands in the settings; each is imported only when it is asked for."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.errors import EngineError, ResourceError
from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.engine.protocol import Engine

if TYPE_CHECKING:
    from assistant.engine.sglang import SglangEngine

Factory = Callable[[Settings, Home], Engine]


def load_engine(settings: Settings, home: Home) -> Engine:
    """Return the engine that the settings name, ready to answer where it runs in this process.

    Raises:
        ResourceError: the packages it needs are not installed.
        ModelError: the base model's folder is missing or broken.
    """
    return FACTORIES[settings.engine.kind](settings, home)


def load_other_engine(settings: Settings, home: Home, key: str) -> Engine:
    """Return an engine beside that of ``[engine]``, such as a teacher; its server is told no key but its own.

    Args:
        settings: all settings, ``[engine]`` those of the other one.
        home: where a model lies.
        key: of its server, empty for none.

    Raises:
        ResourceError: the packages it needs are not installed.
        ModelError: the base model's folder is missing or broken.
    """
    if settings.engine.kind != "sglang":
        return load_engine(settings, home)
    from assistant.engine.sglang import open_sglang
    from assistant.engine.sglang_home import Keys

    return _reached(open_sglang(settings, home, keys=Keys(user=key, admin="")))


def _local(settings: Settings, home: Home) -> Engine:
    _require_extra("local", ("torch", "transformers", "peft", "safetensors"))
    from assistant.engine.local import LocalEngine
    from assistant.models.folders import resolve_model

    name = settings.engine.base_model
    folder: Path = resolve_model(name, "generator", home, settings.models)
    return LocalEngine(name, folder, settings.engine)


def _sglang(settings: Settings, home: Home) -> Engine:
    from assistant.engine.sglang import open_sglang

    return _reached(open_sglang(settings, home))


def _reached(engine: SglangEngine) -> SglangEngine:
    with contextlib.suppress(EngineError):  # where it does not run yet, this is told once it does
        engine.server()
    return engine


def _scripted(settings: Settings, home: Home) -> Engine:
    del settings, home
    from assistant.engine.scripted import ScriptedEngine

    return ScriptedEngine()


def _require_extra(extra: str, packages: tuple[str, ...]) -> None:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ResourceError(
            f"the {extra} engine needs {', '.join(missing)}, which is not installed",
            next_command=f'pip install "deskmate[{extra}]"',
        )


FACTORIES: dict[str, Factory] = {"local": _local, "sglang": _sglang, "scripted": _scripted}
