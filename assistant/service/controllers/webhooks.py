"""``/v1/webhooks``: addresses that are told of events."""

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.orm import Session

from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.core.ids import random_id
from assistant.service.access import check_collection
from assistant.service.etags import check_match, tagged
from assistant.service.idempotency import SHOWN_ONCE
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number, next_number, page_after
from assistant.service.problems import AnyRequest, problem_responses
from assistant.service.refusals import Forbidden
from assistant.service.schemas_webhooks import (
    DeliveryList,
    WebhookIssued,
    WebhookList,
    WebhookRequest,
    WebhookTested,
)
from assistant.service.webhook_sending import WebhookSender, check_target
from assistant.service.wiring import Service
from assistant.store.answers import now
from assistant.store.webhooks import Endpoint, Webhooks, event_body

TEST_EVENT = "webhook.test"


class WebhooksController(Controller):
    """Webhooks."""

    path = "/v1/webhooks"
    tags = ("Webhooks",)
    opt = {"needs": "manage"}  # noqa: RUF012 - as Litestar declares it

    @post(
        operation_id="createWebhook",
        summary="Let an address be told of events",
        description="Events are signed as Standard Webhooks says; the secret is shown once. They hold ids "
        "and states, and come at least once: `webhook-id` tells whether one came before. What is not taken "
        "is sent again for three days. Nothing more is told once the key that added it is revoked.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"audited": True, "idempotent": SHOWN_ONCE},
    )
    async def create(
        self,
        data: JSONBody[WebhookRequest],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        service: NamedDependency[Service],
    ) -> Response[WebhookIssued]:
        """Add one."""
        _check_whole(caller)
        check_target(data.url, service.settings.webhooks)
        named = [check_collection(caller, name) for name in data.collections] if data.collections else None
        collections = caller.collections if named is None else tuple(named)
        made, secret = await kept.write(
            lambda session: Webhooks(session).add(caller.id, data.url, data.events, collections)
        )
        headers = {"Cache-Control": "no-store", "Location": f"/v1/webhooks/{made.id}"}
        return Response(WebhookIssued(webhook=made, secret=secret), status_code=201, headers=headers)

    @get(
        operation_id="listWebhooks",
        summary="List webhooks",
        description="Those that are told of nothing that the key may not read.",
        responses=problem_responses(400, 401, 403, 429, 500),
    )
    async def list_webhooks(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> WebhookList:
        """List them, without secrets."""
        _check_whole(caller)
        rows = await kept.read(lambda session: Webhooks(session).all())
        theirs = [row for row in rows if _is_theirs(row, caller)]
        page, following = page_after(theirs, lambda row: row.id, cursor, limit)
        return WebhookList(data=tuple(page), next_cursor=following)

    @get(
        "/{webhook_id:str}",
        operation_id="getWebhook",
        summary="Show a webhook",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
        opt={"etag": True},
    )
    async def show(
        self,
        webhook_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[Endpoint]:
        """Show one with its ETag, without its secret."""
        return tagged(await kept.read(lambda session: _find(session, webhook_id, caller)), request)

    @get(
        "/{webhook_id:str}/deliveries",
        operation_id="listWebhookDeliveries",
        summary="Show what an address was told",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def deliveries(
        self,
        webhook_id: FromPath[str],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> DeliveryList:
        """List deliveries, newest first."""
        before = decode_number(cursor)
        await kept.read(lambda session: _find(session, webhook_id, caller))
        rows = await kept.read(lambda session: Webhooks(session).deliveries(webhook_id, before, limit + 1))
        page, following = next_number(rows, limit)
        return DeliveryList(data=tuple(page), next_cursor=following)

    @post(
        "/{webhook_id:str}/test",
        operation_id="testWebhook",
        summary="Send an event of type webhook.test now",
        status_code=200,
        responses=problem_responses(400, 401, 403, 404, 413, 429, 500),
        opt={"audited": True},
    )
    async def test(
        self,
        webhook_id: FromPath[str],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        sender: NamedDependency[WebhookSender],
    ) -> WebhookTested:
        """Send one, whatever state the address is in."""
        found = await kept.read(lambda session: _find(session, webhook_id, caller))
        secret = await kept.read(lambda session: Webhooks(session).secret(webhook_id))
        event_id = random_id("evt")
        body = event_body(TEST_EVENT, now(), {"webhook_id": found.id})
        came = await sender.post(found.url, secret, event_id, body.encode())
        return WebhookTested(event_id=event_id, is_taken=came.is_taken, status=came.status, error=came.error)

    @post(
        "/{webhook_id:str}/enable",
        operation_id="enableWebhook",
        summary="Tell an address again that failed too often",
        description="What still waits for it is told as well. With `If-Match` only as it was seen.",
        status_code=200,
        responses=problem_responses(400, 401, 403, 404, 412, 413, 429, 500),
        opt={"audited": True},
    )
    async def enable(
        self,
        webhook_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Endpoint:
        """Enable one."""

        def enable(session: Session) -> Endpoint:
            check_match(request, _find(session, webhook_id, caller))
            return Webhooks(session).enable(webhook_id)

        return await kept.write(enable)

    @delete(
        "/{webhook_id:str}",
        operation_id="deleteWebhook",
        summary="Tell an address nothing more",
        description="With `If-Match` only as it was seen.",
        responses=problem_responses(400, 401, 403, 404, 412, 429, 500),
        opt={"audited": True},
    )
    async def remove(
        self,
        webhook_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> None:
        """Delete one, with what still waits for it."""

        def remove(session: Session) -> None:
            check_match(request, _find(session, webhook_id, caller))
            Webhooks(session).remove(webhook_id)

        await kept.write(remove)


def _check_whole(caller: Caller) -> None:
    """Refuse who sees a part of the documents only: events tell of all of a collection."""
    if caller.filters:
        raise Forbidden("webhooks tell of whole collections; this key may read a part of the documents only")


def _is_theirs(endpoint: Endpoint, caller: Caller) -> bool:
    if caller.collections is None:
        return True
    return endpoint.collections is not None and set(endpoint.collections) <= set(caller.collections)


def _find(session: Session, webhook_id: str, caller: Caller) -> Endpoint:
    _check_whole(caller)
    found = Webhooks(session).get(webhook_id)
    if not _is_theirs(found, caller):
        raise NotFoundError(f"no webhook {webhook_id[:64]!r}")
    return found
