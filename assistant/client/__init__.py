"""The typed client of the service."""

from assistant.client.asynchronous import AsyncDeskmateClient
from assistant.client.blocking import DeskmateClient
from assistant.core.signing import verify_webhook

__all__ = ["AsyncDeskmateClient", "DeskmateClient", "verify_webhook"]
