"""``deskmate jobs``: what runs in the background, and how commands send their work there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, get_args

import click
import msgspec

from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.remote_options import remote_options
from assistant.core.errors import DeskmateError
from assistant.core.settings import LoadedSettings
from assistant.jobs.job_queue import JobQueue
from assistant.jobs.news import make_news
from assistant.jobs.records import Job, JobKind, JobStage, JobState
from assistant.store.database import Database

if TYPE_CHECKING:
    from assistant.service.schemas_documents import JobShown

_WATCH_SECONDS = 0.25

background_option = click.option(
    "--background", is_flag=True, help="Queue it as a job for a worker and return at once."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def jobs() -> None:
    """Look at the jobs that workers run in the background, cancel or retry them."""


@jobs.command("list")
@click.option("--collection", help="Only jobs of this collection.")
@click.option("--state", type=click.Choice(get_args(JobState)), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Show this many.")
@remote_options
@_as_json
@pass_context
def list_jobs(
    context: Context,
    collection: str | None,
    state: JobState | None,
    limit: int,
    *,
    url: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Show jobs, newest first, and how long ended ones are kept."""
    if url is not None:
        from assistant.client import DeskmateClient, routes

        with DeskmateClient(url, key) as client:
            rows = list(islice(client.pages(routes.jobs(collection, state)), limit))
        _show_remote(rows, as_json=as_json)
        return
    with open_queue(context) as queue:
        queue.free_lost()
        queue.prune()
        found = queue.jobs(collection, state, limit)
        keeping = queue.keeping
    if as_json:
        print_json({"jobs": found, "kept": keeping.kept, "kept_days": keeping.kept_days})
        return
    if not found:
        click.echo("no jobs; run: deskmate index add PATH --background")
    for job in found:
        stage = job.stages[-1] if job.stages and not job.has_ended else None
        click.echo(f"{_headline(job)}{f'  {_stage_line(stage)}' if stage else ''}")
    click.echo(f"kept: the newest {keeping.kept} ended jobs, for {keeping.kept_days} days ([jobs])")


@jobs.command()
@click.argument("job_id", metavar="ID")
@remote_options
@_as_json
@pass_context
def show(context: Context, job_id: str, *, url: str | None, key: str | None, as_json: bool) -> None:
    """Show a job's stages, what came out of it and what went wrong."""
    if url is not None:
        _steer_remotely(url, key, "show", job_id, as_json=as_json)
        return
    with open_queue(context) as queue:
        queue.free_lost()
        job = queue.get(job_id)
    if as_json:
        print_json(job)
    else:
        _show(job)


@jobs.command()
@click.argument("job_id", metavar="ID")
@remote_options
@_as_json
@pass_context
def cancel(context: Context, job_id: str, *, url: str | None, key: str | None, as_json: bool) -> None:
    """Cancel a job: at once while it is queued, at its next step while it runs."""
    if url is not None:
        _steer_remotely(url, key, "cancel", job_id, as_json=as_json)
        return
    with open_queue(context) as queue:
        job = queue.cancel(job_id)
    if as_json:
        print_json(job)
    else:
        click.echo(f"{job.id} {'will end at its next step' if job.is_cancelling else 'is cancelled'}")


@jobs.command()
@click.argument("job_id", metavar="ID")
@remote_options
@_as_json
@pass_context
def retry(context: Context, job_id: str, *, url: str | None, key: str | None, as_json: bool) -> None:
    """Queue a job again that failed or was cancelled; what is done already is not done again."""
    if url is not None:
        _steer_remotely(url, key, "retry", job_id, as_json=as_json)
        return
    with open_queue(context) as queue:
        job = queue.retry(job_id)
        _say_queued(queue, job, as_json=as_json)


@jobs.command()
@click.argument("job_id", metavar="ID")
@pass_context
def watch(context: Context, job_id: str) -> None:
    """Follow a job with a progress bar until it ends; Ctrl-C stops watching, not the job."""
    with open_queue(context) as queue:
        queue.free_lost()
        job = queue.get(job_id)
        if job.state == "queued" and not queue.presence.has_worker():
            context.console.print("no worker runs here; start one with: deskmate worker", markup=False)
        job = _follow(context, queue, job)
    if job.state != "succeeded":
        raise DeskmateError(_end_line(job), next_command=f"deskmate jobs show {job.id}")
    _show(job)


def _steer_remotely(url: str, key: str | None, verb: str, job_id: str, *, as_json: bool) -> None:
    from assistant.client import DeskmateClient, calls, routes

    verbs = {"show": calls.job, "cancel": routes.cancel_job, "retry": routes.retry_job}
    with DeskmateClient(url, key) as client:
        job = client.send(verbs[verb](job_id))
    if as_json:
        print_json(job)
    else:
        _show_remote([job], as_json=False)


