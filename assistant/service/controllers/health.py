"""``/livez`` and ``/readyz``: for whoever watches the service."""

from litestar import Controller, get
from litestar.di import NamedDependency

from assistant.service.problems import NotReady, problem_responses
from assistant.service.schemas import Health
from assistant.service.wiring import Service


class HealthController(Controller):
    """Is it alive, is it ready."""

    tags = ("Health",)

    @get("/livez", operation_id="getLiveness", summary="Is the process alive", sync_to_thread=False)
    def live(self) -> Health:
        """Answer at once, whatever is still being opened."""
        return Health()

    @get(
        "/readyz",
        operation_id="getReadiness",
        summary="Can questions be answered",
        responses=problem_responses(503),
    )
    async def ready(self, service: NamedDependency[Service]) -> Health:
        """Say whether index and engine are ready, else why not."""
        reasons = await service.run(service.problems)
        if reasons:
            raise NotReady(reasons)
        return Health()
