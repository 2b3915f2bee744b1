"""How many tokens a text has: counted here where the base model's tokenizer lies here, else by the server."""

from __future__ import annotations

import importlib.util
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assistant.core.language import han_count

_LATIN_CHARACTERS_A_TOKEN = 3.5
_KEPT = 4096
_FILE = "tokenizer.json"


class TokenCounter:
    """Counts tokens and remembers the counts. Safe to use from several threads.

    A context is counted passage by passage before the engine is asked, so that a request to the server for
    each would be what a person waits for.

    Args:
        base: folder of the base model, None where it is not on this machine.
        ask: returns the server's count, None where it gives none.
    """

    def __init__(self, base: Path | None, ask: Callable[[str], int | None]) -> None:
        self._base = base
        self._ask = ask
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._tokenizer: Any = None

    def count(self, text: str) -> int:
        """Return the number of tokens of a text.

        Where neither a tokenizer nor the server tells it, an estimate on the high side: a token for a Chinese
        character and for 3.5 others.
        """
        with self._lock:
            known = self._counts.get(text)
            if known is not None:
                self._counts.move_to_end(text)
                return known
            tokenizer = self._open()
        count = (
            self._ask(text) if tokenizer is None else len(tokenizer.encode(text, add_special_tokens=False))
        )
        if count is None:
            han = han_count(text)
            return han + round((len(text) - han) / _LATIN_CHARACTERS_A_TOKEN)
        with self._lock:
            self._counts[text] = count
            if len(self._counts) > _KEPT:
                self._counts.popitem(last=False)
        return count

    def _open(self) -> Any:
        """Return the base model's tokenizer, None where it or its library is not here."""
        if self._tokenizer is None and self._base is not None:
            file, self._base = self._base / _FILE, None  # looked for once
            if file.is_file() and importlib.util.find_spec("tokenizers"):
                from tokenizers import Tokenizer

                self._tokenizer = Tokenizer.from_file(str(file))
                self._tokenizer.no_truncation()
                self._tokenizer.no_padding()
        return self._tokenizer
