"""Access lists reach every row: contexts hold what all readers may read, no row mixes closed documents."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from assistant.core.errors import InputError
from assistant.core.progress import NoProgress
from assistant.core.records import Chunk, Passage
from assistant.core.settings import AnswerSettings
from assistant.core.settings_synth import SynthSettings, TeacherSettings
from assistant.engine.scripted import ScriptedEngine
from training.access import EVERYBODY, AccessLists
from training.adapters import common_access
from training.assembling import finish_examples
from training.contexts import grounded_examples
from training.filtering import PairFilter
from training.pairs import Pair
from training.recipes.materials import Materials
from training.recipes.reading import place
from training.recipes.recipe import load_recipe
from training.recipes.registry import maker_of
from training.synthesis import closed_book_examples
from training.teaching import Teacher

LISTS = AccessLists(
    {
        "service.md": {"access": ("Service", "sales")},
        "sales.md": {"access": "sales"},
        "board.md": {"access": "board"},
        "open.md": {"product": "Q7"},
    }
)


def chunk(document: str) -> Chunk:
    text = f"The {document[:-3]} code is 4711."
    return Chunk(id=document, document=document, version=1, position=0, text=text)


def pair(document: str, *others: str) -> Pair:
    answer = f"The {document[:-3]} code is 4711."
    more = tuple(map(chunk, others))
    return Pair(
        question=f"Which code has {document}?", answer=answer, chunk=chunk(document), others=more, recipe="r"
    )


class Everything:
    """Finds all documents for each query, the one that it names first."""

    def search_many(self, queries: Sequence[str], top_k: int | None = None) -> list[tuple[Passage, ...]]:
        names = ["service.md", "sales.md", "board.md", "open.md"]
        return [
            tuple(
                Passage(rank=rank, score=1 / rank, chunk=chunk(name))
                for rank, name in enumerate(sorted(names, key=lambda name: name not in query), 1)
            )
            for query in queries
        ]


@pytest.mark.parametrize(
    ("documents", "readers"),
    [
        (["open.md"], ()),
        (["service.md", "open.md"], ("sales", "service")),
        (["service.md", "sales.md"], ("sales",)),
        (["sales.md", "board.md"], None),
        (["unknown.md"], ()),
    ],
)
def test_readers_of_several_documents_are_those_of_all(
    documents: list[str], readers: tuple[str, ...] | None
) -> None:
    assert LISTS.common(documents) == readers


def test_a_context_holds_what_all_readers_of_its_question_may_read() -> None:
    pairs = [pair(name) for name in ("service.md", "sales.md", "board.md", "open.md")]
    synth = SynthSettings(grounded_groups=8, seed=1)
    rows = grounded_examples(pairs, Everything(), len, AnswerSettings(context_tokens=4000), synth, LISTS)
    seen = {
        access: {
            name for name in LISTS_NAMES if any(f"The {name} code" in row.messages[0].content for row in own)
        }
        for access in {row.access for row in rows}
        if (own := [row for row in rows if row.access == access])
    }
    assert seen[()] == {"open"}
    assert seen["sales",] <= {"sales", "service", "open"}
    assert "service" in seen["sales",]  # all of sales may read it
    assert seen["sales", "service"] <= {"service", "open"}
    assert seen["board",] <= {"board", "open"}


LISTS_NAMES = ("service", "sales", "board", "open")


def test_rows_by_heart_and_of_recipes_carry_the_list_and_none_mixes_closed_documents() -> None:
    (row,) = closed_book_examples([pair("sales.md")], LISTS)
    assert row.access == ("sales",)
    chosen = PairFilter()
    cooked = [pair("service.md", "sales.md"), pair("sales.md", "board.md"), pair("open.md")]
    rows = finish_examples([], cooked, SynthSettings(), chosen, LISTS)
    assert [row.access for row in rows] == [("sales",), ()]
    assert dict(chosen.rejected) == {"nobody may read all its documents": 1}
    assert common_access(rows) == ("sales",)
    with pytest.raises(InputError, match="nobody may read all documents"):
        common_access([*rows, *closed_book_examples([pair("board.md")], LISTS)])


def test_a_recipes_context_holds_what_all_readers_may_read(tmp_path: Path) -> None:
    materials = Materials(
        chunks=(),
        pairs=(),
        searcher=Everything(),
        count_tokens=len,
        teacher=Teacher(ScriptedEngine, TeacherSettings(), tmp_path, NoProgress()),
        answer=AnswerSettings(context_tokens=4000),
        seed=1,
        access=LISTS,
    )
    asked = [pair("sales.md"), pair("open.md")]
    placed = place(asked, materials, random.Random(1), [True, True])
    shown = [{passage.chunk.document for passage in row.passages or ()} for row in placed]
    assert shown == [{"sales.md", "service.md", "open.md"}, {"open.md"}]


def test_without_lists_everything_is_for_everybody() -> None:
    (row,) = closed_book_examples([pair("sales.md")], EVERYBODY)
    assert row.access == ()
    assert EVERYBODY.fingerprint == ()
    assert LISTS.fingerprint != AccessLists({"sales.md": {"access": "board"}}).fingerprint


def test_questions_without_an_answer_name_nothing_that_others_must_not_read(tmp_path: Path) -> None:
    def codes(document: str, code: str, model: str) -> Chunk:
        text = f"Code: {code} · Meaning: Too hot · Model: {model} · Remedy: Wait"
        return Chunk(id=document, document=document, version=1, position=0, text=text, kind="table")

    chunks = [
        codes("board.md", "KX-31", "S9"),
        codes("open.md", "KY-32", "T1"),
        codes("sales.md", "KZ-33", "U5"),
    ]
    pairs = [
        Pair(question=f"What does {name} mean?", answer="Too hot.", chunk=own, recipe="table")
        for name, own in zip(("KX-31", "KY-32", "KZ-33"), chunks, strict=True)
    ]
    materials = Materials(
        chunks=chunks,
        pairs=pairs,
        searcher=Everything(),
        count_tokens=len,
        teacher=Teacher(ScriptedEngine, TeacherSettings(), tmp_path, NoProgress()),
        answer=AnswerSettings(),
        seed=7,
        access=LISTS,
    )
    for name in ("unknown-code", "unanswerable"):
        recipe = load_recipe(name)
        rows = finish_examples(
            [], list(maker_of(recipe)(recipe, materials)), SynthSettings(), PairFilter(), LISTS
        )
        text = "\n".join(turn.content for row in rows if row.access == () for turn in row.messages[-2:])
        assert text
        assert not {"KX-31", "KZ-33", "S9", "U5"} & set(re.findall(r"[A-Z]+-?\d+", text))
    settings = [SynthSettings(grounded_groups=60, uncovered_share=1.0, seed=seed) for seed in range(24)]
    rows = [
        row
        for synth in settings
        for row in grounded_examples(
            pairs, Everything(), len, AnswerSettings(context_tokens=4000), synth, LISTS
        )
    ]
    asked = "\n".join(row.messages[-2].content for row in rows if row.access == () and not row.documents)
    assert "T1" in asked
    assert not {"S9", "U5"} & set(re.findall(r"[A-Z]\d", asked))
