"""``deskmate topics``: what people asked and the documents do not answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from assistant.cli.building import collection_option, json_option, open_database
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.search import open_searcher
from assistant.store.unanswered import read_unanswered

if TYPE_CHECKING:
    from assistant.answering.topics import Topic


@click.command()
@collection_option
@click.option(
    "--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="Asked within so many days."
)
@click.option(
    "--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="Most topics that are shown."
)
@click.option(
    "--questions",
    type=click.IntRange(1, 2000),
    default=500,
    show_default=True,
    help="Most questions that are looked at, the newest ones.",
)
@json_option
@pass_context
def topics(
    context: Context, collection: str, days: int, limit: int, questions: int, *, as_json: bool
) -> None:
    """Group the questions that were not answered into missing topics, the most asked first.

    Not answered is what the documents did not cover, what was passed to a person, and what was called bad.
    """
    from assistant.answering.topics import find_topics

    first = (datetime.now(UTC) - timedelta(days=days)).date().isoformat()
    with open_database(context) as database, database.read() as session:
        asked = read_unanswered(session, collection, first_day=first, limit=questions)
    searcher = open_searcher(context, collection)
    found = find_topics(asked, searcher.embedder, searcher, limit=limit)
    if as_json:
        print_json({"questions": len(asked), "topics": found})
        return
    click.echo(f"{len(asked)} questions of the last {days} days were not answered")
    for topic in found:
        _show(topic)


def _show(topic: Topic) -> None:
    why = [
        f"{count} {what}"
        for count, what in (
            (topic.abstained, "not covered"),
            (topic.handed_over, "passed on"),
            (topic.disliked, "called bad"),
        )
        if count
    ]
    languages = ", ".join(f"{name} {count}" for name, count in topic.languages.items())
    click.echo(f"\n{topic.count} x  {topic.question}")
    click.echo(f"     {', '.join(why)}; {languages}; {topic.first_day} to {topic.last_day}")
    for example in topic.examples[1:]:
        click.echo(f"     {example}")
    for section in topic.nearest:
        place = " > ".join(section.heading_path) or "(no heading)"
        click.echo(click.style(f"     near: {section.document}: {place}", dim=True))
