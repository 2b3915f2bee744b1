"""Every metric of every arm, over all cases and by language, kind and document, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from assistant.core.records import Arm, Case
from assistant.core.settings import EvalSettings
from eval.case_metrics import METRICS, defined_columns, metric_columns
from eval.compare import Column, Interval, ratio_differences, ratio_intervals

if TYPE_CHECKING:
    from eval.runner import EvalResult

# metric → value, for those that are defined
Table = dict[str, Interval]
# "language", "kind" or "document" → group → table
Groups = dict[str, dict[str, Table]]
Columns = Mapping[Arm, Mapping[str, Column]]
DOCUMENTS_SHOWN = 100
_DIGITS = 4


def columns_of(result: EvalResult) -> dict[Arm, dict[str, Column]]:
    """Return for each arm and metric what each case adds."""
    return {arm: metric_columns(rows) for arm, rows in result.outcomes.items()}


def arm_tables(columns: Columns, suite: Sequence[Case], settings: EvalSettings) -> dict[Arm, Table]:
    """Return each arm's table over all cases."""
    return _tables(columns, suite, range(len(suite)), settings)


def arm_groups(columns: Columns, suite: Sequence[Case], settings: EvalSettings) -> dict[Arm, Groups]:
    """Return each arm's tables by language, kind and document."""
    found: dict[Arm, Groups] = {arm: {} for arm in columns}
    for dimension, groups in _dimensions(suite).items():
        for name, places in groups.items():
            for arm, table in _tables(columns, suite, places, settings).items():
                found[arm].setdefault(dimension, {})[name] = table
    return found


def difference_table(
    columns: Columns, suite: Sequence[Case], arms: tuple[Arm, Arm], settings: EvalSettings
) -> Table:
    """Return each metric's paired difference, the first arm minus the second, over all cases."""
    return _differences(columns, suite, range(len(suite)), arms, settings)


def difference_groups(
    columns: Columns, suite: Sequence[Case], arms: tuple[Arm, Arm], settings: EvalSettings
) -> Groups:
    """Return the differences by language, kind and document."""
    return {
        dimension: {
            name: _differences(columns, suite, places, arms, settings) for name, places in groups.items()
        }
        for dimension, groups in _dimensions(suite).items()
    }


def undefined_in(table: Table) -> dict[str, str]:
    """Return why each metric that has no value in a table has none."""
    return {name: metric.undefined for name, metric in METRICS.items() if name not in table}


def only(groups: Groups, dimension: str, metric: str) -> dict[str, Interval]:
    """Return one metric by the groups of one dimension."""
    tables = groups.get(dimension, {})
    return {name: table[metric] for name, table in tables.items() if metric in table}


def _tables(
    columns: Columns, suite: Sequence[Case], places: Sequence[int], settings: EvalSettings
) -> dict[Arm, Table]:
    cases = [suite[place] for place in places]
    chosen = [
        (arm, name, column)
        for arm, own in columns.items()
        for name, column in defined_columns(_at(own, places), cases).items()
    ]
    found = ratio_intervals(
        [column for _, _, column in chosen], samples=settings.bootstrap_samples, seed=settings.seed
    )
    tables: dict[Arm, Table] = {arm: {} for arm in columns}
    for (arm, name, _), interval in zip(chosen, found, strict=True):
        if interval is not None:
            tables[arm][name] = _rounded(interval)
    return tables


def _differences(
    columns: Columns,
    suite: Sequence[Case],
    places: Sequence[int],
    arms: tuple[Arm, Arm],
    settings: EvalSettings,
) -> Table:
    cases = [suite[place] for place in places]
    ours, theirs = (defined_columns(_at(columns[arm], places), cases) for arm in arms)
    names = [name for name in ours if name in theirs]
    found = ratio_differences(
        [(ours[name], theirs[name]) for name in names], samples=settings.bootstrap_samples, seed=settings.seed
    )
    return {
        name: _rounded(interval) for name, interval in zip(names, found, strict=True) if interval is not None
    }


def _at(own: Mapping[str, Column], places: Sequence[int]) -> dict[str, Column]:
    return {name: [column[place] for place in places] for name, column in own.items()}


def _dimensions(suite: Sequence[Case]) -> dict[str, dict[str, list[int]]]:
    return {
        "language": _grouped([case.lang for case in suite]),
        "kind": _grouped([case.kind for case in suite]),
        "document": _grouped(_shown_documents(suite)),
    }


def _shown_documents(suite: Sequence[Case]) -> list[str]:
    """Return each case's document; empty for cases without gold and for all but the most asked documents."""
    names = [case.gold[0].doc if case.gold else "" for case in suite]
    counts = Counter(name for name in names if name)
    shown = {name for name, _ in counts.most_common(DOCUMENTS_SHOWN)}
    return [name if name in shown else "" for name in names]


def _grouped(names: Sequence[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if name:
            groups.setdefault(name, []).append(place)
    return dict(sorted(groups.items()))


def _rounded(interval: Interval) -> Interval:
    return Interval(
        mean=round(interval.mean, _DIGITS) + 0.0,
        low=round(interval.low, _DIGITS) + 0.0,
        high=round(interval.high, _DIGITS) + 0.0,
        case_count=interval.case_count,
    )
