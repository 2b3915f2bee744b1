from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from assistant.core.errors import InputError, NotFoundError
from assistant.core.records import Chunk
from eval.retrieval import is_right
from eval.suite_making import (
    choose_documents,
    decide,
    held_out_cases,
    held_out_documents,
    made_suite_path,
    made_suites,
    propose,
    read_proposals,
    review_path,
    write_approved,
)
from eval.suites import load_suite
from training.pairs import Pair
from training.synthesis import without

FAULTS = (
    "Code: E-14 · Meaning: inverter too hot · Remedy: clean the air filter of the inverter\n"
    "Code: E-15 · Meaning: pressure too low · Remedy: open the valve of the suction line"
)
CHINESE = "除垢前先关闭主阀门。清洗蒸汽发生器需要加入 2 升除垢液。冲洗至少持续 30 分钟。"


def chunk(document: str, number: int, text: str, kind: str = "text", language: str = "en") -> Chunk:
    return Chunk(
        id=f"{document}{number}",
        document=document,
        version=1,
        position=number,
        text=text,
        kind=kind,  # type: ignore[arg-type]
        language=language,  # type: ignore[arg-type]
        heading_path=("维护" if language == "zh" else "Faults",),
        page=number + 1,
    )


@pytest.fixture
def chunks() -> list[Chunk]:
    faults = [chunk(f"en/m{n}.pdf", 0, FAULTS.replace("E-1", f"E-{n + 1}"), "table") for n in range(5)]
    chinese = [chunk(f"zh/手册{n}.pdf", k, CHINESE, language="zh") for n in range(4) for k in range(2)]
    return [*faults, *chinese]


def no_words(chunks: Sequence[Chunk], count: int) -> list[Pair]:
    del chunks, count
    return []


@pytest.mark.parametrize(
    ("text", "kind", "question", "facts"),
    [
        ("T3 最多装 18 kg，T6 最多装 40 kg。", "text", "T3 最多装多少 kg", (("18 kg",),)),
        (
            "零件号: HC-9 · 名称: 除垢剂 · 价格（元）: 62.00\n零件号: HC-8 · 名称: 滤芯 · 价格（元）: 35.00",
            "table",
            "除垢剂",
            (("62.00 元", "62.00"),),
        ),
    ],
)
def test_the_value_asked_for_counts_in_each_way_it_is_written(
    text: str, kind: str, question: str, facts: tuple[tuple[str, ...], ...]
) -> None:
    proposals = propose([chunk("a.pdf", 0, text, kind, "zh")], ["a.pdf"], 40, 7, no_words)
    assert [row.case.key_facts for row in proposals if question in row.case.question][:1] == [facts]


def test_a_fifth_of_each_language_is_asked_about_and_untrained_documents_first(chunks: list[Chunk]) -> None:
    chosen = choose_documents(chunks, 7)
    assert sorted(name[:2] for name in chosen) == ["en", "zh"]
    assert choose_documents(chunks, 7) == chosen
    for seed in range(8):
        trained = [f"en/m{n}.pdf" for n in range(4)]
        assert "en/m4.pdf" in choose_documents(chunks, seed, trained)
    assert choose_documents(chunks[:1], 7) == ("en/m0.pdf",)
    assert len(choose_documents(chunks[:2], 7)) == 1
    assert choose_documents([], 7) == ()


def test_translations_are_asked_about_together() -> None:
    rows = [
        chunk(f"{tag}/m{place}.md", place, f"{tag} {place}", language=tag)
        for tag in ("en", "zh")
        for place in range(6)
    ]
    for seed in range(8):
        chosen = choose_documents(rows, seed)
        assert {name[2:] for name in chosen if name[:2] == "en"} == {
            name[2:] for name in chosen if name[:2] == "zh"
        }


def test_what_two_tables_answer_differently_is_not_asked() -> None:
    rows = [
        chunk(
            f"m{place}.md",
            place,
            f"Name: TiDB server · CPU: {8 * place} cores\nName: Fan {place} · Width: {place}0 mm",
            "table",
        )
        for place in (1, 2)
    ]
    asked = [row.case.question for row in propose(rows, ["m1.md", "m2.md"], 12, 7, no_words)]
    assert asked
    assert not [question for question in asked if "TiDB" in question]


def test_tickets_and_a_document_that_is_most_of_all_come_last(chunks: list[Chunk]) -> None:
    tickets = [chunk("en/tickets.csv", n, f"Question: why {n}?", "ticket") for n in range(3)]
    large = [chunk("en/large.pdf", n, FAULTS, "table") for n in range(30)]
    for seed in range(8):
        chosen = choose_documents([*chunks, *tickets, *large], seed)
        assert not {"en/tickets.csv", "en/large.pdf"} & set(chosen)
    assert choose_documents([*tickets, *large], 7) == ("en/large.pdf",)


