"""``deskmate doctor``: what is missing on this machine and the command that mends it."""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

import click
import msgspec
import psutil

from assistant.cli.context import Context, pass_unchecked_context, print_json
from assistant.core.errors import DeskmateError, ModelError, SettingsError
from assistant.core.home import Home
from assistant.core.records import Record
from assistant.core.runs import versions
from assistant.core.settings import IndexSettings, ModelsSettings, ServiceSettings, Settings
from assistant.models.catalogue import CATALOGUE, ModelKind
from assistant.models.folders import resolve_model

LOW_DISK_BYTES = 6_000_000_000
LOW_MEMORY_BYTES = 4_000_000_000
_MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}
_REQUIREMENT = re.compile(r"""^([\w.-]+).*\bextra == ['"](\w+)['"]""")


class Finding(Record, frozen=True, kw_only=True):
    """One thing that was looked at; ``command`` mends it."""

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str
    command: str | None = None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_unchecked_context
def doctor(context: Context, *, as_json: bool) -> None:
    """Look for what is missing: versions, models, disk, memory, port, data. Exit code 1 if anything fails."""
    findings = list(examine(context))
    is_good = all(finding.state != "fail" for finding in findings)
    if as_json:
        print_json({"is_good": is_good, "findings": msgspec.to_builtins(findings)})
    else:
        for finding in findings:
            click.echo(f"{_MARKS[finding.state]}  {finding.name}: {finding.text}")
            if finding.command:
                click.echo(f"      run: {finding.command}")
    if not is_good:
        raise click.exceptions.Exit(1)


def examine(context: Context) -> Iterator[Finding]:
    """Yield a finding for each thing that Deskmate needs; nothing heavy is imported, nothing is fetched."""
    home, settings = Home.from_environment(), Settings()
    yield Finding(
        name="versions", state="ok", text=", ".join(f"{name} {v}" for name, v in versions().items())
    )
    try:
        settings = context.settings
    except SettingsError as error:
        yield _failed("settings", error)
    needed = {"index", "local"} if settings.engine.kind == "local" else {"index"}
    yield from (check_extra(extra, is_needed=extra in needed) for extra in ("index", "local"))
    folder = check_data_folder(home)
    yield folder
    yield from check_models(home, settings)
    if folder.state == "ok":
        yield check_free("disk", shutil.disk_usage(home.root).free, LOW_DISK_BYTES)
        yield from check_collections(home)
    yield check_free("memory", psutil.virtual_memory().available, LOW_MEMORY_BYTES)
    yield check_recognition(settings.index)
    yield check_port(settings.service)


def check_extra(extra: str, *, is_needed: bool) -> Finding:
    """Compare what an extra of the distribution asks for with what is installed, without importing it."""
    found = (_REQUIREMENT.match(line) for line in metadata.requires("deskmate") or ())
    wanted = {match[1] for match in found if match and match[2] == extra and match[1] != "deskmate"}
    missing = sorted(name for name in wanted if not _is_installed(name))
    name = f"extra [{extra}]"
    if not missing:
        return Finding(name=name, state="ok", text=f"{len(wanted)} packages are installed")
    command = f"pip install 'deskmate[{extra}]'"
    state: Literal["fail", "warn"] = "fail" if is_needed else "warn"
    return Finding(name=name, state=state, text=f"not installed: {', '.join(missing)}", command=command)


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def check_data_folder(home: Home) -> Finding:
    """Write a file into the data folder."""
    try:
        with tempfile.NamedTemporaryFile(dir=home.make().root) as file:
            file.write(b"deskmate")
    except DeskmateError as error:
        return Finding(
            name="data folder", state="fail", text=error.message, command="export DESKMATE_HOME=FOLDER"
        )
    except OSError as error:
        text = f"{home.root} cannot be written: {error.strerror}"
        return Finding(name="data folder", state="fail", text=text, command="export DESKMATE_HOME=FOLDER")
    return Finding(name="data folder", state="ok", text=f"{home.root} can be written")