def _show_remote(rows: Sequence[JobShown], *, as_json: bool) -> None:
    """Show jobs as a service tells of them: without their arguments."""
    if as_json:
        print_json({"jobs": rows})
        return
    for job in rows:
        state = "cancelling" if job.is_cancelling else job.state.replace("_", " ")
        click.echo(f"{job.id}  {job.kind}  {job.collection}  {state}")
        for stage in job.stages:
            click.echo(f"  {_stage_line(stage)}")
        if job.error is not None:
            click.echo(f"  error: {job.error.message}")
    if not rows:
        click.echo("no jobs")


@contextmanager
def open_queue(context: Context) -> Iterator[JobQueue]:
    """Open the queue of the data folder's database."""
    with closing(Database(context.home.database_url)) as database:
        news = make_news(context.settings.redis)
        yield JobQueue(database, context.home, keeping=context.settings.jobs, news=news)


def enqueue(
    context: Context, kind: JobKind, collection: str, arguments: Mapping[str, object], *, as_json: bool
) -> None:
    """Queue a job with the settings of this command and tell its id and the next command."""
    with open_queue(context) as queue:
        job = queue.enqueue(kind, collection, arguments, _given(context.loaded))
        _say_queued(queue, job, as_json=as_json)


def _given(loaded: LoadedSettings) -> dict[str, object]:
    """Return the settings that differ from the defaults; those of the service are none of a job's."""
    given: dict[str, object] = {}
    for key, origin in loaded.origins.items():
        section, name = key.split(".", 1)
        if origin != "default" and section != "service":
            given[key] = msgspec.to_builtins(getattr(getattr(loaded.settings, section), name))
    return given


def _say_queued(queue: JobQueue, job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    click.echo(f"{job.id} is queued")
    if not queue.presence.has_worker():
        click.echo("next: deskmate worker")
    click.echo(f"next: deskmate jobs watch {job.id}")


def _follow(context: Context, queue: JobQueue, job: Job) -> Job:
    """Draw the stages of a job as they come and return it as it ended."""
    progress = context.progress()
    attempts, begun, done = 0, 0, 0
    while True:
        if job.attempts != attempts:
            attempts, begun, done = job.attempts, 0, 0
        for number, stage in enumerate(job.stages, start=1):
            if number > begun:
                progress.start(stage.name, stage.total)
                begun, done = number, 0
            if number == begun:
                progress.advance(stage.done - done, stage.current)
                done = stage.done
        if job.has_ended:
            progress.finish()
            return job
        time.sleep(_WATCH_SECONDS)
        queue.free_lost()
        before, job = job, queue.get(job.id)
        is_back = (before.state, job.state) == ("running", "queued")
        if is_back and not queue.presence.has_worker():
            context.console.print("its worker is gone; start one with: deskmate worker", markup=False)


def _show(job: Job) -> None:
    click.echo(_headline(job))
    times = [f"created {job.created}", job.started and f"begun {job.started}"]
    times += [job.finished and f"ended {job.finished}", f"attempts: {job.attempts}"]
    click.echo("  " + ", ".join(time for time in times if time))
    if job.arguments:
        click.echo(f"  arguments: {msgspec.json.encode(job.arguments).decode()}")
    for stage in job.stages:
        click.echo(f"  {_stage_line(stage)}")
    for name, value in (job.result or {}).items():
        _show_value(name, value)
    if job.error is not None:
        click.echo(f"  error: {job.error.message}")
        if job.error.next_command:
            click.echo(f"  next:  {job.error.next_command}")


def _show_value(name: str, value: object) -> None:
    """Show a row of a report: what was refused one by one, other lists by their length."""
    rows = value if isinstance(value, list) else []
    if rows and all(isinstance(row, dict) and "reason" in row for row in rows):
        for row in rows:
            click.echo(f"  {name}: {row.get('path', '')}: {row['reason']}")
    elif isinstance(value, list):
        click.echo(f"  {name}: {len(value)}")
    elif not isinstance(value, dict):
        click.echo(f"  {name}: {value}")


def _headline(job: Job) -> str:
    return f"{job.id}  {job.kind}  {job.collection}  {_state(job)}"


def _state(job: Job) -> str:
    return "cancelling" if job.is_cancelling else job.state.replace("_", " ")


def _end_line(job: Job) -> str:
    return f"{job.id} {_state(job)}" + (f": {job.error.message}" if job.error else "")


def _stage_line(stage: JobStage) -> str:
    count = str(stage.done) if stage.total is None else f"{stage.done} of {stage.total}"
    parts = [count, f"{stage.seconds:.1f} s"]
    if stage.speed:
        parts.append(f"{stage.speed:.1f} a second")
    if stage.remaining_seconds is not None:
        parts.append(f"{stage.remaining_seconds:.0f} s left")
    current = f": {stage.current}" if stage.current and not stage.has_ended else ""
    return f"{stage.name} {', '.join(parts)}{current}"
