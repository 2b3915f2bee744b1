"""What the answers amount to: counts, time, satisfaction, by day, collection, language, arm and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Integer, Select, case, cast, func, literal_column, select
from sqlalchemy.orm import Session

from assistant.core.records import Record
from assistant.store.service_tables import AnswerRow, FeedbackRow, HandoverRow

UsageGroup = Literal["day", "collection", "language", "arm", "key", "release"]
_DAY_LENGTH = 10
# groups go by this name: PostgreSQL takes an expression with parameters, written twice, for two
_GROUPED = "grouped"


class UsageLine(Record, frozen=True, kw_only=True):
    """One group's use.

    Attributes:
        group: the day, collection, language, arm, key or release; empty where all is one group, and
            for answers that no release gave.
        answers: given.
        abstentions: of them, that the documents do not cover.
        handovers: passed to a person.
        up: good ratings.
        down: bad ratings.
        resolved: settled, where somebody said.
        unresolved: not settled, where somebody said.
        prompt_tokens: read by the engine.
        completion_tokens: written by it.
        mean_seconds: from question to whole answer.
    """

    group: str
    answers: int = 0
    abstentions: int = 0
    handovers: int = 0
    up: int = 0
    down: int = 0
    resolved: int = 0
    unresolved: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    mean_seconds: float = 0.0


def read_usage(
    session: Session,
    *,
    first_day: str = "",
    last_day: str = "9999-12-31",
    collections: Sequence[str] | None = None,
    key_id: str | None = None,
    by: UsageGroup | None = None,
) -> list[UsageLine]:
    """Return the use of a time, by group.

    Args:
        session: the transaction.
        first_day: ISO date.
        last_day: ISO date, included.
        collections: only of these.
        key_id: only of this key.
        by: what groups; all is one group where None.
    """
    group = _group(by).label(_GROUPED)

    def chosen(query: Select[Any]) -> Select[Any]:
        day = func.substr(AnswerRow.created, 1, _DAY_LENGTH)
        query = query.where(day >= first_day, day <= last_day)
        if collections is not None:
            query = query.where(AnswerRow.collection.in_(collections))
        if key_id is not None:
            query = query.where(AnswerRow.key_id == key_id)
        return query if by is None else query.group_by(_GROUPED)

    answers = chosen(
        select(
            group,
            func.count(AnswerRow.number),
            func.sum(cast(AnswerRow.abstained, Integer)),
            func.sum(AnswerRow.prompt_tokens),
            func.sum(AnswerRow.completion_tokens),
            func.avg(AnswerRow.seconds),
        )
    )
    told = chosen(
        select(
            group,
            _count(FeedbackRow.rating == "up"),
            _count(FeedbackRow.rating == "down"),
            _count(FeedbackRow.is_resolved.is_(True)),
            _count(FeedbackRow.is_resolved.is_(False)),
        )
        .select_from(AnswerRow)
        .join(FeedbackRow, FeedbackRow.answer_id == AnswerRow.id)
    )
    passed = chosen(
        select(group, func.count(HandoverRow.number))
        .select_from(AnswerRow)
        .join(HandoverRow, HandoverRow.answer_id == AnswerRow.id)
    )
    lines: dict[str, UsageLine] = {}
    for names, query in (
        (("answers", "abstentions", "prompt_tokens", "completion_tokens", "mean_seconds"), answers),
        (("up", "down", "resolved", "unresolved"), told),
        (("handovers",), passed),
    ):
        for name, *values in session.execute(query):
            found = lines.get(str(name), UsageLine(group=str(name)))
            counted = {
                key: round(float(value or 0), 4) if key == "mean_seconds" else int(value or 0)
                for key, value in zip(names, values, strict=True)
            }
            lines[str(name)] = msgspec.structs.replace(found, **counted)
    return [lines[name] for name in sorted(lines)]


def _group(by: UsageGroup | None) -> Any:
    groups = {
        "day": func.substr(AnswerRow.created, 1, _DAY_LENGTH),
        "collection": AnswerRow.collection,
        "language": AnswerRow.language,
        "arm": AnswerRow.arm,
        "key": AnswerRow.key_id,
        "release": func.coalesce(AnswerRow.lineage["release"].as_string(), ""),
    }
    return groups[by] if by else literal_column("''")


def _count(condition: Any) -> Any:
    return func.sum(case((condition, 1), else_=0))
