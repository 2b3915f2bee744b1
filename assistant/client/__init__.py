"""The typed client of the service."""

from assistant.client.asynchronous import AsyncDeskmateClient
from assistant.client.blocking import DeskmateClient

__all__ = ["AsyncDeskmateClient", "DeskmateClient"]
