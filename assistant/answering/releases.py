"""Releases on disk and in settings: put together from what is there, and held to it when they are served."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from assistant.core.errors import InputError, ModelError
from assistant.core.home import Home
from assistant.core.ids import file_sha256
from assistant.core.prompts import template_hash
from assistant.core.settings import Settings
from assistant.core.settings_task import TaskSettings
from assistant.store.adapters import Adapter
from assistant.store.audit import AuditEvent, AuditLog
from assistant.store.database import Database
from assistant.store.releases import Release, ReleaseContent, Releases, Switch
from indexing.snapshots import MANIFEST, open_named, released_names, set_released, switching_lock

# section → keys that shape an answer; what is left out (threads, ports, limits) may differ
_SHAPING: dict[str, tuple[str, ...]] = {
    "engine": ("base_model", "max_new_tokens"),
    "embedder": ("model",),
    "search": (),
    "answer": (),
    "task": (),
}
_FREE = {"answer": ("max_question_characters", "when_engine_fails")}
_SHOWN_HASH = 12
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def compose_release(
    folder: Path,
    settings: Settings,
    snapshot: str,
    embedder: str,
    adapter: Adapter | None,
    report: Path | None,
) -> ReleaseContent:
    """Return what answers are made of now.

    Args:
        folder: of the collection.
        settings: with the search settings as they are used.
        snapshot: name of the index snapshot.
        embedder: its fingerprint.
        adapter: None for the base model alone.
        report: of the evaluation, None where there is none.

    Raises:
        IndexBroken: the snapshot is not kept.
        ModelError: a file of the adapter is missing.
    """
    path, _ = open_named(folder, snapshot)
    return ReleaseContent(
        collection=folder.name,
        snapshot=snapshot,
        snapshot_sha256=file_sha256(path / MANIFEST),
        embedder=embedder,
        base_model=settings.engine.base_model,
        adapter=adapter.name if adapter else None,
        adapter_sha256=adapter_hashes(Path(adapter.folder)) if adapter else {},
        templates=template_hash(),
        settings=shaping_settings(settings),
        report_sha256=file_sha256(report) if report else None,
        version=version("deskmate"),
    )


def measured_parts(snapshot: str, snapshot_sha256: str, templates: str) -> dict[str, str]:
    """Return what a report tells of a release beside its adapter, so that the gate takes it for no other."""
    return {
        "snapshot": f"{snapshot} ({snapshot_sha256[:_SHOWN_HASH]})",
        "prompts": templates[:_SHOWN_HASH],
    }


def adapter_hashes(folder: Path) -> dict[str, str]:
    """Return file → SHA-256 of an adapter's files.

    Raises:
        ModelError: one is missing.
    """
    try:
        return {name: file_sha256(folder / name) for name in _ADAPTER_FILES}
    except OSError as error:
        raise ModelError(f"adapter {folder}: {error.filename}: {error.strerror}") from error


def shaping_settings(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the settings that shape answers, by section and key."""
    found: dict[str, dict[str, Any]] = {}
    for section, keys in _SHAPING.items():
        values = msgspec.to_builtins(getattr(settings, section))
        free = _FREE.get(section, ())
        found[section] = {key: values[key] for key in keys or values if key not in free}
    return found


def release_settings(settings: Settings, content: ReleaseContent) -> Settings:
    """Return the settings with those of a release in place; the engine and embedder must be its own.

    Raises:
        InputError: the release was made with another base model or embedder, or has unknown settings.
    """
    for section, key in (("engine", "base_model"), ("embedder", "model")):
        ours, theirs = getattr(getattr(settings, section), key), content.settings[section][key]
        if ours != theirs:
            raise InputError(
                f"release {content.id} was made with [{section}] {key} = {theirs!r}, here it is {ours!r}",
                next_command=f"deskmate --set {section}.{key}={theirs} serve",
            )
    sections: dict[str, Any] = {"task": TaskSettings()}  # releases made before there were profiles have none
    for section, values in content.settings.items():
        merged = msgspec.to_builtins(getattr(settings, section)) | values
        try:
            sections[section] = msgspec.convert(merged, type(getattr(settings, section)))
        except msgspec.ValidationError as error:
            raise InputError(f"release {content.id} has settings of another Deskmate: {error}") from error
    return msgspec.structs.replace(settings, **sections)


