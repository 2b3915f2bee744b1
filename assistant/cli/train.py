"""``deskmate train``: an adapter from a collection's dataset, runs compared, a grid of settings tried."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.context import Context, pass_context, print_json, refuse_own_options
from assistant.cli.jobs import background_option, enqueue
from assistant.core.errors import DeskmateError, InputError, ModelError
from assistant.core.records import Example, Record
from assistant.core.settings import ENVIRONMENT_PREFIX, Settings, load_settings
from assistant.jobs.records import Job, Outcome
from assistant.store.documents import Documents
from assistant.store.history import History

if TYPE_CHECKING:
    from assistant.store.adapters import Adapter
    from training.adapters import Role
    from training.dataset import DatasetManifest
    from training.processes import Processes
    from training.session import TrainReport
    from training.sweeping import Combination, Trial

collection_option = click.option(
    "--collection", default="default", show_default=True, help="Name of the collection."
)
NOTHING_HELD_OUT = (
    "no answer was scored: of so few documents and chunks nothing could be held out, or nothing short enough"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(invoke_without_command=True)
@collection_option
@click.option("--serve", is_flag=True, help="Answer with it from now on, without asking the gate.")
@background_option
@json_option
@click.pass_context
def train(ctx: click.Context, collection: str, *, serve: bool, background: bool, as_json: bool) -> None:
    """Tune a LoRA adapter on the collection's instruction data, to be measured and released.

    `deskmate eval` measures it; `deskmate release create` and `promote` serve it past the gate. Stopped
    midway, the same command goes on from the last checkpoint; finished, it trains nothing.
    """
    if ctx.invoked_subcommand is not None:
        refuse_own_options(ctx)
        return
    context = ctx.find_object(Context)
    assert context is not None  # noqa: S101 - set by the top-level group
    if background:
        _refuse_launcher("--background")
        arguments = TrainArguments(serve=serve)
        enqueue(context, "train", collection, msgspec.structs.asdict(arguments), as_json=as_json)
        return
    from training.processes import open_processes

    processes = open_processes()
    try:
        adapter, report = _train(context, collection, context.settings, processes, role=_role(serve=serve))
    finally:
        processes.close()
    if not processes.is_main:
        return
    if as_json:
        print_json({"adapter": adapter, "report": report})
        return
    _show(context, adapter, report)


@train.command()
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@json_option
@pass_context
def compare(context: Context, first: str, second: str, *, as_json: bool) -> None:
    """Show which settings differ between two finished runs, and what came of them."""
    from training.comparing import compare_runs

    found = compare_runs(context.home.runs, first, second)
    if as_json:
        print_json(found)
        return
    for title, rows in (("what differs", found.settings), ("what came out", found.metrics)):
        click.echo(f"{title:28} {found.runs[0]:>26} {found.runs[1]:>26}")
        for key, (left, right) in rows.items():
            click.echo(f"  {key:26} {_cell(left):>26} {_cell(right):>26}")


@train.command()
@collection_option
@click.option(
    "--grid",
    "texts",
    multiple=True,
    required=True,
    metavar="train.KEY=VALUE,VALUE",
    help="Values to try; several options make all combinations.",
)
@background_option
@json_option
@pass_context
def sweep(
    context: Context, collection: str, texts: tuple[str, ...], *, background: bool, as_json: bool
) -> None:
    """Train a small grid of settings and rank them by their answers to held-out examples.

    None of them is served; the command to train the best one is printed. Stopped midway, the same
    command goes on.
    """
    from training.sweeping import parse_grid

    _refuse_launcher("a sweep")
    if background:
        _grid_settings(context, parse_grid(texts))  # refused now, not when a worker takes it up
        arguments = TrainArguments(grid=texts)
        enqueue(context, "train", collection, msgspec.structs.asdict(arguments), as_json=as_json)
        return
    trials = _sweep(context, collection, texts)
    if as_json:
        print_json({"trials": trials})
    else:
        _show_trials(trials, collection)
    _refuse_failed(trials)


class TrainArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``train``; with ``grid`` it is a sweep."""

    serve: bool = False
    grid: tuple[str, ...] = ()


