"""``deskmate worker``: runs the jobs that commands and the service have queued."""

from __future__ import annotations

import importlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

from assistant.cli.context import Context, pass_context
from assistant.cli.jobs import open_queue
from assistant.cli.retention import HourlyRetention
from assistant.core.errors import InputError, ResourceError
from assistant.jobs.job_queue import JobQueue
from assistant.jobs.progress import JobProgress
from assistant.jobs.records import Job, JobKind, Outcome
from assistant.jobs.running import run_job

JobFunction = Callable[[Context, Job], Outcome]

# kind → "module:function"; imported when a job of that kind is run
KINDS: dict[JobKind, str] = {
    "index.add": "assistant.cli.index:add_job",
    "index.sync": "assistant.cli.sync:sync_job",
    "index.rebuild": "assistant.cli.index:rebuild_job",
    "index.compact": "assistant.cli.compaction:compact_job",
    "index.restore": "assistant.cli.versions:restore_job",
    "index.rollback": "assistant.cli.snapshots:rollback_job",
    "glossary.mine": "assistant.cli.glossary:mine_job",
    "synth": "assistant.cli.synth:synth_job",
    "train": "assistant.cli.train:train_job",
    "eval": "assistant.cli.evaluate:evaluate_job",
    "release.promote": "assistant.cli.release:promote_job",
}
_POLL_SECONDS = 0.5


@click.command()
@click.option("--once", is_flag=True, help="End when no job is left that can be run now.")
@pass_context
def worker(context: Context, *, once: bool) -> None:
    """Run queued jobs, one at a time, until Ctrl-C; start several to run several collections at once.

    A job whose worker was killed is taken up again by the next one. Ctrl-C or SIGTERM gives the running job
    back at its next step; a second Ctrl-C ends at once. It gives way to a service on the same machine
    ([jobs] niceness). Between jobs it deletes answers that are too old ([retention]).
    """
    with (
        open_queue(context) as queue,
        queue.presence.enter() as name,
        _stop_on_signals() as stop,
        _giving_way(context.settings.jobs.niceness),
    ):
        _say(context, f"{name} {'works off the queue' if once else 'waits for jobs; Ctrl-C stops it'}")
        retention = HourlyRetention(context, lambda text: _say(context, text))
        while not stop.is_set():
            retention.turn()
            try:
                job = queue.claim(name)
                if job is not None:
                    _run(context, queue, job, stop)
            except ResourceError as error:  # the database may be back soon
                if once:
                    raise
                _say(context, f"error: {error.message}")
                stop.wait(_POLL_SECONDS)
                continue
            if job is None:
                if once:
                    break
                stop.wait(_POLL_SECONDS)


def _run(context: Context, queue: JobQueue, job: Job, stop: threading.Event) -> None:
    _say(context, f"{job.id} {job.kind} {job.collection}: begun, attempt {job.attempts}")

    def work(job: Job, progress: JobProgress) -> Outcome:
        own = Context(context.files, context.environment, job.settings, progress)
        try:
            return _function(job.kind)(own, job)
        finally:
            own.close()

    run_job(queue, job, work, stop)
    ended = queue.get(job.id)
    reason = f": {ended.error.message}" if ended.error else ""
    _say(context, f"{job.id} {ended.state.replace('_', ' ')}{reason}")


def _function(kind: str) -> JobFunction:
    """Import the function of a kind.

    Raises:
        InputError: a newer Deskmate queued it, and this one does not know it.
    """
    target = {str(name): target for name, target in KINDS.items()}.get(kind)
    if target is None:
        raise InputError(f"this worker knows no jobs of kind {kind!r}; it knows {', '.join(KINDS)}")
    module, attribute = target.split(":")
    function: JobFunction = getattr(importlib.import_module(module), attribute)
    return function


@contextmanager
def _giving_way(niceness: int) -> Iterator[None]:
    """Let every other process have the processor first."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(before, niceness))
    try:
        yield
    finally:
        with suppress(PermissionError):  # only root may take it back
            os.setpriority(os.PRIO_PROCESS, 0, before)


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C or SIGTERM sets; the second does what it always does."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(context: Context, text: str) -> None:
    context.console.print(text, markup=False, soft_wrap=True)
