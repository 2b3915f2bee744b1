"""The engine as teacher: it words questions whose answers are sentences of the documents.

The answer is taken from the document as it stands, so that a weak teacher can word badly (which the
filters see) but cannot teach anything false.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from assistant.core.records import Chunk, Message
from assistant.core.sentences import numbers, split_sentences
from assistant.engine.protocol import GenerationRequest
from training.pairs import Pair
from training.teaching import Teacher
from training.wording import render

_LEAD = re.compile(r"^(?:question|问题|答案|q)\s*[:：]\s*", re.IGNORECASE)
MIN_SENTENCE_CHARACTERS = {"en": 40, "zh": 14}
MAX_SENTENCE_CHARACTERS = 300
MAX_QUESTION_TOKENS = 48


def choose_sentences(chunks: Sequence[Chunk], count: int, seed: int) -> list[tuple[Chunk, str]]:
    """Choose sentences worth a question: with a number first, at most two a chunk, spread over the chunks."""
    rng = random.Random(seed)
    ranked: list[tuple[int, float, Chunk, str]] = []
    for chunk in chunks:
        if chunk.kind != "text":
            continue
        fitting = [span.text for span in split_sentences(chunk.text) if _is_statement(span.text, chunk)]
        fitting.sort(key=lambda text: (not numbers(text), rng.random()))
        ranked.extend((place, rng.random(), chunk, text) for place, text in enumerate(fitting[:3]))
    ranked.sort(key=lambda row: row[:2])
    return [(chunk, text) for _, _, chunk, text in ranked[:count]]


def teacher_pairs(chosen: Sequence[tuple[Chunk, str]], teacher: Teacher) -> list[Pair]:
    """Let the teacher word a question for each sentence, batch by batch; what is no question is counted.

    Raises:
        EngineError: the teacher failed; what it answered is kept.
    """
    if not chosen:
        return []
    texts = teacher.ask(question_requests(chosen), "questions by the teacher")
    pairs = read_questions(chosen, texts, teacher.name)
    teacher.counts["no question"] += len(chosen) - len(pairs)
    return pairs


def question_requests(chosen: Sequence[tuple[Chunk, str]]) -> list[GenerationRequest]:
    """Return what the teacher is asked for each sentence."""
    return [
        GenerationRequest(
            messages=(
                Message(role="system", content=render("teacher_question", chunk.language)),
                Message(role="user", content=_task(chunk, sentence)),
            ),
            max_new_tokens=MAX_QUESTION_TOKENS,
            stop=("\n",),
        )
        for chunk, sentence in chosen
    ]


def read_questions(chosen: Sequence[tuple[Chunk, str]], texts: Sequence[str], teacher: str) -> list[Pair]:
    """Return the pairs whose text is a question."""
    pairs = []
    for (chunk, sentence), text in zip(chosen, texts, strict=True):
        question = _LEAD.sub("", text.strip()).strip(" \"'“”")
        if question.endswith(("?", "？")):
            pairs.append(
                Pair(question=question, answer=sentence, chunk=chunk, recipe="sentence", teacher=teacher)
            )
    return pairs


def _task(chunk: Chunk, sentence: str) -> str:
    where = " › ".join(chunk.heading_path) or chunk.document
    return render("teacher_task", chunk.language, where=where, text=chunk.text, sentence=sentence)


def _is_statement(text: str, chunk: Chunk) -> bool:
    """Return whether a sentence can stand as an answer: long enough, finished, no lead-in."""
    fits = MIN_SENTENCE_CHARACTERS[chunk.language] <= len(text) <= MAX_SENTENCE_CHARACTERS
    return fits and text[-1] in ".。！!" and "\n" not in text and not text.lstrip().startswith(("|", "#"))
