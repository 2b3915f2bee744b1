"""Where an SGLang server of our own lies: ``engine/`` in the data folder, with its environment and keys."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.records import Record
from assistant.core.settings_sglang import SglangSettings

API_KEY = "DESKMATE_ENGINE_API_KEY"
ADMIN_KEY = "DESKMATE_ENGINE_ADMIN_KEY"
_KEY_BYTES = 24


class Keys(Record, frozen=True, kw_only=True):
    """What the server asks for: ``user`` to chat, ``admin`` to load and unload adapters; empty: nothing."""

    user: str = ""
    admin: str = ""


class SglangHome:
    """Paths of one server.

    Args:
        home: the data folder.
        settings: of the server; they may name another environment.
    """

    def __init__(self, home: Home, settings: SglangSettings) -> None:
        self.root = home.root / "engine"
        named = settings.environment
        self.environment = Path(named).expanduser() if named else self.root / "environment"

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.environment / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Written into the environment when it is complete."""
        return self.environment / "deskmate-sglang.json"

    @property
    def log(self) -> Path:
        """What the server and its watcher say."""
        return self.root / "server.log"

    @property
    def state(self) -> Path:
        """What the watcher knows."""
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the watcher as long as it runs."""
        return self.root / "lock"

    @property
    def launch_file(self) -> Path:
        """Arguments that nobody else on the machine may read."""
        return self.root / "launch.yaml"

    @property
    def keys_file(self) -> Path:
        """Keys that were made up here."""
        return self.root / "keys.json"


def find_keys(home: SglangHome, environment: Mapping[str, str]) -> Keys:
    """Return the keys of the environment, else those made here before, else none.

    Raises:
        InputError: the file with those made here is damaged.
    """
    keys = Keys(user=environment.get(API_KEY, ""), admin=environment.get(ADMIN_KEY, ""))
    if keys.user or keys.admin:
        return keys
    try:
        return msgspec.json.decode(home.keys_file.read_bytes(), type=Keys)
    except FileNotFoundError:
        return keys
    except msgspec.DecodeError as error:
        raise InputError(
            f"{home.keys_file} holds no keys: {error}; delete it and start the engine anew"
        ) from error


def make_keys(home: SglangHome, environment: Mapping[str, str]) -> Keys:
    """Return the keys that there are, else new ones, stored so that only their owner reads them.

    Raises:
        InputError: the environment holds one key of the two, or the same one twice.
    """
    found = find_keys(home, environment)
    if found.user or found.admin:
        if not found.user or not found.admin or found.user == found.admin:
            raise InputError(f"{API_KEY} and {ADMIN_KEY} must both be set, to different keys")
        return found
    keys = Keys(user=secrets.token_urlsafe(_KEY_BYTES), admin=secrets.token_urlsafe(_KEY_BYTES))
    write_private(home.keys_file, msgspec.json.encode(keys))
    return keys


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
    aside.replace(file)
