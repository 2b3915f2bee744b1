"""Conversations as token ids, by the base model's own chat template."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from assistant.core.records import Message
from assistant.engine.protocol import TEMPLATE_OPTIONS


class ChatTokenizer:
    """A tokenizer that several threads may use.

    Args:
        tokenizer: of transformers, with a chat template.
        turn_end: token that ends the assistant's turn; None takes the tokenizer's end of a text.
    """

    def __init__(self, tokenizer: Any, turn_end: int | None = None) -> None:
        self._tokenizer = tokenizer
        self._turn_end = tokenizer.eos_token_id if turn_end is None else turn_end
        self._lock = threading.Lock()  # the Rust tokenizer refuses to be set up by two threads at once
        self._markers = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of a conversation, up to where the assistant's turn begins."""
        turns = [{"role": message.role, "content": self._plain(message.content)} for message in messages]
        with self._lock:
            text = self._tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=False, **TEMPLATE_OPTIONS
            )
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def answer_ids(self, text: str) -> list[int]:
        """Return the ids of an assistant's turn with the marker that ends it, as training teaches it."""
        with self._lock:
            ids = self._tokenizer(self._plain(text), add_special_tokens=False)["input_ids"]
        return [*ids, self._turn_end]

    def count(self, text: str) -> int:
        """Return the number of tokens of a text."""
        with self._lock:
            return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: list[int]) -> str:
        """Return the text of token ids, without markers of turns."""
        text = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    def spell(self, ids: list[int]) -> str:
        """Return the text of token ids with the markers of turns, as the model sees it."""
        return str(self._tokenizer.decode(ids, clean_up_tokenization_spaces=False))

    def _plain(self, content: str) -> str:
        """Break the template's markers, so that a question or a document cannot open a turn of its own."""
        for marker in self._markers:
            if marker in content:
                content = content.replace(marker, f"{marker[:1]} {marker[1:]}")
        return content
