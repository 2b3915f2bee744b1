"""The top-level command: shared options, lazily loaded subcommands, errors and exit codes."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path

import click

from assistant.cli.context import Context
from assistant.core.errors import DeskmateError, ResourceError

# name → "module:attribute"; a command's module is imported only when it runs or shows its help
COMMANDS = {
    "adapter": "assistant.cli.adapter:adapter",
    "ask": "assistant.cli.ask:ask",
    "assess": "assistant.cli.assess:assess",
    "audit": "assistant.cli.audit:audit",
    "backup": "assistant.cli.backup:backup",
    "config": "assistant.cli.config:config",
    "curated": "assistant.cli.curated:curated",
    "database": "assistant.cli.database:database",
    "dataset": "assistant.cli.dataset:dataset",
    "demo": "assistant.cli.demo:demo",
    "doctor": "assistant.cli.doctor:doctor",
    "engine": "assistant.cli.engine:engine",
    "eval": "assistant.cli.evaluate:evaluate",
    "glossary": "assistant.cli.glossary:glossary",
    "index": "assistant.cli.index:index",
    "jobs": "assistant.cli.jobs:jobs",
    "keys": "assistant.cli.keys:keys",
    "models": "assistant.cli.models:models",
    "release": "assistant.cli.release:release",
    "restore": "assistant.cli.backup:restore",
    "retention": "assistant.cli.retention:retention",
    "search": "assistant.cli.search:search",
    "serve": "assistant.cli.serve:serve",
    "sessions": "assistant.cli.sessions:sessions",
    "suite": "assistant.cli.suite:suite",
    "synth": "assistant.cli.synth:synth",
    "topics": "assistant.cli.topics:topics",
    "train": "assistant.cli.train:train",
    "worker": "assistant.cli.worker:worker",
}
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None if there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name]} is no command")
        return command


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option(
    "--config",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file of settings; may be given several times, later ones win.",
)
@click.option(
    "--set", "flags", multiple=True, metavar="SECTION.KEY=VALUE", help="One setting; wins over files."
)
@click.version_option(package_name="deskmate")
@click.pass_context
def root(ctx: click.Context, files: tuple[Path, ...], flags: tuple[str, ...]) -> None:
    """Deskmate: retrieval and LoRA tuning for support desks, inside the company's own walls."""
    environment = dict(os.environ)
    for flag in flags:
        key, separator, value = flag.partition("=")
        if not separator or key.count(".") != 1:
            raise click.UsageError(f"--set takes SECTION.KEY=VALUE, got {flag!r}")
        environment["DESKMATE__" + key.replace(".", "__").upper()] = value
    context = ctx.obj = Context(files, environment, {})
    ctx.call_on_close(context.close)


def run() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        # click returns the code of Context.exit; commands return nothing
        code = root.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted; what was finished is kept, the same command goes on from there")
        sys.exit(INTERRUPTED)
    except DeskmateError as error:
        _fail(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(_resource_error(error))


def _resource_error(error: OSError) -> ResourceError:
    if error.errno == errno.ENOSPC:
        return ResourceError(f"the disk is full: {error.filename or error}", next_command="deskmate doctor")
    return ResourceError(f"{error.filename or 'the system'}: {error.strerror or error}")


def _fail(error: DeskmateError) -> None:
    _say(f"error: {error.message}")
    if error.next_command:
        _say(f"next:  {error.next_command}")
    sys.exit(error.exit_code)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
