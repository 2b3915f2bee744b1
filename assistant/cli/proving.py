"""What a release must show before it is served: the gate's verdict, canary and parity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.cli.context import Context
from assistant.core.errors import DeskmateError, InputError, ModelError
from assistant.core.ids import file_sha256
from assistant.store.adapters import Adapter, Adapters
from assistant.store.releases import Release

if TYPE_CHECKING:
    from assistant.engine.parity import Parity


class GateRefused(DeskmateError):
    """The gate says no."""

    exit_code = 8
    status = 409
    slug = "gate-refused"


def prove(context: Context, release: Release, *, gate: bool, parity: bool) -> str:
    """Hold a release to everything it must show and return in a line what that was.

    Args:
        context: of the command.
        release: to be served.
        gate: ask for the verdict on its evaluation report.
        parity: compare the engine with transformers and PEFT.

    Raises:
        GateRefused: a rule of the gate failed.
        ModelError: canary or parity failed.
        InputError: there is no report to judge.
    """
    shown = []
    if release.content.adapter is None:
        shown.append("no adapter")
    elif gate:
        shown.append(pass_gate(context, release))
    else:
        shown.append("gate: left out")
    # opening holds it to its files; an SGLang server runs the canary with the load
    context.resources.released(release)
    if release.content.adapter is None or context.settings.engine.kind == "scripted":
        return "; ".join(shown)
    shown.append(pass_canary(context, release))
    if not parity:
        return "; ".join([*shown, "parity: left out"])
    found = measure_parity(context, release)
    if not found.is_equal:
        raise ModelError(
            f"release {release.id}: the engine differs from transformers and PEFT\n{parity_text(found)}",
            next_command=f"deskmate release parity {release.id} --collection {release.content.collection}",
        )
    return "; ".join([*shown, f"parity: {len(found.rows)} of {len(found.rows)} in {found.dtype}"])


def pass_gate(context: Context, release: Release) -> str:
    """Return that the gate lets a release pass.

    Raises:
        InputError: there is no report of it.
        GateRefused: a rule failed.
    """
    from assistant.answering.releases import measured_parts
    from assistant.cli.gating import read_report, verdict_on
    from eval.gate import verdict_text

    collection = release.content.collection
    report = find_report(context, release.content.report_sha256)
    if report is None:
        raise InputError(
            f"release {release.id} has no evaluation report, so the gate cannot judge it; evaluate, then "
            "create it anew",
            next_command=f"deskmate eval --collection {collection} --suite FILE",
        )
    shown = read_report(report)
    content = release.content
    released = {
        "adapter": content.adapter or "none",
        **measured_parts(content.snapshot, content.snapshot_sha256, content.templates),
    }
    for name, ours in released.items():
        # reports of earlier versions name the adapter alone
        measured = shown.about.get(name, "none" if name == "adapter" else ours)
        if measured != ours:
            raise InputError(
                f"the report of release {release.id} measured {name} {measured}, the release has {ours}; "
                "evaluate it, then create the release anew",
                next_command=f"deskmate eval --collection {collection} --suite FILE",
            )
    verdict = verdict_on(context, shown)
    if not verdict.is_passed:
        raise GateRefused(f"release {release.id} is not served:\n{verdict_text(verdict)}")
    return "gate: passed"


def find_report(context: Context, sha256: str | None) -> Path | None:
    """Return the report with a hash, None where it is gone."""
    found = context.home.runs.glob("eval-*/report.json") if sha256 else ()
    return next((file for file in found if file_sha256(file) == sha256), None)


def pass_canary(context: Context, release: Release) -> str:
    """Return that a release's adapter says what it said when it was first loaded.

    Raises:
        ModelError: it does not.
    """
    is_known = context.resources.engine.prove_adapter(_adapter(context, release).name)
    return "canary: as before" if is_known else "canary: recorded"


def measure_parity(context: Context, release: Release) -> Parity:
    """Compare the engine with transformers and PEFT on a release's adapter, the served one beside it.

    Raises:
        InputError: the release has no adapter, or the engine no weights.
        EngineError: the engine failed.
    """
    from assistant.engine.canary import COMMON_PROMPTS, read_canary
    from assistant.engine.parity import check_parity, compute_references
    from assistant.models.folders import resolve_model

    settings = context.settings
    if settings.engine.kind == "scripted" or release.content.adapter is None:
        raise InputError("parity compares an adapter in a real engine with transformers; there is none here")
    base = resolve_model(settings.engine.base_model, "generator", context.home, settings.models)
    adapters = {release.content.adapter: Path(_adapter(context, release).folder)}
    served = context.resources.active_adapter(release.content.collection)
    if served is not None and Path(served.folder).is_dir():
        adapters.setdefault(served.name, Path(served.folder))
    prompts = [*read_canary(adapters[release.content.adapter]).prompts, *COMMON_PROMPTS]
    dtype = settings.sglang.dtype if settings.engine.kind == "sglang" else settings.engine.dtype
    progress = context.progress()
    progress.start("parity", 2)
    try:
        references = compute_references(base, adapters, prompts, dtype)
        progress.advance()
        return check_parity(context.resources.engine, adapters, prompts, references, dtype)
    finally:
        progress.finish()


def parity_text(parity: Parity) -> str:
    """Return a check as plain text, row by row where something differs."""
    lines = []
    for phase in dict.fromkeys(row.phase for row in parity.rows):
        rows = [row for row in parity.rows if row.phase == phase]
        gaps = [row.logprob_gap for row in rows if row.logprob_gap is not None]
        gap = f", largest log-probability gap {max(gaps):.2g}" if gaps else ""
        lines.append(f"{phase:<11}{sum(row.is_equal for row in rows)} of {len(rows)} equal{gap}")
        lines += [
            f"  {row.adapter or 'base model'}: {row.prompt!r}\n"
            f"    served   {row.served!r}\n    expected {row.expected!r}"
            for row in rows
            if not row.is_equal
        ]
    return "\n".join(lines)


def show_parity(parity: Parity) -> None:
    """Print a check; raise where it failed.

    Raises:
        ModelError: a text differs.
    """
    click.echo(parity_text(parity))
    if not parity.is_equal:
        raise ModelError("the engine says otherwise than transformers and PEFT")


def _adapter(context: Context, release: Release) -> Adapter:
    with context.resources.database.read() as session:
        found = Adapters(session).find(release.content.adapter or "")
    if found is None:
        raise ModelError(f"release {release.id} needs adapter {release.content.adapter!r}, which is gone")
    return found
