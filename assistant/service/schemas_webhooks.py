"""What goes in and out of ``/v1/webhooks``."""

from typing import Annotated

from msgspec import Meta

from assistant.service.schemas import Schema
from assistant.store.webhooks import Delivery, Endpoint, EventKind


class WebhookRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address that is to be told of events."""

    url: Annotated[
        str, Meta(min_length=1, max_length=2000, description="Its host stands in `[webhooks] hosts`.")
    ]
    events: Annotated[tuple[EventKind, ...], Meta(min_length=1, max_length=20)]
    collections: (
        Annotated[
            tuple[str, ...],
            Meta(min_length=1, max_length=1000, description="Of these only; absent for all of the key's."),
        ]
        | None
    ) = None


class WebhookIssued(Schema, frozen=True, kw_only=True):
    """An address with the secret that signs its events, which is shown once."""

    webhook: Endpoint
    secret: str


class WebhookList(Schema, frozen=True, kw_only=True):
    """All addresses, newest first."""

    data: tuple[Endpoint, ...]
    next_cursor: str | None


class DeliveryList(Schema, frozen=True, kw_only=True):
    """What an address was told or is to be told, newest first."""

    data: tuple[Delivery, ...]
    next_cursor: str | None


class WebhookTested(Schema, frozen=True, kw_only=True):
    """What came of sending an event of type `webhook.test`."""

    event_id: str
    is_taken: bool
    status: int | None
    error: str
