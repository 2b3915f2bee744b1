"""``/v1/search`` and ``/v1/chunks``: passages, found and read."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from assistant.answering.pipeline import PassageSource
from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.core.records import Filters
from assistant.service.access import check_collection, narrow
from assistant.service.kept import Kept
from assistant.service.problems import problem_responses
from assistant.service.schemas import ChunkText, FoundPassage, SearchReply, SearchRequest
from assistant.service.wiring import Service
from assistant.store.originals import Originals
from assistant.store.reading import FoundChunk


class SearchController(Controller):
    """Passages without an answer."""

    path = "/v1"
    tags = ("Passages",)
    opt = {"needs": "ask"}  # noqa: RUF012 - as Litestar declares it

    @post(
        "/search",
        operation_id="search",
        summary="Find passages",
        description="The passages that fit a query best, as `deskmate search --json` prints them.",
        status_code=200,
        responses=problem_responses(400, 401, 403, 404, 413, 429, 500, 503),
    )
    async def search(
        self,
        data: JSONBody[SearchRequest],
        service: NamedDependency[Service],
        caller: NamedDependency[Caller],
    ) -> SearchReply:
        """Search a collection."""
        filters = narrow(caller, data.filters)
        name = check_collection(caller, data.collection or service.default_collection)
        pipeline = await service.pipeline(name)
        searcher = pipeline.searcher
        if searcher is None:
            raise NotFoundError("there is no index to search", next_command="deskmate index add PATH")
        top_k = data.top_k or service.settings.search.top_k
        passages = await service.run(lambda: _find(searcher, data, top_k, filters))
        return SearchReply(passages=passages)

    @get(
        "/chunks/{chunk_id:str}",
        operation_id="getChunk",
        summary="Read a cited chunk",
        description="The whole text that a citation's `chunk_id` names.",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def chunk(
        self,
        chunk_id: FromPath[str],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> ChunkText:
        """Read one chunk."""
        found = await service.chunk(chunk_id, caller)
        chunk = found.chunk
        return ChunkText(
            chunk_id=chunk.id,
            document=chunk.document,
            document_id=f"doc-{found.document_id}",
            version=chunk.version,
            position=chunk.position,
            page=chunk.page,
            heading_path=chunk.heading_path,
            kind=chunk.kind,
            text=chunk.text,
            download=await kept.run(lambda: _download(kept, found)),
        )


def _download(kept: Kept, found: FoundChunk) -> str | None:
    """Return where the file of a chunk's version is downloaded, None where it is not kept."""
    if not Originals(kept.home.collection(found.collection)).path(found.sha256).exists():
        return None
    return f"/v1/documents/doc-{found.document_id}/download?version={found.chunk.version}"


def _find(
    searcher: PassageSource, asked: SearchRequest, top_k: int, filters: Filters
) -> tuple[FoundPassage, ...]:
    """Return the passages, each with as many neighbours as were asked for."""
    passages = searcher.search(asked.query, top_k, filters)
    if not asked.neighbours:
        return tuple(map(FoundPassage.from_passage, passages))
    return tuple(
        FoundPassage.from_passage(passage, searcher.neighbours(passage, asked.neighbours, filters))
        for passage in passages
    )
