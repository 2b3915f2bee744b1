"""Canaries: fixed prompts whose greedy text an adapter must give again whenever an engine loads it.

They stand in ``canary.json`` beside the adapter's weights. Training writes the prompts; the first engine of a
kind, version, device and number format that loads the adapter writes its texts, all later loads are held to
them.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from assistant.core.errors import ModelError
from assistant.core.jsonl import write_json
from assistant.core.records import Example, Message, Record
from assistant.engine.protocol import Completion, GenerationRequest

Outcome = Literal["passed", "recorded", "failed"]
CANARY_FILE = "canary.json"
_LOG = logging.getLogger(__name__)
_PROMPTS = 3
_TOKENS = 24
_TRIES = 2
# for an adapter that was trained elsewhere
COMMON_PROMPTS = tuple(
    (Message(role="user", content=text),)
    for text in ("What can you help me with?", "Name three colours.", "你能帮我做什么？")
)

Complete = Callable[[Sequence[GenerationRequest]], list[Completion]]


class Canary(Record, frozen=True, kw_only=True):
    """The file's content.

    Attributes:
        prompts: conversations up to where the assistant answers.
        texts: what the engine computes with (``Engine.numerics``) → the text that each prompt got.
        is_taught: the prompts are of the adapter's training: the base model answers them otherwise.
    """

    prompts: tuple[tuple[Message, ...], ...]
    texts: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    is_taught: bool = False


def write_prompts(folder: Path, examples: Sequence[Example]) -> None:
    """Choose prompts from what an adapter was taught, the shortest ones of each language, and store them."""
    chosen: list[Example] = []
    for example in sorted(
        examples, key=lambda row: (sum(len(turn.content) for turn in row.messages), row.id)
    ):
        of_language = sum(row.language == example.language for row in chosen)
        if len(chosen) < _PROMPTS and of_language < _PROMPTS - 1:
            chosen.append(example)
    prompts = tuple(example.messages[:-1] for example in chosen)
    write_json(folder / CANARY_FILE, Canary(prompts=prompts, is_taught=True))


def check_canary(name: str, folder: Path, key: str, complete: Complete, *, is_remote: bool = True) -> bool:
    """Ask an engine that has just loaded an adapter the fixed prompts.

    Args:
        name: of the adapter.
        folder: of its files.
        key: what the engine computes with, such as ``sglang/0.5.23/cpu/float32``; in another format than
            float32 one text of three may differ: in a batch with others a near tie may fall the other way.
        complete: generates greedily.
        is_remote: the engine is a server, which may ignore an adapter's name and answer with the base model;
            inside this process a weakly tuned adapter may say what the base model says.

    Returns:
        Whether the texts were compared; False where they were recorded for the first time.

    Raises:
        ModelError: a text is another than before, or that of the base model: not this adapter answers.
    """
    canary = read_canary(folder)
    known = canary.texts.get(key)
    got: tuple[str, ...] = ()
    for _ in range(_TRIES):  # in a batch with others a near tie may fall the other way once
        got = _ask(canary, name, complete)
        if known is None or got == known:
            break
    if known is None:
        if is_remote and canary.is_taught and got == _ask(canary, None, complete):
            raise ModelError(
                f"adapter {name!r} answers its canary prompts as the base model does: not applied?"
            )
        _record(folder, canary, key, got)
        return False
    rows = zip(canary.prompts, known, got, strict=True)
    wrong = [(prompt, old, new) for prompt, old, new in rows if old != new]
    if len(wrong) > _let_pass(key, len(known)):
        prompt, old, new = wrong[0]
        raise ModelError(
            f"adapter {name!r} fails its canary in {key}: to {prompt[-1].content[:60]!r} it says "
            f"{new[:60]!r} instead of {old[:60]!r}",
            next_command="deskmate release parity",
        )
    return True


def read_canary(folder: Path) -> Canary:
    """Return the file's content, common prompts where there is none.

    Raises:
        ModelError: it is damaged.
    """
    file = folder / CANARY_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Canary)
    except FileNotFoundError:
        return Canary(prompts=COMMON_PROMPTS)
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(f"adapter {folder}: {CANARY_FILE} cannot be read: {error}") from error


def _let_pass(key: str, count: int) -> int:
    return 0 if key.endswith("float32") else (count - 1) // 2


def _ask(canary: Canary, adapter: str | None, complete: Complete) -> tuple[str, ...]:
    requests = [
        GenerationRequest(messages=prompt, adapter=adapter, max_new_tokens=_TOKENS)
        for prompt in canary.prompts
    ]
    return tuple(done.text for done in complete(requests))


def _record(folder: Path, canary: Canary, key: str, texts: tuple[str, ...]) -> None:
    try:
        write_json(folder / CANARY_FILE, msgspec.structs.replace(canary, texts={**canary.texts, key: texts}))
    except OSError as error:  # a folder that is only read: each load records anew
        _LOG.warning("the canary of %s cannot be recorded: %s", folder, error.strerror)


class CanaryCounts:
    """How canaries ended, by adapter. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Outcome]] = Counter()

    def ask(self, name: str, folder: Path, key: str, complete: Complete, *, is_remote: bool = True) -> bool:
        """Ask an adapter's canary and count its outcome; as ``check_canary``."""
        outcome: Outcome = "failed"
        try:
            is_known = check_canary(name, folder, key, complete, is_remote=is_remote)
            outcome = "passed" if is_known else "recorded"
        finally:
            with self._lock:
                self._counts[name, outcome] += 1
        return is_known

    def counts(self) -> dict[tuple[str, Outcome], int]:
        """Return (adapter, outcome) → how often."""
        with self._lock:
            return dict(self._counts)
