"""``/v1/datasets``, ``/v1/runs`` and ``/v1/adapters``: what was taught, how, and what was learnt."""

from typing import Any

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.service.access import check_collection, check_whole
from assistant.service.kept import Kept
from assistant.service.paging import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    cut,
    decode_number,
    encode_cursor,
    page_after,
)
from assistant.service.problems import problem_responses
from assistant.service.queued import QUEUED, accept_job
from assistant.service.run_reading import adapter_card, datasets_of, find_run, runs_of
from assistant.service.schemas_documents import JobShown
from assistant.service.schemas_training import (
    AdapterCardShown,
    AdapterList,
    AdapterShown,
    CollectionWanted,
    DatasetList,
    RowList,
    RunList,
    RunShown,
)
from assistant.service.wiring import Service
from assistant.store.adapters import Adapter, Adapters
from assistant.store.run_files import DatasetFile, read_examples, read_metrics, read_report

_WHOLE = "Not for keys that are held to some documents: it is made from all of them."
_READ = problem_responses(400, 401, 403, 404, 429, 500)
_QUEUE = problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500)
_QUEUE_OPT = {"needs": "manage", "idempotent": True, "audited": True}


class DatasetsController(Controller):
    """Datasets."""

    path = "/v1/datasets"
    tags = ("Training",)
    opt = {"needs": "manage"}  # noqa: RUF012 - as Litestar declares it

    @get(operation_id="listDatasets", summary="List datasets", description=_WHOLE, responses=_READ)
    async def list_datasets(
        self,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> DatasetList:
        """List a collection's datasets."""
        check_whole(caller)
        name = check_collection(caller, collection or service.default_collection)
        rows = await kept.run(lambda: datasets_of(kept, name))
        page, following = page_after(rows, lambda row: row.id, cursor, limit)
        return DatasetList(data=tuple(page), next_cursor=following)

    @post(
        operation_id="createDataset",
        summary="Make instruction data",
        description=f"{QUEUED} As `deskmate synth` does, by the worker's settings.",
        status_code=202,
        responses=_QUEUE,
        opt=_QUEUE_OPT,
    )
    async def create(
        self,
        data: JSONBody[CollectionWanted],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[JobShown]:
        """Queue it."""
        check_whole(caller)
        name = check_collection(caller, data.collection or service.default_collection)
        return await accept_job(kept, caller, "synth", name, {})

    @get("/{dataset_id:str}", operation_id="getDataset", summary="Show a dataset", responses=_READ)
    async def show(
        self,
        dataset_id: FromPath[str],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
    ) -> DatasetFile:
        """Show one of a collection."""
        check_whole(caller)
        name = check_collection(caller, collection or service.default_collection)
        return await kept.run(lambda: _dataset(kept, name, dataset_id))

    @get(
        "/{dataset_id:str}/examples",
        operation_id="listExamples",
        summary="Read a dataset's rows",
        responses=_READ,
    )
    async def examples(
        self,
        dataset_id: FromPath[str],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> RowList:
        """List them in their order."""
        check_whole(caller)
        name = check_collection(caller, collection or service.default_collection)
        skipped = decode_number(cursor) or 0

        def read() -> list[dict[str, Any]]:
            found = _dataset(kept, name, dataset_id)
            return read_examples(kept.home.collection(name), found, skipped, limit + 1)

        return _rows(await kept.run(read), skipped, limit)


class RunsController(Controller):
    """Runs of training and evaluation."""

    path = "/v1/runs"
    tags = ("Training",)
    opt = {"needs": "manage"}  # noqa: RUF012 - as Litestar declares it

    @get(operation_id="listRuns", summary="List runs", description=_WHOLE, responses=_READ)
    async def list_runs(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        kind: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> RunList:
        """List those of the collections that the caller may read."""
        check_whole(caller)
        named = check_collection(caller, collection) if collection else None
        rows = await kept.run(lambda: runs_of(kept, caller, named, kind))
        page, following = page_after(rows, lambda row: row.id, cursor, limit)
        return RunList(data=tuple(page), next_cursor=following)

    @post(
        operation_id="createRun",
        summary="Tune an adapter",
        description=f"{QUEUED} As `deskmate train` does on the current dataset, by the worker's settings.",
        status_code=202,
        responses=_QUEUE,
        opt=_QUEUE_OPT,
    )
    async def create(
        self,
        data: JSONBody[CollectionWanted],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[JobShown]:
        """Queue it."""
        check_whole(caller)
        name = check_collection(caller, data.collection or service.default_collection)
        return await accept_job(kept, caller, "train", name, {})

    @get("/{run_id:str}", operation_id="getRun", summary="Show a run with its report", responses=_READ)
    async def show(
        self, run_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> RunShown:
        """Show one."""
        check_whole(caller)

        def read() -> RunShown:
            run = find_run(kept, caller, run_id)
            report = read_report(kept.home.runs, run) if run.has_report else None
            text = kept.without_paths(msgspec.json.encode(RunShown(run=run, report=report)).decode())
            return msgspec.json.decode(text, type=RunShown)

        return await kept.run(read)

    @get("/{run_id:str}/metrics", operation_id="listMetrics", summary="Read a run's metrics", responses=_READ)
    async def metrics(
        self,
        run_id: FromPath[str],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> RowList:
        """List its rows in their order, such as one a step."""
        check_whole(caller)
        skipped = decode_number(cursor) or 0

        def read() -> list[dict[str, Any]]:
            return read_metrics(kept.home.runs, find_run(kept, caller, run_id), skipped, limit + 1)

        return _rows(await kept.run(read), skipped, limit)


class AdaptersController(Controller):
    """Adapters."""

    path = "/v1/adapters"
    tags = ("Training",)
    opt = {"needs": "manage"}  # noqa: RUF012 - as Litestar declares it

    @get(operation_id="listAdapters", summary="List adapters", description=_WHOLE, responses=_READ)
    async def list_adapters(
        self,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> AdapterList:
        """List a collection's adapters, newest first."""
        check_whole(caller)
        name = check_collection(caller, collection or service.default_collection)
        await service.check_collection(name)
        rows = await kept.read(lambda session: Adapters(session).of(name))
        page, following = page_after(rows, lambda row: row.name, cursor, limit)
        return AdapterList(data=tuple(map(_adapter, page)), next_cursor=following)

    @get("/{name:str}", operation_id="getAdapter", summary="Show an adapter with its card", responses=_READ)
    async def show(
        self, name: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> AdapterCardShown:
        """Show one."""
        check_whole(caller)

        def read() -> AdapterCardShown:
            with kept.database.read() as session:
                found = Adapters(session).find(name)
            if found is None or not caller.reads(found.collection):
                raise NotFoundError(f"no adapter {name[:64]!r}")
            return AdapterCardShown(**msgspec.structs.asdict(_adapter(found)), card=adapter_card(kept, found))

        return await kept.run(read)


def _dataset(kept: Kept, collection: str, dataset_id: str) -> DatasetFile:
    found = next((row for row in datasets_of(kept, collection) if row.id == dataset_id), None)
    if found is None:
        raise NotFoundError(f"no dataset {dataset_id[:64]!r} of collection {collection!r}")
    return found


def _adapter(adapter: Adapter) -> AdapterShown:
    return AdapterShown(**{name: getattr(adapter, name) for name in AdapterShown.__struct_fields__})


def _rows(rows: list[dict[str, Any]], skipped: int, limit: int) -> RowList:
    page, has_more = cut(rows, limit)
    return RowList(data=tuple(page), next_cursor=encode_cursor(str(skipped + limit)) if has_more else None)
