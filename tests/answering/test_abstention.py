from __future__ import annotations

import pytest

from assistant.answering.abstention import missing_words
from assistant.core.records import Chunk, Passage


def passage(text: str) -> Passage:
    chunk = Chunk(id="c", document="d.md", version=1, position=0, text=text, heading_path=())
    return Passage(rank=1, score=1.0, chunk=chunk)


@pytest.mark.parametrize(
    ("question", "text", "missing"),
    [
        ("Does the pump somehow come with Bluetooth?", "The pump starts at once.", ("Bluetooth",)),
        ("How far should the impeller really be?", "The impeller has a gap of 6 mm.", ()),
        ("T6 到底有没有燃气版的？", "T6 的额定功率是 11.8 kW。", ("燃气",)),
        ("风机叶轮离导流板应当多远？", "叶轮与导流板之间应留 6 mm 间隙，风机在后部。", ()),
    ],
    ids=["a thing", "words of asking", "a thing, Chinese", "words of asking, Chinese"],
)
def test_only_words_that_say_something_are_missed(question: str, text: str, missing: tuple[str, ...]) -> None:
    assert missing_words(question, [passage(text)]) == missing
