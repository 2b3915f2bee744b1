"""Checkpoints: all that a run needs to go on, written whole or not at all."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import msgspec

FILE = "state.pt"
_LOG = logging.getLogger(__name__)


class State(msgspec.Struct, kw_only=True):
    """Where a run stands.

    Attributes:
        step: optimiser steps done.
        fingerprint: of all that shapes the run; another one begins anew.
        optimizer: the adapter's fp32 weights and the optimiser's moments.
        best: score and weights of the best validation, None before the first.
        misses: validations without gain since then.
        asked: steps done at the last validation.
    """

    step: int
    fingerprint: str
    optimizer: dict[str, Any]
    best: tuple[float, Any] | None = None
    misses: int = 0
    asked: int = 0


def write_checkpoint(folder: Path, state: State) -> None:
    """Write the checkpoint; a crash while writing leaves the one before."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{FILE}.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as file:
            torch.save({name: getattr(state, name) for name in state.__struct_fields__}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / FILE)
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(folder: Path, fingerprint: str) -> State | None:
    """Return the checkpoint, None where there is none of this run or it cannot be read."""
    import torch

    try:
        found = torch.load(folder / FILE, weights_only=True)
        state = State(**found)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, TypeError, ValueError, pickle.UnpicklingError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        _LOG.warning("%s cannot be read, the run begins anew: %s", folder / FILE, first_line)
        return None
    return state if state.fingerprint == fingerprint else None
