"""Options that take ``KEY=VALUE`` several times: metadata and filters on it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from indexing.metadata import read_assignments


def _read(_context: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, list[str]]:
    return read_assignments(given, parameter.opts[0])


filter_option = click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_read,
    help="Search only documents with this metadata: product, model, language, date (2026, 2025..2026-03), "
    "audience, tags or a key of your own. All keys must fit; of one key given twice, either value.",
)
meta_option = click.option(
    "--meta",
    "metadata",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_read,
    help="What holds of all files added: product, model, language, date, audience, tags or a key of your "
    "own; twice for two values; KEY= takes it away.",
)
