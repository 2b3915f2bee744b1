"""``deskmate engine``: an SGLang server of one's own."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time

import click

from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import EngineUnavailable, ResourceError
from assistant.engine.leftovers import end_leftovers
from assistant.engine.sglang_home import SglangHome, make_keys
from assistant.engine.sglang_install import install, install_steps
from assistant.engine.sglang_server import check_start, last_lines, serve_engine, server_url
from assistant.engine.watching import WatchState, is_watched, read_state, watch_lock

_LOOK_SECONDS = 0.5
_SHOWN_LINES = 15
_BEGIN_SECONDS = 30.0


@click.group()
def engine() -> None:
    """Install, start and watch an SGLang server of one's own."""


@engine.command("install")
@click.option("--dry-run", is_flag=True, help="Only print the commands.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def install_engine(context: Context, *, dry_run: bool, as_json: bool) -> None:
    """Make SGLang's own Python environment; what is complete is left as it is."""
    home = _home(context)
    if dry_run:
        for step in install_steps(context.settings.sglang, home):
            click.echo(shlex.join(step.command))
        return
    progress = context.progress()
    try:
        found = install(context.settings.sglang, home, progress)
    finally:
        progress.finish()
    if as_json:
        print_json(found)
    else:
        click.echo(f"SGLang {found.version} for {found.device} in {home.environment}")
        click.echo("next: deskmate engine start")


@engine.command()
@click.option("--foreground", is_flag=True, help="Watch it in this process, for systemd or a container.")
@pass_context
def start(context: Context, *, foreground: bool) -> None:
    """Start the server and wait until it is healthy; it is started again when it dies."""
    home = _home(context)
    if foreground:
        if not serve_engine(context.settings, context.home, context.environment):
            raise EngineUnavailable(_given_up(home), next_command="deskmate engine logs")
        return
    with watch_lock(home.lock):
        check_start(context.settings, home)
    make_keys(home, context.environment)
    watcher = _detach(context, home)
    state = _wait(context, home, watcher)
    click.echo(f"SGLang serves {state.model} at {state.url}")
    click.echo(f"next: deskmate --set engine.kind=sglang --set engine.url={state.url} serve")


@engine.command()
@pass_context
def stop(context: Context) -> None:
    """Stop the server and its watcher."""
    home = _home(context)
    state = read_state(home.state)
    if state is None or not is_watched(home.lock):
        with watch_lock(home.lock):
            count = end_leftovers(home.root, context.settings.sglang.stop_seconds)
        click.echo(f"ended {count} processes of an earlier server" if count else "the engine does not run")
        return
    os.kill(state.watcher_pid, signal.SIGTERM)
    until = time.monotonic() + context.settings.sglang.stop_seconds + _BEGIN_SECONDS
    while is_watched(home.lock):
        if time.monotonic() > until:
            raise ResourceError("the engine does not stop", next_command="deskmate engine logs")
        time.sleep(_LOOK_SECONDS / 2)
    click.echo("stopped")


@engine.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def status(context: Context, *, as_json: bool) -> None:
    """Show whether the server runs, since when, how often it died and which adapters it holds."""
    home = _home(context)
    state = read_state(home.state) or WatchState(
        phase="stopped", url=server_url(context.settings), model="", since=time.time()
    )
    runs = is_watched(home.lock)
    phase = state.phase if runs or state.phase == "failed" else "stopped"
    adapters = _adapters(context) if phase == "ready" else ()
    if as_json:
        shown = {name: getattr(state, name) for name in ("url", "model", "deaths", "reason", "server_pid")}
        print_json({"phase": phase, **shown, "adapters": adapters})
        return
    click.echo(f"engine: {phase}" + (f" ({state.reason})" if state.reason else ""))
    if runs:
        seconds = time.time() - state.since
        click.echo(f"{state.model} at {state.url}, for {seconds:.0f} s, died {state.deaths} times")
        click.echo(f"adapters: {', '.join(adapters) or 'none'}")
    else:
        click.echo("next: deskmate engine start")


@engine.command()
@click.option("-n", "--lines", type=click.IntRange(1), default=50, show_default=True, help="Lines shown.")
@click.option("--follow", is_flag=True, help="Go on showing what comes.")
@pass_context
def logs(context: Context, lines: int, *, follow: bool) -> None:
    """Show the server's log."""
    home = _home(context)
    for line in last_lines(home.log, lines):
        click.echo(line)
    if not follow or not home.log.exists():
        return
    with home.log.open("r", encoding="utf-8", errors="replace") as stream:
        stream.seek(0, os.SEEK_END)
        while True:
            text = stream.read()
            click.echo(text, nl=False) if text else time.sleep(_LOOK_SECONDS)


def _home(context: Context) -> SglangHome:
    return SglangHome(context.home, context.settings.sglang)


def _detach(context: Context, home: SglangHome) -> subprocess.Popen[bytes]:
    """Start the watcher as a process that outlives this one."""
    home.state.unlink(missing_ok=True)
    home.log.parent.mkdir(parents=True, exist_ok=True)
    files = [word for file in context.files for word in ("--config", str(file))]
    run = "from assistant.cli import main; main()"
    with home.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-c", run, *files, "engine", "start", "--foreground"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**context.environment, "DESKMATE_HOME": str(context.home.root)},
            start_new_session=True,
        )


def _wait(context: Context, home: SglangHome, watcher: subprocess.Popen[bytes]) -> WatchState:
    """Wait until the server is healthy, telling what its log says meanwhile."""
    progress = context.progress()
    progress.start("starting SGLang")
    try:
        while True:
            state = read_state(home.state)
            if state is not None and state.phase == "ready":
                return state
            if watcher.poll() is not None:
                raise EngineUnavailable(_given_up(home), next_command="deskmate engine logs")
            said = last_lines(home.log, 1)
            progress.advance(note=said[0] if said else "")
            time.sleep(_LOOK_SECONDS)
    finally:
        progress.finish()


def _given_up(home: SglangHome) -> str:
    state = read_state(home.state)
    reason = state.reason if state else ""
    said = "\n  ".join(last_lines(home.log, _SHOWN_LINES))
    return f"the engine does not run: {reason or 'it did not start'}; its log ends with:\n  {said}"


def _adapters(context: Context) -> tuple[str, ...]:
    from assistant.engine.sglang import open_sglang

    client = open_sglang(context.settings, context.home, url=server_url(context.settings))
    try:
        return client.adapters()
    finally:
        client.close()
