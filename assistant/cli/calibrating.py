"""``deskmate eval calibrate``: how sure a collection's answers must be, from its own suite."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import InputError
from assistant.core.records import Arm, Case
from assistant.core.runs import Run

if TYPE_CHECKING:
    from assistant.answering.calibrations import KeptCalibration
    from eval.calibration import Calibration
    from eval.runner import Outcome

_ARMS = ("rag", "rag+ft")


@click.command()
@click.option("--collection", default="default", show_default=True, help="Name of the collection.")
@click.option(
    "--suite",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="As in `deskmate eval run`; best with questions that the documents do not answer among them.",
)
@click.option("--arm", type=click.Choice(_ARMS), help="Default: the best that the collection has.")
@click.option(
    "--target-risk",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Mean loss (1 - score) of the answers that are given.",
)
@click.option("--remove", is_flag=True, help="Answer without a calibration from now on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def calibrate(
    context: Context,
    collection: str,
    file: Path | None,
    arm: Arm | None,
    target_risk: float,
    *,
    remove: bool,
    as_json: bool,
) -> None:
    """Choose how sure an answer must be, and abstain from then on where it is less.

    Fitted on all questions of the suite; what is printed is each half with the threshold of the other.
    """
    from assistant.answering.calibrations import remove_calibration, write_calibration

    folder = context.home.collection(collection)
    if remove:
        removed = remove_calibration(folder)
        if as_json:
            print_json({"removed": removed})
        else:
            click.echo("the calibration is removed" if removed else "there was no calibration")
        return
    kept = _measure(context, collection, file, arm, target_risk)
    write_calibration(folder, kept)
    if as_json:
        print_json(kept)
        return
    click.echo(
        f"arm {kept.calibration.arm}: answers with a confidence of {kept.calibration.threshold:.2f} or more "
        f"are given, for a risk of {target_risk:.2f}"
    )
    click.echo(f"coverage {kept.coverage_before:.2f} → {kept.coverage:.2f}")
    click.echo(
        f"risk {_number(kept.risk_before)} → {_number(kept.risk)} (each half with the other's threshold)"
    )
    click.echo(f"kept for collection {collection!r}; take it back with --remove")


def _measure(
    context: Context, collection: str, file: Path | None, arm: Arm | None, target_risk: float
) -> KeptCalibration:
    from assistant.answering.calibrations import KeptCalibration
    from assistant.cli.evaluate import read_suite, suite_path
    from assistant.core.settings_answer import CalibrationSettings
    from eval.calibration import calibrate as fit

    path = suite_path(collection, file, context.home.collection(collection))
    asked, adapter, outcomes = _ask(context, collection, path, read_suite(context, path), arm)
    result = fit(outcomes, seed=context.settings.eval.seed, target_risk=target_risk)
    if result.calibration is None:
        raise InputError(f"nothing to calibrate on: {result.undefined}")
    found: Calibration = result.calibration
    return KeptCalibration(
        calibration=CalibrationSettings(arm=asked, weights=found.weights, threshold=found.threshold),
        adapter=adapter,
        suite=path.name,
        target_risk=target_risk,
        coverage=found.coverage,
        risk=found.risk,
        coverage_before=found.coverage_before,
        risk_before=found.risk_before,
        case_count=found.case_count,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _ask(
    context: Context, collection: str, path: Path, cases: tuple[Case, ...], arm: Arm | None
) -> tuple[Arm, str | None, tuple[Outcome, ...]]:
    """Ask the suite without a calibration; answers that an evaluation kept are not asked again."""
    from assistant.cli.measuring import collection_fingerprint, run_name
    from eval.runner import run_arms

    pipeline = context.resources.candidate(collection, is_calibrated=False)
    asked = arm or pipeline.default_arm
    run = Run.start(context.home.runs, "eval", run_name(collection, path), context.settings)
    fingerprint = collection_fingerprint(context, collection, is_calibrated=False)
    result = run_arms(pipeline, cases, (asked,), run.folder, fingerprint, context.progress())
    return asked, pipeline.adapter, result.outcomes[asked]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