def test_proposals_have_gold_in_their_chunk_facts_and_unanswerable_neighbours(chunks: list[Chunk]) -> None:
    proposals = propose(chunks, ["en/m0.pdf", "zh/手册1.pdf"], 16, 7, no_words)
    cases = [row.case for row in proposals]
    assert {case.lang for case in cases} == {"en", "zh"}
    assert len({case.id for case in cases}) == len(cases) <= 16
    by_id = {row.id: row for row in chunks}
    for case in cases:
        if not case.answerable:
            continue
        assert any(is_right(case.gold[0], found) for found in by_id.values()), case
        assert all(form not in case.question for forms in case.key_facts for form in forms)
    chinese = next(case for case in cases if "除垢液" in case.question)
    assert "多少" in chinese.question
    assert chinese.key_facts == (("2 升",),)
    assert chinese.gold[0].evidence == "清洗蒸汽发生器需要加入 2 升除垢液。"
    missing = [case for case in cases if not case.answerable]
    assert missing
    text = "\n".join(row.text for row in chunks)
    assert all(case.id.rsplit("-", 2)[-1] not in text.replace("E-", "") for case in missing)
    assert all(row.status == "proposed" for row in proposals)


def test_the_engine_words_what_rules_cannot(chunks: list[Chunk]) -> None:
    plain = chunk("en/plain.pdf", 0, "The gearbox is filled with mineral oil at the factory in spring.")

    def word(asked: Sequence[Chunk], count: int) -> list[Pair]:
        assert ([row.id for row in asked], count) == ([plain.id], 9)
        question = "Which oil is the gearbox filled with at the factory?"
        return [Pair(question=question, answer=plain.text, chunk=plain, recipe="sentence", teacher="t")]

    (proposal,) = propose([*chunks, plain], ["en/plain.pdf"], 9, 7, word)
    assert (proposal.made_by, proposal.case.kind, proposal.case.key_facts) == ("t", "factual", ())


def test_only_what_is_approved_becomes_a_case_and_all_that_is_open_is_held_out(
    chunks: list[Chunk], tmp_path: Path
) -> None:
    proposals = propose(chunks, ["zh/手册1.pdf"], 8, 7, no_words)
    assert len(proposals) >= 3
    ids = [row.case.id for row in proposals]
    review, suite = review_path(tmp_path, "own"), made_suite_path(tmp_path, "own")
    decided = decide(decide(proposals, "approved", ids[:2]), "rejected", ids[2:3])
    assert write_approved(decided, review, suite) == 2
    assert [case.id for case in load_suite(suite)] == ids[:2]
    assert read_proposals(review) == decided
    assert made_suites(tmp_path) == (suite,)
    held = {case.question for case in held_out_cases(tmp_path)}
    assert held == {row.case.question for row in decided if row.status != "rejected"}
    assert held_out_documents(tmp_path) == {"zh/手册1.pdf"}
    assert write_approved(decide(decided, "approved", None), review, suite) == len(ids) - 1
    assert write_approved(decide(decided, "rejected", ids), review, suite) == 0
    assert made_suites(tmp_path) == ()
    assert held_out_documents(tmp_path) == frozenset()


def test_unknown_ids_names_and_missing_reviews_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="'x'"):
        decide([], "approved", ["x"])
    with pytest.raises(NotFoundError, match="deskmate suite make"):
        read_proposals(review_path(tmp_path, "own"))
    for name in ("../up", "", ".hidden", "a/b"):
        with pytest.raises(InputError, match="no name for a suite"):
            review_path(tmp_path, name)


def test_nothing_is_made_from_documents_that_a_suite_asks_about(chunks: list[Chunk]) -> None:
    left = without(chunks, frozenset({"en/m0.pdf", "zh/手册1.pdf"}))
    assert {row.document for row in chunks} - {row.document for row in left} == {"en/m0.pdf", "zh/手册1.pdf"}
    # the only Chinese document is asked about: without it nothing Chinese could be taught
    few = [row for row in chunks if row.document in {"en/m0.pdf", "en/m1.pdf", "zh/手册1.pdf"}]
    assert {row.document for row in without(few, frozenset({"en/m0.pdf", "zh/手册1.pdf"}))} == {
        "en/m1.pdf",
        "zh/手册1.pdf",
    }
