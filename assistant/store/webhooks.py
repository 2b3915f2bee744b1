"""Webhooks: addresses, and the outbox of events, written in the transaction of what happened."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import msgspec
from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.orm import Session

from assistant.core.errors import InputError, NotFoundError
from assistant.core.ids import random_id
from assistant.core.records import Record
from assistant.core.signing import new_secret
from assistant.store.locking import locked
from assistant.store.service_tables import ApiKeyRow
from assistant.store.webhook_tables import WebhookDeliveryRow, WebhookEndpointRow, WebhookEventRow

EventKind = Literal[
    "job.ended",
    "release.created",
    "release.promoted",
    "release.rolled_back",
    "release.retired",
    "handover.opened",
    "handover.changed",
]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
EndpointState = Literal["active", "disabled"]
DeliveryState = Literal["pending", "delivered", "failed"]
MOST_ENDPOINTS = 50


class Endpoint(Record, frozen=True, kw_only=True):
    """An address that is told of events.

    Attributes:
        id: ``wh-…``.
        key_id: who added it; once that key is revoked or expires, nothing more is told.
        url: where events go.
        events: kinds that it is told of.
        collections: of these, None for all.
        state: active, or disabled after too many failures.
        failures: failed attempts since the last good one.
        reason: of the last failure.
        created: when, ISO 8601 in UTC.
    """

    id: str
    key_id: str
    url: str
    events: tuple[EventKind, ...]
    collections: tuple[str, ...] | None
    state: EndpointState
    failures: int
    reason: str
    created: str


class Delivery(Record, frozen=True, kw_only=True):
    """An event for one address; attributes as in the table."""

    number: int
    event_id: str
    kind: str
    state: DeliveryState
    attempts: int
    status: int | None
    error: str
    changed: str


class Due(Record, frozen=True, kw_only=True):
    """A delivery that is to be tried now."""

    number: int
    endpoint_id: str
    url: str
    secret: str
    event_id: str
    body: str
    attempts: int


class Webhooks:
    """The addresses and the outbox within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self, key_id: str, url: str, events: Sequence[EventKind], collections: Sequence[str] | None
    ) -> tuple[Endpoint, str]:
        """Store an address; return it with its secret, which is shown this once.

        Raises:
            InputError: there are too many.
        """
        if (self._session.scalar(select(func.count(WebhookEndpointRow.number))) or 0) >= MOST_ENDPOINTS:
            raise InputError(f"there are {MOST_ENDPOINTS} webhooks, which is the most; delete one")
        row = WebhookEndpointRow(
            id=random_id("wh"),
            key_id=key_id,
            url=url,
            events=list(dict.fromkeys(events)),
            collections=None if collections is None else list(dict.fromkeys(collections)),
            secret=new_secret(),
            state="active",
            failures=0,
            reason="",
            created=_now(),
        )
        self._session.add(row)
        self._session.flush()
        return _endpoint(row), row.secret

    def all(self) -> list[Endpoint]:
        """Return every address, newest first."""
        rows = self._session.scalars(select(WebhookEndpointRow).order_by(WebhookEndpointRow.number.desc()))
        return [_endpoint(row) for row in rows]

    def get(self, endpoint_id: str) -> Endpoint:
        """Return an address.

        Raises:
            NotFoundError: there is none.
        """
        return _endpoint(self._row(endpoint_id))

    def secret(self, endpoint_id: str) -> str:
        """Return what signs for an address; errors as in ``get``."""
        return self._row(endpoint_id).secret

    def enable(self, endpoint_id: str) -> Endpoint:
        """Tell an address again, also of what still waits for it; errors as in ``get``."""
        row = self._row(endpoint_id)
        row.state, row.failures, row.reason = "active", 0, ""
        self._session.flush()
        return _endpoint(row)

    def remove(self, endpoint_id: str) -> None:
        """Delete an address with what still waits for it; errors as in ``get``."""
        row = self._row(endpoint_id)
        waiting = WebhookDeliveryRow.endpoint_id == row.id
        self._session.execute(delete(WebhookDeliveryRow).where(waiting))
        self._session.delete(row)
        self._session.flush()

    def emit(self, kind: EventKind, collection: str, content: Mapping[str, object]) -> str | None:
        """Note that something happened, for every address that wants it; return the event's id.

        Args:
            kind: of the event.
            collection: that it happened in.
            content: ids and states; no questions, answers, names or notes: who may read them asks the API.
        """
        wanting = [row for row in self._session.scalars(_active()) if _wants(row, kind, collection)]
        if not wanting:
            return None
        event = WebhookEventRow(id=random_id("evt"), kind=kind, created=_now(), body="")
        event.body = event_body(kind, event.created, {"collection": collection, **content})
        self._session.add(event)
        self._session.flush()
        for row in wanting:
            delivery = WebhookDeliveryRow(
                event_id=event.id, endpoint_id=row.id, state="pending", changed=event.created
            )
            self._session.add(delivery)
        self._session.flush()
        return event.id

    def is_due(self, now: float, busy: Collection[str] = ()) -> bool:
        """Tell whether something is to be tried now; costs no write lock."""
        return self._session.execute(_due(now, busy).limit(1)).first() is not None

    def claim(self, now: float, until: float, busy: Collection[str] = (), limit: int = 8) -> list[Due]:
        """Take deliveries that are due, one an address, until the time given.

        Args:
            now: seconds since 1970.
            until: when another process may take them.
            busy: addresses that are being told of something.
            limit: most of them.
        """
        oldest = _due(now, busy).with_only_columns(func.min(WebhookDeliveryRow.number))
        oldest = oldest.group_by(WebhookDeliveryRow.endpoint_id).order_by(None)
        oldest = oldest.order_by(func.min(WebhookDeliveryRow.number))
        numbers = self._session.scalars(oldest).all()[:limit]
        query = _due(now, busy).where(WebhookDeliveryRow.number.in_(numbers))
        taken = []
        locked = query.with_for_update(skip_locked=True, of=WebhookDeliveryRow)
        for delivery, endpoint, event in self._session.execute(locked):
            delivery.lease_until = until
            taken.append(
                Due(
                    number=delivery.number,
                    endpoint_id=endpoint.id,
                    url=endpoint.url,
                    secret=endpoint.secret,
                    event_id=event.id,
                    body=event.body,
                    attempts=delivery.attempts,
                )
            )
        self._session.flush()
        return taken

    def succeed(self, due: Due, status: int) -> None:
        """Note that an address took an event."""
        delivery, endpoint = self._tried(due, status, "")
        if delivery is not None and endpoint is not None:
            delivery.state = "delivered"
            endpoint.failures, endpoint.reason = 0, ""

    def fail(
        self, due: Due, status: int | None, reason: str, *, again_at: float | None, disable_after: int
    ) -> None:
        """Note that an address did not take an event.

        Args:
            due: the delivery.
            status: the HTTP status, None where there was none.
            reason: for a person.
            again_at: when it is tried again, None to give it up.
            disable_after: failures in a row after which the address is told nothing more.
        """
        delivery, endpoint = self._tried(due, status, reason)
        if delivery is None or endpoint is None:
            return
        if again_at is None:
            delivery.state = "failed"
        else:
            delivery.not_before = again_at
        endpoint.failures += 1
        endpoint.reason = reason
        if endpoint.failures >= disable_after:
            endpoint.state = "disabled"

    def deliveries(self, endpoint_id: str, before: int | None = None, limit: int = 100) -> list[Delivery]:
        """Return what an address was told or is to be told, newest first; errors as in ``get``."""
        self._row(endpoint_id)
        query = (
            select(WebhookDeliveryRow, WebhookEventRow.kind)
            .join(WebhookEventRow, WebhookEventRow.id == WebhookDeliveryRow.event_id)
            .where(WebhookDeliveryRow.endpoint_id == endpoint_id)
            .order_by(WebhookDeliveryRow.number.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(WebhookDeliveryRow.number < before)
        names = [name for name in Delivery.__struct_fields__ if name != "kind"]
        return [
            msgspec.convert({name: getattr(row, name) for name in names} | {"kind": kind}, Delivery)
            for row, kind in self._session.execute(query)
        ]

    def prune(self, kept_days: int) -> None:
        """Forget events that are too old, told or not."""
        day = (datetime.now(UTC) - timedelta(days=kept_days)).isoformat(timespec="seconds")
        old = select(WebhookEventRow.id).where(WebhookEventRow.created < day)
        self._session.execute(delete(WebhookDeliveryRow).where(WebhookDeliveryRow.event_id.in_(old)))
        self._session.execute(delete(WebhookEventRow).where(WebhookEventRow.created < day))

    def _tried(
        self, due: Due, status: int | None, reason: str
    ) -> tuple[WebhookDeliveryRow | None, WebhookEndpointRow | None]:
        """Count an attempt; nothing is left of a delivery whose address was deleted meanwhile."""
        delivery = self._session.get(WebhookDeliveryRow, due.number, with_for_update=True)
        if delivery is None or delivery.state != "pending":
            return None, None
        delivery.attempts += 1
        delivery.status, delivery.error, delivery.changed = status, reason, _now()
        delivery.lease_until = 0.0
        return delivery, self._row(due.endpoint_id)

    def _row(self, endpoint_id: str) -> WebhookEndpointRow:
        query = select(WebhookEndpointRow).where(WebhookEndpointRow.id == endpoint_id)
        row = self._session.scalar(locked(self._session, query))
        if row is None:
            raise NotFoundError(f"no webhook {endpoint_id[:64]!r}")
        return row


def event_body(kind: str, created: str, content: Mapping[str, object]) -> str:
    """Return the JSON of an event."""
    return msgspec.json.encode({"type": kind, "timestamp": created, "data": content}).decode()


def _active() -> Select[WebhookEndpointRow]:
    """Select addresses that are told of events: those of a key that was revoked or expired are not."""
    ended = or_(ApiKeyRow.revoked.is_not(None), ApiKeyRow.expires <= _now())
    revoked = select(ApiKeyRow.id).where(ended)
    return select(WebhookEndpointRow).where(
        WebhookEndpointRow.state == "active", WebhookEndpointRow.key_id.not_in(revoked)
    )


def _wants(row: WebhookEndpointRow, kind: str, collection: str) -> bool:
    return kind in row.events and (row.collections is None or collection in row.collections)


def _due(
    now: float, busy: Collection[str]
) -> Select[WebhookDeliveryRow, WebhookEndpointRow, WebhookEventRow]:
    active = _active().with_only_columns(WebhookEndpointRow.id)
    return (
        select(WebhookDeliveryRow, WebhookEndpointRow, WebhookEventRow)
        .join(WebhookEndpointRow, WebhookEndpointRow.id == WebhookDeliveryRow.endpoint_id)
        .join(WebhookEventRow, WebhookEventRow.id == WebhookDeliveryRow.event_id)
        .where(
            WebhookDeliveryRow.state == "pending",
            WebhookDeliveryRow.not_before <= now,
            WebhookDeliveryRow.lease_until <= now,
            WebhookEndpointRow.id.in_(active),
            WebhookEndpointRow.id.not_in(busy),
        )
        .order_by(WebhookDeliveryRow.number)
    )


def _endpoint(row: WebhookEndpointRow) -> Endpoint:
    return msgspec.convert({name: getattr(row, name) for name in Endpoint.__struct_fields__}, Endpoint)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
