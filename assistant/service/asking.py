"""One question of one caller: what it may read, the answer's events, and the answer stored."""

from collections.abc import AsyncGenerator, Iterator, Sequence

import msgspec

from assistant.answering.composing import GenerationOptions
from assistant.answering.events import AnswerDone, AnswerEvent, AnswerText, Question
from assistant.answering.pipeline import Pipeline
from assistant.core.access import Caller
from assistant.core.errors import DeskmateError, EngineError
from assistant.core.records import Answer, Arm
from assistant.core.settings import Settings
from assistant.core.tracing import note
from assistant.service.access import allowed_arm, check_collection, narrow
from assistant.service.crossing import iterate_off_loop
from assistant.service.kept import Kept
from assistant.service.metrics import Metrics
from assistant.service.problems import NotOffered
from assistant.service.schemas import Schema
from assistant.service.wiring import Service
from assistant.store.answers import Answers, Lineage
from indexing.search import Searcher


class Ask(Schema, frozen=True, kw_only=True):
    """A question with all that belongs to it.

    Attributes:
        collection: asked.
        arm: how to answer, None for the best there is.
        question: with its history and the filters that were asked for.
        options: of the generation.
        conversation_id: that the answer is a turn of.
        release: another one than the served one.
    """

    collection: str
    arm: Arm | None
    question: Question
    options: GenerationOptions
    conversation_id: str | None = None
    release: str | None = None


class Desk:
    """Answers questions on behalf of callers.

    Args:
        service: opens pipelines.
        kept: where answers are stored.
        metrics: what is counted.
    """

    def __init__(self, service: Service, kept: Kept, metrics: Metrics) -> None:
        self._service = service
        self._kept = kept
        self._metrics = metrics

    async def ask(self, caller: Caller, asked: Ask) -> AsyncGenerator[AnswerEvent, None]:
        """Open what is needed and return the answer's events; the last one comes once it is stored.

        Raises:
            NotFoundError: no such collection exists for the caller, or it lacks what the arm needs.
            Forbidden: the filters or the arm ask for what the caller may not read.
            EngineBusy: too many questions wait.
            NotReady: the default collection is still being opened.
            NotOffered: the request has tools, and the engine offers none.
        """
        check_collection(caller, asked.collection)
        note({"gen_ai.data_source.id": asked.collection})
        arm = allowed_arm(caller, asked.arm)
        question = msgspec.structs.replace(asked.question, filters=narrow(caller, asked.question.filters))
        # who names an arm or a release looks for something: only what is left open takes part in an A/B
        conversation = "" if asked.arm else _conversation(caller, asked)
        pipeline = await self._service.pipeline(asked.collection, asked.release, conversation)
        if asked.options.tools and "tools" not in pipeline.engine.offers:
            reason = "the engine offers no tools; SGLang does with [sglang] tool_call_parser"
            raise NotOffered(reason, "tools")
        made_with: list[Lineage] = []

        def work() -> Iterator[AnswerEvent]:
            # here, where it may block: the snapshot may have to be opened for it
            made_with.append(describe(pipeline, self._service.settings))
            return pipeline.stream(question, arm, asked.options)

        events = iterate_off_loop(work, self._service.answering, join_texts)
        return self._stored(events, caller, asked, made_with)

    async def answer(self, caller: Caller, asked: Ask) -> Answer:
        """Return a whole answer; errors as in ``ask``, and those of the engine."""
        return await finish(await self.ask(caller, asked))

    async def _stored(
        self,
        events: AsyncGenerator[AnswerEvent, None],
        caller: Caller,
        asked: Ask,
        made_with: Sequence[Lineage],
    ) -> AsyncGenerator[AnswerEvent, None]:
        with self._service.admitted():
            try:
                async for event in events:
                    if isinstance(event, AnswerDone):
                        await self._store(event.answer, caller, asked, made_with[0])
                    yield event
            except DeskmateError as error:
                for lineage in made_with:
                    self._metrics.count_failure(_of_arm(lineage, asked.arm), error)
                raise
            finally:
                await events.aclose()

    async def _store(self, answer: Answer, caller: Caller, asked: Ask, lineage: Lineage) -> None:
        made_with = msgspec.structs.replace(
            _of_arm(lineage, answer.arm),
            release=answer.release,
            route=answer.route.name,
            confidence=answer.route.confidence,
            reason=answer.route.reason,
        )
        await self._kept.write(
            lambda session: Answers(session).save(
                answer,
                key_id=caller.id,
                collection=asked.collection,
                lineage=made_with,
                conversation_id=asked.conversation_id,
            )
        )
        self._metrics.count_answer(answer)
        self._metrics.count_model(made_with, answer)


def _of_arm(lineage: Lineage, arm: Arm | None) -> Lineage:
    return msgspec.structs.replace(lineage, adapter=None) if arm in {"base", "rag"} else lineage


def _conversation(caller: Caller, asked: Ask) -> str:
    """Return what tells a conversation from others; without an id its first question and who asks it."""
    if asked.conversation_id:
        return asked.conversation_id
    turns = (turn.content for turn in asked.question.history if turn.role == "user")
    return f"{caller.id} {next(turns, asked.question.text)}"


def join_texts(events: Sequence[AnswerEvent]) -> Sequence[AnswerEvent]:
    """Return events with neighbouring pieces of text made one."""
    joined: list[AnswerEvent] = []
    for event in events:
        last = joined[-1] if joined else None
        if isinstance(event, AnswerText) and isinstance(last, AnswerText):
            joined[-1] = AnswerText(text=last.text + event.text)
        else:
            joined.append(event)
    return joined


async def finish(events: AsyncGenerator[AnswerEvent, None]) -> Answer:
    """Return the answer that events lead to.

    Raises:
        EngineError: there is none.
    """
    try:
        async for event in events:
            if isinstance(event, AnswerDone):
                return event.answer
    finally:
        await events.aclose()
    raise EngineError("the answer ended before it was finished")


def describe(pipeline: Pipeline, settings: Settings) -> Lineage:
    """Return what a pipeline's answers are made with."""
    searcher = pipeline.searcher
    return Lineage(
        engine=settings.engine.kind,
        base_model=settings.engine.base_model,
        adapter=pipeline.adapter,
        snapshot=searcher.stats().snapshot if isinstance(searcher, Searcher) else None,
        release=pipeline.release,
    )
