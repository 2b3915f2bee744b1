"""From a question to a checked answer: understand, route, retrieve, compose, generate, check."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol

from assistant.answering.checking import finish, finish_calls, finish_extract
from assistant.answering.citations import make_citation
from assistant.answering.composing import (
    GenerationOptions,
    Prepared,
    compose_context,
    compose_request,
    secret_instructions,
)
from assistant.answering.engine_spans import traced_stream
from assistant.answering.events import AnswerDone, AnswerEvent, AnswerText, PassagesFound, Question
from assistant.answering.formats import write_formed
from assistant.answering.routing import (
    CoverageSource,
    CuratedSource,
    Decision,
    route_before_search,
    route_passages,
)
from assistant.answering.sanitising import SafeText
from assistant.answering.task_profiles import in_form, in_role
from assistant.answering.understanding import Understood, understand
from assistant.core.errors import EngineUnavailable, InputError, NotFoundError
from assistant.core.ids import random_id
from assistant.core.progress import NoProgress, Progress
from assistant.core.records import Answer, Arm, Filters, Neighbours, Passage, Route, ToolCall, Usage
from assistant.core.settings import Settings
from assistant.core.tracing import span
from assistant.engine.protocol import Completion, Engine, GenerationRequest, StreamEnd, TextDelta

_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffd]")
_WITH_DOCUMENTS = frozenset({"rag", "rag+ft"})
_TUNED = frozenset({"ft", "rag+ft"})


class PassageSource(CoverageSource, Protocol):
    """Finds passages; ``indexing.search.Searcher`` is the real one."""

    def search(
        self, query: str, top_k: int | None = None, filters: Filters | None = None
    ) -> tuple[Passage, ...]:
        """Return the best passages, best first."""

    def search_many(
        self, queries: Sequence[str], top_k: int | None = None, filters: Filters | None = None
    ) -> list[tuple[Passage, ...]]:
        """Search for several queries at once."""

    def neighbours(self, passage: Passage, count: int, filters: Filters | None = None) -> Neighbours:
        """Return what stands around a passage in its document."""


class Pipeline:
    """Answers questions over one collection.

    Args:
        engine: what generates.
        searcher: finds passages; None where only arms without documents are asked.
        settings: all settings.
        adapter: name of the loaded adapter that the arms ``ft`` and ``rag+ft`` use.
        release: id of the release that all of this is, None where it is none.
        curated: finds answers that a person wrote, None where there are none.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        searcher: PassageSource | None,
        settings: Settings,
        adapter: str | None = None,
        release: str | None = None,
        curated: CuratedSource | None = None,
    ) -> None:
        self.engine = engine
        self.searcher = searcher
        self.settings = settings
        self.adapter = adapter
        self.release = release
        self.curated = curated

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
        (prepared,) = self.prepare([question], arm or self.default_arm, options or GenerationOptions())
        citations = tuple(
            make_citation(number, passage, question.text)
            for number, passage in enumerate(prepared.passages, 1)
        )
        yield PassagesFound(passages=prepared.passages, citations=citations)
        if prepared.request is None:
            yield AnswerText(text=prepared.decision.text)
            yield AnswerDone(answer=self._finish(prepared, prepared.decision.text, Usage(), began, 0.0))
            return
        yield from self._generate(prepared, prepared.request, began)

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
        prepared = self.prepare(questions, arm or self.default_arm, options or GenerationOptions())
        asked = [row for row in prepared if row.request is not None]
        try:
            completions = self._complete(asked)
        except EngineUnavailable:
            if not all(self._quotes(row) for row in asked):
                raise
            completions, asked = [], []
        by_id: dict[str, Completion] = {row.id: done for row, done in zip(asked, completions, strict=True)}
        answers = []
        for row in prepared:
            done = by_id.get(row.id)
            if done is None and row.request is not None:
                answers.append(finish_extract(row, began, self.settings.answer))
                continue
            text = done.text if done else row.decision.text
            answers.append(self._finish(row, text, done.usage if done else Usage(), began, None))
            told.advance()
        return answers

    def _complete(self, rows: Sequence[Prepared]) -> list[Completion]:
        """Return what the engine writes for each row; all that need no form together."""
        asked = [(row, row.request) for row in rows if row.request is not None]
        plain = [request for row, request in asked if row.json_schema is None]
        free = iter(self.engine.complete(plain) if plain else [])
        return [
            next(free)
            if row.json_schema is None
            else write_formed(self.engine, request, row.json_schema, row.understood.language)
            for row, request in asked
        ]

    def prepare(self, questions: Sequence[Question], arm: Arm, options: GenerationOptions) -> list[Prepared]:
        """Take questions through all stages before the engine."""
        for question in questions:
            check_question(question.text, self.settings.answer.max_question_characters)
        if arm in _TUNED and self.adapter is None:
            raise NotFoundError(
                f"arm {arm!r} needs a tuned adapter and there is none", next_command="deskmate train"
            )
        policy = self.settings.answer.injections
        with span("understand", {"deskmate.turns": sum(len(question.history) for question in questions)}):
            understood = [understand(question, policy) for question in questions]
        with span("route"):
            early = [
                self._route_early(row, question, arm)
                for row, question in zip(understood, questions, strict=True)
            ]
        task = self.settings.task
        options = in_form(options, task)
        questions = [
            in_role(question, task, row.language) for question, row in zip(questions, understood, strict=True)
        ]
        began = time.perf_counter()
        found = self._retrieve(questions, understood, early, arm)
        seconds = time.perf_counter() - began
        with span("compose", {"deskmate.arm": arm}) as step:
            composed = [
                self._compose(*row, arm, options, seconds)
                for row in zip(questions, understood, early, found, strict=True)
            ]
            step.note({"deskmate.passages": sum(len(row.passages) for row in composed)})
        return composed

    def _route_early(self, understood: Understood, question: Question, arm: Arm) -> Decision | None:
        if arm not in _WITH_DOCUMENTS and understood.text.strip():
            return Decision(route=Route(name="closed_book"))
        return route_before_search(understood, question, self.curated if arm in _WITH_DOCUMENTS else None)

    def _retrieve(
        self,
        questions: Sequence[Question],
        understood: Sequence[Understood],
        early: Sequence[Decision | None],
        arm: Arm,
    ) -> list[tuple[Passage, ...] | None]:
        """Return the passages of each question whose way is open, best first."""
        if arm not in _WITH_DOCUMENTS:
            return [None] * len(questions)
        if self.searcher is None:
            raise NotFoundError("there is no index to search", next_command="deskmate index add PATH")
        pool = max(self.settings.search.top_k, 2 * self.settings.answer.context_passages)
        open_places = [place for place, decision in enumerate(early) if decision is None]
        found: list[tuple[Passage, ...] | None] = [() for _ in questions]
        with span("retrieval", {"gen_ai.operation.name": "retrieval"}) as step:
            for filters, group in groupby(open_places, key=lambda place: questions[place].filters):
                places = list(group)
                queries = [understood[place].standalone for place in places]
                passages = self.searcher.search_many(queries, pool, filters)
                for place, row in zip(places, passages, strict=True):
                    found[place] = row
            step.note({"deskmate.passages": sum(len(row or ()) for row in found)})
        return found

    def _compose(
        self,
        question: Question,
        understood: Understood,
        early: Decision | None,
        found: tuple[Passage, ...] | None,
        arm: Arm,
        options: GenerationOptions,
        seconds: float,
    ) -> Prepared:
        settings, engine = self.settings, self.engine
        passages, guarded = compose_context(found, understood, engine, settings, options.context_turn)
        decision = early
        if decision is None and options.tools:  # the engine may call a tool for what the documents lack
            decision = Decision(route=Route(name="retrieval"))
        decision = decision or self._route(understood, question, found or ())
        request = None
        if not decision.text:
            request = compose_request(
                question,
                understood,
                guarded.shown if found is not None else None,
                engine,
                settings,
                options,
                self.adapter if arm in _TUNED else None,
            )
        return Prepared(
            id=random_id("ans"),
            question=question,
            understood=understood,
            decision=decision,
            arm=arm,
            found=found,
            passages=passages,
            checked=guarded.checked,
            withheld=guarded.withheld,
            instructions=secret_instructions(question, understood),
            request=request,
            retrieve_seconds=seconds,
            release=self.release,
            json_schema=options.json_schema,
        )

    def _route(self, understood: Understood, question: Question, found: tuple[Passage, ...]) -> Decision:
        if self.searcher is None:
            raise NotFoundError("there is no index to search", next_command="deskmate index add PATH")
        least = self.settings.answer.evidence_threshold
        return route_passages(understood, question, found, self.searcher, least)

    def _quotes(self, row: Prepared) -> bool:
        """Tell whether a question is answered with quotes where the engine cannot be reached."""
        return self.settings.answer.when_engine_fails == "quote" and bool(row.passages)

    def _finish(self, row: Prepared, text: str, usage: Usage, began: float, first: float | None) -> Answer:
        with span("verify") as step:
            answer = finish(row, text, usage, began, first, self.settings.answer)
            step.note(
                {
                    "deskmate.language": answer.language,
                    "deskmate.abstained": answer.abstained,
                    "deskmate.route": answer.route.name,
                    "deskmate.citations": len(answer.citations),
                }
            )
        return answer

    def _generate(
        self, prepared: Prepared, request: GenerationRequest, began: float
    ) -> Iterator[AnswerEvent]:
        if prepared.json_schema is not None:
            language = prepared.understood.language
            formed = write_formed(self.engine, request, prepared.json_schema, language)
            answer = self._finish(prepared, formed.text, formed.usage, began, None)
            yield AnswerText(text=answer.text)
            yield AnswerDone(answer=answer)
            return
        pieces: list[str] = []
        first = 0.0
        usage = Usage()
        calls: tuple[ToolCall, ...] = ()
        try:
            events = traced_stream(self.engine, request)
        except EngineUnavailable:
            if not self._quotes(prepared):
                raise
            answer = finish_extract(prepared, began, self.settings.answer)
            yield AnswerText(text=answer.text)
            yield AnswerDone(answer=answer)
            return
        safe = SafeText([passage.chunk.text for passage in prepared.checked])
        try:
            for event in events:
                if isinstance(event, TextDelta):
                    first = first or time.perf_counter() - began
                    pieces.append(event.text)
                    if shown := safe.feed(event.text):
                        yield AnswerText(text=shown)
                elif isinstance(event, StreamEnd):
                    usage, calls = event.usage, event.tool_calls
        finally:
            events.close()
        if held := safe.flush():
            yield AnswerText(text=held)
        text = "".join(pieces)
        if calls:
            done = finish_calls(prepared, text, usage, began, calls, self.settings.answer)
        else:
            done = self._finish(prepared, text, usage, began, first)
        yield AnswerDone(answer=done)


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
