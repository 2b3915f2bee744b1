from __future__ import annotations

import pytest

from assistant.core.records import Answer, Case, Chunk, Citation, Gold, Passage
from eval.citations import CitationCounts, count_citations, points_at

CHUNK = Chunk(
    id="c1",
    document="pumps/manual.pdf",
    version=2,
    position=0,
    text="Stop the pump. Tighten the flange bolts to 48 Nm. 然后关闭排水阀。",
    page=3,
)
OTHER = Chunk(id="c2", document="ovens/手册.pdf", version=1, position=0, text="关闭排水阀。", page=5)
GOLD = Gold(doc="manual.pdf", page=3, evidence="Tighten the flange bolts to 48 Nm")


def cited(chunk: Chunk, words: str, **changed: object) -> Citation:
    start = chunk.text.find(words)
    values: dict[str, object] = {
        "number": 1,
        "document": chunk.document,
        "version": chunk.version,
        "page": chunk.page,
        "quote": words,
        "heading_path": (),
        "chunk_id": chunk.id,
        "start": start,
        "end": start + len(words),
    }
    return Citation(**{**values, **changed})  # type: ignore[arg-type]


def counts(*citations: Citation, gold: tuple[Gold, ...] = (GOLD,)) -> CitationCounts:
    answer = Answer(
        id="ans-1",
        question="?",
        text="text",
        abstained=False,
        citations=citations,
        passages=tuple(Passage(rank=n, score=1, chunk=chunk) for n, chunk in enumerate((CHUNK, OTHER), 1)),
        arm="rag",
        language="en",
        timings={},
    )
    return count_citations(Case(id="a", lang="en", question="?", gold=gold), answer)


@pytest.mark.parametrize(
    ("citation", "verbatim", "right"),
    [
        (cited(CHUNK, "Tighten the flange bolts to 48 Nm."), 1, 1),
        (cited(CHUNK, "然后关闭排水阀。"), 1, 1),
        (cited(OTHER, "关闭排水阀。"), 1, 0),
        (
            cited(CHUNK, "Tighten the flange bolts to 48 Nm.", quote="Tighten the flange bolts to 84 Nm."),
            0,
            0,
        ),
        (cited(CHUNK, "Stop the pump.", start=1), 0, 0),
        (cited(CHUNK, "Stop the pump.", start=-5, end=-1), 0, 0),
        (cited(CHUNK, "Stop the pump.", chunk_id="gone"), 0, 0),
        (cited(CHUNK, "Stop the pump.", document="ovens/手册.pdf"), 0, 0),
        (cited(CHUNK, " "), 0, 0),
        (cited(CHUNK, ""), 0, 0),
    ],
)
def test_a_citation_is_right_when_it_is_verbatim_and_points_at_gold(
    citation: Citation, verbatim: int, right: int
) -> None:
    assert counts(citation) == CitationCounts(cited=1, verbatim=verbatim, right=right)


def test_a_gold_may_be_met_by_page_or_by_evidence() -> None:
    assert points_at(Gold(doc="manual.pdf", page=3, evidence="words of another paragraph"), CHUNK)
    assert points_at(Gold(doc="manual.pdf", page=4, evidence="Tighten the flange bolts to 48 Nm"), CHUNK)
    assert not points_at(Gold(doc="manual.pdf", page=4, evidence="words of another paragraph"), CHUNK)
    assert not points_at(Gold(doc="手册.pdf", page=3, evidence=GOLD.evidence), CHUNK)
    assert points_at(Gold(doc="manual.pdf", page=3), CHUNK)
    assert not points_at(Gold(doc="manual.pdf", evidence="words of another paragraph"), CHUNK)


def test_every_citation_of_an_unanswerable_case_is_wrong() -> None:
    assert counts(cited(CHUNK, "Stop the pump."), gold=()) == CitationCounts(cited=1, verbatim=1, right=0)
