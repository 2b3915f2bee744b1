"""An engine without a model, for tests and dry runs: it quotes the passage that fits the question best."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from prometheus_client import Metric

from assistant.core.errors import EngineUnavailable, ModelError, NotFoundError
from assistant.core.language import detect_language
from assistant.core.prompts import not_covered
from assistant.core.records import Message, ToolCall, Usage
from assistant.engine.protocol import (
    Completion,
    FinishReason,
    GenerationRequest,
    Offer,
    PromptTooLong,
    StreamEnd,
    TextDelta,
)
from assistant.engine.text_stream import StopFilter

# words with the blank before them, single Chinese characters, single other signs
_TOKEN = re.compile(r"\s*[A-Za-z0-9_]+|\s*[^\sA-Za-z0-9_]|\s+$")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*|[㐀-䶿一-鿿]")
_PASSAGE = re.compile(r"^\[(\d+)\] [^\n]*\n", re.MULTILINE)
_SENTENCE = re.compile(r"[^。！？!?\n]+?(?:[。！？!?]|\.(?=\s|$)|(?=\n|$))")
_CALL = re.compile(r"call: (\w+) (\{.*\})", re.DOTALL)
_LEAST_OVERLAP = 2
_UNKNOWN = {"en": "I do not know.", "zh": "我不知道。"}
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an and are be can do does for from how i if in is it my not of on or that the this to was what "
        "when where which who why with you your 的 了 是 在 我 有 吗 呢 么 什 怎 和 请 多 少 哪 个 一",
    )
)


class ScriptedEngine:
    """Answers by rules, else from the numbered passages of the system message, else that it does not know.

    Args:
        rules: pairs of a regular expression and an answer; the first that is found in the last user
            message, or in the whole prompt, decides.
        token_seconds: time that each token takes; a reader that is late finds its tokens made.
        window_tokens: longest prompt.
        offers: what it can do beside writing text; a rule's answer ``call: NAME {…}`` asks for a tool.
        least_tokens: quote further sentences until an answer is that long.
    """

    def __init__(
        self,
        rules: Sequence[tuple[str, str]] = (),
        *,
        token_seconds: float = 0.0,
        window_tokens: int = 32768,
        offers: frozenset[Offer] = frozenset(),
        least_tokens: int = 0,
    ) -> None:
        self._rules = [(re.compile(pattern), answer) for pattern, answer in rules]
        self._token_seconds = token_seconds
        self._window_tokens = window_tokens
        self._offers = offers
        self._least_tokens = least_tokens
        self._sources: dict[str, str] = {}
        self._is_closed = False

    @property
    def base_model(self) -> str:
        """Name of the base model."""
        return "scripted"

    @property
    def offers(self) -> frozenset[Offer]:
        """What it was told to offer."""
        return self._offers

    def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Answer all requests; results in the order given."""
        return [_collect(self.stream(request)) for request in requests]

    def stream(self, request: GenerationRequest) -> Generator[TextDelta | StreamEnd, None, None]:
        """Answer one request word by word."""
        if self._is_closed:
            raise EngineUnavailable("the engine is closed")
        if request.adapter is not None and request.adapter not in self._sources:
            known = ", ".join(self._sources) or "none"
            raise NotFoundError(f"adapter {request.adapter!r} is not loaded; loaded: {known}")
        prompt_tokens = sum(self.count_tokens(message.content) for message in request.messages)
        if prompt_tokens >= self._window_tokens:
            raise PromptTooLong(
                f"the prompt has {prompt_tokens} tokens, the model's window is {self._window_tokens}"
            )
        return self._generate(request, prompt_tokens)

    def load_adapter(self, name: str, folder: str) -> None:
        """Make an adapter available under a name; only its presence is looked at.

        Raises:
            ModelError: the folder holds no adapter, or the name is taken.
        """
        if self._sources.get(name, folder) != folder:
            raise ModelError(f"adapter name {name!r} stands for {self._sources[name]} already")
        if not (Path(folder) / "adapter_config.json").is_file():
            raise ModelError(f"adapter {folder}: adapter_config.json is missing")
        self._sources[name] = folder

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter."""
        self._sources.pop(name, None)

    def prove_adapter(self, name: str) -> bool:
        """Return True: there are no weights whose texts could be others."""
        if name not in self._sources:
            raise NotFoundError(f"adapter {name!r} is not loaded")
        return True

    def numerics(self) -> str:
        """Return what texts hang on."""
        return "scripted"

    def metrics(self) -> list[Metric]:
        """Return no figures."""
        return []

    def adapters(self) -> tuple[str, ...]:
        """Return the names of the loaded adapters."""
        return tuple(self._sources)

    def count_tokens(self, text: str) -> int:
        """Return the number of words, Chinese characters and other signs."""
        return len(_TOKEN.findall(text))

    def problems(self) -> tuple[str, ...]:
        """Return why the engine cannot answer now; empty when it is ready."""
        return ("the engine is closed",) if self._is_closed else ()

    def close(self) -> None:
        """End running requests as cancelled."""
        self._is_closed = True

    def _generate(
        self, request: GenerationRequest, prompt_tokens: int
    ) -> Generator[TextDelta | StreamEnd, None, None]:
        stop = StopFilter(request.stop)
        reason: FinishReason = "stop"
        count = 0
        answer = self._answer(request.messages)
        called = _CALL.fullmatch(answer) if request.tools and "tools" in self._offers else None
        if called:
            call = ToolCall(id="call-1", name=called[1], arguments=called[2])
            usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=self.count_tokens(answer))
            yield StreamEnd(finish_reason="tool_calls", usage=usage, tool_calls=(call,))
            return
        begun = time.monotonic()
        for token in _TOKEN.findall(answer):
            if self._is_closed or count == request.max_new_tokens:
                reason = "cancelled" if self._is_closed else "length"
                break
            count += 1
            if self._token_seconds:
                time.sleep(max(0.0, begun + count * self._token_seconds - time.monotonic()))
            if shown := stop.feed(token):
                yield TextDelta(text=shown)
            if stop.is_stopped:
                break
        if held := stop.flush():
            yield TextDelta(text=held)
        usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=count)
        yield StreamEnd(finish_reason=reason, usage=usage)

    def _answer(self, messages: Sequence[Message]) -> str:
        question = next((m.content for m in reversed(messages) if m.role == "user"), "")
        prompt = "\n".join(message.content for message in messages)
        for pattern, answer in self._rules:
            if pattern.search(question) or pattern.search(prompt):
                return answer
        system = "\n".join(message.content for message in messages if message.role == "system")
        passages = split_context(system)
        language = detect_language(question)
        if not passages:
            return _UNKNOWN[language]
        best = _best_sentence(question, passages)
        return self._lengthened(best, passages) if best else not_covered(language)

    def _lengthened(self, answer: str, passages: dict[int, str]) -> str:
        """Return an answer with further sentences of the passages behind it, as long as it must be."""
        for number, passage in passages.items():
            for match in _SENTENCE.finditer(passage):
                if self.count_tokens(answer) >= self._least_tokens:
                    return answer
                if sentence := match.group().strip():
                    answer = f"{answer} {sentence} [{number}]"
        return answer


def split_context(text: str) -> dict[int, str]:
    """Return the numbered passages of a prompt by number, without their heading lines."""
    found = list(_PASSAGE.finditer(text))
    passages = {}
    for place, match in enumerate(found):
        end = found[place + 1].start() if place + 1 < len(found) else len(text)
        passages[int(match.group(1))] = text[match.end() : end].strip()
    return passages


def _best_sentence(question: str, passages: dict[int, str]) -> str:
    """Return the sentence that shares most with the question, and its number; empty if none shares enough.

    A Latin word or a code weighs as much as two Chinese characters.
    """
    wanted = _words(question)
    best, most = "", _LEAST_OVERLAP - 1
    for number, passage in passages.items():
        for match in _SENTENCE.finditer(passage):
            sentence = match.group().strip()
            overlap = sum(2 if word.isascii() else 1 for word in wanted & _words(sentence))
            if overlap > most:
                best, most = f"{sentence} [{number}]", overlap
    return best


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)} - _COMMON


def _collect(events: Generator[TextDelta | StreamEnd, None, None]) -> Completion:
    pieces: list[str] = []
    for event in events:
        if isinstance(event, StreamEnd):
            return Completion(text="".join(pieces), finish_reason=event.finish_reason, usage=event.usage)
        pieces.append(event.text)
    raise EngineUnavailable("the stream ended without an end")
