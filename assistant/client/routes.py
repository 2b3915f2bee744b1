"""Calls for `send` and `pages` of both clients: what is kept, taught, measured and served.

``client.send(routes.promote("rel-…"))`` asks once; ``client.pages(routes.curated_answers("default"))`` yields
the rows of all pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from assistant.client.calls import Call, given
from assistant.core.records import Arm
from assistant.service.schemas_documents import JobList, JobShown
from assistant.service.schemas_knowledge import (
    CuratedList,
    CuratedShown,
    SyncList,
    TermList,
    TermShown,
)
from assistant.service.schemas_training import (
    AdapterCardShown,
    AdapterList,
    DatasetList,
    EvalList,
    ReleaseDiff,
    ReleaseHistory,
    ReleaseList,
    ReleaseShown,
    RowList,
    RunList,
    RunShown,
)
from assistant.service.schemas_uploads import UploadShown
from assistant.store.run_files import DatasetFile

_WITHOUT_BODY = ("/cancel", "/retry", "/promote", "/rollback", "/restore", "/complete", "/test", "/enable")


def curated_answers(collection: str | None = None) -> Call[CuratedList]:
    """List curated answers."""
    return get_call("/v1/curated-answers", CuratedList, collection=collection)


def curate(
    questions: Sequence[str],
    text: str,
    collection: str | None = None,
    *,
    citations: Sequence[Mapping[str, Any]] = (),
    **fields: Any,
) -> Call[CuratedShown]:
    """Keep a curated answer; further fields are those of the API."""
    body = {"questions": list(questions), "text": text, "citations": list(citations), **fields}
    return post_call("/v1/curated-answers", CuratedShown, collection=collection, **body)


def change_curated(answer_id: str, etag: str | None = None, **fields: Any) -> Call[CuratedShown]:
    """Put another answer in a curated one's place; with an ETag only as it was seen."""
    headers = {"If-Match": etag} if etag else {}
    path = f"/v1/curated-answers/{path_part(answer_id)}"
    return Call(method="PUT", path=path, body=given(fields), headers=headers, answer=CuratedShown)


def remove_curated(answer_id: str) -> Call[None]:
    """Take a curated answer back."""
    return Call(method="DELETE", path=f"/v1/curated-answers/{path_part(answer_id)}", answer=None)


def terms(collection: str | None = None, state: str | None = None) -> Call[TermList]:
    """List the glossary."""
    return get_call("/v1/glossary", TermList, collection=collection, state=state)


def add_term(said: str, meant: str, collection: str | None = None) -> Call[TermShown]:
    """Add a term."""
    return post_call("/v1/glossary", TermShown, said=said, meant=meant, collection=collection)


def decide_term(term_id: str, state: str, collection: str | None = None) -> Call[TermShown]:
    """Approve or reject a term."""
    path, query = f"/v1/glossary/{path_part(term_id)}", given({"collection": collection})
    return Call(method="PATCH", path=path, body={"state": state}, query=query, answer=TermShown)


def mine_terms(collection: str | None = None) -> Call[JobShown]:
    """Queue the mining of terms."""
    return post_call("/v1/glossary/mine", JobShown, collection=collection)


def syncs(collection: str | None = None) -> Call[SyncList]:
    """List syncs."""
    return get_call("/v1/syncs", SyncList, collection=collection)


def sync(folder: str, collection: str | None = None, **fields: Any) -> Call[JobShown]:
    """Queue a sync with a folder of the service's machine."""
    return post_call("/v1/syncs", JobShown, folder=folder, collection=collection, **fields)


def jobs(collection: str | None = None, state: str | None = None) -> Call[JobList]:
    """List jobs."""
    return get_call("/v1/jobs", JobList, collection=collection, state=state)


def cancel_job(job_id: str) -> Call[JobShown]:
    """Cancel a job."""
    return post_call(f"/v1/jobs/{path_part(job_id)}/cancel", JobShown)


def retry_job(job_id: str) -> Call[JobShown]:
    """Queue a job again."""
    return post_call(f"/v1/jobs/{path_part(job_id)}/retry", JobShown)


def restore_version(document_id: str, number: int) -> Call[JobShown]:
    """Let an older version of a document answer again."""
    return post_call(f"/v1/documents/{path_part(document_id)}/versions/{number}/restore", JobShown)


def datasets(collection: str | None = None) -> Call[DatasetList]:
    """List datasets."""
    return get_call("/v1/datasets", DatasetList, collection=collection)


def dataset(dataset_id: str, collection: str | None = None) -> Call[DatasetFile]:
    """Show a dataset."""
    return get_call(f"/v1/datasets/{path_part(dataset_id)}", DatasetFile, collection=collection)


def examples(dataset_id: str, collection: str | None = None) -> Call[RowList]:
    """List a dataset's rows."""
    return get_call(f"/v1/datasets/{path_part(dataset_id)}/examples", RowList, collection=collection)


def synthesize(collection: str | None = None) -> Call[JobShown]:
    """Queue the making of instruction data."""
    return post_call("/v1/datasets", JobShown, collection=collection)


def runs(collection: str | None = None, kind: str | None = None) -> Call[RunList]:
    """List runs."""
    return get_call("/v1/runs", RunList, collection=collection, kind=kind)


def run(run_id: str) -> Call[RunShown]:
    """Show a run."""
    return get_call(f"/v1/runs/{path_part(run_id)}", RunShown)


