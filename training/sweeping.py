"""A small grid of settings, each trained and asked the same held-out examples."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from assistant.core.errors import InputError
from assistant.core.records import Record
from training.session import TrainReport

MAX_RUNS = 64
VALIDATION_EXAMPLES = 24

Combination = dict[str, str]


class Trial(Record, frozen=True, kw_only=True):
    """One combination of the grid.

    Attributes:
        settings: ``section.key`` → value.
        adapter: name of what was trained; empty where it failed.
        report: of its run, None where it failed.
        error: why it failed.
    """

    settings: dict[str, str]
    adapter: str = ""
    report: TrainReport | None = None
    error: str = ""

    @property
    def score(self) -> float:
        """Validation score; -1 where there is none."""
        return -1.0 if self.report is None else self.report.validation_score or 0.0


def parse_grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """Read ``SECTION.KEY=VALUE,VALUE`` of each option.

    Raises:
        InputError: a text is no such thing, a key is given twice, or the grid has too many combinations.
    """
    grid: dict[str, list[str]] = {}
    count = 1
    for text in texts:
        key, separator, values = text.partition("=")
        found = [value.strip() for value in values.split(",") if value.strip()]
        if not separator or key.count(".") != 1 or not found:
            raise InputError(f"--grid takes SECTION.KEY=VALUE,VALUE, got {text!r}")
        if not key.startswith("train."):
            raise InputError(f"--grid varies settings of [train], got {key!r}")
        if key in grid:
            raise InputError(f"--grid {key} is given twice")
        grid[key] = list(dict.fromkeys(found))
        count *= len(grid[key])
    if count > MAX_RUNS:
        raise InputError(f"the grid has {count} combinations, at most {MAX_RUNS} are trained")
    return grid


def combinations(grid: Mapping[str, Sequence[str]]) -> list[Combination]:
    """Return every combination of the grid's values."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def run_sweep(grid: Mapping[str, Sequence[str]], train: Callable[[Combination], Trial]) -> list[Trial]:
    """Train every combination; the best validation score comes first, what failed last."""
    trials = [train(combination) for combination in combinations(grid)]
    return sorted(trials, key=lambda trial: -trial.score)
