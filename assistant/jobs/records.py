"""What is known of a job: its state, its stages, what came out of it or went wrong."""

from __future__ import annotations

from typing import Literal

from assistant.core.records import Record

JobKind = Literal[
    "index.add",
    "index.sync",
    "index.rebuild",
    "index.compact",
    "index.restore",
    "index.rollback",
    "glossary.mine",
    "synth",
    "train",
    "eval",
    "release.promote",
]
JobState = Literal["queued", "running", "succeeded", "partly_failed", "failed", "cancelled"]
ENDED: tuple[JobState, ...] = ("succeeded", "partly_failed", "failed", "cancelled")


class JobStage(Record, frozen=True, kw_only=True):
    """How far a stage of a job is.

    Attributes:
        name: for a person, such as ``reading files``.
        done: steps done.
        total: steps in all, None where unknown.
        seconds: that it took so far.
        speed: steps a second, None before the first one.
        remaining_seconds: estimated from the speed so far, None where nothing is known.
        current: the item that was finished last, such as a file.
        has_ended: nothing more is to come.
    """

    name: str
    done: int = 0
    total: int | None = None
    seconds: float = 0.0
    speed: float | None = None
    remaining_seconds: float | None = None
    current: str = ""
    has_ended: bool = False


class JobError(Record, frozen=True, kw_only=True):
    """Why a job failed; ``slug`` is that of the error tree, ``internal-error`` for what nobody foresaw."""

    slug: str
    message: str
    next_command: str | None = None


class Outcome(Record, frozen=True, kw_only=True):
    """What the work of a job came to.

    Attributes:
        result: a report of plain values.
        error: what could not be done; the job ends as ``failed``, or as ``partly_failed`` if ``is_partial``.
        is_partial: some of it was done nevertheless.
    """

    result: dict[str, object]
    error: JobError | None = None
    is_partial: bool = False

    @property
    def state(self) -> JobState:
        """The state that the job ends in."""
        if self.error is None:
            return "succeeded"
        return "partly_failed" if self.is_partial else "failed"


class Job(Record, frozen=True, kw_only=True):
    """A durable unit of background work.

    Attributes:
        id: ``job-…``.
        kind: names the work.
        collection: that it changes; jobs of one collection run one after the other.
        arguments: of the work, plain values.
        settings: ``section.key`` → value, over those of the worker.
        state: where it stands.
        is_cancelling: asked to stop, and still running.
        stages: of the last attempt, in order.
        attempts: times it was begun.
        created: when, ISO 8601 in UTC.
        started: when it was first begun.
        finished: when it ended.
        worker: that runs it, or ran it last.
        result: report of the work, kept also where it failed in part.
        error: why it failed.
    """

    id: str
    kind: str
    collection: str
    arguments: dict[str, object]
    settings: dict[str, object]
    state: JobState
    is_cancelling: bool
    stages: tuple[JobStage, ...]
    attempts: int
    created: str
    started: str | None
    finished: str | None
    worker: str | None
    result: dict[str, object] | None
    error: JobError | None

    @property
    def has_ended(self) -> bool:
        """Nothing more happens to it unless it is retried."""
        return self.state in ENDED
