"""Task profiles: role, tone, scope and form of the answers, for one kind of work."""

from __future__ import annotations

import functools
import json
from typing import Any

import msgspec

from assistant.answering.composing import GenerationOptions
from assistant.answering.events import Question
from assistant.answering.json_schemas import check_schema
from assistant.core.errors import InputError
from assistant.core.language import Language
from assistant.core.records import Message
from assistant.core.settings_task import TaskSettings


def in_role(question: Question, task: TaskSettings, language: Language) -> Question:
    """Return a question whose conversation begins with the role to answer in."""
    role = task.role_zh if language == "zh" else task.role_en
    if not role.strip():
        return question
    turn = Message(role="system", content=role.strip())
    return msgspec.structs.replace(question, history=(turn, *question.history))


def in_form(options: GenerationOptions, task: TaskSettings) -> GenerationOptions:
    """Return options with the profile's schema, where the request has neither a schema nor tools."""
    schema = task_schema(task.json_schema)
    if schema is None or options.json_schema is not None or options.tools:
        return options
    return msgspec.structs.replace(options, json_schema=schema)


@functools.lru_cache(maxsize=8)
def task_schema(text: str) -> dict[str, Any] | None:
    """Return a profile's schema, None where it has none.

    Raises:
        InputError: it is no JSON Schema.
    """
    if not text.strip():
        return None
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise InputError(f"[task] json_schema is no JSON: {error}") from error
    if not isinstance(schema, dict):
        raise InputError("[task] json_schema is no JSON object")
    check_schema(schema)
    return schema
