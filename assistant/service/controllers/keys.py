"""``/v1/keys`` and ``/v1/audit``: who may come in, and who did what."""

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.orm import Session

from assistant.core.access import SCOPES, Caller
from assistant.service.access import check_key_filters
from assistant.service.door import Door
from assistant.service.etags import tagged
from assistant.service.idempotency import SHOWN_ONCE
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number, next_number, page_after
from assistant.service.problems import AnyRequest, problem_responses
from assistant.service.refusals import Conflict, Forbidden
from assistant.service.schemas_keys import (
    AuditList,
    ChainState,
    KeyIssued,
    KeyList,
    KeyRequest,
    KeyShown,
    RotateRequest,
)
from assistant.store.audit import AuditLog
from assistant.store.keys import ApiKey, Keys, NewKey

_NO_STORE = {"Cache-Control": "no-store"}


class KeysController(Controller):
    """API keys."""

    path = "/v1/keys"
    tags = ("Keys",)
    opt = {"needs": "keys", "audited": True}  # noqa: RUF012 - as Litestar declares it

    @get(operation_id="listKeys", summary="List keys", responses=problem_responses(400, 401, 403, 429, 500))
    async def list_keys(
        self, kept: NamedDependency[Kept], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> KeyList:
        """List them, without secrets."""
        found = await kept.read(lambda session: Keys(session).all())
        page, following = page_after(found, lambda key: key.id, cursor, limit)
        return KeyList(data=tuple(KeyShown.from_key(key) for key in page), next_cursor=following)

    @post(
        operation_id="createKey",
        summary="Make a key",
        description="The secret is shown once. With the first key the service asks everybody for one. A key "
        "gives no scope that it does not have itself.",
        responses=problem_responses(400, 401, 403, 409, 413, 422, 429, 500),
        opt={"idempotent": SHOWN_ONCE},
    )
    async def create(
        self,
        data: JSONBody[KeyRequest],
        kept: NamedDependency[Kept],
        door: NamedDependency[Door],
        caller: NamedDependency[Caller],
    ) -> Response[KeyIssued]:
        """Make one."""
        check_key_filters(data.filters)
        _check_scopes(caller, data)
        new = NewKey(**{name: getattr(data, name) for name in NewKey.__struct_fields__})

        def make() -> tuple[KeyIssued, str]:
            with kept.database.write() as session:
                keys = Keys(session)
                if not keys.exist() and not door.has_admin and data.role != "admin":
                    raise Conflict("the first key must be an admin's: else nobody could make another")
                key, secret = keys.create(new)
            return KeyIssued(key=KeyShown.from_key(key), secret=secret), key.id

        issued, key_id = await kept.run(make)
        door.forget()
        headers = _NO_STORE | {"Location": f"/v1/keys/{key_id}"}
        return Response(issued, status_code=201, headers=headers)

    @get(
        "/{key_id:str}",
        operation_id="getKey",
        summary="Show a key",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
        opt={"etag": True},
    )
    async def show(
        self, key_id: FromPath[str], request: AnyRequest, kept: NamedDependency[Kept]
    ) -> Response[KeyShown]:
        """Show one with its ETag, without its secret."""
        found = await kept.read(lambda session: Keys(session).get(key_id))
        return tagged(KeyShown.from_key(found), request)

    @post(
        "/{key_id:str}/rotate",
        operation_id="rotateKey",
        summary="Give a key a new secret",
        description="The old secret is refused at once, or after `grace_seconds`. Not for keys with scopes "
        "that the caller's does not have.",
        status_code=200,
        responses=problem_responses(400, 401, 403, 404, 413, 429, 500),
    )
    async def rotate(
        self,
        key_id: FromPath[str],
        data: JSONBody[RotateRequest],
        kept: NamedDependency[Kept],
        door: NamedDependency[Door],
        caller: NamedDependency[Caller],
    ) -> Response[KeyIssued]:
        """Rotate one."""

        def rotate(session: Session) -> tuple[ApiKey, str]:
            _check_scopes(caller, Keys(session).get(key_id))
            return Keys(session).rotate(key_id, data.grace_seconds)

        key, secret = await kept.write(rotate)
        door.forget()
        return Response(KeyIssued(key=KeyShown.from_key(key), secret=secret), headers=_NO_STORE)

    @delete(
        "/{key_id:str}",
        operation_id="revokeKey",
        summary="Take a key back",
        description="For good; the key stays in the list.",
        status_code=200,
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def revoke(
        self, key_id: FromPath[str], kept: NamedDependency[Kept], door: NamedDependency[Door]
    ) -> KeyShown:
        """Revoke one."""
        key = await kept.write(lambda session: Keys(session).revoke(key_id))
        door.forget()
        return KeyShown.from_key(key)


def _check_scopes(caller: Caller, key: KeyRequest | ApiKey) -> None:
    """Refuse to give out a secret that allows more than the caller may itself.

    Raises:
        Forbidden: it would.
    """
    made = Caller(id="", role=key.role, scopes=key.scopes, collections=key.collections, filters=key.filters)
    beyond = [scope for scope in SCOPES if made.may(scope) and not caller.may(scope)]
    if beyond:
        raise Forbidden(f"key {caller.id} does not have the scope {beyond[0]!r}, so it cannot give it")


class AuditController(Controller):
    """The audit log."""

    path = "/v1/audit"
    tags = ("Audit",)
    opt = {"needs": "audit"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listAudit",
        summary="Read the audit log",
        responses=problem_responses(400, 401, 403, 429, 500),
    )
    async def list_entries(
        self, kept: NamedDependency[Kept], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> AuditList:
        """Read it, newest entry first."""
        before = decode_number(cursor)
        rows = await kept.read(lambda session: AuditLog(session).entries(before, limit + 1))
        page, following = next_number(rows, limit)
        return AuditList(data=tuple(page), next_cursor=following)

    @get(
        "/verify",
        operation_id="verifyAudit",
        summary="Verify the audit log",
        description="Computes the chain of hashes anew.",
        responses=problem_responses(401, 403, 429, 500),
    )
    async def verify(self, kept: NamedDependency[Kept]) -> ChainState:
        """Verify it."""
        report = await kept.read(lambda session: AuditLog(session).verify())
        return ChainState(
            is_whole=report.broken_at is None,
            count=report.count,
            head=report.head,
            broken_at=report.broken_at,
            reason=report.reason,
        )
