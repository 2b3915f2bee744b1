"""Revoking an adapter: nothing serves it any more, and its weights leave the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from assistant.core.errors import InputError, NotFoundError
from assistant.core.home import Home
from assistant.core.records import Record
from assistant.store.adapters import Adapter, Adapters
from assistant.store.database import Database
from assistant.store.releases import Releases


class Revoked(Record, frozen=True, kw_only=True):
    """What was revoked.

    Attributes:
        adapter: its name.
        folder: that was deleted.
        releases: ids of the releases that were retired with it.
    """

    adapter: str
    folder: str
    releases: tuple[str, ...]


def revoke_adapter(name: str, home: Home, database: Database, actor: str) -> Revoked:
    """Forget an adapter, retire the releases that have it and delete its files.

    Taking an adapter out of an engine is no revocation: SGLang loads one that it is asked for again from
    where it lay. Without its files that fails. Running services let go of it within a second or two.

    Args:
        name: of the adapter.
        home: data folder.
        database: that knows it.
        actor: who does it.

    Raises:
        NotFoundError: there is no such adapter.
        InputError: it is served, or its files lie outside of the data folder's adapters.
    """
    with database.write() as session:
        adapters, releases = Adapters(session), Releases(session)
        found = adapters.find(name)
        if found is None:
            raise NotFoundError(f"no adapter {name!r}", next_command="deskmate adapter list")
        _check_unused(found, releases)
        folder = _own_folder(found, home)
        retired = releases.using(name)
        for release in retired:
            releases.retire(release, actor)
        adapters.delete(name)
    if folder.exists():
        # aside first: an engine that looks meanwhile finds all of it or nothing
        aside = folder.with_name(f".revoked-{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        shutil.rmtree(aside)
    return Revoked(adapter=name, folder=str(folder), releases=tuple(release.id for release in retired))


def _check_unused(adapter: Adapter, releases: Releases) -> None:
    active = releases.active(adapter.collection)
    split = releases.split(adapter.collection)
    serving = {active.id, *([split.challenger] if split else [])} if active else set()
    used = [release.id for release in releases.using(adapter.name) if release.id in serving]
    if used:
        raise InputError(
            f"adapter {adapter.name!r} is served with release {used[0]}; serve another one first",
            next_command=f"deskmate release list --collection {adapter.collection}",
        )
    if active is None and adapter.is_active:
        raise InputError(
            f"adapter {adapter.name!r} is served; serve a release without it first",
            next_command=f"deskmate release create --without-adapter --collection {adapter.collection}",
        )


def _own_folder(adapter: Adapter, home: Home) -> Path:
    folder = Path(adapter.folder).resolve()
    if folder.parent != home.adapters.resolve():
        raise InputError(f"adapter {adapter.name!r} lies in {folder}, outside of {home.adapters}")
    return folder
