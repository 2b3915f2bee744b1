"""Word that a job changed, for whoever watches it: by Redis where one is set up, else nobody is told.

Nothing depends on it: the database holds the truth, and watchers look there by themselves now and then.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, Protocol

from assistant.core.errors import InputError
from assistant.core.settings_redis import RedisSettings

if TYPE_CHECKING:
    import redis

PASSWORD = "DESKMATE_REDIS_PASSWORD"  # noqa: S105 - the name of a variable
PAUSE_SECONDS = 5.0
_LOG = logging.getLogger(__name__)


class News(Protocol):
    """Takes word that a job changed. Safe to call from several threads; never raises."""

    def tell(self, job_id: str) -> None:
        """Pass it on."""


class NoNews:
    """Nobody is told."""

    def tell(self, job_id: str) -> None:
        """Do nothing."""


class RedisNews:
    """Publishes the ids of jobs that changed.

    Args:
        settings: ``[redis]``.

    Raises:
        InputError: the URL is none, or the extra is not installed.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._channel = jobs_channel(settings)
        self._client: redis.Redis = redis_module().Redis.from_url(settings.url, **connection(settings))
        self._silent_until = 0.0

    def tell(self, job_id: str) -> None:
        """Publish; where Redis cannot be reached, watchers learn it from the database."""
        if time.monotonic() < self._silent_until:
            return
        try:
            self._client.publish(self._channel, job_id)
        except redis_module().RedisError as error:
            self._silent_until = time.monotonic() + PAUSE_SECONDS
            _LOG.warning("word of job %s cannot be passed on: %s", job_id, type(error).__name__)


def make_news(settings: RedisSettings) -> News:
    """Return what passes word on; errors as of `RedisNews`."""
    return RedisNews(settings) if settings.url else NoNews()


def jobs_channel(settings: RedisSettings) -> str:
    """Return the channel that word of jobs goes through."""
    return f"{settings.prefix}:jobs"


def connection(settings: RedisSettings) -> dict[str, Any]:
    """Return how a client connects, for `redis.Redis` and `redis.asyncio.Redis` alike.

    Raises:
        InputError: the URL is none of Redis.
    """
    if not settings.url.startswith(("redis://", "rediss://", "unix://")):
        raise InputError(
            "redis.url is none of redis://, rediss:// and unix://", next_command="deskmate config show"
        )
    return {
        "password": os.environ.get(PASSWORD) or None,
        "socket_timeout": settings.timeout_seconds,
        "socket_connect_timeout": settings.timeout_seconds,
        "decode_responses": True,
    }


def redis_module() -> Any:
    """Import redis.

    Raises:
        InputError: the extra is not installed.
    """
    try:
        import redis
    except ImportError as error:
        raise InputError(
            "redis.url is set and the extra for Redis is not installed",
            next_command="pip install 'deskmate[redis]'",
        ) from error
    return redis
