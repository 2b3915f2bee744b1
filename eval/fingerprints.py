"""What shapes an answer, as hashes: an answer is kept as long as nothing of it changes."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec

from assistant.core.ids import content_id
from assistant.core.prompts import template_hash
from assistant.core.records import Arm, Record
from assistant.core.settings import Settings

_ANSWERING_CODE = ("assistant.answering", "assistant.core", "assistant.engine")
_SEARCHING_CODE = ("indexing",)


class Fingerprint(Record, frozen=True, kw_only=True):
    """What shapes answers; an arm's answers are kept as long as its own part stays the same.

    Attributes:
        engine: base model, prompt templates, generation options and the code that answers.
        index: what is searched, with what and how.
        adapter: the tuned weights.
    """

    engine: str
    index: str = ""
    adapter: str = ""

    def for_arm(self, arm: Arm) -> str:
        """Return a hash over what shapes the answers of an arm."""
        index = self.index if arm in {"rag", "rag+ft"} else ""
        adapter = self.adapter if arm in {"ft", "rag+ft"} else ""
        return content_id(arm, self.engine, index, adapter)


def fingerprint_of(settings: Settings, *, model: str = "", index: str = "", adapter: str = "") -> Fingerprint:
    """Return the fingerprint of answers made with these settings.

    Args:
        settings: all settings.
        model: identity of the base model's weights, where its name is not enough.
        index: identity of the snapshot that is searched.
        adapter: identity of the adapter's weights.
    """
    engine = settings.engine
    named = [
        engine.kind,
        engine.base_model,
        engine.dtype,
        engine.url if engine.kind == "sglang" else "",
        model,
    ]
    lengths = [engine.max_new_tokens, settings.eval.max_new_tokens, settings.answer.history_turns]
    task = settings.task
    searching = [settings.search, settings.answer, settings.embedder.model, settings.embedder.dtype]
    return Fingerprint(
        engine=_hash([named, lengths, task, template_hash(), code_hash(*_ANSWERING_CODE)]),
        index=_hash([index, searching, code_hash(*_SEARCHING_CODE)]),
        adapter=adapter,
    )


@functools.cache
def code_hash(*packages: str) -> str:
    """Return a hash over the modules that lie directly in some packages."""
    files = [
        (f"{package}/{file.name}", file.read_text("utf-8"))
        for package in packages
        for file in resources.files(package).iterdir()
        if file.name.endswith(".py")
    ]
    return content_id(*(part for row in sorted(files) for part in row))


def _hash(value: object) -> str:
    return content_id(msgspec.json.encode(value, order="sorted").decode())
