"""JSON Lines files of records: typed reading with line numbers in errors, atomic writing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from assistant.core.errors import InputError

T = TypeVar("T")
MAX_LINE_BYTES = 4 << 20


def read_jsonl(path: Path, row_type: type[T]) -> Iterator[T]:
    """Yield each row of a JSON Lines file as ``row_type``; blank lines are skipped.

    Raises:
        InputError: the file is missing or a line is not such a row; the message names file and line.
    """
    decoder = msgspec.json.Decoder(row_type)
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            if len(line) > MAX_LINE_BYTES:
                raise InputError(f"{path}, line {number}: longer than {MAX_LINE_BYTES} bytes")
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InputError(f"{path}, line {number}: {error}") from error


def write_jsonl(path: Path, rows: Iterable[object]) -> int:
    """Write rows to a file that appears whole or not at all; return their count."""
    count = 0
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            for row in rows:
                file.write(msgspec.json.encode(row) + b"\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def write_json(path: Path, value: object) -> None:
    """Write one JSON value, indented, to a file that appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def append_jsonl(path: Path, row: object) -> None:
    """Append one row and flush it to disk, so that a crash loses at most the row being written."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(row) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_finished_jsonl(path: Path, row_type: type[T]) -> list[T]:
    """Read what a crashed append left: rows in order, a torn last line dropped and cut off."""
    if not path.exists():
        return []
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) != len(raw):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    decoder = msgspec.json.Decoder(row_type)
    return [decoder.decode(line) for line in whole.splitlines() if line.strip()]
