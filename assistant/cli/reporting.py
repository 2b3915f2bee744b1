"""What the commands that change a collection print, and what their jobs come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.context import Context
from assistant.core.errors import FileRefused
from assistant.jobs.records import JobError, Outcome

if TYPE_CHECKING:
    from indexing.reports import AddReport
    from indexing.syncing import SyncReport

    FilesReport = AddReport | SyncReport

_RARE = {"described", "held", "renamed"}


def print_refused(context: Context, report: FilesReport) -> None:
    """Print on standard error which files could not be read, and why."""
    for refusal in report.refused:
        context.console.print(f"refused: {refusal.path}: {refusal.reason}", markup=False, soft_wrap=True)


def describe_counts(report: object, names: tuple[str, ...]) -> str:
    """Return how many documents each list of a report names; of rare ones only where there are some."""
    counts = {name: len(getattr(report, name)) for name in names}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count or name not in _RARE)


def print_findings(report: FilesReport) -> None:
    """Print what was found in the documents: personal data, orders to a language model, near-duplicates."""
    told = (_describe_personal_data(report), _describe_orders(report), _describe_duplicates(report))
    for line in filter(None, told):
        click.echo(line)


def _describe_duplicates(report: FilesReport) -> str:
    counts = report.duplicates
    if not counts.passage_count and not counts.document_pair_count:
        return ""
    told = f"{counts.document_pair_count} pairs of documents, {counts.passage_count} passages in several"
    return f"near-duplicates: {told}; see: deskmate index duplicates --collection {report.collection}"


def _describe_personal_data(report: FilesReport) -> str:
    if not report.personal_data:
        return ""
    told, documents = _counts(report.personal_data), _documents(report.personal_data)
    return f"personal data in {documents}: {told}; see: {_status(report)}"


def _describe_orders(report: FilesReport) -> str:
    if not report.orders:
        return ""
    told, documents = _counts(report.orders), _documents(report.orders)
    told += "; no answer follows them"
    return f"orders to a language model in {documents}: {told}; see: {_status(report)}"


def _status(report: FilesReport) -> str:
    return f"deskmate index status --collection {report.collection}"


def _documents(found: Mapping[str, object]) -> str:
    return "1 document" if len(found) == 1 else f"{len(found)} documents"


def _counts(found: Mapping[str, Mapping[str, int]]) -> str:
    counts: Counter[str] = Counter()
    for of_document in found.values():
        counts.update(of_document)
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))


def files_outcome(report: FilesReport) -> Outcome:
    """Return what a job over files came to; with refused files it never counts as a success."""
    error = None
    if report.refused:
        count = f"{len(report.refused)} of {len(report.refused) + report.indexed_count} files"
        error = JobError(slug=FileRefused.slug, message=f"{count} cannot be indexed")
    return Outcome(
        result=msgspec.to_builtins(report), error=error, is_partial=bool(report.indexed_count or report.held)
    )
