"""``/v1/usage``, ``/v1/embeddings`` and ``/metrics``: for integrators and whoever watches."""

import base64
import struct
from datetime import date
from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter
from litestar.types import ExceptionHandlersMap

from assistant.core.access import Caller
from assistant.jobs.listing import count_waiting
from assistant.service.access import check_collection
from assistant.service.kept import Kept
from assistant.service.metrics import CONTENT_TYPE, Metrics
from assistant.service.problems import OPENAI_HANDLERS, RequestRefused, openai_responses, problem_responses
from assistant.service.refusals import Forbidden
from assistant.service.schemas_documents import (
    Embedding,
    EmbeddingsReply,
    EmbeddingsRequest,
    EmbeddingUsage,
    UsageReply,
)
from assistant.service.wiring import Service
from assistant.store.usage import UsageGroup, read_usage


class UsageController(Controller):
    """What the answers amount to."""

    path = "/v1/usage"
    tags = ("Usage",)
    opt = {"needs": "usage"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="getUsage",
        summary="Count answers, abstentions, hand-overs, satisfaction and tokens",
        description="An integrator sees its own key's use; an owner that of its collections, unless it "
        "sees a part of the documents only.",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def usage(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        first_day: Annotated[date | None, QueryParameter(name="from")] = None,
        last_day: Annotated[date | None, QueryParameter(name="to")] = None,
        collection: FromQuery[str | None] = None,
        group_by: FromQuery[UsageGroup | None] = None,
    ) -> UsageReply:
        """Count them."""
        named = [check_collection(caller, collection)] if collection else caller.collections
        sees_all = caller.may("manage") and not caller.filters
        lines = await kept.read(
            lambda session: read_usage(
                session,
                first_day=first_day.isoformat() if first_day else "",
                last_day=last_day.isoformat() if last_day else "9999-12-31",
                collections=named,
                key_id=None if sees_all else caller.id,
                by=group_by,
            )
        )
        return UsageReply(data=tuple(lines))


class EmbeddingsController(Controller):
    """Embeddings."""

    path = "/v1/embeddings"
    tags = ("OpenAI's shape",)
    exception_handlers: ExceptionHandlersMap = OPENAI_HANDLERS
    opt = {"needs": "embed"}  # noqa: RUF012 - as Litestar declares it

    @post(
        operation_id="createEmbeddings",
        summary="Embed texts",
        description="With the embedder of the collections, whatever `model` says.",
        status_code=200,
        responses=openai_responses(400, 401, 403, 404, 413, 429, 500, 503),
    )
    async def embed(
        self, data: JSONBody[EmbeddingsRequest], service: NamedDependency[Service]
    ) -> EmbeddingsReply:
        """Embed them."""
        if data.dimensions is not None:
            raise RequestRefused("the embedder's vectors cannot be shortened", "dimensions")
        texts = [data.input] if isinstance(data.input, str) else data.input
        found = await service.embed(texts, are_queries=data.input_type == "query")
        return EmbeddingsReply(
            data=tuple(
                Embedding(index=place, embedding=_written(vector, data.encoding_format))
                for place, vector in enumerate(found.vectors)
            ),
            model=found.model,
            usage=EmbeddingUsage(prompt_tokens=found.token_count, total_tokens=found.token_count),
        )


class MetricsController(Controller):
    """Metrics."""

    path = "/metrics"
    tags = ("Health",)
    opt = {"needs": "usage"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="getMetrics",
        summary="Metrics for Prometheus",
        media_type="text/plain",
        responses=problem_responses(401, 403, 429, 500),
    )
    async def metrics(
        self,
        caller: NamedDependency[Caller],
        metrics: NamedDependency[Metrics],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
    ) -> Response[bytes]:
        """Return them in the text format."""
        if caller.is_restricted:
            raise Forbidden("the metrics count everybody's answers; this key may read a part only")
        metrics.waiting.set(service.answering.statistics().tasks_waiting)
        for state, count in (await kept.read(count_waiting)).items():
            metrics.jobs.labels(state).set(count)
        return Response(metrics.text(await service.engine_metrics()), media_type=CONTENT_TYPE)


def _written(vector: tuple[float, ...], encoding: str) -> list[float] | str:
    if encoding == "float":
        return list(vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
