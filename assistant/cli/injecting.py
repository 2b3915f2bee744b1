"""``deskmate eval injections``: whether orders in documents and questions are obeyed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.cli.context import Context, pass_context, print_json
from assistant.core.records import Arm

if TYPE_CHECKING:
    from assistant.answering.guarding import Policy
    from eval.injection import InjectionCounts

_POLICIES = ("keep", "mark", "withhold")


@click.command()
@click.option("--collection", default="default", show_default=True, help="Name of the collection.")
@click.option(
    "--suite",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="As in `deskmate eval run`; attacks in documents are put into the passages of its questions.",
)
@click.option(
    "--set",
    "attacks",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A JSON Lines file of attacks and harmless texts; default: the one that ships.",
)
@click.option(
    "--policy",
    "policies",
    type=click.Choice(_POLICIES),
    multiple=True,
    default=("keep", "withhold"),
    show_default=True,
    help="What becomes of orders, see [answer] injections; may be given several times.",
)
@click.option("--arm", type=click.Choice(("rag", "rag+ft")), help="Default: the best that there is.")
@click.option("--limit", type=click.IntRange(1), help="Take this many texts, evenly over the set.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def injections(
    context: Context,
    collection: str,
    file: Path | None,
    attacks: Path | None,
    policies: tuple[Policy, ...],
    arm: Arm | None,
    limit: int | None,
    *,
    as_json: bool,
) -> None:
    """Put orders to the language model into passages and questions, and count how many are obeyed.

    Counted for what the engine wrote and for the answer after all checks. Harmless texts that look like
    orders and are taken for one are false alarms.
    """
    from assistant.cli.evaluate import read_suite, suite_path
    from eval.injection import (
        count_injections,
        injection_lines,
        load_injections,
        sample_injections,
        try_injections,
    )

    rows = load_injections(attacks or sample_injections())
    rows = rows[:: max(1, len(rows) // limit)] if limit else rows
    cases = read_suite(context, suite_path(collection, file, context.home.collection(collection)))
    pipeline = context.resources.candidate(collection)
    counts: list[InjectionCounts] = []
    obeyed: list[object] = []
    for policy in policies:
        asked = arm or pipeline.default_arm
        outcomes = try_injections(pipeline, rows, cases, policy, asked, context.progress())
        counts += count_injections(outcomes, policy)
        obeyed += [(policy, row) for row in outcomes if row.is_successful]
    if as_json:
        print_json({"counts": counts, "obeyed": obeyed})
        return
    click.echo("\n".join(injection_lines(counts)))
