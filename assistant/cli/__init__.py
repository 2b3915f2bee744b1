"""The ``deskmate`` command."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    from assistant.cli.app import run

    run()
