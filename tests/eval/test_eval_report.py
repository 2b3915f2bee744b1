from __future__ import annotations

import html.parser
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from assistant.core.records import Answer, Arm, Case, Chunk, Citation, Passage
from assistant.core.settings import EvalSettings
from eval.answers import answer_score
from eval.citations import count_citations
from eval.compare import Interval
from eval.judge import Agreement, JudgeResult
from eval.latency import Latency, Percentiles
from eval.report import format_difference, retrieval_table, terminal_table, write_report
from eval.report_groups import groups_html
from eval.report_page import render_page
from eval.retrieval import RetrievalScores
from eval.runner import EvalResult, Outcome
from eval.summary import Report, summarise

SETTINGS = EvalSettings(bootstrap_samples=400)
ABOUT = {"collection": "demo", "suite": "suite.jsonl: 3 cases (2 en, 1 zh)"}
Suite = tuple[Case, ...]


def outcome(case: Case, arm: Arm, text: str, *, abstained: bool = False, page: int | None = None) -> Outcome:
    """Return an outcome; with ``page`` it cites a passage there."""
    chunk = Chunk(
        id="c",
        document=case.gold[0].doc if case.gold else "x.md",
        version=2,
        position=0,
        text=text,
        page=page,
    )
    citation = Citation(
        number=1,
        document=chunk.document,
        version=2,
        page=page,
        quote=text,
        heading_path=(),
        chunk_id="c",
        start=0,
        end=len(text),
    )
    answer = Answer(
        id="ans-1",
        question=case.question,
        text=text,
        abstained=abstained,
        citations=(citation,) if page else (),
        passages=(Passage(rank=1, score=1, chunk=chunk),),
        arm=arm,
        language=case.lang,
        timings={},
    )
    return Outcome(
        case=case,
        answer=answer,
        seconds=1.25,
        score=answer_score(case, answer),
        citations=count_citations(case, answer),
    )


@pytest.fixture
def result(suite: Suite) -> EvalResult:
    english, chinese, mars = suite
    return EvalResult(
        suite=suite,
        outcomes={
            "base": (
                outcome(english, "base", "About 20 Nm <b>&"),
                outcome(chinese, "base", "大约一升"),
                outcome(mars, "base", "Yes."),
            ),
            "rag": (
                outcome(english, "rag", "48 Nm", page=3),
                outcome(chinese, "rag", "两升", page=4),
                outcome(mars, "rag", "Yes, on Mars.", page=9),
            ),
            "rag+ft": (
                outcome(english, "rag+ft", "Not covered.", abstained=True),
                outcome(chinese, "rag+ft", "两升除垢液，静置三十分钟。", page=5),
                outcome(mars, "rag+ft", "Not covered.", abstained=True),
            ),
        },
    )


@pytest.fixture
def report(result: EvalResult) -> Report:
    return summarise(result, ABOUT, SETTINGS)


def test_the_numbers_of_each_arm_worked_out_by_hand(report: Report) -> None:
    base, rag, tuned = report.summaries
    assert [row.score.mean for row in report.summaries] == [0, 0.5, 0.6667]
    assert (rag.answerable, rag.unanswerable, rag.abstained_wrongly) == (0.75, 0, 0)
    assert (tuned.answerable, tuned.unanswerable, tuned.abstained_wrongly) == (0.5, 1, 0.5)
    assert (base.citation_precision, base.citation_recall, base.verbatim) == (None, 0, None)
    assert (rag.citation_precision, rag.citation_recall, rag.verbatim) == (0.3333, 0.5, 1)
    assert (tuned.citation_precision, tuned.citation_recall) == (1, 0.5)
    assert rag.exact_match == 0.5
    # zh: wanted 两升静置三十分钟 (8), found 两升 (2): 2·2 / (8 + 2)
    assert rag.f1 == pytest.approx((1 + 0.4) / 2)
    assert {name: row.mean for name, row in rag.by_language.items()} == {"en": 0.5, "zh": 0.5}
    assert {name: row.mean for name, row in tuned.by_kind.items()} == {
        "factual": 0,
        "two_step": 1,
        "unanswerable": 1,
    }
    assert rag.seconds_per_answer == 1.25
    assert [(row.reference, row.other, row.score.mean) for row in report.differences] == [
        ("rag+ft", "base", 0.6667),
        ("rag+ft", "rag", 0.1667),
    ]
    assert report.differences[1].by_language["zh"].mean == 0.5


def test_losses_and_wins_are_against_the_best_other_arm(report: Report) -> None:
    assert [(row.case.id, row.gap) for row in report.losses] == [("en-1", -1)]
    assert [(row.case.id, row.gap) for row in report.wins] == [("en-2", 1), ("zh-1", 0.5)]
    assert report.scores["zh-1"] == {"base": 0, "rag": 0.5, "rag+ft": 1}


def test_one_arm_alone_has_no_differences_and_lists_what_it_gets_wrong(result: EvalResult) -> None:
    alone = summarise(
        EvalResult(suite=result.suite, outcomes={"rag": result.outcomes["rag"]}), ABOUT, SETTINGS
    )
    assert alone.differences == ()
    assert [row.case.id for row in alone.losses] == ["en-2", "zh-1"]
    assert alone.wins == ()
    assert "One arm only" in render_page(alone)
    assert "−" not in terminal_table(alone)


def test_the_report_is_the_golden_one(report: Report, check_golden: Callable[[str, str], None]) -> None:
    check_golden("eval_table.txt", terminal_table(report) + "\n")
    check_golden("eval_report.html", render_page(report))


