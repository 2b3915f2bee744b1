"""Texts of an engine, kept in a file, so that an interrupted measurement goes on where it was."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from assistant.core.ids import content_id
from assistant.core.jsonl import append_jsonl, read_finished_jsonl
from assistant.core.progress import Progress
from assistant.core.records import Record
from assistant.engine.protocol import Engine, GenerationRequest

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class _KeptText(Record, frozen=True, kw_only=True):
    key: str
    text: str


def ask_kept(
    engine: Engine,
    requests: Sequence[GenerationRequest],
    file: Path,
    *,
    identity: str,
    batch_size: int,
    progress: Progress,
) -> list[str]:
    """Return the engine's text for each request; what the file holds already is not asked again.

    Args:
        engine: generates.
        requests: in the order of the result.
        file: where texts are kept; made if missing.
        identity: of the engine's weights; other weights are asked anew.
        batch_size: requests generated and kept together.
        progress: told of each.

    Raises:
        EngineError: generation failed; what was generated is kept.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = {row.key: row.text for row in read_kept(file, _KeptText)}
    keys = [content_id(identity, msgspec.json.encode(request).decode()) for request in requests]
    asked = dict(zip(keys, requests, strict=True))
    missing = [key for key in asked if key not in kept]
    progress.advance(len(requests) - len(missing))
    for start in range(0, len(missing), batch_size):
        batch = missing[start : start + batch_size]
        for key, done in zip(batch, engine.complete([asked[key] for key in batch]), strict=True):
            kept[key] = done.text
            append_jsonl(file, _KeptText(key=key, text=done.text))
        progress.advance(len(batch))
    return [kept[key] for key in keys]


def read_kept(file: Path, row_type: type[T]) -> list[T]:
    """Return the rows of a file of kept results; one that cannot be read is set aside."""
    try:
        return read_finished_jsonl(file, row_type)
    except msgspec.DecodeError as error:
        aside = file.with_suffix(".unreadable")
        _LOG.warning(
            "%s was written by another version or is damaged (%s): set aside as %s", file, error, aside
        )
        file.replace(aside)
        return []
