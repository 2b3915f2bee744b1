"""``deskmate eval stability``: how much answers change when nothing of substance does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import InputError
from assistant.core.jsonl import write_json
from assistant.core.records import ARMS, Arm
from assistant.core.runs import Run

if TYPE_CHECKING:
    from eval.stability import StabilityPlan

STABILITY_REPORT = "stability.json"
CASES_SHOWN = 3
_VARIED = ("wordings", "seeds", "orders")


@click.command()
@click.option("--collection", default="default", show_default=True, help="Name of the collection.")
@click.option(
    "--suite",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="As in `deskmate eval run`; its paraphrases are the other wordings.",
)
@click.option("--arm", type=click.Choice(ARMS), help="Default: the best that the collection has.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Ask this many cases, taken evenly over the suite.",
)
@click.option(
    "--vary",
    metavar="W,S,O",
    default="3,2,2",
    show_default=True,
    help="So many wordings of a question, seeds (the first is greedy) and orders of the context.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def stability(
    context: Context,
    collection: str,
    file: Path | None,
    arm: Arm | None,
    limit: int,
    vary: str,
    *,
    as_json: bool,
) -> None:
    """Ask the same in other wordings, with other seeds and with the passages in another order.

    Says how far the answers claim the same, and which of the three costs how much. Writes stability.json;
    an interrupted run goes on where it was.
    """
    from assistant.cli.evaluate import read_suite, suite_path
    from assistant.cli.measuring import collection_fingerprint, run_name
    from eval.stability import run_stability, stability_lines

    plan = _plan(vary)
    path = suite_path(collection, file, context.home.collection(collection))
    cases = read_suite(context, path, limit)
    pipeline = context.resources.candidate(collection, needs_index=arm not in {"base", "ft"})
    asked = arm or pipeline.default_arm
    of = {"collection": collection}
    run = Run.start(context.home.runs, "stability", run_name(collection, path), context.settings, of)
    fingerprint = collection_fingerprint(context, collection)
    result = run_stability(pipeline, cases, asked, plan, run.folder, fingerprint, context.progress())
    write_json(run.folder / STABILITY_REPORT, result)
    if as_json:
        print_json({"stability": result, "report": str(run.folder / STABILITY_REPORT)})
        return
    click.echo("\n".join(stability_lines(result)))
    for row in result.cases[:CASES_SHOWN]:
        click.echo(f"  {row.case_id}: {row.agreement:.2f}\n    {row.least[0]}\n    {row.least[1]}")
    click.echo(f"\nreport: {run.folder / STABILITY_REPORT}")


def _plan(vary: str) -> StabilityPlan:
    """Read ``3,2,2``."""
    from eval.stability import StabilityPlan

    counts = [int(part) for part in vary.split(",") if part.strip().isdecimal()]
    if len(counts) != vary.count(",") + 1 or len(counts) != len(_VARIED):
        raise InputError(f"--vary takes three numbers: {', '.join(_VARIED)}, such as 3,2,2; got {vary!r}")
    return StabilityPlan(**dict(zip(_VARIED, counts, strict=True)))
