"""Signatures of webhooks as Standard Webhooks has them: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping

from assistant.core.errors import InputError

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
_SECRET_BYTES = 32


class SignatureRefused(InputError):
    """A webhook was not signed with the secret, or too long ago."""

    slug = "bad-signature"


def new_secret() -> str:
    """Return a secret for one address."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``.

    Args:
        secret: ``whsec_`` and base64.
        event_id: of the event.
        timestamp: seconds since 1970, of this attempt.
        body: as it is sent.

    Raises:
        InputError: the secret is none.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("the webhook secret is none: whsec_ and base64") from error
    content = f"{event_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> str:
    """Make sure that a webhook comes from the service; return the id of its event.

    An event may come twice; its id tells.

    Args:
        secret: that was shown when the address was added.
        headers: of the request, by lower-case name.
        body: the bytes as they came.
        now: seconds since 1970; the clock's if absent.

    Raises:
        SignatureRefused: a header is missing, the time is more than five minutes off, or no signature fits.
    """
    event_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not event_id or not stamp.isascii() or not stamp.isdigit():
        raise SignatureRefused("the headers webhook-id and webhook-timestamp are missing")
    if abs((time.time() if now is None else now) - int(stamp)) > TOLERANCE_SECONDS:
        raise SignatureRefused("the webhook was signed too long ago, or a clock is wrong")
    wanted = sign(secret, event_id, int(stamp), body).encode()
    given = headers.get("webhook-signature", "").encode().split()
    if not any(hmac.compare_digest(wanted, signature) for signature in given):
        raise SignatureRefused("no signature of the webhook fits the secret")
    return event_id
