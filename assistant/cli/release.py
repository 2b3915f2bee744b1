"""``deskmate release``: index snapshot, adapter, prompts and settings, served and taken back together."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from assistant.cli.building import collection_option, json_option
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.release_ab import ab
from assistant.cli.releasing import ACTOR, find_release, note
from assistant.core.errors import CollectionBusy, InputError, NotFoundError
from assistant.core.records import Record
from assistant.core.settings import Settings
from assistant.jobs.records import Job, Outcome
from assistant.store.adapters import Adapter, Adapters
from assistant.store.releases import Release, Releases, Switch


@click.group()
def release() -> None:
    """Put together what is served, prove it, serve it and take it back."""


release.add_command(ab)


@release.command()
@collection_option
@click.option("--adapter", help="Name of the adapter; by default the one trained last.")
@click.option("--without-adapter", is_flag=True, help="The base model alone.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The evaluation's report.json; by default the collection's newest.",
)
@json_option
@pass_context
def create(
    context: Context,
    collection: str,
    adapter: str | None,
    report: Path | None,
    *,
    without_adapter: bool,
    as_json: bool,
) -> None:
    """Make a release of the served snapshot, an adapter, the prompts, the settings and a report."""
    from assistant.answering.releases import compose_release, keep_snapshot
    from indexing.snapshots import open_current

    folder = context.home.collection(collection)
    snapshot, manifest = open_current(folder)
    chosen = None if without_adapter else _choose_adapter(context, collection, adapter)
    keep_snapshot(folder, snapshot.name)
    content = compose_release(
        folder,
        _as_used(context, folder, manifest.fingerprint, chosen),
        snapshot.name,
        manifest.fingerprint,
        chosen,
        report or _newest_report(context, collection),
    )
    with context.resources.database.write() as session:
        made = Releases(session).save(content, ACTOR)
    if as_json:
        print_json(made)
        return
    click.echo(
        f"{made.id}: snapshot {content.snapshot}, adapter {content.adapter or 'none'}, "
        f"{'with' if content.report_sha256 else 'without'} a report"
    )
    click.echo(f"next: deskmate release promote {made.id} --collection {collection}")


@release.command("list")
@collection_option
@json_option
@pass_context
def list_releases(context: Context, collection: str, *, as_json: bool) -> None:
    """List a collection's releases, newest first, and what was done with them."""
    with context.resources.database.read() as session:
        found, events = Releases(session).of(collection), Releases(session).events(collection)
    if as_json:
        print_json({"releases": found, "events": events})
        return
    for row in found:
        content = row.content
        click.echo(
            f"{row.id}  {row.state:<10}  {row.created}  snapshot {content.snapshot}  "
            f"adapter {content.adapter or 'none'}"
        )
    for event in events:
        proof = f" ({event.proof})" if event.proof else ""
        click.echo(f"{event.time}  {event.action} {event.release} by {event.actor}{proof}")
    if not found:
        click.echo(f"no release; next: deskmate release create --collection {collection}")


@release.command()
@click.argument("name", metavar="RELEASE")
@collection_option
@json_option
@pass_context
def show(context: Context, name: str, collection: str, *, as_json: bool) -> None:
    """Show everything that RELEASE is made of."""
    found = find_release(context, name, collection)
    if as_json:
        print_json(found)
        return
    click.echo(f"{found.id}  {found.state}  {found.created}{'' if found.is_whole else '  CHANGED'}")
    click.echo(msgspec.json.format(msgspec.json.encode(found.content), indent=2).decode())


@release.command()
@click.argument("old")
@click.argument("new")
@collection_option
@json_option
@pass_context
def diff(context: Context, old: str, new: str, collection: str, *, as_json: bool) -> None:
    """Show what differs from release OLD to release NEW."""
    from assistant.answering.releases import differences

    rows = differences(
        find_release(context, old, collection).content, find_release(context, new, collection).content
    )
    if as_json:
        print_json([{"name": name, "old": left, "new": right} for name, left, right in rows])
        return
    for name, left, right in rows:
        click.echo(f"{name}: {left} → {right}")


@release.command()
@click.argument("name", metavar="RELEASE")
@collection_option
@click.option("--without-gate", is_flag=True, help="Do not ask for the verdict on its report; noted as such.")
@click.option("--without-parity", is_flag=True, help="Do not compare with transformers; noted as such.")
@json_option
@pass_context
def promote(
    context: Context, name: str, collection: str, *, without_gate: bool, without_parity: bool, as_json: bool
) -> None:
    """Prove RELEASE (gate, canary, parity) and serve it; running services switch within a second or two."""
    from assistant.cli.proving import prove

    found, before = find_release(context, name, collection), _active(context, collection)
    proof = prove(context, found, gate=not without_gate, parity=not without_parity)
    _switch(context, found, "promote", before, proof)
    if as_json:
        print_json({"release": found.id, "before": before, "proof": proof})
    else:
        click.echo(f"{found.id} is served: {proof}")


class PromoteArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``release.promote``.

    Attributes:
        release: id of the release to serve.
        before: id of the release that was served when it was asked for, None for none.
        actor: key that asked.
    """

    release: str
    before: str | None
    actor: str


def promote_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``release.promote``: prove a release, then serve it."""
    from assistant.answering.releases import switch_release
    from assistant.cli.proving import prove

    wanted = msgspec.convert(job.arguments, PromoteArguments)
    found = find_release(context, wanted.release, job.collection)
    proof = prove(context, found, gate=True, parity=True)
    database = context.resources.database
    try:
        switch_release(context.home, database, found, "promote", wanted.before, wanted.actor, proof)
    except CollectionBusy as error:  # waiting would not help: the decision was made on another state
        raise InputError(error.message, next_command=error.next_command) from error
    return Outcome(result={"release": found.id, "before": wanted.before, "proof": proof})


@release.command()
@click.argument("name", metavar="[RELEASE]", required=False)
@collection_option
@json_option
@pass_context
def rollback(context: Context, name: str | None, collection: str, *, as_json: bool) -> None:
    """Serve the release before again, or RELEASE; it was proven when it was promoted."""
    before = _active(context, collection)
    with context.resources.database.read() as session:
        releases = Releases(session)
        found = releases.find(name, collection) if name else releases.previous(collection)
    context.resources.check(found)  # without the weights: a rollback is quick
    _switch(context, found, "rollback", before, "files and settings: whole")
    if as_json:
        print_json({"release": found.id, "before": before})
    else:
        click.echo(f"{found.id} is served again")


@release.command()
@click.argument("name", metavar="RELEASE")
@collection_option
@pass_context
def retire(context: Context, name: str, collection: str) -> None:
    """Let RELEASE never be served again; its snapshot may then be pruned."""
    from assistant.answering.releases import let_go

    found = find_release(context, name, collection)
    with context.resources.database.write() as session:
        Releases(session).retire(found, ACTOR)
        note(session, "release.retire", f"{collection}/{found.id}")
        left = Releases(session).of(collection)
    let_go(context.home.collection(collection), left)
    click.echo(f"{found.id} is retired")


@release.command()
@click.argument("name", metavar="[RELEASE]", required=False)
@collection_option
@json_option
@pass_context
def parity(context: Context, name: str | None, collection: str, *, as_json: bool) -> None:
    """Compare the engine with transformers and PEFT on RELEASE's adapter, by default the served one's."""
    from assistant.cli.proving import measure_parity, show_parity

    chosen = name or _active(context, collection)
    if chosen is None:
        raise NotFoundError(
            f"no release of collection {collection!r} is served",
            next_command=f"deskmate release create --collection {collection}",
        )
    measured = measure_parity(context, find_release(context, chosen, collection))
    if as_json:
        print_json({"is_equal": measured.is_equal, "dtype": measured.dtype, "rows": measured.rows})
    else:
        show_parity(measured)


def _active(context: Context, collection: str) -> str | None:
    with context.resources.database.read() as session:
        found = Releases(session).active(collection)
    return found.id if found else None


def _switch(context: Context, found: Release, action: Switch, before: str | None, proof: str) -> None:
    from assistant.answering.releases import switch_release

    switch_release(context.home, context.resources.database, found, action, before, ACTOR, proof)


def _choose_adapter(context: Context, collection: str, name: str | None) -> Adapter | None:
    if name is None:
        return context.resources.candidate_adapter(collection)
    with context.resources.database.read() as session:
        found = Adapters(session).find(name)
    if found is None or found.collection != collection:
        raise NotFoundError(
            f"no adapter {name!r} of collection {collection!r}",
            next_command=f"deskmate train --collection {collection}",
        )
    return found


def _newest_report(context: Context, collection: str) -> Path | None:
    from assistant.cli.gating import newest_report

    try:
        return newest_report(context, collection)
    except NotFoundError:
        return None


def _as_used(context: Context, folder: Path, fingerprint: str, adapter: Adapter | None) -> Settings:
    """Return the settings with the collection's own search weight and calibration, as answers take them."""
    from assistant.answering.calibrations import calibrated_settings
    from indexing.tuning import tuned_settings

    search = tuned_settings(folder, context.settings.search, fingerprint)
    settings = calibrated_settings(folder, context.settings, adapter.name if adapter else None)
    return msgspec.structs.replace(settings, search=search)
