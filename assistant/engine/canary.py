"""Canaries: fixed prompts whose greedy text an adapter must give again whenever an engine loads it.

They stand in ``canary.json`` beside the adapter's weights. Training writes the prompts; the first engine of a
kind and number format that loads the adapter writes its texts, all later loads are held to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from assistant.core.errors import ModelError
from assistant.core.jsonl import write_json
from assistant.core.records import Example, Message, Record
from assistant.engine.protocol import Completion, GenerationRequest

CANARY_FILE = "canary.json"
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
        texts: engine kind and number format → the text that each prompt got.
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


def check_canary(name: str, folder: Path, key: str, complete: Complete) -> bool:
    """Ask an engine that has just loaded an adapter the fixed prompts.

    Args:
        name: of the adapter.
        folder: of its files.
        key: engine kind and number format, such as ``sglang/float32``.
        complete: generates greedily.

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
        if canary.is_taught and got == _ask(canary, None, complete):
            raise ModelError(
                f"adapter {name!r} answers its canary prompts as the base model does: not applied?"
            )
        _record(folder, canary, key, got)
        return False
    for prompt, old, new in zip(canary.prompts, known, got, strict=True):
        if old != new:
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


def _ask(canary: Canary, adapter: str | None, complete: Complete) -> tuple[str, ...]:
    requests = [
        GenerationRequest(messages=prompt, adapter=adapter, max_new_tokens=_TOKENS)
        for prompt in canary.prompts
    ]
    return tuple(done.text for done in complete(requests))


def _record(folder: Path, canary: Canary, key: str, texts: tuple[str, ...]) -> None:
    write_json(folder / CANARY_FILE, msgspec.structs.replace(canary, texts={**canary.texts, key: texts}))
