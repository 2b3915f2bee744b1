"""``deskmate suite``: question sets, imported, checked, or proposed from a collection's documents."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import InputError

if TYPE_CHECKING:
    from assistant.core.records import Chunk
    from eval.suite_checks import Finding, TrainingSet
    from training.pairs import Pair

_NAME_HELP = "Name of the suite within the collection."
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_file = click.argument("file", type=click.Path(path_type=Path))
_name = click.option("--name", default="own", show_default=True, help=_NAME_HELP)


@click.group()
def suite() -> None:
    """Import, check or make the suites of questions that answers are measured on."""


@suite.command("import")
@_file
@click.option(
    "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The suite to write."
)
@json_option
@pass_context
def import_(context: Context, file: Path, output: Path, *, as_json: bool) -> None:
    """Turn a table (CSV, TSV) or JSON Lines file of questions into a suite.

    Columns have English or Chinese names: question, answers, document, page, evidence, key facts, answerable
    and others; docs/cli.md lists them.
    """
    from assistant.core.jsonl import write_jsonl
    from eval.suite_checks import check_suite
    from eval.suite_import import import_suite

    cases, ignored = import_suite(file)
    findings = check_suite(cases, max_question_characters=context.settings.answer.max_question_characters)
    write_jsonl(output, cases)
    if as_json:
        print_json({"cases": len(cases), "ignored_columns": ignored, "findings": findings})
        return
    if ignored:
        click.echo(f"columns that mean nothing here: {', '.join(ignored)}")
    _show(findings)
    click.echo(f"{len(cases)} cases written to {output}")
    click.echo(f"next: deskmate suite check {shlex.quote(str(output))} --collection NAME")


@suite.command()
@_file
@click.option(
    "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The suite to write."
)
@json_option
def hide(file: Path, output: Path, *, as_json: bool) -> None:
    """Ask each answerable question once more with what answers it hidden: then a refusal is right.

    Measures abstention on as many hard cases as there are answerable ones.
    """
    from assistant.core.jsonl import write_jsonl
    from eval.hiding import hidden_twins
    from eval.suites import load_suite

    cases = load_suite(file)
    twins = hidden_twins(cases)
    if not twins:
        raise InputError(f"{file}: holds no answerable question that is not asked so already")
    write_jsonl(output, [*cases, *twins])
    if as_json:
        print_json({"cases": len(cases) + len(twins), "hidden": len(twins)})
        return
    click.echo(f"{len(cases)} cases and {len(twins)} with their evidence hidden written to {output}")
    click.echo(f"next: deskmate eval run --suite {shlex.quote(str(output))} --collection NAME")


@suite.command()
@_file
@click.option("--collection", help="Also look whether the golds are in it and what of it is trained on.")
@json_option
@click.pass_context
def check(ctx: click.Context, file: Path, collection: str | None, *, as_json: bool) -> None:
    """Say what is wrong with a suite: ids, golds, documents, size, overlap with training data.

    Ends with 2 where something must be mended.
    """
    from eval.suite_checks import check_suite
    from eval.suites import read_cases

    context = ctx.find_object(Context)
    if context is None:
        raise RuntimeError("no context")
    cases = read_cases(file)
    findings = check_suite(
        cases,
        documents_of(context, collection) if collection else None,
        training_set(context, collection) if collection else None,
        context.settings.answer.max_question_characters,
    )
    if as_json:
        print_json({"cases": len(cases), "findings": findings})
    else:
        _show(findings)
        errors = sum(finding.severity == "error" for finding in findings)
        click.echo(f"{len(cases)} cases: " + (f"{errors} errors" if errors else "fit to be measured on"))
    if any(finding.severity == "error" for finding in findings):
        ctx.exit(InputError.exit_code)


@suite.command()
@click.argument("collection")
@_name
@click.option("--count", type=click.IntRange(1, 2000), default=60, show_default=True, help="Questions.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of every choice.")
@click.option("--no-engine", is_flag=True, help="Only what rules make from tables, tickets and quantities.")
@json_option
@pass_context
def make(
    context: Context, collection: str, name: str, count: int, seed: int, *, no_engine: bool, as_json: bool
) -> None:
    """Propose questions from COLLECTION's documents; none counts before its owner approves it.

    They ask about a fifth of the documents, which `deskmate synth` leaves alone from then on.
    """
    from assistant.core.jsonl import write_jsonl
    from eval.suite_making import choose_documents, made_suite_path, propose, review_path
    from indexing.corpus import load_corpus

    folder = context.home.collection(collection)
    review = review_path(folder, name)
    if review.exists():
        raise InputError(
            f"suite {name!r} of collection {collection!r} has been proposed already: {review}",
            next_command=f"deskmate suite approve {collection} --name {name}",
        )
    chunks = load_corpus(collection, context.home).chunks
    trained = training_set(context, collection)
    known = {doc for example in trained.examples for doc in example.documents} if trained else set()
    documents = choose_documents(chunks, seed, known)
    proposals = propose(
        chunks, documents, count, seed, no_words if no_engine else wording(context, folder, seed)
    )
    if not proposals:
        raise InputError(
            f"no question could be made from collection {collection!r}; write some and import them"
        )
    write_jsonl(review, proposals)
    made_suite_path(folder, name).unlink(missing_ok=True)
    if as_json:
        print_json({"review": str(review), "documents": documents, "proposals": proposals})
        return
    for row in proposals:
        click.echo(f"{row.case.id:28} {row.case.question}")
        click.echo(f"{'':28} → {'; '.join(row.case.answers) or 'not in the documents'}")
    click.echo(f"\n{len(proposals)} questions about {len(documents)} documents: {', '.join(documents)}")
    if taught := sorted(known & set(documents)):
        click.echo(f"trained on until now, so make the dataset and the adapter anew: {', '.join(taught)}")
    click.echo(f"review: {review} (may be edited)")
    click.echo(f"next: deskmate suite approve {collection} --name {name} ID… (or --all)")


@suite.command()
@click.argument("collection")
@click.argument("ids", nargs=-1)
@_name
@click.option("--all", "is_all", is_flag=True, help="Approve all that are still open.")
@click.option(
    "--reject", "rejected", multiple=True, metavar="ID", help="Reject one; may be given several times."
)
@json_option
@pass_context
def approve(
    context: Context,
    collection: str,
    ids: tuple[str, ...],
    name: str,
    rejected: tuple[str, ...],
    *,
    is_all: bool,
    as_json: bool,
) -> None:
    """Approve proposed questions of COLLECTION by id; with neither IDS nor options, show what is open."""
    from eval.suite_making import decide, made_suite_path, read_proposals, review_path, write_approved

    folder = context.home.collection(collection)
    review, path = review_path(folder, name), made_suite_path(folder, name)
    proposals = read_proposals(review)
    if rejected:
        proposals = decide(proposals, "rejected", rejected)
    if ids:
        proposals = decide(proposals, "approved", ids)
    if is_all:
        proposals = decide(proposals, "approved", None)
    count = write_approved(proposals, review, path)
    left = [row for row in proposals if row.status == "proposed"]
    if as_json:
        print_json({"suite": str(path) if count else None, "approved": count, "open": len(left)})
        return
    for row in left:
        click.echo(f"open: {row.case.id:28} {row.case.question}")
    click.echo(f"{count} approved, {len(left)} open, {len(proposals) - count - len(left)} rejected")
    if count:
        click.echo(f"suite: {path}")
        click.echo(f"next: deskmate eval --collection {collection} --suite {shlex.quote(str(path))}")


def training_set(context: Context, collection: str, *, is_candidate: bool = False) -> TrainingSet | None:
    """Return what the newest adapter was tuned on, else the current dataset, None without both.

    Args:
        context: of the command.
        collection: name.
        is_candidate: look at that adapter's dataset only.
    """
    from assistant.core.jsonl import read_jsonl
    from assistant.core.records import Example
    from eval.suite_checks import TrainingSet
    from training.dataset import EXAMPLES, current_dataset

    folder = context.home.collection(collection) / "datasets"
    adapter = context.resources.candidate_adapter(collection)
    current = None if is_candidate else current_dataset(folder)
    for name in (adapter.dataset_hash if adapter else "", current.id if current else ""):
        file = folder / name / EXAMPLES
        if name and file.is_file():
            examples = tuple(row for row in read_jsonl(file, Example) if row.split != "test")
            return TrainingSet(name=name, examples=examples)
    return None


def documents_of(context: Context, collection: str) -> tuple[str, ...]:
    """Return the paths of a collection's documents."""
    from indexing.corpus import load_corpus

    return load_corpus(collection, context.home).documents


def wording(context: Context, folder: Path, seed: int) -> Callable[[Sequence[Chunk], int], Sequence[Pair]]:
    """Return what lets the engine word questions; what it says is kept beside the suites."""
    from eval.suite_making import SUITES
    from training.teacher import choose_sentences, teacher_pairs
    from training.teaching import Teacher

    def word(chunks: Sequence[Chunk], count: int) -> Sequence[Pair]:
        kept = folder / SUITES
        kept.mkdir(parents=True, exist_ok=True)
        teacher = Teacher(
            lambda: context.resources.engine, context.settings.teacher, kept, context.progress()
        )
        return teacher_pairs(choose_sentences(chunks, count, seed), teacher)

    return word


def no_words(chunks: Sequence[Chunk], count: int) -> Sequence[Pair]:
    """Word no question."""
    del chunks, count
    return ()


def _show(findings: Sequence[Finding]) -> None:
    for finding in findings:
        click.echo(f"{finding.severity}: {finding.told}")
