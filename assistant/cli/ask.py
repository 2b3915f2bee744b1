"""``deskmate ask``: a question, or a file of them, answered with citations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from assistant.cli.assignments import filter_option
from assistant.cli.batches import BatchRow, answer_rows, check_filters, read_batches
from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import InputError
from assistant.core.records import ARMS, Answer, Arm, Citation, Filters

if TYPE_CHECKING:
    from assistant.answering.pipeline import Pipeline

BATCH = 32


@click.command()
@click.argument("question", required=False)
@click.option("--collection", default="default", show_default=True, help="Name of the collection.")
@click.option("--arm", type=click.Choice(ARMS), help="How to answer; by default the best arm that is there.")
@click.option("--release", help="Answer with this release instead of the served one.")
@filter_option
@click.option(
    "--batch",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A JSON Lines file of {id, question, history?}; prints one JSON line a row.",
)
@click.option("--url", help="Ask the service that runs there, such as http://desk.example.com:8080.")
@click.option("--key", envvar="DESKMATE_KEY", help="API key for --url; the variable DESKMATE_KEY is safer.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def ask(  # noqa: PLR0913 - one parameter an option
    context: Context,
    question: str | None,
    collection: str,
    arm: Arm | None,
    release: str | None,
    filters: Filters,
    batch: Path | None,
    *,
    url: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Answer QUESTION from a collection's documents, with citations; "-" reads it from standard input."""
    if (question is None) == (batch is None):
        raise click.UsageError("give a QUESTION or --batch FILE")
    if url is not None:
        if batch is not None or release is not None:
            raise click.UsageError("--url goes with neither --batch nor --release")
        from assistant.cli.remote import ask_service

        text = _read_standard_input() if question == "-" else question or ""
        is_default = click.get_current_context().get_parameter_source("collection") == ParameterSource.DEFAULT
        asked_there = None if is_default else collection
        ask_service(url, key, text, asked_there, arm, filters, as_json=as_json)
        return
    needs_index = arm in {None, "rag", "rag+ft"}
    if batch is not None:
        asked = context.resources.pipeline(collection, needs_index=needs_index, release=release)
        _ask_batch(asked, batch, arm, filters)
        return
    text = _read_standard_input() if question == "-" else question or ""
    from assistant.answering.pipeline import check_question

    check_question(text, context.settings.answer.max_question_characters)
    pipeline = context.resources.pipeline(collection, needs_index=needs_index, release=release)
    if as_json:
        from assistant.answering.events import Question

        print_json(answer_json(pipeline.answer(Question(text=text, filters=filters), arm)))
    else:
        show_answer(pipeline, text, arm, filters)


def show_answer(
    pipeline: Pipeline, text: str, arm: Arm | None = None, filters: Filters | None = None
) -> Answer:
    """Stream an answer to the terminal and print its citations; return it."""
    from assistant.answering.events import AnswerDone, AnswerText, Question

    streamed = ""
    for event in pipeline.stream(Question(text=text, filters=filters or {}), arm):
        if isinstance(event, AnswerText):
            streamed += event.text
            sys.stdout.write(event.text)
            sys.stdout.flush()
        elif isinstance(event, AnswerDone):
            answer = event.answer
    click.echo("")
    if answer.text != streamed.strip():
        click.echo(f"checked: {answer.text}")
    for citation in answer.citations:
        click.echo(click.style(describe_citation(citation), dim=True))
    first, total = answer.timings.get("first_token", 0.0), answer.timings["total"]
    made_with = f"{answer.arm} · {answer.release}" if answer.release else answer.arm
    sure = "" if answer.route.confidence is None else f" {answer.route.confidence:.2f}"
    made_with += f" · {answer.route.name}{sure}"
    for sentence in answer.unsupported:
        click.echo(click.style(f"in no passage: {sentence}", dim=True))
    click.echo(click.style(f"{made_with} · first word {first:.1f} s · {total:.1f} s", dim=True), err=True)
    return answer


def describe_citation(citation: Citation) -> str:
    """Return a citation in one line: number, document, version, page or section, quote."""
    page = f", p. {citation.page}" if citation.page is not None else ""
    section = f", {citation.heading_path[-1]}" if citation.heading_path else ""
    quote = " ".join(citation.quote.split())
    return f"[{citation.number}] {citation.document} v{citation.version}{page}{section}: “{quote}”"


def answer_json(answer: Answer) -> dict[str, Any]:
    """Return what ``ask --json`` prints."""
    return {
        "answer": answer.text,
        "abstained": answer.abstained,
        "citations": [
            {
                "number": citation.number,
                "document": citation.document,
                "version": citation.version,
                "page": citation.page,
                "quote": citation.quote,
                "heading_path": citation.heading_path,
                "chunk_id": citation.chunk_id,
            }
            for citation in answer.citations
        ],
        "arm": answer.arm,
        "release": answer.release,
        "route": answer.route,
        "searched": answer.searched,
        "nearest": answer.nearest,
        "missing": answer.missing,
        "unsupported": answer.unsupported,
        "withheld": answer.withheld,
        "is_extract": answer.is_extract,
        "timings": answer.timings,
    }


def _ask_batch(pipeline: Pipeline, file: Path, arm: Arm | None, filters: Filters) -> None:
    from assistant.answering.events import Question

    def answer(rows: Sequence[BatchRow]) -> list[dict[str, Any]]:
        questions = [Question(text=row.question, history=row.history, filters=filters) for row in rows]
        return [answer_json(answered) for answered in pipeline.answer_many(questions, arm)]

    if pipeline.searcher is not None:
        check_filters(pipeline.searcher, filters)
    for rows in read_batches(file, BATCH):
        for line in answer_rows(rows, answer):
            print_json(line)


def _read_standard_input() -> str:
    raw = sys.stdin.buffer.read(1 << 20)
    try:
        return raw.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError("the question is not text: it is not UTF-8") from error
