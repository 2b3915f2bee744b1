"""Metrics against published implementations on the sample suite and, where it is there, on foreign sets.

ROUGE-L is held against rouge-score and rankings against ir-measures, which the extra ``reference`` installs.
MLQA's script is no package: its figures were written down once, with its ``mlqa_evaluation_v1.py`` (commit
5ef5c73) beside this file and DESKMATE_EVALDATA set, by this in ``tests/eval``:

    import mlqa_evaluation_v1 as m, test_eval_references as t
    for name in t.NAMES:
        for score in (m.exact_match_score, m.f1_score):
            best = [max(score(text, wanted, lang) for wanted in refs) for refs, text, lang in t.texts(name)]
            print(name, len(best), sum(best) / len(best))
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assistant.core.language import Language
from assistant.core.records import Case
from assistant.core.sentences import split_sentences, support, terms
from eval.answer_metrics import rouge_l, rouge_tokens, squad_exact_match, squad_f1
from eval.ranking_metrics import hit_at_k, mrr, ndcg, ranks_in, recall_at_k
from eval.suites import load_suite, sample_suite_path

EVALDATA = Path(os.environ.get("DESKMATE_EVALDATA") or "/nonexistent")
FOREIGN = {"xquad-en": "xquad/dev", "xquad-zh": "xquad/dev", "cmrc2018-zh": "cmrc2018/dev"}
Text = tuple[tuple[str, ...], str, Language]


def sample_cases(lang: str) -> list[Case]:
    return [case for case in load_suite(sample_suite_path()) if case.lang == lang and case.answerable]


def texts(name: str) -> Iterator[Text]:
    """Yield references, a text to score, and the language: the evidence, or a reference in other clothes."""
    if name.startswith("sample"):
        for place, case in enumerate(sample_cases(name[-2:])):
            dressed = f"The {case.answers[0].upper()}!" if case.lang == "en" else f"“{case.answers[0]}”。 "
            yield case.answers, case.gold[0].evidence if place % 3 else dressed, case.lang
        return
    folder = EVALDATA / FOREIGN[name]
    if not folder.is_dir():
        pytest.skip("DESKMATE_EVALDATA does not name the sets")
    lang: Language = "zh" if name.endswith("zh") else "en"
    documents = {row["doc"]: row["text"] for row in rows(folder / f"docs_{lang}.jsonl")}
    for place, row in enumerate(islice(rows(folder / f"questions_{lang}.jsonl"), 200)):
        sentences = [span.text for span in split_sentences(documents[row["gold"][0]["doc"]])]
        best = max(sentences, key=lambda sentence: support(row["question"], sentence))
        yield tuple(row["answers"]), best if place % 3 else row["answers"][0], lang


def rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as lines:
        for line in lines:
            yield msgspec.json.decode(line)


# name → texts, exact match, F1
MLQA = {
    "sample-en": (27, 0.370370370, 0.790669301),
    "sample-zh": (27, 0.333333333, 0.815056043),
    "xquad-en": (200, 0.335000000, 0.443900968),
    "xquad-zh": (200, 0.335000000, 0.456510725),
    "cmrc2018-zh": (200, 0.335000000, 0.523498374),
}
NAMES = ["sample-en", "sample-zh", *FOREIGN]


@pytest.mark.parametrize("name", NAMES)
def test_exact_match_and_f1_are_those_of_the_published_script(name: str) -> None:
    found = list(texts(name))
    count, exact, f1 = MLQA[name]
    assert len(found) == count
    assert math.fsum(squad_exact_match(*row) for row in found) / count == pytest.approx(exact, abs=1e-6)
    assert math.fsum(squad_f1(*row) for row in found) / count == pytest.approx(f1, abs=1e-6)


@pytest.mark.slow  # importing rouge-score takes seconds
@pytest.mark.parametrize("name", NAMES)
def test_rouge_l_is_that_of_rouge_score(name: str) -> None:
    rouge_scorer = pytest.importorskip(
        "rouge_score.rouge_scorer", reason="the extra reference is not installed"
    )

    class Characters:
        def tokenize(self, text: str) -> list[str]:
            return rouge_tokens(text)

    # its own tokens are English; it drops every Chinese character
    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=Characters() if name.endswith("zh") else None)
    scores = []
    for references, text, _ in texts(name):
        wanted = scorer.score_multi(references, text)["rougeL"].fmeasure
        scores.append(rouge_l(references, text))
        assert scores[-1] == pytest.approx(wanted, abs=1e-6)
    assert 0.1 < math.fsum(scores) / len(scores) < 0.95


def rankings(lang: str) -> Iterator[tuple[dict[str, int], list[str]]]:
    """Yield graded right evidences and a ranking of all evidences for each question of the sample suite."""
    cases = sample_cases(lang)
    evidences = {f"{case.id}/{place}": gold for case in cases for place, gold in enumerate(case.gold)}
    for case in cases:
        grades = {
            name: 3 if name.startswith(f"{case.id}/") else 1
            for name, gold in evidences.items()
            if name.startswith(f"{case.id}/") or gold.doc == case.gold[0].doc
        }
        ranked = sorted(evidences, key=lambda name: (-support(case.question, evidences[name].evidence), name))
        yield grades, ranked[:20]


def passage_rankings() -> Iterator[tuple[dict[str, int], list[str]]]:
    folder = EVALDATA / "mtrag_un_cloud/dev"
    if not folder.is_dir():
        pytest.skip("DESKMATE_EVALDATA does not name the sets")
    passages = {str(row["passage"]): terms(row["text"]) for row in rows(folder / "passages.jsonl")}
    for row in rows(folder / "questions_en.jsonl"):
        grades = {str(gold["passage"]): 1 for gold in row["gold"] if gold.get("passage") in passages}
        if grades:
            wanted = terms(row["question"])
            overlaps = {name: len(wanted & held) for name, held in passages.items()}
            yield grades, sorted(passages, key=lambda name: (-overlaps[name], name))[:20]


@pytest.mark.parametrize("source", ["en", "zh", "mtrag"])
def test_rankings_score_as_in_trec_eval(source: str) -> None:
    measures = pytest.importorskip("ir_measures", reason="the extra reference is not installed")
    found = list(passage_rankings() if source == "mtrag" else rankings(source))
    judged = {str(n): grades for n, (grades, _) in enumerate(found)}
    binary = {name: dict.fromkeys(grades, 1) for name, grades in judged.items()}
    run = {str(n): {name: -place for place, name in enumerate(ranked)} for n, (_, ranked) in enumerate(found)}
    by_name = {
        "hit": measures.Success @ 5,
        "recall": measures.R @ 5,
        "mrr": measures.RR @ 10,
        "ndcg": measures.nDCG @ 10,
    }
    values: dict[tuple[str, object], float] = {
        (row.query_id, row.measure): row.value for row in measures.iter_calc(by_name.values(), binary, run)
    }
    graded = {row.query_id: row.value for row in measures.iter_calc([by_name["ndcg"]], judged, run)}
    for query, grades in judged.items():
        ranks = ranks_in(list(grades), list(run[query]))
        ours = (hit_at_k(ranks, 5), recall_at_k(ranks, 5), mrr(ranks), ndcg(ranks))
        assert ours == pytest.approx([values[query, measure] for measure in by_name.values()], abs=1e-6)
        assert ndcg(ranks, grades=list(grades.values())) == pytest.approx(graded[query], abs=1e-6)
    assert 0.1 < math.fsum(graded.values()) / len(graded) < 0.95