def train_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``train``."""
    arguments = msgspec.convert(job.arguments, TrainArguments)
    if arguments.grid:
        trials = _sweep(context, job.collection, arguments.grid)
        _refuse_failed(trials)
        return Outcome(result={"trials": msgspec.to_builtins(trials)})
    role = _role(serve=arguments.serve)
    adapter, report = _train(context, job.collection, context.settings, role=role)
    return Outcome(result={"adapter": msgspec.to_builtins(adapter), "report": msgspec.to_builtins(report)})


def _train(
    context: Context,
    collection: str,
    settings: Settings,
    processes: Processes | None = None,
    *,
    role: Role,
) -> tuple[Adapter, TrainReport | None]:
    from training.adapters import train_collection

    manifest, examples = _read_dataset(context, collection)
    return train_collection(
        manifest,
        examples,
        context.home,
        settings,
        context.resources.database,
        context.progress(),
        processes=processes,
        role=role,
    )


def _role(*, serve: bool) -> Role:
    return "served" if serve else "candidate"


def _sweep(context: Context, collection: str, texts: tuple[str, ...]) -> list[Trial]:
    from training.sweeping import parse_grid, run_sweep

    grid = parse_grid(texts)
    wanted = _grid_settings(context, grid)  # all checked first
    _read_dataset(context, collection)
    return run_sweep(grid, lambda tried: _try(context, collection, tried, wanted[_key(tried)]))


def _grid_settings(context: Context, grid: dict[str, list[str]]) -> dict[str, Settings]:
    from training.sweeping import combinations

    return {_key(tried): _settings(context, tried) for tried in combinations(grid)}


def _read_dataset(context: Context, collection: str) -> tuple[DatasetManifest, list[Example]]:
    from training.dataset import read_examples

    manifest, examples = read_examples(context.home.collection(collection) / "datasets", collection)
    _refuse_removed(context, collection, examples)
    return manifest, examples


def _show(context: Context, adapter: Adapter, report: TrainReport | None) -> None:
    from training.adapters import SERVED_METHODS

    if report is None:
        click.echo(f"adapter {adapter.name} is there already")
    else:
        click.echo(
            f"adapter {adapter.name}: {report.steps} steps over {report.examples} examples in "
            f"{report.seconds:.0f} s, loss {report.first_loss:.2f} → {report.last_loss:.2f}"
        )
        click.echo(f"{report.tokens_per_second:.0f} tokens/s, peak {report.peak_mebibytes} MiB")
    if report is not None:
        _show_left_out(report)
        _show_validation(report, is_asked=context.settings.train.validation_examples > 0)
    click.echo(f"folder: {adapter.folder}")
    if context.settings.train.method in SERVED_METHODS:
        click.echo("served from now on" if adapter.is_active else "not served: eval and release come first")
        click.echo(f"next: deskmate eval --collection {adapter.collection}")
    else:
        click.echo("not served: the engines serve plain LoRA; this method's adapter can be loaded with PEFT")


def _show_left_out(report: TrainReport) -> None:
    if report.too_long:
        examples = report.examples + report.too_long
        click.echo(f"{report.too_long} of {examples} examples were left out: longer than the base's window")


def _show_validation(report: TrainReport, *, is_asked: bool) -> None:
    if report.validation_score is not None:
        early = ", stopped early" if report.stopped_early else ""
        click.echo(f"held-out answers score {report.validation_score:.2f}{early}")
    elif is_asked:
        click.echo(NOTHING_HELD_OUT)


def _refuse_launcher(what: str) -> None:
    """Refuse, in each of the processes that a launcher started, what one process does by itself.

    Raises:
        InputError: there are several.
    """
    from training.processes import launched_count

    if launched_count() > 1:
        raise InputError(f"{what} is for one process; run it without accelerate's launcher")


def _refuse_failed(trials: Sequence[Trial]) -> None:
    """End a sweep with an error of which nothing came.

    Raises:
        ModelError: every combination failed.
    """
    if all(trial.report is None for trial in trials):
        raise ModelError(f"no combination of the grid could be trained; the first: {trials[0].error}")


def _settings(context: Context, tried: Combination) -> Settings:
    from training.sweeping import VALIDATION_EXAMPLES

    named = {ENVIRONMENT_PREFIX + key.replace(".", "__").upper(): value for key, value in tried.items()}
    settings = load_settings(context.files, {**context.environment, **named}, context.flags).settings
    if settings.train.validation_examples:
        return settings
    asked = msgspec.structs.replace(settings.train, validation_examples=VALIDATION_EXAMPLES)
    return msgspec.structs.replace(settings, train=asked)


def _try(context: Context, collection: str, tried: Combination, settings: Settings) -> Trial:
    from training.adapters import read_card
    from training.sweeping import Trial

    context.console.print(f"trying {', '.join(f'{k} = {v}' for k, v in tried.items())}")
    shown = tried | {"train.validation_examples": str(settings.train.validation_examples)}
    try:
        adapter, report = _train(context, collection, settings, role="kept")
    except DeskmateError as error:
        return Trial(settings=shown, error=error.message)
    return Trial(settings=shown, adapter=adapter.name, report=report or read_card(adapter.folder).metrics)


def _show_trials(trials: list[Trial], collection: str) -> None:
    click.echo("  score  last loss  seconds  settings")
    for trial in trials:
        shown = ", ".join(f"{key} = {value}" for key, value in trial.settings.items())
        if trial.report is None:
            click.echo(f"  failed: {shown}: {trial.error}")
            continue
        report = trial.report
        score = "    –" if report.validation_score is None else f"{trial.score:5.2f}"
        click.echo(f"  {score} {report.last_loss:10.2f} {report.seconds:8.0f}  {shown}")
    best = trials[0].report
    if best is not None:
        if best.validation_score is None:
            click.echo(NOTHING_HELD_OUT)
        command = ["deskmate", *_given_options(), *_as_flags(trials[0].settings), "train"]
        click.echo(f"next: {shlex.join([*command, '--collection', collection])}")


def _given_options() -> list[str]:
    """Return the files and settings that this command was given, for one that is to train the same."""
    given = click.get_current_context().find_root().params
    files = [part for file in given["files"] for part in ("--config", str(file))]
    return files + [part for flag in given["flags"] for part in ("--set", flag)]


def _as_flags(settings: Combination) -> list[str]:
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def _key(tried: Combination) -> str:
    return repr(sorted(tried.items()))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)[:26]


def _refuse_removed(context: Context, collection: str, examples: Iterable[Example]) -> None:
    """Refuse a dataset with examples from documents that have been removed since it was made.

    Raises:
        InputError: it has some.
    """
    with context.resources.database.read() as session:
        found = Documents(session).find_collection(collection)
        there = History(session, found).paths() if found else set()
    gone = sorted({name for example in examples for name in example.documents} - there)
    if gone:
        raise InputError(
            f"the instruction data of collection {collection!r} is made from documents that are no longer "
            f"in it: {len(gone)}, such as {gone[0]!r}",
            next_command=f"deskmate synth --collection {collection}",
        )
