"""From a question and its passages to what the engine is asked, within the budgets of tokens."""

from __future__ import annotations

from typing import Any

from assistant.answering.events import Question
from assistant.answering.formats import instruct
from assistant.answering.guarding import GuardedPassages, guard_history, guard_passages, guard_tools
from assistant.answering.history import bounded_history
from assistant.answering.routing import Decision
from assistant.answering.understanding import Understood
from assistant.core.context import choose_context
from assistant.core.prompts import answer_messages, render
from assistant.core.records import Arm, Passage, Record, Withheld
from assistant.core.settings import Settings
from assistant.engine.protocol import Engine, GenerationRequest


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


class Prepared(Record, frozen=True, kw_only=True):
    """A question with its context, ready for the engine or answered without it.

    Attributes:
        id: of the answer.
        question: as asked.
        understood: what it means.
        decision: its way; its text is the answer where there is no ``request``.
        arm: how it is answered.
        found: all passages, best first; None for arms without documents.
        passages: the context, as its documents have it.
        checked: the context to hold the answer against.
        withheld: orders that the engine does not get to see.
        instructions: what the answer must not repeat.
        request: what the engine is asked.
        retrieve_seconds: that searching took.
        release: that all of it belongs to.
        json_schema: what the text must fit.
    """

    id: str
    question: Question
    understood: Understood
    decision: Decision
    arm: Arm
    found: tuple[Passage, ...] | None
    passages: tuple[Passage, ...] = ()
    checked: tuple[Passage, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    instructions: tuple[str, ...] = ()
    request: GenerationRequest | None = None
    retrieve_seconds: float = 0.0
    release: str | None = None
    json_schema: dict[str, Any] | None = None


def compose_context(
    found: tuple[Passage, ...] | None, understood: Understood, engine: Engine, settings: Settings, turn: int
) -> tuple[tuple[Passage, ...], GuardedPassages]:
    """Return the context within its budget, and what of it the engine and the checks get to see."""
    if found is None:
        return (), GuardedPassages(shown=(), checked=())
    answer = settings.answer
    passages = choose_context(
        found, engine.count_tokens, max_passages=answer.context_passages, max_tokens=answer.context_tokens
    )
    turn = turn % len(passages) if passages else 0
    passages = passages[turn:] + passages[:turn]
    return passages, guard_passages(passages, answer.injections, understood.language)


def compose_request(
    question: Question,
    understood: Understood,
    shown: tuple[Passage, ...] | None,
    engine: Engine,
    settings: Settings,
    options: GenerationOptions,
    adapter: str | None,
) -> GenerationRequest:
    """Return what the engine is asked; ``shown`` is None for arms without documents."""
    answer = settings.answer
    history = bounded_history(
        guard_history(question.history, answer.injections),
        engine.count_tokens,
        turns=answer.history_turns,
        tokens=answer.history_tokens,
    )
    if options.json_schema is not None:
        history = (instruct(options.json_schema, understood.language), *history)
    messages = answer_messages(understood.text, understood.language, shown, history)
    return GenerationRequest(
        messages=(*messages, *guard_tools(question.after, answer.injections)),
        adapter=adapter,
        max_new_tokens=options.max_new_tokens or settings.engine.max_new_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        seed=options.seed,
        stop=options.stop,
        tools=options.tools,
        tool_choice=options.tool_choice,
    )


def secret_instructions(question: Question, understood: Understood) -> tuple[str, ...]:
    """Return the instructions that no answer repeats: the templates' and those that a client added."""
    language = understood.language
    ours = (render("closed_book", language), render("grounded", language, context=""))
    return (*ours, *(turn.content for turn in question.history if turn.role == "system"))
