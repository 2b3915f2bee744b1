"""Whether an answer keeps to a JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from assistant.core.errors import InputError

# models like to fence what they were asked to write as JSON
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*?)\n?```$", re.DOTALL)
# a pipeline that checks citations puts its marks behind the answer
_MARKS = re.compile(r"(?<=[}`])(?:\s*\[\d{1,2}\])+$")


def is_schema_valid(schema: Mapping[str, object], text: str) -> bool:
    """Return whether a text is JSON, alone or in one code fence, that keeps to a schema.

    Citation marks behind it are left out.
    """
    import jsonschema

    bare = _MARKS.sub("", text.strip())
    fenced = _FENCE.match(bare)
    try:
        value = json.loads(fenced[1] if fenced else bare)
    except (ValueError, RecursionError):
        return False
    return bool(jsonschema.validators.validator_for(schema)(schema).is_valid(value))


def check_schema(schema: Mapping[str, object]) -> None:
    """Check that a schema is one.

    Raises:
        InputError: it breaks the rules of JSON Schema, or points outside itself.
    """
    import jsonschema

    try:
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        raise InputError(f"not a JSON Schema: {error.message}") from error
    outside = [name for name in _references(schema) if not name.startswith("#")]
    if outside:
        raise InputError(f"a JSON Schema may only point into itself, got $ref {outside[0]!r}")


def _references(node: object) -> list[str]:
    if isinstance(node, Mapping):
        own = node.get("$ref")
        found = [own] if isinstance(own, str) else []
        return found + [name for child in node.values() for name in _references(child)]
    if isinstance(node, list):
        return [name for child in node for name in _references(child)]
    return []
