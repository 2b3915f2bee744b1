"""Templates of synthesis: texts of one use, and lists of questions."""

from __future__ import annotations

import functools
import string
from importlib import resources

from assistant.core.language import Language


def render(name: str, language: Language, **variables: str) -> str:
    """Return ``training/templates/NAME.LANGUAGE.txt`` with its variables; a missing one is a KeyError."""
    return string.Template(_read(name, language).strip()).substitute(variables)


def read_list(name: str, language: Language) -> tuple[str, ...]:
    """Return the lines of a template that is a list; ``#`` starts a comment."""
    lines = (line.strip() for line in _read(name, language).splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


@functools.cache
def read_instructions(name: str, language: Language) -> tuple[tuple[str, str], ...]:
    """Return a list's lines, each with the answer that stands behind `` => `` ("" where there is none)."""
    parts = (line.partition(" => ") for line in read_list(name, language))
    return tuple((line, answer) for line, _, answer in parts)


def _read(name: str, language: Language) -> str:
    return resources.files("training").joinpath("templates", f"{name}.{language}.txt").read_text("utf-8")
