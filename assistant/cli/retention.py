"""``deskmate retention``: what people asked, deleted once it is too old; the worker does so by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import msgspec

from assistant.cli.building import json_option, open_database
from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import DeskmateError, InputError
from assistant.store.retention import Expired, count_expired, expire

_DAY_SECONDS = 86400.0
_HOUR_SECONDS = 3600.0


@click.group()
def retention() -> None:
    """Delete what people asked and were answered, once it is too old."""


@retention.command()
@click.option(
    "--days",
    type=click.IntRange(1, 36500),
    help="Older ones are deleted; [retention] answer_days if not given.",
)
@click.option("--dry-run", is_flag=True, help="Only tell how many there are.")
@json_option
@pass_context
def apply(context: Context, days: int | None, *, dry_run: bool, as_json: bool) -> None:
    """Delete old questions and answers with their feedback and conversations, and empty their hand-overs.

    A worker does the same by itself, when it starts and every hour, where [retention] answer_days is set.
    """
    days = days or context.settings.retention.answer_days
    if not days:
        raise InputError(
            "[retention] answer_days is 0: answers are kept for ever",
            next_command="deskmate retention apply --days 90 --dry-run",
        )
    before = time.time() - days * _DAY_SECONDS
    with open_database(context) as database:
        if dry_run:
            with database.read() as session:
                found = count_expired(session, before)
        else:
            found = expire(database, before)
    if as_json:
        print_json({"days": days, "is_dry_run": dry_run, **msgspec.structs.asdict(found)})
        return
    click.echo(f"older than {days} days: {found}" + ("; nothing is deleted yet" if dry_run else " deleted"))


class HourlyRetention:
    """Applies ``[retention]`` for a worker: the first time it is asked, then every hour.

    Args:
        context: its settings and data folder.
        say: takes what was done, and what went wrong: no worker ends for it.
        clock: seconds since 1970.
    """

    def __init__(
        self, context: Context, say: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._context = context
        self._say = say
        self._clock = clock
        self._days = context.settings.retention.answer_days
        self._last: float | None = None

    def turn(self) -> Expired | None:
        """Delete what is too old, if it is time to and to be deleted at all; return what was."""
        now = self._clock()
        if not self._days or (self._last is not None and 0 <= now - self._last < _HOUR_SECONDS):
            return None
        self._last = now
        try:
            with open_database(self._context) as database:
                found = expire(database, now - self._days * _DAY_SECONDS)
        except DeskmateError as error:
            self._say(f"error: retention: {error.message}")
            return None
        if found:
            self._say(f"older than {self._days} days: {found} deleted")
        return found
