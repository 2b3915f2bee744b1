"""What a caller may read: its access list, put into the filters that retrieval itself applies."""

from collections.abc import Mapping, Sequence

from assistant.core.access import Caller
from assistant.core.errors import InputError, NotFoundError
from assistant.core.records import Arm, Filters, Metadata
from assistant.service.problems import RequestRefused
from assistant.service.refusals import Forbidden
from indexing.filters import GrantedFilters
from indexing.metadata import fold_key, fold_value, normalise_metadata, values_of


def check_key_filters(filters: Mapping[str, Sequence[str]]) -> None:
    """Refuse filters that cannot be an access list.

    Raises:
        RequestRefused: a key is none or stands for a date, or a value is empty.
    """
    for name, values in filters.items():
        if fold_key(name) == "date":
            raise RequestRefused("a date says what is asked for, not who may read", "filters")
        try:
            folded = normalise_metadata({name: list(values)}, "filters")
        except InputError as error:
            raise RequestRefused(error.message, "filters") from error
        if not all(folded.values()):
            raise RequestRefused(f"filter {name!r} has no value", "filters")


def check_collection(caller: Caller, collection: str) -> str:
    """Return the collection's name if it exists for the caller.

    Raises:
        NotFoundError: it does not; whether it exists for others is not told.
    """
    if not caller.reads(collection):
        raise NotFoundError(f"no collection {collection[:64]!r}")
    return collection


def check_whole(caller: Caller) -> None:
    """Refuse who sees a part of the documents only what is made from all of them.

    Raises:
        Forbidden: the key is held to some documents.
    """
    if caller.filters:
        raise Forbidden(
            f"key {caller.id} may read a part of the documents only; this is made from all of them"
        )


def narrow(caller: Caller, asked: Filters) -> Filters:
    """Return filters that hold both what the request asks for and what the caller may read.

    Raises:
        Forbidden: the request asks only for documents that the caller may not read.
    """
    if not caller.filters:
        return asked
    wanted: dict[str, list[str]] = {}
    granted = frozenset(fold_key(name) for name in caller.filters)
    for name, given in asked.items():
        wanted.setdefault(fold_key(name), []).extend([given] if isinstance(given, str) else given)
    for name, allowed in caller.filters.items():
        key = fold_key(name)
        if key not in wanted:
            wanted[key] = list(allowed)
            continue
        values = {_folded(key, value) for value in allowed}
        wanted[key] = [value for value in wanted[key] if _folded(key, value) in values]
        if not wanted[key]:
            raise Forbidden(f"key {caller.id} may not read documents with this {key!r}")
    narrowed = GrantedFilters(wanted)
    narrowed.granted = granted
    return narrowed


def readable(caller: Caller, metadata: Metadata) -> bool:
    """Tell whether a document with such metadata exists for the caller."""
    return all(
        {_folded(key, value) for value in values_of(metadata, key)}
        & {_folded(key, value) for value in allowed}
        for key, allowed in ((fold_key(name), allowed) for name, allowed in caller.filters.items())
    )


def allowed_arm(caller: Caller, arm: Arm | None) -> Arm | None:
    """Return the arm to answer with.

    An adapter may know by heart what the caller may not read, so who sees a part of the documents only is
    answered without it.

    Raises:
        Forbidden: an arm with an adapter was asked for.
    """
    if not caller.filters:
        return arm
    if arm in {"ft", "rag+ft"}:
        raise Forbidden(
            f"arm {arm!r} was trained on documents that key {caller.id} may not read; use rag or base"
        )
    return arm or "rag"


def _folded(key: str, value: str) -> str:
    return fold_value(key, value).casefold()
