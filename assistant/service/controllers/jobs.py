"""``/v1/jobs``: long work, watched and steered."""

import time
from collections.abc import AsyncGenerator
from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from assistant.core.access import Caller
from assistant.core.errors import InputError
from assistant.jobs.listing import origin, page_of_jobs
from assistant.jobs.records import Job, JobState
from assistant.service.access import check_collection
from assistant.service.job_news import JobNews
from assistant.service.kept import Kept
from assistant.service.native_stream import named_event
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number, encode_cursor
from assistant.service.problems import problem_responses, to_problem
from assistant.service.refusals import Conflict
from assistant.service.schemas_documents import JobEvent, JobList, JobShown

HEARTBEAT_SECONDS = 15.0
_STREAM = ResponseSpec(
    data_container=JobEvent,
    description="Events `progress` with every change, and `done` once it has ended",
    media_type="text/event-stream",
    generate_examples=False,
)


class JobsController(Controller):
    """Jobs."""

    path = "/v1/jobs"
    tags = ("Jobs",)
    opt = {"needs": "manage"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listJobs",
        summary="List jobs",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def list_jobs(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        in_state: Annotated[JobState | None, QueryParameter(name="state")] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> JobList:
        """List them, newest first."""
        before = decode_number(cursor)
        named = [check_collection(caller, collection)] if collection else caller.collections

        def read() -> JobList:
            kept.queue.free_lost()
            with kept.database.read() as session:
                rows = page_of_jobs(
                    session,
                    before=before,
                    limit=limit + 1,
                    collections=named,
                    state=in_state,
                    key_id=caller.id if caller.filters else None,
                )
            following = encode_cursor(str(rows[limit - 1][0])) if len(rows) > limit else None
            return JobList(data=tuple(show_job(kept, job) for _, job in rows[:limit]), next_cursor=following)

        return await kept.run(read)

    @get(
        "/{job_id:str}",
        operation_id="getJob",
        summary="Show a job",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def show(
        self, job_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> JobShown:
        """Show its stages, what came out of it or went wrong."""
        return await kept.run(lambda: show_job(kept, find_job(kept, caller, job_id)))

    @get(
        "/{job_id:str}/events",
        operation_id="watchJob",
        summary="Follow a job",
        responses={200: _STREAM, **problem_responses(400, 401, 403, 404, 429, 500)},
    )
    async def watch(
        self,
        job_id: FromPath[str],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        job_news: NamedDependency[JobNews],
    ) -> Stream:
        """Send its progress until it ends."""
        first = await kept.run(lambda: show_job(kept, find_job(kept, caller, job_id)))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Stream(_events(kept, job_news, first), media_type="text/event-stream", headers=headers)

    @post(
        "/{job_id:str}/cancel",
        operation_id="cancelJob",
        summary="Cancel a job",
        description="At once while it is queued, at its next step while it runs.",
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 413, 429, 500),
        opt={"audited": True},
    )
    async def cancel(
        self, job_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> Response[JobShown]:
        """Cancel one."""
        return await kept.run(lambda: _steer(kept, caller, job_id, "cancel"))

    @post(
        "/{job_id:str}/retry",
        operation_id="retryJob",
        summary="Queue a job again that failed or was cancelled",
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 413, 429, 500),
        opt={"audited": True},
    )
    async def retry(
        self, job_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> Response[JobShown]:
        """Retry one."""
        return await kept.run(lambda: _steer(kept, caller, job_id, "retry"))


def show_job(kept: Kept, job: Job) -> JobShown:
    """Return what of a job may be shown: no path of this machine is in it; blocks."""
    names = [name for name in JobShown.__struct_fields__ if name != "has_worker"]
    values = {name: msgspec.to_builtins(getattr(job, name)) for name in names}
    text = kept.without_paths(msgspec.json.encode(values).decode())
    plain = msgspec.json.decode(text, type=dict[str, object])
    return msgspec.convert(plain | {"has_worker": kept.queue.presence.has_worker()}, JobShown)


def find_job(kept: Kept, caller: Caller, job_id: str) -> Job:
    """Return a job that exists for the caller; blocks.

    Raises:
        NotFoundError: there is none.
    """
    kept.queue.free_lost()
    found = kept.queue.get(job_id)
    with kept.database.read() as session:
        is_own = not caller.filters or origin(session, job_id) == caller.id
    if not caller.reads(found.collection) or not is_own:
        raise kept.queue.missing(job_id)
    return found


def _steer(kept: Kept, caller: Caller, job_id: str, verb: str) -> Response[JobShown]:
    find_job(kept, caller, job_id)
    try:
        job = kept.queue.cancel(job_id) if verb == "cancel" else kept.queue.retry(job_id)
    except InputError as error:
        raise Conflict(error.message) from error
    return Response(show_job(kept, job), status_code=202, headers={"Location": f"/v1/jobs/{job_id}"})


async def _events(kept: Kept, job_news: JobNews, first: JobShown) -> AsyncGenerator[bytes, None]:
    shown, told = first, time.monotonic()
    yield named_event("progress", shown)
    try:
        with job_news.watching(first.id) as watch:
            while shown.finished is None:
                now = await kept.run(lambda: show_job(kept, kept.queue.get(first.id)))
                if now != shown:
                    shown, told = now, time.monotonic()
                    yield named_event("progress", shown)
                    continue
                if time.monotonic() - told > HEARTBEAT_SECONDS:
                    told = time.monotonic()
                    yield b": still there\n\n"
                await watch.wait()
        yield named_event("done", shown)
    except Exception as error:  # noqa: BLE001 - the status line has gone: the stream can only tell it
        yield named_event("error", to_problem(error))
