"""JSON Schemas that ask for more work than there is time: refused, not worked on for ever."""

from __future__ import annotations

from typing import Any

import pytest

from assistant.answering.formats import read_formed
from assistant.answering.json_schemas import check_schema, find_error
from assistant.core.errors import InputError


def doubling_references() -> dict[str, Any]:
    rows: dict[str, Any] = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    return {"$ref": "#/$defs/a0", "$defs": {**rows, "a40": {}}}


def nested_evaluation() -> dict[str, Any]:
    schema: dict[str, Any] = {"properties": {"值": {}}}
    for _ in range(40):
        schema = {"unevaluatedProperties": False, "allOf": [schema], "properties": {"值": {}}}
    return schema


def slow_pattern() -> dict[str, Any]:
    return {"properties": {"值": {"pattern": "^" + "[a啊]*" * 25 + "[bc]$"}}}


@pytest.mark.parametrize("make", [doubling_references, nested_evaluation, slow_pattern])
def test_a_schema_that_takes_for_ever_is_refused_in_time(make: Any) -> None:
    schema = make()
    check_schema(schema)
    with pytest.raises(InputError, match="takes too long"):
        read_formed('{"值": "' + "a啊" * 2000 + 'x"}', schema)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"a": {"$schema": "https://json-schema.org/draft/2020-12/schema"}}}, "at the top"),
        ({"patternProperties": {"a*a*a*b": {}}}, "for ever"),
        ({"patternProperties": {"a?a?a?b": {}}}, "for ever"),
        ({"pattern": "(a+)+b"}, "for ever"),
        ({"$recursiveRef": "https://example.com/other"}, "into itself"),
    ],
)
def test_what_would_get_around_the_count_is_refused(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_schema(schema)


def test_values_are_held_to_a_schema_as_ever() -> None:
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"code": {"type": "string", "pattern": "^E[0-9]{2}$"}},
        "type": "object",
        "properties": {"代码": {"$ref": "#/$defs/code"}, "$schema": {"type": "string"}},
        "patternProperties": {"^x-": {"type": "integer"}},
        "required": ["代码"],
        "additionalProperties": False,
    }
    check_schema(schema)
    assert find_error(schema, {"代码": "E07", "x-n": 1, "$schema": "s"}) == ""
    assert "does not match" in find_error(schema, {"代码": "E7"})
    assert "x-n" in find_error(schema, {"代码": "E07", "x-n": "1"})
    assert "y" in find_error(schema, {"代码": "E07", "y": 1})
    assert "代码" in find_error(schema, {})
