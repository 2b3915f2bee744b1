"""Advice before tuning, on collections where the right answer differs."""

from __future__ import annotations

import html.parser
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from assistant.answering.pipeline import Pipeline
from assistant.core.errors import InputError
from assistant.core.progress import NoProgress
from assistant.core.records import Case, Chunk, Filters, Neighbours, Passage
from assistant.core.settings import EngineSettings, Settings
from assistant.engine.scripted import ScriptedEngine
from eval.advice import Measured, advise
from eval.assessment import Assessment, assess, is_in_tone, own_questions
from eval.assessment_page import assessment_page, assessment_text
from eval.compare import Interval
from eval.fingerprints import Fingerprint
from training.pairs import Pair

PRINT = Fingerprint(engine="e", index="i")
JSON_RULE = (r"JSON", '{"answer": "yes", "certain": true}')


def interval(mean: float, half: float = 0.05) -> Interval:
    return Interval(mean=mean, low=mean - half, high=mean + half, case_count=40)


def measured(**changes: object) -> Measured:
    """Return what a private collection with a good base model looks like."""
    usual = Measured(
        closed_book=interval(0.05),
        with_documents=interval(0.85),
        gain=interval(0.8),
        found=0.95,
        read=0.9,
        cited=0.95,
        form=0.95,
        tone=0.95,
        pair_count=400,
        document_count=20,
    )
    return msgspec.structs.replace(usual, **changes)


@pytest.mark.parametrize(
    ("changes", "way", "reason"),
    [
        ({}, "RAG only", "well enough"),
        ({"closed_book": interval(0.8), "gain": interval(0.02)}, "prompt only", "no knowledge barrier"),
        (
            {"closed_book": interval(0.8), "gain": interval(-0.7)},
            "prompt only",
            "-70%, a loss that is clear of zero",
        ),
        ({"closed_book": interval(0.8), "gain": interval(0.15)}, "RAG only", "knowledge barrier: "),
        ({"read": 0.4}, "RAG + tuning", "using the passages"),
        ({"form": 0.1, "cited": 0.3}, "RAG + tuning", "citing them, keeping a form"),
        ({"tone": 0.1, "pair_count": 30}, "RAG only", "30 pairs, at least 80"),
        ({"tone": 0.1, "document_count": 2}, "RAG only", "2 documents are too few"),
        ({"read": 0.4, "found": 0.2}, "RAG only", "mend documents and search first"),
        (
            {"pilot": interval(0.2)},
            "RAG + tuning",
            "a pilot on a tenth of the data changed the score by +0.20",
        ),
        ({"read": 0.4, "pilot": interval(-0.2)}, "RAG only", "-0.20"),
        ({"read": 0.4, "pilot": interval(0.01)}, "RAG + tuning", "not clear of zero"),
        ({"pilot": interval(0.01)}, "RAG only", "not clear of zero"),
        ({"read": None, "cited": None, "found": 0.0}, "RAG only", "0% of the questions"),
    ],
)
def test_the_way_follows_from_the_figures(changes: dict[str, object], way: str, reason: str) -> None:
    advice = advise(measured(**changes))
    assert advice.way == way
    assert reason in "\n".join(advice.reasons)


