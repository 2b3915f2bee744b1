"""Ctrl-C at any moment of a command: a sentence, exit code 130, and the same command goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import pytest

DESKMATE = [sys.executable, "-c", "from assistant.cli import main; main()"]
DRY = ["--set", "engine.kind=scripted", "--set", "embedder.model=hashing"]
INTERRUPTED = 130


def start(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"DESKMATE_HOME": str(home)}
    return subprocess.Popen(
        [*DESKMATE, *DRY, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(home: Path, *arguments: str) -> bytes:
    process = start(home, *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    return out


def interrupt_until_done(home: Path, *arguments: str) -> int:
    """Interrupt a command later and later until it gets through; return how often it was interrupted."""
    for count in range(30):
        process = start(home, *arguments)
        deadline = time.monotonic() + 0.5 * 1.5**count
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is not None:
            process.communicate()
            assert process.returncode == 0
            return count
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode in {INTERRUPTED, 0}, err.decode()
        assert b"Traceback" not in err, err.decode()
    raise AssertionError(f"{arguments} never got through")


@pytest.mark.slow
def test_an_interrupted_command_keeps_what_it_had_and_gets_through(tmp_path: Path) -> None:
    """Nothing is half-written: what is there after each interruption is what the next run goes on with."""
    with resources.as_file(resources.files("assistant.samples").joinpath("files")) as files:
        add = ("index", "add", str(files), "--collection", "c")
        assert interrupt_until_done(tmp_path, *add) >= 1
        (status,) = json.loads(finish(tmp_path, "index", "status", "--json"))["collections"]
        assert len(status["documents"]) == 11
        assert interrupt_until_done(tmp_path, "synth", "--collection", "c") >= 1
        found = json.loads(finish(tmp_path, "search", "E-38", "--collection", "c", "--json"))
        assert found["passages"]
