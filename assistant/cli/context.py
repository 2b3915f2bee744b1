"""What every command gets: the data folder, the merged settings, a console and progress bars."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click
import msgspec
from click.core import ParameterSource
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

if TYPE_CHECKING:
    from assistant.answering.opening import Resources

from assistant.core.environment import prepare_environment
from assistant.core.home import Home
from assistant.core.progress import Progress
from assistant.core.settings import LoadedSettings, Settings, load_settings

P = ParamSpec("P")
R = TypeVar("R")


class Context:
    """Carries what the commands share; built once by the top-level group.

    Args:
        files: settings files named with ``--config``.
        environment: the process's variables.
        flags: ``section.key`` → value from flags that stand for settings.
        progress: told of the work, in place of bars on standard error.
    """

    def __init__(
        self,
        files: Sequence[Path],
        environment: dict[str, str],
        flags: dict[str, object],
        progress: Progress | None = None,
    ) -> None:
        self.files = tuple(files)
        self.environment = environment
        self.flags = flags
        self.console = Console(stderr=True, highlight=False)
        self._progress = progress

    @cached_property
    def loaded(self) -> LoadedSettings:
        """The merged settings with each value's origin."""
        loaded = load_settings(self.files, self.environment, self.flags)
        prepare_environment(allow_hub=loaded.settings.models.allow_hub)
        return loaded

    def check(self) -> None:
        """Read the settings.

        Raises:
            SettingsError: some are unknown or bad, or a file cannot be read.
        """
        _ = self.loaded

    @property
    def settings(self) -> Settings:
        """The merged settings."""
        return self.loaded.settings

    @cached_property
    def home(self) -> Home:
        """The data folder, made if it was not there."""
        return Home.from_environment().make()

    @cached_property
    def resources(self) -> Resources:
        """Database, embedder and engine, opened when first used."""
        from assistant.answering.opening import Resources

        return Resources(self.home, self.settings)

    def progress(self) -> Progress:
        """Return what is told of the work: new progress bars on standard error, if nothing was given."""
        return self._progress or TerminalProgress(self.console)

    def close(self) -> None:
        """Close what was opened: an engine's thread that outlives the interpreter would abort the process."""
        if "resources" in self.__dict__:
            self.resources.close()


pass_unchecked_context = click.make_pass_decorator(Context)


def pass_context(command: Callable[Concatenate[Context, P], R]) -> Callable[P, R]:
    """Give a command its context; settings that are wrong end it before it does anything."""

    @functools.wraps(command)
    def checked(context: Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        context.check()
        return command(context, *args, **kwargs)

    return pass_unchecked_context(checked)


class TerminalProgress:
    """Progress bars with counts and remaining time; plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: RichProgress | None = None
        self._stage = ""
        self._done = 0
        self._total: int | None = None

    def start(self, stage: str, total: int | None = None) -> None:
        """Begin a stage; ends the one before."""
        self.finish()
        self._stage, self._done, self._total = stage, 0, total
        if not self._console.is_terminal:
            return
        self._bars = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self._console,
        )
        self._bars.start()
        self._bars.add_task(stage, total=total, note="")

    def advance(self, count: int = 1, note: str = "") -> None:
        """Tell that ``count`` more steps are done."""
        self._done += count
        if self._bars is not None:
            self._bars.update(self._bars.task_ids[0], advance=count, note=note[-40:])

    def finish(self) -> None:
        """End the current stage."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        elif self._stage and not self._console.is_terminal:
            of = f" of {self._total}" if self._total is not None else ""
            self._console.print(f"{self._stage}: {self._done}{of}")
        self._stage = ""


def refuse_own_options(ctx: click.Context) -> None:
    """Refuse options of a group's own work that stand before one of its commands, which would not see them.

    Raises:
        click.UsageError: naming the first one.
    """
    for option in ctx.command.params:
        if ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE:
            command = ctx.invoked_subcommand
            raise click.UsageError(
                f"{option.opts[-1]} stands before {command!r}, which does not see it; put it after"
            )


def print_json(value: Any) -> None:
    """Write one JSON value and a newline to standard output."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()
