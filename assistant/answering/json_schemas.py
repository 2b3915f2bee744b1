"""JSON Schemas of strangers: checked first, and never worked on for ever.

A schema of a few hundred bytes can ask for more work than there is time: two references to the next of forty
definitions in each, or a pattern such as ``a*a*a*a*b``. All work is counted, and patterns are given a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from assistant.core.errors import InputError

LARGEST_SCHEMA = 64 << 10
MOST_STEPS = 50_000  # keywords that are looked at for one value; a schema of 64 KiB has some thousand
PATTERN_SECONDS = 0.2
_LONGEST_PATTERN = 200
# a repeated group is what makes a search through a text take for ever
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_REPEATED = re.compile(r"[*+?{]")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def check_schema(schema: Mapping[str, object]) -> None:
    """Check that a schema is one, and that checking with it is safe.

    Raises:
        InputError: it breaks the rules of JSON Schema, points outside itself, is too large, or holds a
            pattern that could take for ever.
    """
    import jsonschema

    try:
        size = len(msgspec.json.encode(schema))
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        raise InputError(f"not a JSON Schema: {error.message}") from error
    except (RecursionError, TypeError) as error:
        raise InputError("not a JSON Schema: it is too deep") from error
    if size > LARGEST_SCHEMA:
        raise InputError(f"the JSON Schema has {size} bytes, at most {LARGEST_SCHEMA} are read")
    for node in _nodes(schema):
        if node is not schema and isinstance(
            node.get("$schema"), str
        ):  # another dialect would be checked by others than ours
            raise InputError("$schema may stand at the top of a JSON Schema only")
        _check_references(node)
        _check_patterns(node)


def find_error(schema: Mapping[str, object], value: object) -> str:
    """Return how a value breaks a schema, empty where it fits.

    Raises:
        InputError: that cannot be told in a bounded time.
        RecursionError: the schema or the value is too deep.
    """
    import jsonschema
    from referencing import Registry

    kind = _counted(jsonschema.validators.validator_for(schema))
    check = kind(schema, registry=Registry())  # without one, a $ref would be fetched
    error = jsonschema.exceptions.best_match(check.iter_errors(value))
    return "" if error is None else f"{error.json_path}: {error.message}"


def _counted(kind: Any) -> Any:
    """Return a validator whose keywords count each time that they are looked at."""
    import jsonschema

    steps = iter(range(MOST_STEPS))

    def counted(keyword: str) -> Callable[..., Iterator[Any]]:
        check = _match_pattern if keyword == "pattern" else kind.VALIDATORS[keyword]

        def check_one(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            if next(steps, None) is None:
                raise InputError("checking with the JSON Schema takes too long; write it simpler")
            yield from check(validator, value, instance, schema) or ()

        return check_one

    return jsonschema.validators.extend(kind, {keyword: counted(keyword) for keyword in kind.VALIDATORS})


def _match_pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    import jsonschema
    import regex

    if not validator.is_type(instance, "string"):
        return
    try:
        is_found = regex.search(pattern, instance, timeout=PATTERN_SECONDS)
    except TimeoutError as error:
        raise InputError(f"pattern {pattern[:40]!r} takes too long; write it simpler") from error
    if not is_found:
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def _check_references(node: Mapping[str, Any]) -> None:
    for name in _REFERENCES:
        reference = node.get(name)
        if isinstance(reference, str) and not reference.startswith("#"):
            raise InputError(f"a JSON Schema may only point into itself, got {name} {reference!r}")


def _check_patterns(node: Mapping[str, Any]) -> None:
    import regex

    named = node.get("patternProperties")
    names = tuple(named) if isinstance(named, Mapping) else ()
    for pattern in (node.get("pattern"), *names):
        if not isinstance(pattern, str):
            continue
        # names are matched by who knows no time
        is_costly = pattern in names and len(_REPEATED.findall(pattern)) > 1
        if is_costly or len(pattern) > _LONGEST_PATTERN or _REPEATED_GROUP.search(pattern):
            raise InputError(
                f"pattern {pattern[:40]!r} is too long or repeats a group, which can take for ever"
            )
        try:
            regex.compile(pattern)
        except regex.error as error:
            raise InputError(f"pattern {pattern[:40]!r} is none: {error}") from error


def _nodes(value: object) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            found.append(one)
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
    return found
