"""``/v1/usage/topics``: what people asked and the documents do not answer."""

from datetime import date
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from assistant.answering.topics import find_topics
from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.service.access import check_collection
from assistant.service.kept import Kept
from assistant.service.problems import problem_responses
from assistant.service.refusals import Forbidden
from assistant.service.schemas_answers import TopicsReply
from assistant.service.wiring import Service
from assistant.store.unanswered import read_unanswered
from indexing.search import Searcher


class TopicsController(Controller):
    """Missing topics."""

    path = "/v1/usage/topics"
    tags = ("Usage",)
    opt = {"needs": "manage"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listTopics",
        summary="Group the questions that were not answered into missing topics",
        description="What the documents did not cover, what was passed to a person, and what was called bad, "
        "English and Chinese together; the most asked topic first, made of the newest 500 questions. "
        "Personal data is replaced by its kind.",
        responses=problem_responses(400, 401, 403, 404, 429, 500, 503),
    )
    async def topics(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        service: NamedDependency[Service],
        collection: FromQuery[str | None] = None,
        first_day: Annotated[date | None, QueryParameter(name="from")] = None,
        last_day: Annotated[date | None, QueryParameter(name="to")] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    ) -> TopicsReply:
        """Group them."""
        if caller.filters:
            raise Forbidden("topics tell of everybody's questions; this key may read a part only")
        name = check_collection(caller, collection or service.default_collection)
        searcher = (await service.pipeline(name)).searcher
        if not isinstance(searcher, Searcher):
            raise NotFoundError(f"collection {name!r} has no index", next_command="deskmate index add PATH")
        asked = await kept.read(
            lambda session: read_unanswered(
                session,
                name,
                first_day=first_day.isoformat() if first_day else "",
                last_day=last_day.isoformat() if last_day else "9999-12-31",
            )
        )
        found = await service.run(lambda: find_topics(asked, searcher.embedder, searcher, limit=limit))
        return TopicsReply(collection=name, questions=len(asked), data=tuple(found))
