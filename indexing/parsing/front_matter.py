"""The head of a text file in which its author says what it is: YAML between ``---``, TOML between ``+++``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

from assistant.core.records import Metadata
from indexing.metadata import STANDARD_KEYS, fold_key, normalise_metadata

_YAML = re.compile(r"\A\ufeff?---[ \t]*\n(.{0,16384}?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_TOML = re.compile(r"\A\ufeff?\+\+\+[ \t]*\n(.{0,16384}?\n)\+\+\+[ \t]*(?:\n|\Z)", re.S)
_LINE = re.compile(r"^([^\W_][\w .-]{0,31})[ \t]*[:：=][ \t]*(.+?)[ \t]*$", re.M)

_TITLES = {"title", "标题"}


def split_front_matter(text: str, *, is_certain: bool = True) -> tuple[dict[str, object], str]:
    """Return the fields that a text begins with, and the text behind them.

    Args:
        text: of a file.
        is_certain: the format has front matter; where it does not, as in plain text, a head counts as one
            only if it names a key that is known, because rules around a title look the same. Without any
            field even Markdown's is text between two rules.
    """
    for pattern, read in ((_YAML, _read_yaml), (_TOML, _read_toml)):
        match = pattern.match(text)
        if match:
            fields = read(match[1])
            is_known = any(fold_key(name) in {*_TITLES, *STANDARD_KEYS} for name in fields)
            if is_known or (is_certain and (fields or not match[1].strip())):
                return fields, text[match.end() :]
    return {}, text


def front_title(fields: Mapping[str, object]) -> str:
    """Return the title that front matter states, empty if none."""
    return next((str(value) for name, value in fields.items() if name.lower() in _TITLES and value), "")


def front_metadata(fields: Mapping[str, object]) -> Metadata:
    """Return what front matter says beside the title."""
    return normalise_metadata({name: value for name, value in fields.items() if name.lower() not in _TITLES})


def _read_yaml(head: str) -> dict[str, object]:
    import yaml

    try:
        # all scalars as text: "no" stays a word and a date what its author wrote
        fields = yaml.load(head, Loader=yaml.BaseLoader)  # noqa: S506 - the base loader makes nothing but texts
    except (yaml.YAMLError, RecursionError):
        fields = None
    return fields if isinstance(fields, dict) else _read_lines(head)


def _read_toml(head: str) -> dict[str, object]:
    try:
        fields = tomllib.loads(head)
    except (tomllib.TOMLDecodeError, RecursionError):
        return _read_lines(head)
    return {key: str(value) if hasattr(value, "isoformat") else value for key, value in fields.items()}


def _read_lines(head: str) -> dict[str, object]:
    """Read "key: value" lines of a head that is broken, for instance by a colon within a value."""
    return {name: value.strip("\"'") for name, value in _LINE.findall(head)}
