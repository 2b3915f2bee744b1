"""Long work on behalf of a caller: a durable job, and 202 with where it is watched."""

from collections.abc import Mapping

from litestar import Response

from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.jobs.listing import note_origin
from assistant.jobs.records import Job, JobKind
from assistant.service.controllers.jobs import show_job
from assistant.service.kept import Kept
from assistant.service.schemas_documents import JobShown
from assistant.store.documents import Documents

QUEUED = "Queued for a worker; `Location` names the job."


def queue_job(
    kept: Kept, caller: Caller, kind: JobKind, collection: str, arguments: Mapping[str, object]
) -> Job:
    """Queue a job and keep whose request it was; blocks."""
    job = kept.queue.enqueue(kind, collection, arguments)
    with kept.database.write() as session:
        note_origin(session, job.id, caller.id)
    return job


async def accept_job(
    kept: Kept, caller: Caller, kind: JobKind, collection: str, arguments: Mapping[str, object]
) -> Response[JobShown]:
    """Queue a job and return the answer to its request.

    Raises:
        NotFoundError: there is no such collection.
    """

    def work() -> tuple[Job, JobShown]:
        generation_of(kept, collection)
        job = queue_job(kept, caller, kind, collection, arguments)
        return job, show_job(kept, job)

    job, shown = await kept.run(work)
    return Response(shown, status_code=202, headers={"Location": f"/v1/jobs/{job.id}"})


def generation_of(kept: Kept, collection: str) -> int:
    """Return a collection's generation; blocks.

    Raises:
        NotFoundError: there is no such collection.
    """
    with kept.database.read() as session:
        found = Documents(session).find_collection(collection)
    if found is None:
        raise NotFoundError(f"no collection {collection[:64]!r}; make it with POST /v1/collections")
    return found.generation
