"""Requests a minute, counted in Redis over all processes of the service."""

import logging
import time
from typing import Any

from assistant.core.settings_redis import RedisSettings
from assistant.jobs.news import PAUSE_SECONDS, connection, redis_module
from assistant.service.limits import OwnRates, Rates

_log = logging.getLogger(__name__)
# a token bucket on Redis' own clock: those of the processes need not agree; idle ones end by themselves
_TAKE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local most = tonumber(ARGV[1])
local row = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = tonumber(row[1]) or most
left = math.min(most, left + math.max(0, now - (tonumber(row[2]) or now)) * most / 60)
local wait = 0
if left >= 1 then left = left - 1 else wait = (1 - left) * 60 / most end
redis.call('HSET', KEYS[1], 'left', string.format('%.6f', left), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 120)
return string.format('%.6f', wait)
"""


class RedisRates:
    """Counts in Redis; while it cannot be reached, each process counts for itself.

    Args:
        settings: ``[redis]``.

    Raises:
        InputError: the URL is none, or the extra is not installed.
    """

    def __init__(self, settings: RedisSettings) -> None:
        redis_module()
        import redis.asyncio

        self._prefix = settings.prefix
        self._client: Any = redis.asyncio.Redis.from_url(settings.url, **connection(settings))
        self._take = self._client.register_script(_TAKE)
        self._own = OwnRates()
        self._alone_until = 0.0

    async def take(self, name: str, per_minute: int) -> float:
        """Count one."""
        from redis.exceptions import RedisError

        if time.monotonic() >= self._alone_until:
            try:
                return float(await self._take(keys=[f"{self._prefix}:rate:{name}"], args=[per_minute]))
            except (RedisError, OSError, ValueError) as error:
                self._alone_until = time.monotonic() + PAUSE_SECONDS
                _log.warning("Redis cannot be reached, limits hold by process: %s", type(error).__name__)
        return await self._own.take(name, per_minute)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def make_rates(settings: RedisSettings) -> Rates:
    """Return what counts; errors as of `RedisRates`."""
    return RedisRates(settings) if settings.url else OwnRates()
