from __future__ import annotations

import pytest

from assistant.answering.json_schemas import check_schema
from assistant.core.errors import InputError
from eval.schema_metrics import is_schema_valid

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"code": {"enum": ["E05", "E07"]}, "steps": {"type": "array", "items": {"type": "string"}}},
    "required": ["code"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"code": "E05", "steps": ["关闭阀门"]}', True),
        ('  {"code": "E07"}\n', True),
        ('```json\n{"code": "E05"}\n```', True),
        ('{"code": "E05"} [1][2]', True),
        ('{"code": "E99"}', False),
        ('{"steps": []}', False),
        ('{"code": "E05", "more": 1}', False),
        ('The code is {"code": "E05"}', False),
        ('{"code": "E05"', False),
        ("", False),
        ("[" * 100_000, False),
    ],
)
def test_a_text_keeps_to_a_schema_or_not(text: str, *, expected: bool) -> None:
    assert is_schema_valid(SCHEMA, text) is expected


def test_what_is_no_schema_is_refused() -> None:
    check_schema(SCHEMA)
    check_schema({"$defs": {"a": {"type": "string"}}, "prefixItems": [{"$ref": "#/$defs/a"}]})
    with pytest.raises(InputError, match="not a JSON Schema"):
        check_schema({"type": "objekt"})
    with pytest.raises(InputError, match="point into itself"):
        check_schema({"properties": {"a": {"$ref": "https://example.com/schema.json"}}})
