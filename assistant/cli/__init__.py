"""The ``deskmate`` command."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    try:
        from assistant.cli.app import run
    except KeyboardInterrupt:  # before anything began
        raise SystemExit(130) from None
    run()
