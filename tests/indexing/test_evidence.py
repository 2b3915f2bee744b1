from __future__ import annotations

import pytest

from assistant.core.language import Language
from assistant.core.records import Chunk, Passage
from indexing.evidence import measure_evidence
from indexing.snapshots import Background

# chunks that all say much the same of another country: their own likeness is no measure of a stranger
BACKGROUNDS = {
    "en": Background(mean=0.92, spread=0.01, count=12),
    "zh": Background(mean=0.94, spread=0.01, count=12),
}


def passage(text: str, language: Language) -> Passage:
    chunk = Chunk(
        id="c", document="d.md", version=1, position=0, text=text, heading_path=(), language=language
    )
    return Passage(rank=1, score=1.0, chunk=chunk, dense=0.89)


@pytest.mark.parametrize(
    ("question", "text", "is_covered"),
    [
        ("What is the capital of France?", "France's capital: Paris.", True),
        ("How many moons has Mars?", "France's capital: Paris.", False),
        ("法国的首都是哪里？", "法国首都：巴黎。", True),
        ("火星有多少颗卫星？", "法国首都：巴黎。", False),
        ("What is it?", "It is what it is.", True),
    ],
    ids=["covered", "foreign", "covered, Chinese", "foreign, Chinese", "words of asking only"],
)
def test_words_of_asking_are_no_rare_subject_of_a_small_collection(
    question: str, text: str, is_covered: bool
) -> None:
    language: Language = "zh" if text[0] > "\u2e7f" else "en"
    value = measure_evidence(question, [passage(text, language)], lambda term: 3.9, BACKGROUNDS)
    assert (value >= 0.45) is is_covered
    assert is_covered or value < 0.1
