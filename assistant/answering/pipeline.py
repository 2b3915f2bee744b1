"""From a question to a checked answer: search, compose, generate, verify."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol

import msgspec

from assistant.answering.abstention import is_abstention, without_afterthought
from assistant.answering.citations import cite, is_grounded, make_citation
from assistant.answering.engine_spans import traced_stream
from assistant.answering.events import AnswerDone, AnswerEvent, AnswerText, PassagesFound, Question
from assistant.answering.extracts import extract
from assistant.answering.figures import mend_figures
from assistant.answering.formats import finish_formed, instruct, write_formed
from assistant.core.context import choose_context
from assistant.core.errors import EngineUnavailable, InputError, NotFoundError
from assistant.core.ids import random_id
from assistant.core.language import Language, detect_language
from assistant.core.progress import NoProgress, Progress
from assistant.core.prompts import answer_messages, not_covered, render
from assistant.core.records import Answer, Arm, Filters, Message, Passage, Record, ToolCall, Usage
from assistant.core.settings import Settings
from assistant.core.tracing import span
from assistant.engine.protocol import Completion, Engine, GenerationRequest, StreamEnd, TextDelta
from indexing.codes import UnknownCode
from indexing.search import query_in_context

_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffd]")


class PassageSource(Protocol):
    """Finds passages; ``indexing.search.Searcher`` is the real one."""

    def search(
        self, query: str, top_k: int | None = None, filters: Filters | None = None
    ) -> tuple[Passage, ...]:
        """Return the best passages, best first."""

    def search_many(
        self, queries: Sequence[str], top_k: int | None = None, filters: Filters | None = None
    ) -> list[tuple[Passage, ...]]:
        """Search for several queries at once."""

    def evidence(self, query: str, passages: Sequence[Passage]) -> float:
        """Return how well the passages cover the query, from 0 to 1."""

    def unknown_codes(self, question: str, filters: Filters | None = None) -> tuple[UnknownCode, ...]:
        """Return codes of the question that look like those of the documents that pass and are none."""


class GenerationOptions(Record, frozen=True, kw_only=True):
    """How to generate; None takes the settings' value.

    ``context_turn`` passages are moved from the context's front to its back: an answer should not hang on it.
    ``json_schema`` is what the text must fit; ``tools`` are what the engine may ask for, in OpenAI's shape.
    """

    max_new_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    context_turn: int = 0
    json_schema: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] | None = None


class _Prepared(Record, frozen=True, kw_only=True):
    """A question with its context; without ``request`` the ``refusal`` is the answer."""

    id: str
    question: Question
    arm: Arm
    language: Language
    passages: tuple[Passage, ...]
    request: GenerationRequest | None
    refusal: str
    retrieve_seconds: float
    release: str | None
    json_schema: dict[str, Any] | None = None


class Pipeline:
    """Answers questions over one collection.

    Args:
        engine: what generates.
        searcher: finds passages; None where only arms without documents are asked.
        settings: all settings.
        adapter: name of the loaded adapter that the arms ``ft`` and ``rag+ft`` use.
        release: id of the release that all of this is, None where it is none.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        searcher: PassageSource | None,
        settings: Settings,
        adapter: str | None = None,
        release: str | None = None,
    ) -> None:
        self.engine = engine
        self.searcher = searcher
        self.settings = settings
        self.adapter = adapter
        self.release = release

    @property
    def default_arm(self) -> Arm:
        """The best arm that is there: ``rag+ft`` with an adapter, else ``rag``."""
        return "rag+ft" if self.adapter else "rag"

    def stream(
        self, question: Question, arm: Arm | None = None, options: GenerationOptions | None = None
    ) -> Iterator[AnswerEvent]:
        """Answer piece by piece; closing the iterator cancels the generation.

        Raises:
            InputError: the question is empty, too long or not text.
            NotFoundError: the arm needs an index or an adapter that is not there.
            EngineError: generation failed.
        """
        began = time.perf_counter()
        (prepared,) = self._prepare([question], arm or self.default_arm, options or GenerationOptions())
        citations = tuple(
            make_citation(number, passage, question.text)
            for number, passage in enumerate(prepared.passages, 1)
        )
        yield PassagesFound(passages=prepared.passages, citations=citations)
        if prepared.request is None:
            yield AnswerText(text=prepared.refusal)
            yield AnswerDone(answer=_finish(prepared, prepared.refusal, Usage(), began, 0.0))
            return
        yield from self._generate(prepared, prepared.request, began)

    def _quotes(self, row: _Prepared) -> bool:
        """Tell whether a question is answered with quotes where the engine cannot be reached."""
        return self.settings.answer.when_engine_fails == "quote" and bool(row.passages)

    def answer(
        self, question: Question, arm: Arm | None = None, options: GenerationOptions | None = None
    ) -> Answer:
        """Answer at once; errors as in ``stream``."""
        return self.answer_many([question], arm, options)[0]

    def answer_many(
        self,
        questions: Sequence[Question],
        arm: Arm | None = None,
        options: GenerationOptions | None = None,
        progress: Progress | None = None,
    ) -> list[Answer]:
        """Answer several questions, searched and generated in batches; answers in the order given."""
        told = progress or NoProgress()
        began = time.perf_counter()
        prepared = self._prepare(questions, arm or self.default_arm, options or GenerationOptions())
        asked = [row for row in prepared if row.request is not None]
        requests = [row.request for row in asked if row.request is not None]
        try:
            completions = self.engine.complete(requests) if requests else []
        except EngineUnavailable:
            if not all(self._quotes(row) for row in asked):
                raise
            completions, asked = [], []
        by_id: dict[str, Completion] = {row.id: done for row, done in zip(asked, completions, strict=True)}
        answers = []
        for row in prepared:
            done = by_id.get(row.id)
            if done is None and row.request is not None:
                answers.append(_extracted(row, began))
                continue
            text = done.text if done else row.refusal
            answers.append(_finish(row, text, done.usage if done else Usage(), began, None))
            told.advance()
        return answers

    def _prepare(
        self, questions: Sequence[Question], arm: Arm, options: GenerationOptions
    ) -> list[_Prepared]:
        with span("understand", {"deskmate.turns": sum(len(question.history) for question in questions)}):
            for question in questions:
                check_question(question.text, self.settings.answer.max_question_characters)
        if arm in {"ft", "rag+ft"} and self.adapter is None:
            raise NotFoundError(
                f"arm {arm!r} needs a tuned adapter and there is none", next_command="deskmate train"
            )
        began = time.perf_counter()
        found = self._search(questions) if arm in {"rag", "rag+ft"} else [None] * len(questions)
        seconds = time.perf_counter() - began
        with span("compose", {"deskmate.arm": arm}) as step:
            composed = [
                self._compose(question, passages, arm, options, seconds)
                for question, passages in zip(questions, found, strict=True)
            ]
            step.note({"deskmate.passages": sum(len(row.passages) for row in composed)})
        return composed

    def _search(self, questions: Sequence[Question]) -> list[tuple[Passage, ...] | None]:
        if self.searcher is None:
            raise NotFoundError("there is no index to search", next_command="deskmate index add PATH")
        pool = max(self.settings.search.top_k, 2 * self.settings.answer.context_passages)
        found: list[tuple[Passage, ...]] = []
        with span("retrieval", {"gen_ai.operation.name": "retrieval"}) as step:
            for filters, group in groupby(questions, key=lambda question: question.filters):
                queries = [search_query(question) for question in group]
                found.extend(self.searcher.search_many(queries, pool, filters))
            step.note({"deskmate.passages": sum(map(len, found))})
        return list(found)

    def _compose(
        self,
        question: Question,
        found: tuple[Passage, ...] | None,
        arm: Arm,
        options: GenerationOptions,
        seconds: float,
    ) -> _Prepared:
        language = detect_language(question.text)
        answer = self.settings.answer
        passages: tuple[Passage, ...] = ()
        refusal = ""
        if found is not None:
            passages = choose_context(
                found,
                self.engine.count_tokens,
                max_passages=answer.context_passages,
                max_tokens=answer.context_tokens,
            )
            turn = options.context_turn % len(passages) if passages else 0
            passages = passages[turn:] + passages[:turn]
            refusal = "" if options.tools else self._refusal(question, found, language)
        shown = passages if found is not None else None
        history = recent_history(question, answer.history_turns)
        if options.json_schema is not None:
            history = (instruct(options.json_schema, language), *history)
        request = GenerationRequest(
            messages=(*answer_messages(question.text, language, shown, history), *question.after),
            adapter=self.adapter if arm in {"ft", "rag+ft"} else None,
            max_new_tokens=options.max_new_tokens or self.settings.engine.max_new_tokens,
            temperature=options.temperature,
            top_p=options.top_p,
            seed=options.seed,
            stop=options.stop,
            tools=options.tools,
            tool_choice=options.tool_choice,
        )
        return _Prepared(
            id=random_id("ans"),
            question=question,
            arm=arm,
            language=language,
            passages=passages,
            request=None if refusal else request,
            refusal=refusal,
            retrieve_seconds=seconds,
            release=self.release,
            json_schema=options.json_schema,
        )

    def _refusal(self, question: Question, found: tuple[Passage, ...], language: Language) -> str:
        """Return what to say where the documents do not cover the question, empty where they do."""
        if self.searcher is None or not found:
            return not_covered(language)
        unknown = self.searcher.unknown_codes(question.text, question.filters)
        if unknown:
            nearest = [code for row in unknown for code in row.nearest]
            comma = "、" if language == "zh" else ", "
            codes = comma.join(row.code for row in unknown)
            return render("unknown_code", language, codes=codes, nearest=comma.join(nearest))
        # a follow-up may lean on the turn before or open a subject of its own
        asked = {search_query(question), question.text}
        score = max(self.searcher.evidence(query, found) for query in asked)
        return "" if score >= self.settings.answer.evidence_threshold else not_covered(language)

    def _generate(
        self, prepared: _Prepared, request: GenerationRequest, began: float
    ) -> Iterator[AnswerEvent]:
        if prepared.json_schema is not None:
            formed = write_formed(self.engine, request, prepared.json_schema, prepared.language)
            answer = _finish(prepared, formed.text, formed.usage, began, None)
            yield AnswerText(text=answer.text)
            yield AnswerDone(answer=answer)
            return
        pieces: list[str] = []
        first = 0.0
        usage = Usage()
        calls: tuple[ToolCall, ...] = ()
        try:
            events = traced_stream(self.engine, request, self.settings.engine.kind)
        except EngineUnavailable:
            if not self._quotes(prepared):
                raise
            answer = _extracted(prepared, began)
            yield AnswerText(text=answer.text)
            yield AnswerDone(answer=answer)
            return
        try:
            for event in events:
                if isinstance(event, TextDelta):
                    first = first or time.perf_counter() - began
                    pieces.append(event.text)
                    yield AnswerText(text=event.text)
                elif isinstance(event, StreamEnd):
                    usage, calls = event.usage, event.tool_calls
        finally:
            events.close()
        finish = _answered if calls else _finish
        answer = finish(prepared, "".join(pieces), usage, began, first)
        yield AnswerDone(answer=msgspec.structs.replace(answer, tool_calls=calls))


