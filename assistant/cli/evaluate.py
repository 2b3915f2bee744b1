"""``deskmate eval``: the four arms, or retrieval alone, on a suite of questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.calibrating import calibrate
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.gating import gate
from assistant.cli.injecting import injections
from assistant.cli.jobs import background_option, enqueue
from assistant.cli.measuring import Evaluation, evaluate_arms, evaluate_retrieval
from assistant.cli.stability import stability
from assistant.core.errors import InputError
from assistant.core.records import ARMS, Arm, Case, Record
from assistant.jobs.records import Job, Outcome

if TYPE_CHECKING:
    from eval.gate import Verdict
    from eval.retrieval import RetrievalScores


class _RunByDefault(click.Group):
    """A group that runs ``run`` where no command is named: ``eval --suite F`` is ``eval run --suite F``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` in front of what names no command."""
        asks_for_help = bool(args) and args[0] in ctx.help_option_names
        if not args or (args[0].startswith("-") and not asks_for_help):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunByDefault)
def evaluate() -> None:
    """Measure a collection's answers on held-out questions, and judge what was measured.

    Without a command it runs `run`.
    """


evaluate.add_command(gate)
evaluate.add_command(stability)
evaluate.add_command(calibrate)
evaluate.add_command(injections)


@evaluate.command()
@click.option("--collection", default="default", show_default=True, help="Name of the collection.")
@click.option(
    "--suite",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A JSON Lines file of questions, or the name of one that `deskmate suite make` made; default: the "
    "collection's own, and for the demo collection the suite that ships.",
)
@click.option(
    "--arms",
    "named",
    metavar="ARM,…",
    help="Some of base,rag,ft,rag+ft; default: all that the collection has.",
)
@click.option("--retrieval-only", is_flag=True, help="Only look whether the right passages are found.")
@click.option("--limit", type=click.IntRange(1), help="Ask this many cases, taken evenly over the suite.")
@click.option(
    "--latency",
    type=click.IntRange(1),
    help="Also ask this many cases one at a time in each arm, and report how long a person waits.",
)
@background_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def run(  # noqa: PLR0913 - one parameter an option
    context: Context,
    collection: str,
    file: Path | None,
    named: str | None,
    limit: int | None,
    latency: int | None,
    *,
    retrieval_only: bool,
    background: bool,
    as_json: bool,
) -> None:
    """Measure a collection's answers on a suite of held-out questions.

    Writes report.json and report.html, and prints a table. An interrupted evaluation goes on where it
    was, and answers that nothing has changed for are kept.
    """
    if retrieval_only and (named is not None or latency is not None):
        raise click.UsageError("--retrieval-only asks no arm: leave --arms and --latency out")
    arms = read_arms(named) if named is not None else None
    path = suite_path(collection, file, context.home.collection(collection))
    if background:
        arguments = EvalArguments(
            suite=str(path.absolute()),
            arms=arms,
            limit=limit,
            latency=latency or 0,
            retrieval_only=retrieval_only,
        )
        enqueue(context, "eval", collection, msgspec.to_builtins(arguments), as_json=as_json)
        return
    suite = read_suite(context, path, limit)
    if retrieval_only:
        _print_retrieval(evaluate_retrieval(context, collection, suite), as_json=as_json)
        return
    evaluation = _evaluate(context, collection, path, suite, arms, latency or 0)
    _print_evaluation(evaluation, as_json=as_json)


class EvalArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``eval``, as the options of the command; ``suite`` is an absolute path."""

    suite: str
    arms: tuple[Arm, ...] | None = None
    limit: int | None = None
    latency: int = 0
    retrieval_only: bool = False


def evaluate_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``eval``."""
    arguments = msgspec.convert(job.arguments, EvalArguments)
    path = Path(arguments.suite)
    suite = read_suite(context, path, arguments.limit)
    if arguments.retrieval_only:
        scores = evaluate_retrieval(context, job.collection, suite)
        return Outcome(result={"retrieval": msgspec.to_builtins(scores)})
    evaluation = _evaluate(context, job.collection, path, suite, arguments.arms, arguments.latency)
    return Outcome(result=msgspec.to_builtins(_summary(evaluation)))


def _evaluate(
    context: Context,
    collection: str,
    path: Path,
    suite: tuple[Case, ...],
    arms: tuple[Arm, ...] | None,
    latency: int,
) -> Evaluation:
    from eval.suites import require_scores

    require_scores(suite)
    return evaluate_arms(context, collection, path, suite, arms, latency_cases=latency)


def read_arms(named: str) -> tuple[Arm, ...]:
    """Return the arms that a comma-separated list names.

    Raises:
        InputError: one is unknown or stands twice.
    """
    from eval.runner import check_arms

    names = [name.strip() for name in named.split(",")]
    check_arms(names)
    return tuple(arm for name in names for arm in ARMS if arm == name)


def suite_path(collection: str, file: Path | None, folder: Path | None = None) -> Path:
    """Return the suite's path: the file named, the collection's own, or for the demo collection the sample's.

    Args:
        collection: name.
        file: a path, or the name of a suite of the collection's own.
        folder: of the collection, where its own suites lie.

    Raises:
        InputError: no file is named and the collection has no suite, or several.
    """
    from eval.suite_making import made_suites
    from eval.suites import SAMPLE_COLLECTION, sample_suite_path

    own = made_suites(folder) if folder else ()
    if file is not None:
        named = [path for path in own if path.stem == str(file)]
        return named[0] if named and not file.exists() else file
    if len(own) == 1 and collection != SAMPLE_COLLECTION:
        return own[0]
    if collection != SAMPLE_COLLECTION:
        raise InputError(
            f"collection {collection!r} has {', '.join(path.stem for path in own) or 'no suite of its own'}: "
            "name a suite",
            next_command=f"deskmate eval --collection {collection} --suite FILE",
        )
    return sample_suite_path()


def read_suite(context: Context, path: Path, limit: int | None = None) -> tuple[Case, ...]:
    """Read a suite, or ``limit`` cases taken evenly over it."""
    from eval.suites import load_suite, spread

    suite = load_suite(path, context.settings.answer.max_question_characters)
    return spread(suite, limit or len(suite))


def _print_evaluation(evaluation: Evaluation, *, as_json: bool) -> None:
    from eval.report import terminal_table

    if as_json:
        print_json(_summary(evaluation))
        return
    click.echo(terminal_table(evaluation.report))
    if evaluation.verdict is not None:
        click.echo(f"\n{verdict_line(evaluation.verdict)}")
    click.echo(f"\nreport: {evaluation.page_path}")


def verdict_line(verdict: Verdict) -> str:
    """Return a verdict in one line."""
    if verdict.is_passed:
        return f"gate: {verdict.arm} passes"
    failed = "; ".join(rule.rule for rule in verdict.failed)
    return f"gate: {verdict.arm} is refused ({failed}); deskmate eval gate says by how much"


def _summary(evaluation: Evaluation) -> dict[str, object]:
    report = evaluation.report
    return {
        "about": report.about,
        "arms": report.summaries,
        "differences": report.differences,
        "gate": evaluation.verdict,
        "report": str(evaluation.json_path),
        "page": str(evaluation.page_path),
    }


def _print_retrieval(scores: dict[str, RetrievalScores], *, as_json: bool) -> None:
    from eval.report import retrieval_table

    if as_json:
        print_json({"retrieval": scores})
    else:
        click.echo(retrieval_table(scores))