def check_release(release: Release, folder: Path, adapter: Adapter | None) -> None:
    """Hold a release to what it was made of.

    Args:
        release: as stored.
        folder: of its collection.
        adapter: of the release's name, None where there is none any more.

    Raises:
        InputError: its row was changed, or this Deskmate has other prompt templates.
        IndexBroken: its snapshot was dropped or changed.
        ModelError: its adapter is gone or changed.
    """
    content = release.content
    if not release.is_whole:
        raise InputError(
            f"release {release.id} was changed after it was made: its content hashes to {content.id}"
        )
    if content.templates != template_hash():
        raise InputError(
            f"release {release.id} was made with other prompt templates, those of Deskmate {content.version}",
            next_command=f"deskmate release create --collection {content.collection}",
        )
    check_snapshot(release, folder)
    if content.adapter is None:
        return
    if adapter is None:
        raise ModelError(f"release {release.id} needs adapter {content.adapter!r}, which is gone")
    if adapter_hashes(Path(adapter.folder)) != content.adapter_sha256:
        raise ModelError(f"release {release.id}: adapter {content.adapter!r} was changed after the release")


def check_snapshot(release: Release, folder: Path) -> None:
    """Hold a release to its snapshot.

    Raises:
        InputError: the snapshot is another one, or is not kept any more.
    """
    content = release.content
    path = folder / "snapshots" / content.snapshot
    if not path.exists():
        raise InputError(
            f"release {release.id} needs snapshot {content.snapshot} of collection {content.collection!r}, "
            "which is no longer kept",
            next_command=f"deskmate release create --collection {content.collection}",
        )
    if file_sha256(path / MANIFEST) != content.snapshot_sha256:
        raise InputError(
            f"release {release.id}: snapshot {content.snapshot} is another one than it was made with"
        )


def keep_snapshot(folder: Path, name: str) -> None:
    """Let a snapshot not be pruned.

    Raises:
        IndexBroken: it is not kept any more.
    """
    with switching_lock(folder):
        open_named(folder, name)
        set_released(folder, released_names(folder) | {name})


def switch_release(
    home: Home,
    database: Database,
    release: Release,
    action: Switch,
    before: str | None,
    actor: str,
    proof: str,
) -> Release:
    """Make a release the served one and note who did it.

    Args:
        home: the data folder.
        database: holds the releases.
        release: to serve.
        action: ``promote`` or ``rollback``.
        before: id of the release that was served when the decision was made, None for none.
        actor: who did it.
        proof: what it was done on.

    Raises:
        CollectionBusy: another one was promoted meanwhile.
        InputError: it was retired, or is rolled back to without ever having been promoted.
        IndexBroken: its snapshot is not kept any more.
    """
    keep_snapshot(home.collection(release.content.collection), release.content.snapshot)
    event = AuditEvent(
        actor=actor,
        role="",
        action=f"release.{action}",
        target=f"{release.content.collection}/{release.id}",
        status=200,
        request_id="",
    )
    with database.write() as session:
        served = Releases(session).switch(release, action, before, actor, proof)
        AuditLog(session).append(event)
    return served


def let_go(folder: Path, releases: list[Release]) -> None:
    """Let the snapshots be pruned that no release which may be served needs."""
    needed = {release.content.snapshot for release in releases if release.state != "retired"}
    with switching_lock(folder):
        set_released(folder, released_names(folder) & needed)


def differences(one: ReleaseContent, other: ReleaseContent) -> list[tuple[str, str, str]]:
    """Return what differs between two releases: name, value of the one, value of the other."""
    left, right = _flat(msgspec.to_builtins(one)), _flat(msgspec.to_builtins(other))
    return [
        (key, str(left.get(key, "–")), str(right.get(key, "–")))
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    ]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for key, value in values.items():
        rows |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return rows