def check_question(text: str, limit: int) -> None:
    """Refuse what is no question.

    Raises:
        InputError: it is empty, longer than ``limit`` characters, or holds control characters.
    """
    if not text.strip():
        raise InputError("the question is empty")
    if len(text) > limit:
        raise InputError(f"the question has {len(text)} characters, at most {limit} are read")
    if _NOT_TEXT.search(text):
        raise InputError("the question is not text: it holds control characters or broken UTF-8")


def search_query(question: Question) -> str:
    """Return what is searched for: the question after the person's last turn, which it may lean on.

    A follow-up such as "and the other model?" means nothing by itself.
    """
    return query_in_context(question.text, question.history)


def recent_history(question: Question, turn_count: int) -> tuple[Message, ...]:
    """Return the instructions among the earlier turns, and the last ``turn_count`` exchanges."""
    added = [turn for turn in question.history if turn.role == "system"]
    spoken = [turn for turn in question.history if turn.role != "system"]
    return (*added, *spoken[max(0, len(spoken) - 2 * turn_count) :])


def _finish(row: _Prepared, text: str, usage: Usage, began: float, first: float | None) -> Answer:
    with span("verify") as step:
        answer = _checked(row, text, usage, began, first)
        step.note(
            {
                "deskmate.language": answer.language,
                "deskmate.abstained": answer.abstained,
                "deskmate.citations": len(answer.citations),
            }
        )
    return answer


