"""How much each key may ask: requests a minute, requests at once."""

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Protocol

from litestar.types import ASGIApp, Receive, Scope, Send

from assistant.core.access import LOCAL, Caller
from assistant.core.settings_limits import LimitSettings
from assistant.service.layer import Layer
from assistant.service.refusals import TooManyRequests

_MINUTE = 60.0
_MOST_BUCKETS = 10_000


class Buckets:
    """Token buckets by name: full at first, refilled evenly. Safe to use from several threads.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, per_minute: int) -> float:
        """Take a token and return 0, or the seconds until there is one."""
        now = self._clock()
        with self._lock:
            left, then = self._left.pop(name, (float(per_minute), now))
            left = min(float(per_minute), left + (now - then) * per_minute / _MINUTE)
            is_given = left >= 1
            self._left[name] = (left - is_given, now)
            while len(self._left) > _MOST_BUCKETS:
                self._left.popitem(last=False)
        return 0.0 if is_given else (1 - left) * _MINUTE / per_minute


class Rates(Protocol):
    """Counts requests by name."""

    async def take(self, name: str, per_minute: int) -> float:
        """Count one and return 0, or the seconds until there is room for it."""

    async def close(self) -> None:
        """Free what it holds."""


class OwnRates:
    """Counts in this process."""

    def __init__(self) -> None:
        self._buckets = Buckets()

    async def take(self, name: str, per_minute: int) -> float:
        """Count one."""
        return self._buckets.take(name, per_minute)

    async def close(self) -> None:
        """Nothing is held."""


class Limits(Layer):
    """Turns away what is over a key's limits; who needs no key has none.

    Args:
        settings: ``[limits]``.
        rates: count the requests of the keys.
    """

    def __init__(self, settings: LimitSettings, rates: Rates) -> None:
        self._settings = settings
        self._rates = rates
        self._under_way: Counter[str] = Counter()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Count one request; a stream counts until its last byte."""
        caller = scope["user"]
        if not isinstance(caller, Caller) or caller.id == LOCAL.id:
            await next_app(scope, receive, send)
            return
        self._check_under_way(caller)
        self._under_way[caller.id] += 1
        try:
            await self._check_rate(caller)
            await next_app(scope, receive, send)
        finally:
            self._under_way[caller.id] -= 1
            if not self._under_way[caller.id]:
                del self._under_way[caller.id]

    def _check_under_way(self, caller: Caller) -> None:
        most = self._settings.concurrent_requests
        if self._under_way[caller.id] >= most:
            raise TooManyRequests(f"{most} requests of this key are under way already", 1)

    async def _check_rate(self, caller: Caller) -> None:
        per_minute = caller.requests_per_minute or self._settings.requests_per_minute
        wait = await self._rates.take(caller.id, per_minute) if per_minute else 0.0
        if wait:
            raise TooManyRequests(f"this key may ask {per_minute} times a minute", math.ceil(wait))