def metrics(run_id: str) -> Call[RowList]:
    """List a run's metrics."""
    return get_call(f"/v1/runs/{path_part(run_id)}/metrics", RowList)


def train(collection: str | None = None) -> Call[JobShown]:
    """Queue a training."""
    return post_call("/v1/runs", JobShown, collection=collection)


def adapters(collection: str | None = None) -> Call[AdapterList]:
    """List adapters."""
    return get_call("/v1/adapters", AdapterList, collection=collection)


def adapter(name: str) -> Call[AdapterCardShown]:
    """Show an adapter."""
    return get_call(f"/v1/adapters/{path_part(name)}", AdapterCardShown)


def evals(collection: str | None = None) -> Call[EvalList]:
    """List evaluations."""
    return get_call("/v1/evals", EvalList, collection=collection)


def evaluation(eval_id: str) -> Call[RunShown]:
    """Show an evaluation with its report."""
    return get_call(f"/v1/evals/{path_part(eval_id)}", RunShown)


def evaluate(
    suite: str,
    collection: str | None = None,
    *,
    cases: Sequence[Mapping[str, Any]] | None = None,
    arms: Sequence[Arm] | None = None,
    **fields: Any,
) -> Call[JobShown]:
    """Queue an evaluation."""
    body = {"suite": suite, "cases": cases, "arms": arms, "collection": collection, **fields}
    return post_call("/v1/evals", JobShown, **body)


def releases(collection: str | None = None) -> Call[ReleaseList]:
    """List releases."""
    return get_call("/v1/releases", ReleaseList, collection=collection)


def release(release_id: str) -> Call[ReleaseShown]:
    """Show a release."""
    return get_call(f"/v1/releases/{path_part(release_id)}", ReleaseShown)


def make_release(collection: str | None = None, **fields: Any) -> Call[ReleaseShown]:
    """Put a release together."""
    return post_call("/v1/releases", ReleaseShown, collection=collection, **fields)


def compare_releases(new: str, old: str) -> Call[ReleaseDiff]:
    """Show what differs from one release to another."""
    return get_call(f"/v1/releases/{path_part(new)}/diff", ReleaseDiff, against=old)


def promote(release_id: str) -> Call[JobShown]:
    """Queue the proof and the promotion of a release."""
    return post_call(f"/v1/releases/{path_part(release_id)}/promote", JobShown)


def roll_back(release_id: str) -> Call[ReleaseShown]:
    """Take the served release back."""
    return post_call(f"/v1/releases/{path_part(release_id)}/rollback", ReleaseShown)


def begin_upload(
    name: str, size_bytes: int, sha256: str | None, collection: str | None, metadata: Mapping[str, Any]
) -> Call[UploadShown]:
    """Begin an upload in pieces."""
    body = {"name": name, "size_bytes": size_bytes, "sha256": sha256, "metadata": dict(metadata)}
    return post_call("/v1/uploads", UploadShown, collection=collection, **body)


def show_upload(upload_id: str) -> Call[UploadShown]:
    """Show an upload."""
    return get_call(f"/v1/uploads/{path_part(upload_id)}", UploadShown)


def append_to_upload(upload_id: str, offset: int, piece: bytes) -> Call[UploadShown]:
    """Send the next bytes of an upload."""
    headers = {"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"}
    path = f"/v1/uploads/{path_part(upload_id)}"
    return Call(method="PATCH", path=path, content=piece, headers=headers, answer=UploadShown)


def complete_upload(upload_id: str) -> Call[JobShown]:
    """Add an uploaded file."""
    return post_call(f"/v1/uploads/{path_part(upload_id)}/complete", JobShown)


def release_history(release_id: str) -> Call[ReleaseHistory]:
    """Show what was done with a release."""
    return get_call(f"/v1/releases/{path_part(release_id)}/history", ReleaseHistory)


def term(term_id: str, collection: str | None = None) -> Call[TermShown]:
    """Show a term."""
    return get_call(f"/v1/glossary/{path_part(term_id)}", TermShown, collection=collection)


def remove_term(term_id: str, collection: str | None = None) -> Call[None]:
    """Take a term out."""
    path, query = f"/v1/glossary/{path_part(term_id)}", given({"collection": collection})
    return Call(method="DELETE", path=path, query=query, answer=None)


def curated_answer(answer_id: str) -> Call[CuratedShown]:
    """Show a curated answer."""
    return get_call(f"/v1/curated-answers/{path_part(answer_id)}", CuratedShown)


def sync_run(sync_id: str) -> Call[JobShown]:
    """Show what a sync did."""
    return get_call(f"/v1/syncs/{path_part(sync_id)}", JobShown)


def get_call(path: str, answer: Any, **query: str | None) -> Call[Any]:
    """Return the call of something to read; absent values are not sent."""
    return Call(method="GET", path=path, query=given(query), answer=answer)


def post_call(path: str, answer: Any, **body: Any) -> Call[Any]:
    """Return the call of something to do; absent values are not sent, and no body where none is taken."""
    takes_body = not path.endswith(_WITHOUT_BODY)
    return Call(method="POST", path=path, body=given(body) if takes_body else None, answer=answer)


def path_part(name: str) -> str:
    """Return a name as one part of a path."""
    return quote(name, safe="")
