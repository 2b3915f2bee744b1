"""Whether an answer keeps to a JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

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
