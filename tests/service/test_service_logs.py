from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from assistant.core import errors
from assistant.service import refusals
from assistant.service.logs import JsonLines, redact
from assistant.service.problems import NotReady
from assistant.service.request_ids import request_id


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("question of anna.schmidt@example.com failed", "anna.schmidt@example.com"),
        ("客户电话 13812345678 无法接通", "13812345678"),
    ],
)
def test_personal_data_is_not_logged(text: str, hidden: str) -> None:
    assert hidden not in redact(text)
    assert redact(text).split("[")[0] == text.split(hidden, maxsplit=1)[0]
    assert redact("fault code E07 at 95 °C") == "fault code E07 at 95 °C"


def test_a_line_is_json_with_the_requests_id() -> None:
    token = request_id.set("req-1")
    error = ValueError("of 13812345678")
    trace = (ValueError, error, None)
    record = logging.LogRecord("desk", logging.ERROR, "f", 1, "broke: %s", ("泵",), trace)
    line = json.loads(JsonLines().format(record))
    request_id.reset(token)
    assert (line["level"], line["message"], line["request_id"]) == ("error", "broke: 泵", "req-1")
    assert "ValueError" in line["trace"]
    assert "13812345678" not in line["trace"]


def test_every_problem_type_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    kinds = [
        kind
        for module in (errors, refusals)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, errors.DeskmateError)
    ]
    rows = {f"| `{kind.slug}` | {kind.status} |" for kind in (*kinds, NotReady)}
    assert len(rows) > 15
    assert [row for row in sorted(rows) if row not in text] == []
