"""Releases and which one is served: index snapshot, adapter, prompts and settings, switched together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from assistant.core.errors import CollectionBusy, InputError, NotFoundError
from assistant.core.ids import content_id
from assistant.core.records import Record
from assistant.store.release_tables import ReleaseEventRow, ReleaseRow
from assistant.store.splits import Split, Splits
from assistant.store.webhooks import EventKind, Webhooks

State = Literal["candidate", "active", "superseded", "retired"]
Action = Literal["create", "promote", "rollback", "retire", "ab", "ab-off"]
Switch = Literal["promote", "rollback"]
_EVENTS: Mapping[Action, EventKind] = {
    "create": "release.created",
    "promote": "release.promoted",
    "rollback": "release.rolled_back",
    "retire": "release.retired",
}


class ReleaseContent(Record, frozen=True, kw_only=True):
    """Everything that shapes an answer.

    Attributes:
        collection: that it answers from.
        snapshot: name of the index snapshot.
        snapshot_sha256: of the snapshot's manifest, which holds the hashes of all its files.
        embedder: fingerprint of what made its vectors.
        base_model: name of the base model.
        adapter: name of the adapter, None for the base model alone.
        adapter_sha256: file → hash of the adapter's files.
        templates: hash over the prompt templates.
        settings: section → key → value, of those that shape answers.
        report_sha256: of the evaluation report, None where there is none.
        version: of Deskmate.
    """

    collection: str
    snapshot: str
    snapshot_sha256: str
    embedder: str
    base_model: str
    adapter: str | None
    adapter_sha256: dict[str, str]
    templates: str
    settings: dict[str, dict[str, Any]]
    report_sha256: str | None
    version: str

    @property
    def id(self) -> str:
        """``rel-`` and a hash over all of it: the same content is the same release."""
        return f"rel-{content_id(msgspec.json.encode(self, order='sorted').decode(), length=12)}"


class Release(Record, frozen=True, kw_only=True):
    """A stored release."""

    id: str
    content: ReleaseContent
    state: State
    created: str

    @property
    def is_whole(self) -> bool:
        """Whether the stored content is what the id was made from."""
        return self.content.id == self.id


class ReleaseEvent(Record, frozen=True, kw_only=True):
    """Something that was done, numbered; ``proof`` says in a line what it was done on."""

    number: int
    release: str
    action: Action
    before: str | None
    time: str
    actor: str
    proof: str


class Releases:
    """The releases within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(self, content: ReleaseContent, actor: str) -> Release:
        """Store a release; one of the same content is left as it is."""
        row = self._session.get(ReleaseRow, content.id)
        if row is None:
            row = ReleaseRow(
                id=content.id,
                collection=content.collection,
                content=msgspec.to_builtins(content),
                state="candidate",
                created=_now(),
            )
            self._session.add(row)
            self._note(row, "create", None, actor, "")
        return _release(row)

    def find(self, release_id: str, collection: str) -> Release:
        """Return a release by its id or an unambiguous beginning of it.

        Raises:
            NotFoundError: the collection has none.
            InputError: several begin so.
        """
        query = select(ReleaseRow).where(
            ReleaseRow.collection == collection, ReleaseRow.id.startswith(release_id, autoescape=True)
        )
        rows = self._session.scalars(query).all()
        if len(rows) > 1:
            raise InputError(f"{len(rows)} releases of collection {collection!r} begin with {release_id!r}")
        if not rows or not release_id:
            raise NotFoundError(
                f"no release {release_id!r} of collection {collection!r}",
                next_command=f"deskmate release list --collection {collection}",
            )
        return _release(rows[0])

    def get(self, release_id: str) -> Release | None:
        """Return a release of any collection by its whole id, None if there is none."""
        row = self._session.get(ReleaseRow, release_id)
        return _release(row) if row else None

    def of(self, collection: str) -> list[Release]:
        """Return a collection's releases, newest first."""
        query = select(ReleaseRow).where(ReleaseRow.collection == collection)
        rows = self._session.scalars(query.order_by(ReleaseRow.created.desc(), ReleaseRow.id))
        return [_release(row) for row in rows]

    def using(self, adapter: str) -> list[Release]:
        """Return the releases of any collection that have an adapter and may still be served."""
        rows = self._session.scalars(
            select(ReleaseRow).where(
                ReleaseRow.content["adapter"].as_string() == adapter, ReleaseRow.state != "retired"
            )
        )
        return [_release(row) for row in rows]

    def active(self, collection: str) -> Release | None:
        """Return the served release, None where none was promoted."""
        row = self._active_row(collection)
        return _release(row) if row else None

    def adapters(self) -> dict[str, str | None]:
        """Return the adapter of every served release, by collection."""
        adapter = ReleaseRow.content["adapter"].as_string().label("adapter")
        rows = self._session.execute(
            select(ReleaseRow.collection, adapter).where(ReleaseRow.state == "active")
        )
        return {row.collection: row.adapter for row in rows}

    def previous(self, collection: str) -> Release:
        """Return the release that the served one took over from.

        Raises:
            NotFoundError: there is none, or it was retired.
        """
        active = self._active_row(collection)
        event = active and self._session.scalar(
            select(ReleaseEventRow)
            .where(
                ReleaseEventRow.release == active.id,
                ReleaseEventRow.action == "promote",
                ReleaseEventRow.before != active.id,  # promoted twice in a row
                ReleaseEventRow.collection == collection,
            )
            .order_by(ReleaseEventRow.number.desc())
            .limit(1)
        )
        row = self._session.get(ReleaseRow, event.before) if event and event.before else None
        if row is None or row.state == "retired":
            raise NotFoundError(
                f"collection {collection!r} has no release to roll back to",
                next_command=f"deskmate release list --collection {collection}",
            )
        return _release(row)

    def switch(
        self, release: Release, action: Switch, expected: str | None, actor: str, proof: str
    ) -> Release:
        """Make a release the served one; an A/B of the collection ends.

        Args:
            release: to serve.
            action: ``promote`` or ``rollback``.
            expected: id of the release that was served when the decision was made, None for none.
            actor: who did it.
            proof: what it was done on.

        Raises:
            CollectionBusy: another one was promoted meanwhile.
            InputError: the release was retired, or is rolled back to without ever having been promoted.
        """
        collection = release.content.collection
        row, active = self._session.get_one(ReleaseRow, release.id), self._active_row(collection)
        if (active.id if active else None) != expected:
            raise CollectionBusy(
                f"another release of collection {collection!r} was promoted meanwhile: "
                f"{active.id if active else 'none'} is served now",
                next_command=f"deskmate release list --collection {collection}",
            )
        if row.state == "retired":
            raise InputError(f"release {release.id} was retired; create it anew")
        if action == "rollback" and row.state == "candidate":
            raise InputError(
                f"release {release.id} was never promoted, so nothing proved it",
                next_command=f"deskmate release promote {release.id} --collection {collection}",
            )
        if active is not None and active.id != row.id:
            active.state = "superseded"
            self._session.flush()
        row.state = "active"
        Splits(self._session, _now).end(collection)
        try:
            self._session.flush()
            self._note(row, action, expected, actor, proof)
        except IntegrityError as error:  # another database than SQLite lets two transactions come this far
            raise CollectionBusy(
                f"another release of collection {collection!r} was promoted meanwhile"
            ) from error
        return _release(row)

    def retire(self, release: Release, actor: str) -> None:
        """Let a release never be served again.

        Raises:
            InputError: it is the served one, or answers in an A/B.
        """
        split = self.split(release.content.collection)
        if split is not None and release.id == split.challenger:
            raise InputError(
                f"release {release.id} answers in an A/B",
                next_command=f"deskmate release ab --off --collection {release.content.collection}",
            )
        changed = self._session.execute(
            update(ReleaseRow)
            .where(ReleaseRow.id == release.id, ReleaseRow.state != "active")
            .values(state="retired")
        )
        if not changed.rowcount:  # type: ignore[attr-defined]
            raise InputError(f"release {release.id} is served; promote another one first")
        row = self._session.get_one(ReleaseRow, release.id)
        self._note(row, "retire", None, actor, "")

    def split(self, collection: str) -> Split | None:
        """Return the collection's A/B, None where there is none."""
        return Splits(self._session, _now).of(collection)

    def begin_split(
        self, release: Release, challenger: Release, weight: float, actor: str, proof: str
    ) -> Split:
        """Let a challenger answer a share of the conversations beside the served release.

        Raises:
            InputError: ``release`` is not served, both are the same, the challenger was retired, or the
                weight is no share.
        """
        split = Splits(self._session, _now).begin(
            release.content.collection, release.id, challenger.id, weight
        )
        row = self._session.get_one(ReleaseRow, challenger.id)
        self._note(row, "ab", release.id, actor, f"weight {weight:g}; {proof}")
        return split

    def end_split(self, collection: str, actor: str) -> Split:
        """End the A/B.

        Raises:
            NotFoundError: there is none.
        """
        split = self.split(collection)
        if split is None:
            raise NotFoundError(f"collection {collection!r} has no A/B")
        Splits(self._session, _now).end(collection)
        row = self._session.get_one(ReleaseRow, split.challenger)
        self._note(row, "ab-off", split.release, actor, "")
        return split

    def events(self, collection: str) -> list[ReleaseEvent]:
        """Return what was done, newest first."""
        query = select(ReleaseEventRow).where(ReleaseEventRow.collection == collection)
        rows = self._session.scalars(query.order_by(ReleaseEventRow.number.desc()))
        return [_event(row) for row in rows]

    def history(self, release: Release, before: int | None, limit: int) -> list[ReleaseEvent]:
        """Return what was done with one release or took over from it, newest first, from below a number."""
        query = select(ReleaseEventRow).where(
            ReleaseEventRow.collection == release.content.collection,
            or_(ReleaseEventRow.release == release.id, ReleaseEventRow.before == release.id),
        )
        if before is not None:
            query = query.where(ReleaseEventRow.number < before)
        rows = self._session.scalars(query.order_by(ReleaseEventRow.number.desc()).limit(limit))
        return [_event(row) for row in rows]

    def _active_row(self, collection: str) -> ReleaseRow | None:
        return self._session.scalar(
            select(ReleaseRow).where(ReleaseRow.collection == collection, ReleaseRow.state == "active")
        )

    def _note(self, row: ReleaseRow, action: Action, before: str | None, actor: str, proof: str) -> None:
        self._session.add(
            ReleaseEventRow(
                collection=row.collection,
                release=row.id,
                action=action,
                before=before,
                time=_now(),
                actor=actor,
                proof=proof,
            )
        )
        if (event := _EVENTS.get(action)) is not None:
            Webhooks(self._session).emit(event, row.collection, {"id": row.id, "before": before})


def _release(row: ReleaseRow) -> Release:
    fields = {name: getattr(row, name) for name in Release.__struct_fields__}
    return msgspec.convert(fields, Release)


def _event(row: ReleaseEventRow) -> ReleaseEvent:
    fields = {name: getattr(row, name) for name in ReleaseEvent.__struct_fields__}
    return msgspec.convert(fields, ReleaseEvent)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
