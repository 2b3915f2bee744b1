"""The ``deskmate`` command."""

from __future__ import annotations

import signal

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    try:
        from assistant.cli.app import run
    except KeyboardInterrupt:  # before anything began
        raise SystemExit(130) from None
    try:
        run()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end has begun: its exit code stays what it is
