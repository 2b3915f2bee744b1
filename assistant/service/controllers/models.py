"""``/v1/models``: what can be asked, in OpenAI's shape."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ExceptionHandlersMap

from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.core.records import Arm
from assistant.service.paging import AnyLimit, Cursor, page_after
from assistant.service.problems import OPENAI_HANDLERS, openai_responses
from assistant.service.schemas import Model, ModelList
from assistant.service.wiring import Service


class ModelsController(Controller):
    """Collections and their arms."""

    path = "/v1/models"
    tags = ("OpenAI's shape",)
    exception_handlers: ExceptionHandlersMap = OPENAI_HANDLERS
    opt = {"needs": "ask"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listModels",
        summary="List collections and arms",
        description="Every collection, and its arms as `collection:arm`, the default collection first; all "
        "at once, as OpenAI's clients expect it, or with `limit` page by page.",
        responses=openai_responses(400, 401, 403, 429, 500),
    )
    async def list_models(
        self,
        service: NamedDependency[Service],
        caller: NamedDependency[Caller],
        limit: AnyLimit = None,
        cursor: Cursor = None,
    ) -> ModelList:
        """List those that exist for the caller."""
        rows = await _models(service, caller)
        page, following = page_after(rows, lambda row: row.id, cursor, limit or len(rows))
        return ModelList(data=tuple(page), next_cursor=following)

    @get(
        "/{model_id:str}",
        operation_id="getModel",
        summary="Show a collection or an arm of it",
        responses=openai_responses(400, 401, 403, 404, 429, 500),
    )
    async def show(
        self, model_id: FromPath[str], service: NamedDependency[Service], caller: NamedDependency[Caller]
    ) -> Model:
        """Show one of the list."""
        found = next((model for model in await _models(service, caller) if model.id == model_id), None)
        if found is None:
            raise NotFoundError(f"no model {model_id[:100]!r}; GET /v1/models lists them")
        return found


async def _models(service: Service, caller: Caller) -> tuple[Model, ...]:
    """Return those that exist for the caller."""
    return tuple(
        _model(collection, arm, service.started)
        for collection, arms in await service.models()
        if caller.reads(collection)
        for arm in (None, *arms)
        if not (caller.filters and arm in {"ft", "rag+ft"})
    )


def _model(collection: str, arm: Arm | None, created: int) -> Model:
    name = f"{collection}:{arm}" if arm else collection
    return Model(id=name, created=created, collection=collection, arm=arm)
