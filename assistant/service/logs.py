"""The service's log: one JSON object a line, with the request's id and without personal data."""

import logging
from datetime import UTC, datetime

import msgspec

from assistant.core.tracing import trace_id
from assistant.service.request_ids import request_id
from indexing.personal_patterns import find_personal_data

_LONGEST = 4000


class JsonLines(logging.Formatter):
    """Writes a record; phone numbers, addresses and the like become the name of their kind."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        if trace_id():
            line["trace_id"] = trace_id()
        if record.exc_info:
            line["trace"] = redact(self.formatException(record.exc_info)[-_LONGEST:])
        return msgspec.json.encode(line).decode()


def redact(text: str) -> str:
    """Return a text, cut where it is long, in which personal data is replaced by its kind: ``[email]``."""
    kept = text[:_LONGEST]
    for found in sorted(find_personal_data(kept), key=lambda finding: -finding.start):
        kept = f"{kept[: found.start]}[{found.kind}]{kept[found.end :]}"
    return kept


def set_up_logs() -> None:
    """Let everything that is logged in this process come out so."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
