"""``deskmate release ab``: two releases at once, by conversation, with figures of each."""

from __future__ import annotations

import click

from assistant.cli.building import collection_option, json_option
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.releasing import ACTOR, find_release, note
from assistant.core.errors import InputError
from assistant.store.releases import Release, Releases
from assistant.store.splits import Split
from assistant.store.usage import UsageLine, read_usage

_DEFAULT_WEIGHT = 0.2
_PAIR = 2


@click.command()
@click.argument("names", metavar="[A B]", nargs=-1)
@collection_option
@click.option(
    "--weight",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=_DEFAULT_WEIGHT,
    show_default=True,
    help="Share of the conversations that B answers.",
)
@click.option("--off", is_flag=True, help="End it: A answers everything again.")
@click.option("--without-gate", is_flag=True, help="Do not ask for the verdict on B's report; noted as such.")
@click.option("--without-parity", is_flag=True, help="Do not compare B with transformers; noted as such.")
@json_option
@pass_context
def ab(
    context: Context,
    names: tuple[str, ...],
    collection: str,
    weight: float,
    *,
    off: bool,
    without_gate: bool,
    without_parity: bool,
    as_json: bool,
) -> None:
    """Let release B answer a share of the conversations beside the served release A.

    A conversation stays with one release. Without A and B, show the running A/B and what each release's
    answers amount to. Promoting or rolling back ends it.
    """
    if off:
        _end(context, collection)
    elif len(names) == _PAIR:
        one, other = (find_release(context, name, collection) for name in names)
        _begin(context, one, other, weight, gate=not without_gate, parity=not without_parity)
    elif names:
        raise InputError("name two releases, A and B", next_command="deskmate release list")
    with context.resources.database.read() as session:
        split = Releases(session).split(collection)
        lines = read_usage(session, collections=[collection], by="release")
    if as_json:
        print_json({"split": split, "figures": lines})
    else:
        _show(split, lines, collection)


def _begin(
    context: Context, one: Release, other: Release, weight: float, *, gate: bool, parity: bool
) -> None:
    from assistant.answering.releases import keep_snapshot
    from assistant.cli.proving import prove

    collection = one.content.collection
    proof = prove(context, other, gate=gate, parity=parity)
    keep_snapshot(context.home.collection(collection), other.content.snapshot)
    with context.resources.database.write() as session:
        Releases(session).begin_split(one, other, weight, ACTOR, proof)
        note(session, "release.ab", f"{collection}/{one.id}+{other.id}@{weight:g}")


def _end(context: Context, collection: str) -> None:
    with context.resources.database.write() as session:
        split = Releases(session).end_split(collection, ACTOR)
        note(session, "release.ab-off", f"{collection}/{split.release}+{split.challenger}")


def _show(split: Split | None, lines: list[UsageLine], collection: str) -> None:
    if split is None:
        click.echo(f"collection {collection!r} has no A/B")
    else:
        click.echo(
            f"since {split.since}: {split.challenger} answers {split.weight:.0%} of the conversations, "
            f"{split.release} the others"
        )
    roles = {split.release: "A ", split.challenger: "B "} if split else {}
    for line in lines:
        click.echo(
            f"{roles.get(line.group, '')}{line.group or 'no release'}: {line.answers} answers, "
            f"{line.abstentions} abstained, {line.up} good and {line.down} bad ratings, "
            f"{line.resolved} resolved, {line.unresolved} not, {line.handovers} handed over, "
            f"{line.mean_seconds:.2f} s each"
        )
