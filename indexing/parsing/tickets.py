"""Ticket tables: which column holds what was asked and which what helped, by usual names or a mapping."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.core.language import han_count
from assistant.core.records import Record
from assistant.core.settings import TicketColumns

# Names of columns in lower case, the surest first: of several that are there the first is taken.
_NAMES = {
    "question": (
        "question", "customer question", "problem", "problem description", "issue", "issue description",
        "symptom", "query", "complaint", "request", "description", "subject", "问题描述", "问题",
        "客户问题", "用户问题", "故障现象", "故障描述", "现象", "报修内容", "咨询内容", "用户描述",
        "客户描述", "提问", "描述", "主题", "問題描述", "問題", "描述內容",
    ),
    "answer": (
        "resolution", "resolution notes", "solution", "answer", "fix", "agent reply", "response", "reply",
        "解决方案", "解决办法", "解决方法", "处理结果", "处理方法", "处理意见", "处理措施", "处理", "解决",
        "答复", "回答", "答案", "解答", "客服回复", "回复", "解決方案", "解決方法", "處理結果", "處理方法",
        "答覆", "回覆",
    ),
    "language": ("language", "lang", "locale", "语言", "语种", "語言"),
}  # fmt: skip
# How the columns are called in the text, so that everything that reads tickets knows them.
_LABELS = {"question": ("question", "问题"), "answer": ("resolution", "答复"), "id": ("id", "编号")}


class TicketTable(Record, frozen=True, kw_only=True):
    """A table of tickets.

    Attributes:
        labels: by column, the name that stands before its cells; None leaves the column out.
    """

    labels: tuple[str | None, ...]

    def text(self, row: Sequence[str]) -> str:
        """Return one ticket, a line a field; cells of one name are joined."""
        fields: dict[str, str] = {}
        for label, cell in zip(self.labels, row, strict=False):
            if label is not None and cell:
                fields[label] = f"{fields[label]} {cell}" if label in fields else cell
        return "\n".join(f"{label}: {cell}" for label, cell in fields.items())


def ticket_table(header: Sequence[str], mapping: TicketColumns) -> TicketTable | None:
    """Return how a table of tickets is read, None where its columns are of something else.

    Args:
        header: names of the columns.
        mapping: names that go before the usual ones.
    """
    roles = _roles([name.strip().lower() for name in header], mapping)
    if not {"question", "answer"} <= set(roles.values()):
        return None
    return TicketTable(labels=tuple(_label(name, roles.get(name.strip().lower())) for name in header))


def _roles(names: Sequence[str], mapping: TicketColumns) -> dict[str, str]:
    """Return what the columns are for, by their names."""
    roles: dict[str, str] = {}
    for role in ("question", "answer", "id", "status", "language"):
        mapped = {name.strip().lower() for name in getattr(mapping, role)}
        found = [name for name in names if name in mapped]
        usual = [name for name in _NAMES.get(role, ()) if name in names]
        roles |= {name: role for name in found or usual[:1] if name not in roles}
    return roles


def _label(name: str, role: str | None) -> str | None:
    if role == "language":
        return None
    return _LABELS[role][bool(han_count(name))] if role in _LABELS else name
