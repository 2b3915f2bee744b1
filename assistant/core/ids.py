"""Ids that are content hashes: the same content gets the same id on every machine."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

_READ_BYTES = 1 << 20


def content_id(*parts: str, length: int = 16) -> str:
    """Return ``length`` hex digits of a BLAKE2b hash over the parts, separated unambiguously."""
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()[:length]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hex, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def random_id(prefix: str) -> str:
    """Return an id for something without content of its own, such as a request."""
    return f"{prefix}-{secrets.token_hex(12)}"
