"""Sends webhooks: what the outbox holds, signed, to hosts of the settings only, until it is taken."""

import asyncio
import contextlib
import functools
import logging
import random
import ssl
import time
from collections.abc import Callable
from importlib.metadata import version

import httpx

from assistant.core.records import Record
from assistant.core.settings_webhooks import WebhookSettings
from assistant.core.signing import sign
from assistant.service.kept import Kept
from assistant.service.problems import RequestRefused
from assistant.store.webhooks import Due, Webhooks

# after so many seconds it is tried again: for three days in all, as Standard Webhooks proposes
RETRY_SECONDS = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
POLL_SECONDS = 1.0
PRUNE_SECONDS = 3600.0
_MARGIN_SECONDS = 10.0  # of a lease, beyond the longest attempt
_JITTER = 0.1
_GONE = 410
_PORTS = {"https": 443, "http": 80}
_log = logging.getLogger(__name__)


class Attempt(Record, frozen=True, kw_only=True):
    """What came of an attempt: the status that was answered, or why there was none."""

    status: int | None = None
    error: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether the address took the event; a redirect does not count, and is not followed."""
        return not self.error


def check_target(url: str, settings: WebhookSettings) -> httpx.URL:
    """Return a URL that events may be sent to.

    Raises:
        RequestRefused: it is none, or names a host that does not stand in ``[webhooks] hosts``.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise RequestRefused("it is no URL", "url") from error
    schemes = ("https", "http") if settings.allow_http else ("https",)
    if parsed.scheme not in schemes or not parsed.raw_host:
        raise RequestRefused(f"webhooks are sent by {' or '.join(schemes)} only", "url")
    if parsed.userinfo or parsed.fragment:
        raise RequestRefused("name, password and fragment have no place in the URL of a webhook", "url")
    host = parsed.raw_host.decode("ascii").lower()
    port = parsed.port or _PORTS[parsed.scheme]
    if not any(_allows(entry.lower(), host, port, _PORTS[parsed.scheme]) for entry in settings.hosts):
        raise RequestRefused(
            f"host {host[:100]!r} with port {port} does not stand in [webhooks] hosts",
            "url",
        )
    return parsed


def _allows(entry: str, host: str, port: int, usual: int) -> bool:
    name, separator, given = entry.rpartition(":")
    if not separator or given.endswith("]"):
        name, given = entry, str(usual)
    if given != str(port):
        return False
    name = name.strip("[]")
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


class WebhookSender:
    """Sends what is due, as long as the service runs.

    Args:
        kept: the outbox.
        settings: ``[webhooks]``.
        clock: seconds since 1970; leases of several processes are held against it.
    """

    def __init__(self, kept: Kept, settings: WebhookSettings, clock: Callable[[], float] = time.time) -> None:
        self._kept = kept
        self._settings = settings
        self._clock = clock
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._has_ended = asyncio.Event()
        self._pruned = 0.0

    async def run(self) -> None:
        """Send until cancelled; what cannot be sent now stays in the outbox."""
        if not self._settings.hosts:
            return
        try:
            while True:
                self._has_ended.clear()  # before looking: what ends meanwhile is not missed
                try:
                    begun = await self.send_due()
                except Exception:  # noqa: BLE001 - the database may be back soon; nothing is lost meanwhile
                    _log.exception("webhooks cannot be sent")
                    begun = 0
                if not begun:
                    await self._pause()
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _pause(self) -> None:
        """Wait until an address is free for its next event, or there may be new ones."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._has_ended.wait(), POLL_SECONDS)

    async def send_due(self) -> int:
        """Begin to send what is due, one event an address at a time; return how many were begun."""
        await self._prune()
        busy, now = tuple(self._under_way), self._clock()
        if not await self._kept.read(lambda session: Webhooks(session).is_due(now, busy)):
            return 0
        until = now + self._settings.timeout_seconds + _MARGIN_SECONDS
        due = await self._kept.write(lambda session: Webhooks(session).claim(now, until, busy))
        for one in due:
            task = self._under_way[one.endpoint_id] = asyncio.create_task(self._send(one))
            task.add_done_callback(functools.partial(self._ended, one.endpoint_id))
        return len(due)

    async def settle(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way.values())

    async def post(self, url: str, secret: str, event_id: str, body: bytes) -> Attempt:
        """Send one event once."""
        try:
            target = check_target(url, self._settings)
        except RequestRefused as error:
            return Attempt(error=error.message)
        stamp = int(self._clock())
        headers = {
            "content-type": "application/json",
            "user-agent": f"Deskmate/{version('deskmate')}",
            "webhook-id": event_id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": sign(secret, event_id, stamp, body),
        }
        try:
            async with (
                asyncio.timeout(self._settings.timeout_seconds),
                self._client() as client,
                # a stream: what is answered is not read, however much it is
                client.stream("POST", target, content=body, headers=headers) as reply,
            ):
                status = reply.status_code
        except TimeoutError:
            return Attempt(error=f"no answer within {self._settings.timeout_seconds:g} s")
        except (httpx.HTTPError, OSError) as error:
            return Attempt(error=type(error).__name__)
        is_taken = httpx.codes.is_success(status)
        return Attempt(status=status, error="" if is_taken else f"HTTP {status}")

    def _client(self) -> httpx.AsyncClient:
        """Return a client that goes to the URL and nowhere else: no proxy of the environment, no redirect."""
        return httpx.AsyncClient(verify=self._certificates, trust_env=False, follow_redirects=False)

    @functools.cached_property
    def _certificates(self) -> ssl.SSLContext:
        """The system's certificates, the company's own among them; reading them takes a while."""
        return ssl.create_default_context()

    async def _send(self, due: Due) -> None:
        attempt = await self.post(due.url, due.secret, due.event_id, due.body.encode())
        await self._kept.write(lambda session: self._store(Webhooks(session), due, attempt))

    def _store(self, webhooks: Webhooks, due: Due, attempt: Attempt) -> None:
        if attempt.is_taken and attempt.status is not None:
            webhooks.succeed(due, attempt.status)
            return
        again = None
        if due.attempts < len(RETRY_SECONDS):
            wait = RETRY_SECONDS[due.attempts] * (1 + _JITTER * random.random())
            again = self._clock() + wait
        most = 1 if attempt.status == _GONE else self._settings.disable_after
        webhooks.fail(due, attempt.status, attempt.error, again_at=again, disable_after=most)

    def _ended(self, endpoint_id: str, _task: asyncio.Task[None]) -> None:
        self._under_way.pop(endpoint_id, None)
        self._has_ended.set()

    async def _prune(self) -> None:
        if self._clock() - self._pruned > PRUNE_SECONDS:
            self._pruned = self._clock()
            await self._kept.write(lambda session: Webhooks(session).prune(self._settings.kept_days))