class Shelf:
    """Finds the chunks that share most words or characters with the query."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = chunks

    def search(
        self, query: str, top_k: int | None = None, filters: Filters | None = None
    ) -> tuple[Passage, ...]:
        del filters
        wanted = set(query.lower().split()) | set(query)
        ranked = sorted(
            self.chunks, key=lambda row: -len(wanted & (set(row.text.lower().split()) | set(row.text)))
        )
        return tuple(Passage(rank=n, score=1 / n, chunk=row) for n, row in enumerate(ranked[:top_k], 1))

    def search_many(
        self, queries: Sequence[str], top_k: int | None = None, filters: Filters | None = None
    ) -> list[tuple[Passage, ...]]:
        return [self.search(query, top_k, filters) for query in queries]

    def neighbours(self, passage: Passage, count: int, filters: Filters | None = None) -> Neighbours:
        del passage, count, filters
        return Neighbours()

    def evidence(self, query: str, passages: Sequence[Passage]) -> float:
        del query, passages
        return 1.0

    def unknown_codes(self, question: str, filters: Filters | None = None) -> tuple[()]:
        del question, filters
        return ()


def private() -> list[Chunk]:
    """Return manuals of a company that no model has read, in both languages."""
    chunks = []
    for n in range(24):
        text = f"Code: E-{n + 20} · Meaning: valve {n} jammed · Remedy: turn the spindle by {n + 3} mm"
        chunks.append(
            Chunk(id=f"t{n}", document=f"m{n % 6}.pdf", version=1, position=n, text=text, kind="table")
        )
        zh = f"第{n}号蒸汽阀的弹簧每次更换时需要加注 {n + 31} 升润滑油。"
        chunks.append(
            Chunk(id=f"z{n}", document=f"手册{n % 6}.pdf", version=1, position=n, text=zh, language="zh")
        )
    return chunks


def public() -> list[Chunk]:
    """Return a collection of what every model knows."""
    rows = [
        ("Water", "boiling point", "100 °C"),
        ("Ice", "melting point", "0 °C"),
        ("Week", "length", "7 days"),
    ]
    rows += [
        ("Day", "length", "24 hours"),
        ("Hour", "length", "60 minutes"),
        ("Minute", "length", "60 seconds"),
    ]
    return [
        Chunk(
            id=f"p{n}",
            document=f"facts{n % 3}.md",
            version=1,
            position=n,
            text=f"Name: {name} · {header.capitalize()}: {value}",
            kind="table",
        )
        for n, (name, header, value) in enumerate(rows)
    ]


def no_words(chunks: Sequence[Chunk], count: int) -> list[Pair]:
    del chunks, count
    return []


def assessed(
    chunks: list[Chunk], rules: Sequence[tuple[str, str]], folder: Path, count: int = 20
) -> Assessment:
    documents = tuple(dict.fromkeys(row.document for row in chunks))
    suite = own_questions(chunks, documents, count, 7, no_words)
    pipeline = Pipeline(
        engine=ScriptedEngine(rules),
        searcher=Shelf(chunks),
        settings=Settings(engine=EngineSettings(kind="scripted")),
    )
    about = {"collection": "<desk>", "engine": "scripted"}
    return assess(pipeline, suite, chunks, folder, PRINT, NoProgress(), about=about)


def test_a_collection_that_the_base_knows_needs_a_prompt_only(tmp_path: Path) -> None:
    rules = [
        JSON_RULE,
        (r"(?i)\bwater\b.*\?|\?.*\bwater\b", "Water boils at 100 °C."),
        (r"(?i)\bice\b.*\?", "Ice melts at 0 °C."),
        (r"(?i)\bweek\b.*\?", "A week has 7 days."),
        (r"(?i)\bday\b.*\?", "A day has 24 hours."),
        (r"(?i)\bhour\b.*\?", "An hour has 60 minutes."),
        (r"(?i)\bminute\b.*\?", "A minute has 60 seconds."),
    ]
    found = assessed(public(), rules, tmp_path, 6)
    assert found.advice.way == "prompt only", assessment_text(found)
    assert found.measured.closed_book.mean >= 0.6


def test_private_manuals_that_the_base_reads_well_need_rag_only(tmp_path: Path) -> None:
    found = assessed(private(), [JSON_RULE], tmp_path)
    assert found.measured.closed_book.mean == 0
    assert found.measured.form == 1
    assert found.advice.way == "RAG only", assessment_text(found)
    asked = own_questions(private(), [row.document for row in private()], 20, 7, no_words)
    assert {case.lang for case in asked} == {"en", "zh"}


def test_private_manuals_that_the_base_cannot_handle_are_worth_tuning(tmp_path: Path) -> None:
    found = assessed(private(), [(r".", "As an AI language model I would call support.")], tmp_path)
    assert found.measured.tone == 0
    assert found.measured.form == 0
    assert found.advice.way == "RAG + tuning", assessment_text(found)


def test_page_and_text_show_the_way_and_escape_what_they_show(tmp_path: Path) -> None:
    found = assessed(private(), [(r".", "<b>As an AI</b>")], tmp_path)
    text, page = assessment_text(found), assessment_page(found)
    assert text.startswith("recommended: RAG + tuning")
    assert "weak  keeps a form" in text
    assert "<strong>RAG + tuning</strong>" in page
    assert "&lt;desk&gt;" in page
    assert "<b>As an AI" not in page
    assert "http:" not in page
    assert "https:" not in page
    loading: list[str] = []

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            loading.extend(name for name, _ in attrs if name in {"src", "href", "srcset"})
            loading.extend([tag] if tag in {"script", "link", "iframe"} else [])

    Links().feed(page)
    assert loading == []


def test_asking_again_asks_the_engine_nothing(tmp_path: Path) -> None:
    first = assessed(private(), [JSON_RULE], tmp_path)
    assert assessed(private(), [(r".", "something else")], tmp_path) == first


def test_too_little_to_ask_about_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"only 0 questions(?s:.*)--suite FILE"):
        assessed([Chunk(id="a", document="a.md", version=1, position=0, text="Hello.")], [], tmp_path)
    pipeline = Pipeline(engine=ScriptedEngine(), searcher=Shelf([]), settings=Settings())
    case = Case(id="a", lang="en", question="Why?", answerable=False)
    with pytest.raises(InputError, match="no question is answerable"):
        assess(pipeline, (case,), [], tmp_path, PRINT, NoProgress(), about={})


def test_tone_is_language_an_end_and_nothing_empty(tmp_path: Path) -> None:
    pipeline = Pipeline(engine=ScriptedEngine(), searcher=None, settings=Settings())
    from assistant.answering.events import Question

    answer = pipeline.answer(Question(text="多少？"), "base")
    assert is_in_tone(answer, 80)
    assert not is_in_tone(answer, 2)
    assert not is_in_tone(msgspec.structs.replace(answer, text="I do not know."), 80)
    assert not is_in_tone(msgspec.structs.replace(answer, text="作为一个人工智能，我不知道。"), 80)
