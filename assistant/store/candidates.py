"""Which adapter a collection's next release would be made of: the newest trained for it, served or not.

One name in a file beside the collection's datasets and snapshots; rows say which adapter is served.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from assistant.core.jsonl import write_json

CANDIDATE = "candidate"


def write_candidate(folder: Path, name: str) -> None:
    """Name the candidate of the collection in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CANDIDATE, name)


def read_candidate(folder: Path) -> str | None:
    """Return the candidate's name, None where none was named."""
    try:
        return msgspec.json.decode((folder / CANDIDATE).read_bytes(), type=str)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