def check_models(home: Home, settings: Settings) -> Iterator[Finding]:
    """Resolve the models that the settings name; a hub is not asked."""
    if settings.embedder.model != "hashing":
        yield _check_model("embedder", settings.embedder.model, home, settings.models)
    if settings.engine.kind == "local":
        yield _check_model("generator", settings.engine.base_model, home, settings.models)
    if settings.engine.kind == "sglang":
        yield check_server(settings, home)


def check_server(settings: Settings, home: Home) -> Finding:
    """Ask the server that generates what it is and what it lacks."""
    from assistant.engine.sglang import open_sglang

    name, engine = "engine", open_sglang(settings, home)
    try:
        told, problems = engine.server(), engine.problems()
    except DeskmateError as error:
        return _failed(name, error)
    finally:
        engine.close()
    text = "; ".join((f"{told.name} {told.version}".strip() + f" at {settings.engine.url}", *told.lacks))
    if problems:
        return Finding(name=name, state="fail", text=problems[0], command="deskmate engine status")
    return Finding(name=name, state="warn" if told.lacks else "ok", text=text)


def _check_model(kind: ModelKind, name: str, home: Home, settings: ModelsSettings) -> Finding:
    if settings.allow_hub and name not in CATALOGUE and not Path(name).expanduser().exists():
        return Finding(name=kind, state="warn", text=f"{name} comes from a hub when it is first used")
    try:
        folder = resolve_model(name, kind, home, ModelsSettings())
    except ModelError as error:
        return _failed(kind, error)
    return Finding(name=kind, state="ok", text=f"{name} in {folder}")


def _failed(name: str, error: DeskmateError) -> Finding:
    return Finding(name=name, state="fail", text=error.message, command=error.next_command)


def check_recognition(settings: IndexSettings) -> Finding:
    """Ask tesseract for the languages that it reads."""
    from indexing.parsing.ocr import INSTALL_COMMAND, LANGUAGES, find_languages

    name = "text recognition"
    if settings.ocr == "off":
        return Finding(name=name, state="ok", text="switched off ([index] ocr)")
    found = find_languages()
    missing = [language for language in LANGUAGES if language not in found]
    if not missing:
        return Finding(name=name, state="ok", text=f"tesseract reads {', '.join(found)}")
    text = (
        f"tesseract does not read {', '.join(missing)}"
        if found
        else "tesseract (or its languages) not installed"
    )
    return Finding(
        name=name,
        state="warn",
        text=f"{text}; scanned pages and pictures are left out",
        command=INSTALL_COMMAND,
    )


def check_free(name: str, free: int, low: int) -> Finding:
    """Warn where less than ``low`` bytes are free."""
    text = f"{free / 1e9:.1f} GB free"
    if free >= low:
        return Finding(name=name, state="ok", text=text)
    return Finding(
        name=name, state="warn", text=f"{text}; models, training and indexing need {low / 1e9:.0f} GB"
    )


def check_port(service: ServiceSettings) -> Finding:
    """Try to listen where the service will."""
    where = f"{service.host}:{service.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            service.host, service.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return Finding(
            name="port",
            state="warn",
            text=f"{where} cannot be listened on ({error.strerror}); perhaps the service runs already",
            command=f"deskmate --set service.port={service.port + 1} serve",
        )
    return Finding(name="port", state="ok", text=f"{where} is free")


def check_collections(home: Home) -> Iterator[Finding]:
    """Open the database for reading and name the collections."""
    path = home.root / "deskmate.sqlite3"
    collections = sorted(p.name for p in home.root.glob("collections/*") if p.is_dir())
    if not path.exists():
        state: Literal["fail", "warn"] = "fail" if collections else "warn"
        text = f"{path} is missing" if collections else "nothing is indexed yet"
        yield Finding(name="database", state=state, text=text, command="deskmate index add PATH")
        return
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        yield Finding(name="database", state="fail", text=f"{path} cannot be read: {error}")
        return
    yield Finding(name="database", state="ok", text=str(path))
    yield Finding(
        name="collections",
        state="ok" if collections else "warn",
        text=", ".join(collections) or "there are none",
        command=None if collections else "deskmate index add PATH",
    )
