"""``deskmate assess``: before anyone tunes, what the base model does with a collection as it is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.evaluate import read_suite
from assistant.cli.measuring import collection_fingerprint
from assistant.cli.suite import no_words, wording
from assistant.core.records import Case, Record
from assistant.core.runs import Run

if TYPE_CHECKING:
    from assistant.answering.pipeline import Pipeline
    from assistant.core.records import Chunk, Example
    from assistant.core.settings import Settings
    from eval.assessment import Assessment
    from eval.compare import Interval
    from eval.fingerprints import Fingerprint
    from eval.suite_making import Wording

JSON_FILE = "assessment.json"
PAGE_FILE = "assessment.html"
# of the instruction data, for a pilot
_PILOT_PART = 10
_LEAST_EXAMPLES = 8


class _Questions(Record, frozen=True, kw_only=True):
    """What is asked, and the documents that a pilot may not learn from."""

    cases: tuple[Case, ...]
    documents: tuple[str, ...]
    origin: str


@click.command()
@click.argument("collection")
@click.option(
    "--suite",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Ask these questions; default: some made from the collection's own documents.",
)
@click.option("--count", type=click.IntRange(5, 500), default=40, show_default=True, help="Questions.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of every choice.")
@click.option(
    "--pilot",
    is_flag=True,
    help="Also tune on a tenth of the data and measure what that changes; takes minutes to an hour.",
)
@click.option("--no-engine", is_flag=True, help="Ask only what rules make; the engine words no question.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def assess(
    context: Context,
    collection: str,
    file: Path | None,
    count: int,
    seed: int,
    *,
    pilot: bool,
    no_engine: bool,
    as_json: bool,
) -> None:
    """Advise for COLLECTION: prompt only, RAG only, or RAG and tuning, with the evidence.

    Asks the base model questions without and with documents, for a form and in its tone, and looks whether
    there is enough to learn from. Writes a page and assessment.json; stopped midway, it goes on.
    """
    from eval.assessment_page import assessment_text

    wording_of = None if no_engine else seed
    assessment, page = _assess(context, collection, file, count, seed, pilot=pilot, wording_seed=wording_of)
    if as_json:
        print_json({"assessment": assessment, "page": str(page)})
        return
    click.echo(assessment_text(assessment))
    click.echo(f"\npage: {page}")


def _assess(
    context: Context,
    collection: str,
    file: Path | None,
    count: int,
    seed: int,
    *,
    pilot: bool,
    wording_seed: int | None,
) -> tuple[Assessment, Path]:
    from assistant.core.jsonl import write_json
    from eval.assessment import assess as measure
    from eval.assessment_page import assessment_page
    from eval.report import write_page
    from indexing.corpus import load_corpus

    chunks = load_corpus(collection, context.home).chunks
    pipeline = context.resources.candidate(collection)
    word = no_words if wording_seed is None else wording(context, context.home.collection(collection), seed)
    questions = (
        _given(context, file, chunks, count) if file else _made(chunks, count, seed, word, is_split=False)
    )
    run = Run.start(context.home.runs, "assess", collection, context.settings, {"collection": collection})
    fingerprint = collection_fingerprint(context, collection)
    about = _about(context, collection, pipeline, questions)
    gain = None
    if pilot:
        apart = questions if file else _made(chunks, count, seed, word, is_split=True)
        gain, about["pilot"] = _pilot(context, collection, pipeline, apart, run.folder, fingerprint)
    assessment = measure(
        pipeline,
        questions.cases,
        chunks,
        run.folder,
        fingerprint,
        context.progress(),
        about=about,
        pilot=gain,
    )
    write_json(run.folder / JSON_FILE, assessment)
    write_page(run.folder / PAGE_FILE, assessment_page(assessment))
    return assessment, run.folder / PAGE_FILE


def _given(context: Context, file: Path, chunks: Sequence[Chunk], count: int) -> _Questions:
    """Take a suite's answerable questions; a suite may name documents by the end of their path."""
    from eval.retrieval import is_same_document
    from eval.suites import spread

    answerable = tuple(case for case in read_suite(context, file) if case.answerable)
    cases = spread(answerable, count)
    golds = {gold.doc for case in cases for gold in case.gold}
    every = dict.fromkeys(chunk.document for chunk in chunks)
    documents = tuple(name for name in every if any(is_same_document(gold, name) for gold in golds))
    return _Questions(cases=cases, documents=documents, origin=f"{file.name}: {len(cases)} questions")


