"""``/v1/evals``: suites measured in every arm."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from assistant.core.access import Caller
from assistant.core.errors import InputError, NotFoundError
from assistant.core.jsonl import write_jsonl
from assistant.core.records import Case
from assistant.jobs.records import Job, JobKind
from assistant.service.access import check_collection, check_whole
from assistant.service.controllers.jobs import show_job
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, page_after
from assistant.service.problems import RequestRefused, problem_responses
from assistant.service.queued import QUEUED, generation_of, queue_job
from assistant.service.run_reading import find_run, runs_of
from assistant.service.schemas_documents import JobShown
from assistant.service.schemas_training import EvalList, EvalRequest, RunShown
from assistant.service.uploads import Uploads
from assistant.service.wiring import Service
from assistant.store.run_files import read_report

_KIND: JobKind = "eval"


class EvalsController(Controller):
    """Evaluations."""

    path = "/v1/evals"
    tags = ("Evaluation",)
    opt = {"needs": "manage"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listEvals",
        summary="List evaluations",
        description="Not for keys that are held to some documents: they are made from all of them.",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def list_evals(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> EvalList:
        """List them, newest first."""
        check_whole(caller)
        named = check_collection(caller, collection) if collection else None
        rows = await kept.run(lambda: runs_of(kept, caller, named, _KIND))
        page, following = page_after(rows, lambda row: row.id, cursor, limit)
        return EvalList(data=tuple(page), next_cursor=following)

    @post(
        operation_id="createEval",
        summary="Measure a suite",
        description=f"{QUEUED} As `deskmate eval` does.",
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def create(
        self,
        data: JSONBody[EvalRequest],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[JobShown]:
        """Queue it."""
        check_whole(caller)
        name = check_collection(caller, data.collection or service.default_collection)
        job, shown = await kept.run(lambda: _queue(kept, caller, name, data))
        return Response(shown, status_code=202, headers={"Location": f"/v1/jobs/{job.id}"})

    @get(
        "/{eval_id:str}",
        operation_id="getEval",
        summary="Show an evaluation with its report",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def show(
        self, eval_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> RunShown:
        """Show one."""
        check_whole(caller)

        def read() -> RunShown:
            run = find_run(kept, caller, eval_id, _KIND)
            report = read_report(kept.home.runs, run) if run.has_report else None
            text = kept.without_paths(msgspec.json.encode(RunShown(run=run, report=report)).decode())
            return msgspec.json.decode(text, type=RunShown)

        return await kept.run(read)


def _queue(kept: Kept, caller: Caller, collection: str, data: EvalRequest) -> tuple[Job, JobShown]:
    generation_of(kept, collection)
    arguments: dict[str, object] = {
        "arms": list(data.arms) if data.arms else None,
        "limit": data.limit,
        "retrieval_only": data.retrieval_only,
    }

    def queue(path: Path) -> Job:
        return queue_job(kept, caller, _KIND, collection, arguments | {"suite": str(path)})

    if data.cases is None:
        job = queue(_own_suite(kept, collection, data.suite))
    else:
        job = _with_cases(kept, data, queue)
    return job, show_job(kept, job)


def _with_cases(kept: Kept, data: EvalRequest, queue: Callable[[Path], Job]) -> Job:
    """Keep the cases of a request for its job.

    Raises:
        RequestRefused: one is none, or the suite's name is none.
    """
    try:
        cases = msgspec.convert(data.cases, list[Case])
        kept.home.collection(data.suite)  # the rule for names of folders
    except (msgspec.ValidationError, InputError) as error:
        raise RequestRefused(str(error), "cases") from error
    uploads = Uploads(kept.home)
    uploads.sweep(kept.queue)
    with uploads.receive() as folder:
        file = folder / f"{data.suite}.jsonl"
        write_jsonl(file, cases)
        job = queue(file)
        uploads.keep_for(folder, job.id)
    return job


def _own_suite(kept: Kept, collection: str, name: str) -> Path:
    folder = kept.home.collection(collection) / "suites"
    found = {path.stem: path for path in folder.glob("*.jsonl")}
    if name not in found:
        raise NotFoundError(f"no suite {name[:64]!r} of collection {collection!r}; send the cases along")
    return found[name]
