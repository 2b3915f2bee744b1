"""``deskmate eval gate``: whether a report lets the tuned adapter be served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.context import Context, print_json
from assistant.core.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from eval.gate import Verdict
    from eval.summary import Report

REFUSED = 8


@click.command()
@click.argument("report", required=False, type=click.Path(path_type=Path))
@click.option("--collection", default="default", show_default=True, help="Take its newest report.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def gate(ctx: click.Context, report: Path | None, collection: str, *, as_json: bool) -> None:
    """Say whether the tuned adapter may be served, by the rules of section [gate].

    REPORT is a report.json or the folder of a run; without it the collection's newest one is judged.
    Ends with 8 where a rule fails, and says which, by how much, and on which questions.
    """
    context = ctx.find_object(Context)
    if context is None:
        raise RuntimeError("no context")
    path = report or newest_report(context, collection)
    verdict = verdict_on(context, read_report(path))
    if as_json:
        print_json({"report": str(path), "verdict": verdict})
    else:
        from eval.gate import verdict_text

        click.echo(f"report: {path}")
        click.echo(verdict_text(verdict))
    if not verdict.is_passed:
        ctx.exit(REFUSED)


def verdict_on(context: Context, report: Report) -> Verdict:
    """Apply the settings' rules to a report.

    Raises:
        InputError: the report does not compare the arms that the rules name.
    """
    from eval.gate import judge_report

    return judge_report(report, context.settings.gate)


def newest_report(context: Context, collection: str) -> Path:
    """Return the collection's newest report.

    Raises:
        NotFoundError: it has none.
    """
    from eval.report import JSON_FILE

    context.home.collection(collection)  # a bad name is told
    found = [path for path in context.home.runs.glob(f"eval-*/{JSON_FILE}") if _is_of(path, collection)]
    if not found:
        raise NotFoundError(
            f"no report for collection {collection!r}",
            next_command=f"deskmate eval --collection {collection} --suite FILE",
        )
    return max(found, key=lambda path: path.stat().st_mtime)


def read_report(path: Path) -> Report:
    """Read a ``report.json``, or that of a run's folder.

    Raises:
        InputError: it cannot be read, or was written by another version.
    """
    from eval.report import JSON_FILE
    from eval.summary import Report

    file = path / JSON_FILE if path.is_dir() else path
    try:
        return msgspec.json.decode(file.read_bytes(), type=Report)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}", next_command="deskmate eval") from error
    except msgspec.DecodeError as error:
        raise InputError(
            f"{file}: not a report of this version: {error}", next_command="deskmate eval"
        ) from error


def _is_of(path: Path, collection: str) -> bool:
    """Return whether a report is of a collection; a name may hold dashes, so the folder's does not tell."""

    class _Head(msgspec.Struct):
        about: dict[str, str]

    try:
        return msgspec.json.decode(path.read_bytes(), type=_Head).about.get("collection") == collection
    except (OSError, msgspec.DecodeError):
        return False
