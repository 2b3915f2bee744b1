"""What goes in and out of ``/v1/datasets``, ``runs``, ``adapters``, ``evals`` and ``releases``."""

from typing import Annotated, Any

from msgspec import Meta

from assistant.core.records import Arm
from assistant.service.schemas import Schema
from assistant.service.schemas_knowledge import CollectionName
from assistant.store.releases import ReleaseContent, ReleaseEvent, State
from assistant.store.run_files import DatasetFile, RunFile

MOST_CASES = 2000


class CollectionWanted(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The collection that it is made for."""

    collection: CollectionName | None = None


class DatasetList(Schema, frozen=True, kw_only=True):
    """A collection's datasets, the current one first."""

    data: tuple[DatasetFile, ...]
    next_cursor: str | None


class RowList(Schema, frozen=True, kw_only=True):
    """Rows as they were written."""

    data: tuple[dict[str, Any], ...]
    next_cursor: str | None


class RunList(Schema, frozen=True, kw_only=True):
    """Runs, newest first."""

    data: tuple[RunFile, ...]
    next_cursor: str | None


class RunShown(Schema, frozen=True, kw_only=True):
    """A run and, once it has ended, its report."""

    run: RunFile
    report: dict[str, Any] | None


class AdapterShown(Schema, frozen=True, kw_only=True):
    """A tuned adapter."""

    name: str
    collection: str
    base_fingerprint: str
    dataset_hash: str
    created: str
    is_active: Annotated[bool, Meta(description="Served where no release is.")]


class AdapterCardShown(AdapterShown, frozen=True, kw_only=True):
    """A tuned adapter with what it learnt from, as far as its card is on this machine."""

    card: dict[str, Any] | None


class AdapterList(Schema, frozen=True, kw_only=True):
    """Adapters, newest first."""

    data: tuple[AdapterShown, ...]
    next_cursor: str | None


class EvalRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A suite that is to be measured: one of the collection's own, or cases that come with the request."""

    collection: CollectionName | None = None
    suite: Annotated[
        str, Meta(max_length=64, description="Name of a suite; of one that comes along, the name it gets.")
    ] = "suite"
    cases: (
        Annotated[
            list[dict[str, Any]],
            Meta(
                max_length=MOST_CASES,
                description="As the rows of a suite's file: id, lang, question, gold, …",
            ),
        ]
        | None
    ) = None
    arms: Annotated[tuple[Arm, ...], Meta(min_length=1, max_length=4)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_CASES)] | None = None
    retrieval_only: bool = False


class EvalList(Schema, frozen=True, kw_only=True):
    """Evaluations, newest first."""

    data: tuple[RunFile, ...]
    next_cursor: str | None


class ReleaseRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a release is to be made of, beside the served snapshot, the prompts and the settings."""

    collection: CollectionName | None = None
    adapter: Annotated[str, Meta(max_length=64, description="The served one if absent.")] | None = None
    without_adapter: bool = False
    run: Annotated[str, Meta(max_length=200, description="Evaluation whose report it rests on.")] | None = (
        None
    )


class ReleaseShown(Schema, frozen=True, kw_only=True):
    """A release."""

    id: str
    collection: str
    state: State
    created: str
    is_whole: Annotated[bool, Meta(description="What is stored is what its id was made from.")]
    content: ReleaseContent


class ReleaseList(Schema, frozen=True, kw_only=True):
    """Releases, newest first."""

    data: tuple[ReleaseShown, ...]
    next_cursor: str | None


class ReleaseHistory(Schema, frozen=True, kw_only=True):
    """What was done with a release, newest first."""

    data: tuple[ReleaseEvent, ...]
    next_cursor: str | None


class Difference(Schema, frozen=True, kw_only=True):
    """A value that differs between two releases."""

    name: str
    old: str
    new: str


class ReleaseDiff(Schema, frozen=True, kw_only=True):
    """What differs from one release to another."""

    old: str
    new: str
    data: tuple[Difference, ...]
