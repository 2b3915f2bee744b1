"""How long work tells of itself; the command line draws it, tests and the service ignore it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told by a stage what it does."""

    def start(self, stage: str, total: int | None = None) -> None:
        """Begin a stage of ``total`` steps, None where unknown; ends the one before."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Tell that ``count`` more steps are done; ``note`` is the current item."""

    def finish(self) -> None:
        """End the current stage."""


class NoProgress:
    """Keeps silent."""

    def start(self, stage: str, total: int | None = None) -> None:
        """Do nothing."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""
