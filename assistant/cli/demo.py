"""``deskmate demo``: the whole loop on the sample collection, from files to a tuned, measured assistant."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import click

from assistant.cli.ask import show_answer
from assistant.cli.context import Context, pass_context
from assistant.cli.evaluate import read_suite, suite_path, verdict_line
from assistant.cli.measuring import Evaluation, evaluate_arms
from assistant.core.records import Arm

COLLECTION = "demo"
# one question a language, and one that no manual answers
QUESTIONS = (
    "Which torque do the motor flange bolts of the Q7 take?",
    "T6 显示 F03 是什么故障，怎么处理？",
    "Does the Q7 come with a Bluetooth speaker?",
)


class _Clock:
    """Adds up where the time went."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - began


@click.command()
@pass_context
def demo(context: Context) -> None:
    """Import the sample collection, index, tune, measure the four arms, and answer three questions.

    A second run skips what is done; an interrupted one goes on where it stopped.
    """
    clock = _Clock()
    _prepare(context, clock)
    with resources.as_file(resources.files("assistant.samples").joinpath("files")) as files:
        _index(context, files, clock)
    _say(context, "First answer, before any tuning")
    _ask(context, QUESTIONS[:1], "rag", clock)
    _tune(context, clock)
    evaluation = _measure(context, clock)
    _say(context, "Three questions, answered with the tuned adapter")
    _ask(context, QUESTIONS, "rag+ft", clock)
    _summary(context, clock, evaluation)


def _prepare(context: Context, clock: _Clock) -> None:
    from assistant.models.catalogue import CATALOGUE
    from assistant.models.prepare import prepare

    named = {context.settings.engine.base_model, context.settings.embedder.model}
    progress = context.progress()
    with clock.measure("models"):
        prepare([spec for name, spec in CATALOGUE.items() if name in named], context.home, progress)
    progress.finish()


def _index(context: Context, files: Path, clock: _Clock) -> None:
    from indexing.build import add

    resources = context.resources
    progress = context.progress()
    with clock.measure("index"):
        report = add(
            [files],
            COLLECTION,
            context.home,
            context.settings,
            resources.database,
            resources.embedder,
            progress,
        )
    progress.finish()
    _say(context, f"Index: {report.document_count} documents, {report.chunk_count} chunks")


def _tune(context: Context, clock: _Clock) -> None:
    from training.adapters import train_collection
    from training.dataset import read_examples
    from training.synthesis import synthesize

    resources = context.resources
    datasets = context.home.collection(COLLECTION) / "datasets"
    suite = read_suite(context, suite_path(COLLECTION, None))
    with clock.measure("synthesis"):
        manifest, _ = synthesize(
            COLLECTION,
            datasets,
            resources.searcher(COLLECTION),
            lambda: resources.engine,
            context.settings,
            context.progress(),
            held_out=suite,
        )
    _say(context, f"Instruction data: {manifest.example_count} examples, dataset {manifest.id}")
    with clock.measure("training"):
        _, examples = read_examples(datasets, COLLECTION)
        adapter, report = train_collection(
            manifest, examples, context.home, context.settings, resources.database, context.progress()
        )
    steps = f"{report.steps} steps, loss {report.first_loss} to {report.last_loss}" if report else "is there"
    _say(context, f"Adapter {adapter.name}: {steps}")


def _measure(context: Context, clock: _Clock) -> Evaluation:
    path = suite_path(COLLECTION, None)
    with clock.measure("evaluation"):
        return evaluate_arms(context, COLLECTION, path, read_suite(context, path))


def _ask(context: Context, questions: tuple[str, ...], arm: Arm, clock: _Clock) -> None:
    with clock.measure("answers"):
        pipeline = context.resources.pipeline(COLLECTION)
        for question in questions:
            click.echo(click.style(f"\n? {question}", bold=True))
            show_answer(pipeline, question, arm)


def _summary(context: Context, clock: _Clock, evaluation: Evaluation) -> None:
    from eval.report import terminal_table

    _say(context, f"The four arms on {evaluation.report.about['suite']}, none of them trained on")
    click.echo(terminal_table(evaluation.report))
    if evaluation.verdict is not None:
        click.echo(verdict_line(evaluation.verdict))
    _say(context, "Where the time went")
    for stage, seconds in clock.seconds.items():
        click.echo(f"  {stage:12} {seconds:7.1f} s")
    click.echo(f"  {'total':12} {sum(clock.seconds.values()):7.1f} s")
    _say(context, "Where everything is")
    click.echo(f"  data folder  {context.home.root}")
    click.echo(f"  collection   {context.home.collection(COLLECTION)}")
    click.echo(f"  report       {evaluation.page_path}")
    _say(context, "Next: make serve, then open http://127.0.0.1:8080/")


def _say(context: Context, text: str) -> None:
    context.console.print(f"\n[bold]{text}[/bold]")