def _made(chunks: Sequence[Chunk], count: int, seed: int, word: Wording, *, is_split: bool) -> _Questions:
    """Make questions about all documents, or, where a pilot learns from the others, about a fifth."""
    from eval.assessment import own_questions
    from eval.suite_making import choose_documents

    every = tuple(dict.fromkeys(chunk.document for chunk in chunks))
    documents = choose_documents(chunks, seed) if is_split else every
    cases = own_questions(chunks, documents, count, seed, word)
    told = f"{len(cases)} made from {len(documents)} of {len(every)} documents"
    return _Questions(cases=cases, documents=documents, origin=told)


def _about(context: Context, collection: str, pipeline: Pipeline, questions: _Questions) -> dict[str, str]:
    languages = {name: sum(case.lang == name for case in questions.cases) for name in ("en", "zh")}
    counts = ", ".join(f"{count} {name}" for name, count in languages.items() if count)
    return {
        "collection": collection,
        "engine": f"{pipeline.engine.base_model} ({context.settings.engine.kind})",
        "questions": f"{questions.origin} ({counts})",
    }


def _pilot(
    context: Context,
    collection: str,
    pipeline: Pipeline,
    questions: _Questions,
    folder: Path,
    fingerprint: Fingerprint,
) -> tuple[Interval, str]:
    """Tune on a tenth of the data; return what it changed, and what it learnt from.

    That is other documents than are asked about, where a language has any.
    """
    from eval.assessment import paired_gain
    from eval.runner import run_arms
    from training.adapters import train_collection
    from training.dataset import read_examples
    from training.synthesis import Extras, synthesize

    settings = pilot_settings(context.settings)
    datasets = folder / "datasets"
    manifest, _ = synthesize(
        collection,
        datasets,
        context.resources.searcher(collection),
        lambda: context.resources.engine,
        settings,
        context.progress(),
        held_out=questions.cases,
        extras=Extras(left_out=frozenset(questions.documents)),
    )
    _, examples = read_examples(datasets, collection)
    adapter, _ = train_collection(
        manifest,
        examples,
        context.home,
        settings,
        context.resources.database,
        context.progress(),
        role="kept",
    )
    pipeline.engine.load_adapter(adapter.name, adapter.folder)
    tuned = copy.copy(pipeline)
    tuned.adapter = adapter.name
    prints = msgspec.structs.replace(fingerprint, adapter=adapter.name)
    result = run_arms(tuned, questions.cases, ("rag", "rag+ft"), folder, prints, context.progress())
    eval_settings = context.settings.eval
    gain = paired_gain(result, "rag+ft", "rag", eval_settings.seed, eval_settings.bootstrap_samples)
    return gain, f"{_learnt(examples, questions.documents)}; asked: {questions.origin}"


def _learnt(examples: Sequence[Example], asked: Sequence[str]) -> str:
    documents = {name for example in examples for name in example.documents}
    known = len(documents.intersection(asked))
    kept_apart = "none of them asked about" if not known else f"{known} of them asked about too"
    return f"{len(examples)} examples of {len(documents)} documents, {kept_apart}"


def pilot_settings(settings: Settings) -> Settings:
    """Return the settings with a tenth of the instruction data."""
    synth = settings.synth
    names = ("teacher_questions", "closed_book", "grounded_groups", "replay")
    counts = {name: max(_LEAST_EXAMPLES, getattr(synth, name) // _PILOT_PART) for name in names}
    return msgspec.structs.replace(settings, synth=msgspec.structs.replace(synth, **counts))
