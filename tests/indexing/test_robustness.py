"""A folder of hostile files: none hangs, none kills, each ends with an outcome that a person understands.

``DESKMATE_EVALDATA`` names the folder that holds ``robustness/`` with its ``MANIFEST.json``; without it
nothing is tested. ``pytest -m slow -s tests/indexing/test_robustness.py`` prints the table.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing import ParserPool
from indexing.sources import find_sources

FOLDER = Path(os.environ.get("DESKMATE_EVALDATA") or "/nonexistent", "robustness")
SETTINGS = IndexSettings(parse_timeout_seconds=60, parse_memory_mebibytes=2048)
MOST_SECONDS = SETTINGS.parse_timeout_seconds + 30
# What the parser's libraries take, and what a file may take on top.
MOST_MEBIBYTES = 700 + SETTINGS.parse_memory_mebibytes
SECRETS = ("alert(", "document.write", "root:x:0")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="DESKMATE_EVALDATA names no folder with robustness/"),
]


class Watch:
    """Keeps the greatest resident memory of the parsing processes and of those that they start."""

    def __init__(self) -> None:
        self.peak_mebibytes = 0
        self._stop = threading.Event()
        for child in psutil.Process().children():
            with suppress(OSError):  # the kernel forgets the greatest so far
                Path(f"/proc/{child.pid}/clear_refs").write_text("5", "ascii")

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._look()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            self._look()

    def _look(self) -> None:
        for child in psutil.Process().children(recursive=True):
            with suppress(OSError, IndexError):  # it may have ended
                status = Path(f"/proc/{child.pid}/status").read_text("utf-8")
                greatest = int(status.partition("VmHWM:")[2].split(maxsplit=1)[0])
                self.peak_mebibytes = max(self.peak_mebibytes, greatest >> 10)


def read(path: Path, pool: ParserPool) -> tuple[list[str], list[str], str]:
    """Return the outcomes of a file, the reasons of refusals, and its text."""
    sources, refused = find_sources([path], SETTINGS)
    outcomes, reasons, texts = ["refused"] * len(refused), [refusal.reason for refusal in refused], []
    for source in sources:
        try:
            parsed = pool.parse(source)
            outcomes.append("in part" if parsed.warnings else "indexed")
            texts.append("\n".join(element.text for element in parsed.elements))
        except FileRefused as refusal:
            outcomes.append("refused")
            reasons.append(refusal.reason)
    return outcomes, reasons, "\n".join(texts)


def test_no_file_hangs_kills_or_passes_unnoticed() -> None:
    rows = json.loads((FOLDER / "MANIFEST.json").read_text("utf-8"))
    assert rows
    problems: list[str] = []
    with ParserPool(SETTINGS) as pool:
        for row in rows:
            watch, started = Watch(), time.monotonic()
            with watch.running():
                outcomes, reasons, text = read(FOLDER / row["file"], pool)
            seconds = time.monotonic() - started
            print(  # noqa: T201 (the table that -s shows)
                f"{row['file'][-60:]:60} {'/'.join(sorted(set(outcomes))):18} {seconds:6.1f} s"
                f" {watch.peak_mebibytes:5} MB  {reasons[0][:90] if reasons else ''}"
            )
            found = check(row, outcomes, reasons, text)
            if seconds > MOST_SECONDS or watch.peak_mebibytes > MOST_MEBIBYTES:
                found = "takes too long or too much"
            if found:
                problems.append(f"{row['file']}: {found}")
    assert problems == []


def check(row: dict[str, str], outcomes: list[str], reasons: list[str], text: str) -> str:
    if not outcomes:
        return "no outcome"
    if not all(reasons) or any("crashes the parser" in reason for reason in reasons):
        return "no reason that a person understands"
    if row["expect"].startswith("reject: encrypted") and not any("encrypted" in reason for reason in reasons):
        return "encryption is not named"
    if row["category"] in {"office_ok", "html_text"} and "parse; text" in row["expect"] and not text:
        return "its text is missing"
    if any(secret in text for secret in SECRETS):
        return "script or a foreign file was indexed"
    return ""
