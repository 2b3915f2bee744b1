"""The teacher: any engine, asked in batches; what it has answered is kept and never asked again."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from assistant.core.errors import EngineError
from assistant.core.ids import content_id
from assistant.core.jsonl import append_jsonl, read_finished_jsonl, write_jsonl
from assistant.core.progress import Progress
from assistant.core.records import Record
from assistant.core.settings_synth import TeacherSettings
from assistant.engine.protocol import Completion, Engine, GenerationRequest

CACHE = "teacher.jsonl"
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_THINKS = re.compile(r"</?think>")
# no tokenizer has so long ones in questions: a server that heeds no limit has sent megabytes
_TOKEN_CHARACTERS = 32
_KEY = " (a teacher's own server: DESKMATE_TEACHER_API_KEY)"
_PAUSE_SECONDS = 1.0
_MINUTE = 60.0


class Taught(Record, frozen=True, kw_only=True):
    """One answer of the teacher as it is kept; an empty text is an answer that was cut off."""

    key: str
    text: str


class Teacher:
    """Asks an engine, within its limits, and keeps what it said.

    Args:
        open_engine: opens the engine; called when something is asked for the first time.
        settings: ``[teacher]``.
        folder: where what it said is kept; the same question to the same engine is never asked twice.
        progress: told of every batch.
        clock: seconds; replaced in tests.
        sleep: waits; replaced in tests.
    """

    def __init__(
        self,
        open_engine: Callable[[], Engine],
        settings: TeacherSettings,
        folder: Path,
        progress: Progress,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._open_engine = open_engine
        self._settings = settings
        self._path = folder / CACHE
        self._progress = progress
        self._clock, self._sleep = clock, sleep
        self._said = self._read()
        self._next_start = 0.0
        self.counts: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """Name of its base model."""
        return self._open_engine().base_model

    def ask(self, requests: Sequence[GenerationRequest], stage: str) -> list[str]:
        """Return the text for each request, in order; empty where the teacher was cut off.

        Raises:
            EngineError: the teacher failed again and again; what it has answered by then is kept.
        """
        keys = [self._key(request) for request in requests]
        first = {key: request for key, request in zip(keys, requests, strict=True) if key not in self._said}
        missing = list(first.items())
        self.counts["kept from before"] += len(set(keys)) - len(missing)
        self._progress.start(stage, len(missing))
        size = self._settings.batch_size
        for start in range(0, len(missing), size):
            batch = missing[start : start + size]
            self._keep(batch, self._complete([request for _, request in batch], start, len(missing)))
            self._progress.advance(len(batch))
        self._progress.finish()
        return [self._said[key] for key in keys]

    def _complete(self, requests: Sequence[GenerationRequest], done: int, total: int) -> list[Completion]:
        self._wait(len(requests))
        for attempt in range(1, self._settings.attempts + 1):
            try:
                return self._open_engine().complete(requests)
            except EngineError as error:
                if attempt == self._settings.attempts:
                    told = "" if "refuses the key" not in error.message else _KEY
                    raise EngineError(
                        f"the teacher failed after {done} of {total} questions: {error.message}{told}; "
                        "what it answered is kept, the same command goes on from there"
                    ) from error
                self.counts["asked again"] += 1
                self._sleep(_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("unreachable")  # pragma: no cover - attempts are at least one

    def _wait(self, count: int) -> None:
        """Keep to the requests a minute."""
        if not self._settings.requests_per_minute:
            return
        now = self._clock()
        if self._next_start > now:
            self._sleep(self._next_start - now)
        self._next_start = max(now, self._next_start) + count * _MINUTE / self._settings.requests_per_minute

    def _keep(self, batch: Sequence[tuple[str, GenerationRequest]], done: Sequence[Completion]) -> None:
        for (key, request), completion in zip(batch, done, strict=True):
            is_whole = completion.finish_reason == "stop"
            text = _answer(completion.text, request.max_new_tokens) if is_whole else ""
            self.counts["answered" if text else "said nothing" if is_whole else "cut off"] += 1
            self._said[key] = text
            if text or not is_whole:  # who said nothing may be mended, and is asked again the next time
                self._path.parent.mkdir(parents=True, exist_ok=True)
                append_jsonl(self._path, Taught(key=key, text=text))

    def _key(self, request: GenerationRequest) -> str:
        return content_id(self.name, msgspec.json.encode(request, order="deterministic").decode(), length=24)

    def _read(self) -> dict[str, str]:
        try:
            return {row.key: row.text for row in read_finished_jsonl(self._path, Taught)}
        except msgspec.DecodeError:
            return self._mend()

    def _mend(self) -> dict[str, str]:
        """Return the answers of a damaged file, and leave the lines that are none out of it."""
        rows = []
        for line in self._path.read_bytes().splitlines():
            with contextlib.suppress(msgspec.DecodeError):
                rows.append(msgspec.json.decode(line, type=Taught))
        write_jsonl(self._path, rows)
        return {row.key: row.text for row in rows}


def _answer(text: str, max_new_tokens: int) -> str:
    """Return a text without the thoughts before it; empty where that is all, or where it is far too long."""
    spoken = _THOUGHTS.sub("", text.strip())
    return "" if _THINKS.match(spoken) or len(spoken) > _TOKEN_CHARACTERS * max_new_tokens else spoken.strip()
