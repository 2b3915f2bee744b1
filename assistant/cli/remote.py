"""Questions to a service that runs elsewhere."""

from __future__ import annotations

import sys

import click
import msgspec

from assistant.cli.context import print_json
from assistant.client import DeskmateClient
from assistant.core.errors import EngineError
from assistant.core.records import Arm, Citation, Filters
from assistant.service.schemas_answers import AnswerReply, TokenEvent


def ask_remotely(
    client: DeskmateClient, text: str, collection: str | None, arm: Arm | None, filters: Filters
) -> AnswerReply:
    """Stream an answer to the terminal and return it.

    Raises:
        DeskmateError: the service refuses, cannot be reached, or fails in the middle.
    """
    streamed, whole = "", None
    for event in client.stream(text, collection, arm=arm, filters=filters):
        if isinstance(event, TokenEvent):
            streamed += event.text
            sys.stdout.write(event.text)
            sys.stdout.flush()
        elif isinstance(event, AnswerReply):
            whole = event
    click.echo("")
    if whole is None:
        raise EngineError("the answer ended before it was finished")
    if whole.text != streamed.strip():
        click.echo(f"checked: {whole.text}")
    return whole


def ask_service(
    url: str,
    key: str | None,
    text: str,
    collection: str | None,
    arm: Arm | None,
    filters: Filters,
    *,
    as_json: bool,
) -> None:
    """Do what ``deskmate ask --url`` does."""
    from assistant.cli.ask import describe_citation

    with DeskmateClient(url, key) as client:
        if as_json:
            print_json(client.answer(text, collection, arm=arm, filters=filters))
            return
        answer = ask_remotely(client, text, collection, arm, filters)
    names = Citation.__struct_fields__
    for shown in answer.citations:
        values = {name: getattr(shown, name) for name in names if hasattr(shown, name)}
        click.echo(click.style(describe_citation(msgspec.convert(values, Citation)), dim=True))
    click.echo(
        click.style(f"{answer.arm} · {answer.id} · {answer.timings['total']:.1f} s", dim=True), err=True
    )