def test_files_are_written_whole_and_the_same_each_time(report: Report, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_report(report, tmp_path / "a")]
    second = [path.read_bytes() for path in write_report(report, tmp_path / "b")]
    assert first == second
    assert msgspec.json.decode(first[0], type=Report) == report
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["report.html", "report.json"]


class Links(html.parser.HTMLParser):
    """Notes every attribute that could load something, and whether tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.loading: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loading += [name for name, _ in attrs if name in {"src", "href", "srcset", "action", "data"}]
        self.loading += [tag] if tag in {"script", "iframe", "link", "object"} else []
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        assert tag in {"line", "rect", "path"}


def test_the_page_loads_nothing_and_shows_both_languages_escaped(report: Report) -> None:
    page = render_page(report)
    links = Links()
    links.feed(page)
    assert links.loading == []
    assert links.open == []
    assert "url(" not in page
    assert '<h3 lang="zh">清洗蒸汽发生器需要多少除垢液？</h3>' in page
    assert "About 20 Nm &lt;b&gt;&amp;" in page
    assert "手册.pdf, version 2, p. 5: <q" in page


def test_groups_show_every_metric_and_the_paired_differences(report: Report) -> None:
    kinds = groups_html(report, "kind")
    assert "<th>kind</th><th>cases</th><th>base</th><th>rag</th><th>rag+ft</th>" in kinds
    assert "<th>rag+ft − base</th><th>rag+ft − rag</th>" in kinds
    assert "<td>two_step</td><td>1</td><td>0.00 <small>[0.00, 0.00]</small></td><td>0.50 " in kinds
    assert ">abstention recall</span></h4>" in kinds
    languages = groups_html(report, "language")
    assert "abstention recall" in languages
    assert "abstention recall" not in groups_html(report, "document")  # unanswerable cases have none


def test_a_judge_is_shown_by_arm_with_its_agreement(report: Report) -> None:
    agreement = Agreement(
        name="answers",
        asked=6,
        unreadable=1,
        agreement=0.8,
        kappa=None,
        undefined="both always say the same",
        judge_yes=1,
        judge_free_yes=1,
    )
    result = JudgeResult(
        judge="<judge>",
        control_count=4,
        controls_right=0.75,
        doubt="it got <known> answers wrong",
        agreements=(agreement,),
        right={"rag": Interval(mean=0.5, low=0.25, high=0.75, case_count=6)},
        citation_recall={},
        citation_precision={},
        undefined={"base citation_recall": "no documents"},
    )
    page = render_page(msgspec.structs.replace(report, judge=result))
    assert "judge &lt;judge&gt;: 0.75 of 4 known answers right; not believed: it got &lt;known&gt;" in page
    assert (
        "<td>answers it finds right</td><td>–</td><td>0.50 <small>[0.25, 0.75]</small></td><td>–</td>" in page
    )
    assert "<td>answers</td><td>6</td><td>1</td><td>0.80</td><td>–</td><td>1.00</td><td>1.00</td>" in page
    assert "kappa of answers: both always say the same" in page


def test_waiting_times_are_printed_and_shown(report: Report) -> None:
    waits = Latency(
        total=Percentiles(p50=2, p95=4, count=20), first_token=Percentiles(p50=0.5, p95=1, count=18)
    )
    told = msgspec.structs.replace(report, latency={"rag": waits})
    line = "rag one at a time: 2.0 s at p50, 4.0 s at p95; first text 0.5 and 1.0 s"
    assert line in terminal_table(told)
    assert "<td>0.50 s</td><td>1.00 s</td><td>2.00 s</td><td>4.00 s</td>" in render_page(told)


def test_hostile_texts_stay_text(suite: Suite, tmp_path: Path) -> None:
    evil = "</p><script>alert(1)</script>$about ${x} \" '"
    case = msgspec.structs.replace(suite[0], id=evil, question=evil, kind="<i>")
    result = EvalResult(suite=(case,), outcomes={"base": (outcome(case, "base", evil, page=2),)})
    _, page = write_report(summarise(result, {"<k>": evil}, SETTINGS), tmp_path)
    text = page.read_text("utf-8")
    assert "<script" not in text
    assert "<i>" not in text
    assert "<k>" not in text
    assert text.count("$about ${x}") >= 3


def test_retrieval_is_printed_by_language() -> None:
    row = RetrievalScores(
        case_count=250,
        hit_at_1=0.7,
        hit_at_5=0.875,
        hit_at_10=1,
        recall_at_5=0.5,
        mrr_at_10=0.25,
        ndcg_at_10=0.1234,
        graded_ndcg_at_10=0.1,
        context_at_1k=0.625,
    )
    bare = msgspec.structs.replace(row, context_at_1k=None)
    lines = retrieval_table({"all": bare, "zh": row}).splitlines()
    assert re.split(r"\s{2,}", lines[0]) == [
        "language",
        "questions",
        "hit@1",
        "hit@5",
        "hit@10",
        "recall@5",
        "MRR@10",
        "nDCG@10",
        "context@1k",
    ]
    assert lines[-1].split() == ["zh", "250", "0.700", "0.875", "1.000", "0.500", "0.250", "0.123", "0.625"]
    assert lines[-2].split()[-1] == "–"


def test_differences_are_printed_with_signs() -> None:
    shown = format_difference(Interval(mean=0.123, low=-0.031, high=-0.001, case_count=3))
    assert shown == "+0.12 [−0.03, +0.00]"
