"""Other words for the same: colloquial questions, a company's tone, its terms, and general instructions."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

import msgspec

from assistant.core.language import Language
from assistant.core.records import Chunk, Message
from assistant.core.sentences import numbers
from assistant.core.sentences import terms as words_of
from assistant.engine.protocol import GenerationRequest
from indexing.analysis import fold
from indexing.glossary import Term, holds
from training.contexts import spread
from training.decontamination import grams, jaccard
from training.pairs import Pair
from training.recipes.conversations import no_chunk
from training.recipes.materials import Materials, ended, fill, make_pair
from training.recipes.recipe import Recipe

_CODE = re.compile(r"(?<![A-Za-z0-9])[A-Z]{1,4}-?\d{1,5}(?![A-Za-z0-9])")
_SHORT_FORM = re.compile(r"\b((?:[A-Z][a-z]+[ -]){1,4}[A-Za-z]+) \(([A-Z]{2,6})\)")
_SHORT_FORM_ZH = re.compile(r"([一-鿿]{2,10})（([A-Z]{2,6})）")
_SIGNS = ("symbol", "signal word", "icon", "term", "abbreviation", "图标", "警示词", "术语", "缩写", "符号")
_MEANS = ("meaning", "definition", "含义", "定义", "说明")
_UNCHANGED = 0.8
_LATIN = re.compile(r"[A-Za-z0-9]")
_QUESTION_TOKENS, _ANSWER_TOKENS = 64, 80


def paraphrases(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield known questions in other words: as people write, with approved slang, and by the teacher."""
    rng = materials.rng(recipe)
    fitting = [pair for pair in materials.pairs if pair.teacher != "tickets"]
    for pair in spread(fitting, recipe.count, rng):
        language = pair.chunk.language
        frame = rng.choice(recipe.texts(language, "frame"))
        if pair.question.endswith(("?", "？")):  # "I need to know the weight." is no question within another
            yield _again(recipe, pair, fill(frame, {"question": _bare(pair.question, language)}))
        for term in materials.glossary:
            if term.language == language and holds(fold(pair.question), fold(term.meant)):
                yield _again(recipe, pair, _in_slang(pair.question, term))
    by_teacher = spread(fitting, int(recipe.number("teacher_count", 0)), rng)
    yield from _reworded(recipe, materials, by_teacher)


def _in_slang(question: str, term: Term) -> str:
    """Return a question with the customers' word in place of the documents', which stays within others."""
    before = r"(?<![A-Za-z0-9])" if _LATIN.match(term.meant) else ""
    after = r"(?![A-Za-z0-9])" if _LATIN.match(term.meant[-1]) else ""
    whole = f"{before}{re.escape(term.meant)}{after}"
    return re.sub(whole, lambda _: term.said, question, flags=re.IGNORECASE)


def _reworded(recipe: Recipe, materials: Materials, pairs: Sequence[Pair]) -> Iterator[Pair]:
    requests = [
        GenerationRequest(
            messages=(
                Message(role="system", content=recipe.texts(pair.chunk.language, "teacher")[0]),
                Message(role="user", content=pair.question),
            ),
            max_new_tokens=_QUESTION_TOKENS,
            stop=("\n",),
        )
        for pair in pairs
    ]
    texts = materials.teacher.ask(requests, "paraphrases by the teacher") if requests else []
    for pair, text in zip(pairs, texts, strict=True):
        question = text.strip(" \"'“”")
        kept = set(_CODE.findall(pair.question)) | numbers(pair.question)
        if not question or any(piece not in question for piece in kept):
            materials.teacher.counts["paraphrase without the question's code or number"] += 1
            continue
        if not words_of(question) & words_of(pair.question):
            materials.teacher.counts["paraphrase without any of the question's words"] += 1
            continue
        if jaccard(grams(question), grams(pair.question)) >= _UNCHANGED:
            materials.teacher.counts["paraphrase in the question's own words"] += 1
            continue
        made = _again(recipe, pair, question)
        yield msgspec.structs.replace(made, teacher=materials.teacher.name)


def task_profiles(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield answers in the role and tone that the recipe's wording describes."""
    rng = materials.rng(recipe)
    for pair in spread(materials.pairs, recipe.count, rng):
        language = pair.chunk.language
        parts = {name: rng.choice(recipe.texts(language, name)) for name in ("opening", "closing")}
        answer = fill(
            recipe.texts(language, "answer")[0], {**parts, "answer": ended(pair.answer, pair.chunk)}
        )
        role = Message(role="system", content=recipe.texts(language, "role")[0])
        made = _again(recipe, pair, pair.question)
        added = " ".join(parts.values())
        yield msgspec.structs.replace(made, answer=answer, history=(role,), added=added)


def terms(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield what approved terms, signs and abbreviations mean."""
    rng = materials.rng(recipe)
    for said, meant, chunk in _explained(materials):
        values = {"said": said, "meant": meant.rstrip("。.")}
        question = fill(rng.choice(recipe.texts(chunk.language, "question")), values)
        yield make_pair(recipe, chunk, question, fill(recipe.texts(chunk.language, "answer")[0], values))


def _explained(materials: Materials) -> Iterator[tuple[str, str, Chunk]]:
    for term in materials.glossary:
        holding = (
            chunk
            for chunk in materials.chunks
            if chunk.language == term.language and fold(term.meant) in fold(chunk.text)
        )
        yield term.said, term.meant, next(holding, no_chunk(term.language))
    for row in materials.rows:
        meaning = row.value(_MEANS)
        if meaning and any(sign in row.key_header.lower() for sign in _SIGNS):
            yield row.key, meaning, row.chunk
    seen: set[str] = set()
    for chunk in materials.chunks:
        for pattern in (_SHORT_FORM, _SHORT_FORM_ZH):
            for whole, short in pattern.findall(chunk.text):
                if short not in seen:
                    seen.add(short)
                    yield short, whole, chunk


def replay(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield general instructions with the answers of the base that is tuned, against forgetting."""
    base = materials.base or materials.teacher
    languages: tuple[Language, ...] = ("en", "zh")
    lines = [(language, line) for language in languages for line in recipe.texts(language, "instruction")]
    random.Random(materials.seed).shuffle(lines)
    requests = [
        GenerationRequest(
            messages=(Message(role="system", content=""), Message(role="user", content=line)),
            max_new_tokens=_ANSWER_TOKENS,
        )
        for _, line in lines[: recipe.count]
    ]
    texts = base.ask(requests, "general instructions") if requests else []
    for (language, line), text in zip(lines, texts, strict=False):
        if text:
            pair = make_pair(recipe, no_chunk(language), line, text)
            yield msgspec.structs.replace(pair, teacher=base.name)


def _again(recipe: Recipe, pair: Pair, question: str) -> Pair:
    made = make_pair(recipe, pair.chunk, question, pair.answer, pair.others)
    is_reworded = question != pair.question
    return msgspec.structs.replace(made, teacher=pair.teacher, is_reworded=is_reworded)


def _bare(question: str, language: Language) -> str:
    """Return a question as it stands inside another sentence."""
    bare = question.rstrip("?？。. ")
    is_name = bare[:2].isupper() or bare[1:2].isdigit() or language == "zh"
    return bare if is_name else bare[:1].lower() + bare[1:]