def _checked(row: _Prepared, text: str, usage: Usage, began: float, first: float | None) -> Answer:
    if row.json_schema is not None and row.request is not None:
        return finish_formed(_answered(row, text, usage, began, first), row.json_schema)
    has_context = row.arm in {"rag", "rag+ft"}
    text = without_afterthought(text, row.language) if has_context else text
    abstained = row.request is None or is_abstention(text, row.language)
    # what stands on a tool's result stands on no passage
    if has_context and not abstained and not row.question.after and not is_grounded(text, row.passages):
        text, abstained = not_covered(row.language), True
    if has_context and not abstained:
        text = mend_figures(row.question.text, text, row.passages)
    checked, citations = (text.strip(), ()) if abstained or not has_context else cite(text, row.passages)
    made = _answered(row, checked, usage, began, first)
    return msgspec.structs.replace(made, abstained=abstained, citations=citations)


def _answered(row: _Prepared, text: str, usage: Usage, began: float, first: float | None = None) -> Answer:
    """Return a text as an answer, as it is."""
    timings = {"retrieve": row.retrieve_seconds, "total": time.perf_counter() - began}
    timings |= {} if first is None else {"first_token": first}
    return Answer(
        id=row.id,
        question=row.question.text,
        text=text,
        abstained=False,
        citations=(),
        passages=row.passages,
        arm=row.arm,
        language=row.language,
        timings={name: round(seconds, 4) for name, seconds in timings.items()},
        usage=usage,
        release=row.release,
    )


def _extracted(row: _Prepared, began: float) -> Answer:
    """Return an answer of quotes, for an engine that cannot be reached."""
    text, citations = extract(row.question.text, row.language, row.passages)
    answer = _finish(row, not_covered(row.language), Usage(), began, None)
    return msgspec.structs.replace(answer, text=text, citations=citations, abstained=False, is_extract=True)
