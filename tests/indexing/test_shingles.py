from __future__ import annotations

import pytest

from assistant.core.language import Language
from assistant.core.records import Chunk
from indexing.shingles import distinct_passages, jaccard, shingles

ENGLISH = (
    "Close both isolating valves before you open the pump head, let the water cool below forty degrees, "
    "and loosen the four screws crosswise. Take the rotor out, clean the bearing plate with a soft cloth, "
    "and put a new seal in place. Tighten the screws crosswise to 12 Nm and vent the pump until no air "
    "comes out. Keep the old seal with the service report until the customer has signed it."
)
CHINESE = (
    "打开泵头之前先关闭两侧的隔离阀，让水温降到四十度以下，再交叉松开四颗螺钉。取出转子，用软布擦净轴承板，换上新的"
    "密封圈。按十二牛米的力矩交叉拧紧螺钉，然后排气，直到不再有空气冒出。"
)


def chunk(
    text: str, document: str = "a.md", titles: tuple[str, ...] = (), language: Language = "en"
) -> Chunk:
    return Chunk(
        id=document + text, document=document, version=1, position=0, text=text, heading_path=titles,
        language=language,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "language", "changed"),
    [(ENGLISH, "en", ENGLISH.replace("soft", "clean")), (CHINESE, "zh", CHINESE.replace("软布", "干布"))],
)
def test_likeness_falls_with_each_changed_word_and_ignores_case_and_punctuation(
    text: str, language: Language, changed: str
) -> None:
    whole = shingles(text, language)
    same = shingles(text.upper().replace(",", " ,").replace("，", "、 "), language)
    assert jaccard(whole, same) == 1.0
    assert 0.85 < jaccard(whole, shingles(changed, language)) < 1.0
    assert jaccard(whole, shingles(text[::-1], language)) < 0.1


def test_short_and_empty_texts_have_one_run_or_none() -> None:
    assert len(shingles("", "en")) == len(shingles("…— 。", "zh")) == 0
    assert len(shingles("Seal", "en")) == len(shingles("密封圈", "zh")) == 1
    assert jaccard(shingles("", "en"), shingles("", "en")) == 0.0


def ranked(*chunks: Chunk, top_k: int = 5) -> list[int]:
    return distinct_passages(range(len(chunks)), dict(enumerate(chunks)), top_k)


def test_the_same_passage_from_two_files_is_given_once() -> None:
    copy = ENGLISH.replace("soft cloth", "dry cloth").replace(", and", " and")
    other = chunk("Another passage about the display of the pump and its menus.", "c.md")
    assert ranked(chunk(ENGLISH), chunk(ENGLISH, "b.md"), chunk(copy, "d.md"), other) == [0, 3]
    zh = chunk(CHINESE, language="zh")
    assert ranked(zh, chunk(CHINESE.replace("软布", "干布"), "b.md", language="zh")) == [0]
    assert ranked(*(chunk(f"{ENGLISH} Sheet {number}.") for number in range(9)), top_k=3) == [0, 1, 2]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (chunk(ENGLISH), chunk(ENGLISH.replace("12 Nm", "14 Nm"), "b.md")),
        (chunk(ENGLISH, titles=("E-47",)), chunk(ENGLISH.replace("soft", "dry"), "b.md", titles=("E-48",))),
        (
            chunk(CHINESE, language="zh"),
            chunk(CHINESE.replace("十二牛米", "十五牛米"), "b.md", language="zh"),
        ),
    ],
)
def test_passages_of_other_numbers_and_codes_stay_apart(left: Chunk, right: Chunk) -> None:
    assert ranked(left, right) == [0, 1]
