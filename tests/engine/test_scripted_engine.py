import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.core.prompts import answer_messages, not_covered
from assistant.core.records import Chunk, Passage
from assistant.engine.protocol import GenerationRequest, TextDelta
from assistant.engine.scripted import ScriptedEngine, split_context

TEXTS = (
    "The Q-200 weighs 12.5 kg. Its hose is green.\nFault E07 means low pressure. Close the valve first!",
    "T6 烤箱使用前要预热十分钟。清洁前请拔掉电源。",
    "Prices are without tax.",
)
PASSAGES = tuple(
    Passage(rank=n, score=1.0, chunk=Chunk(id=str(n), document="a.pdf", version=1, position=n, text=text))
    for n, text in enumerate(TEXTS, 1)
)


def answer(question: str, language: str, passages: tuple[Passage, ...] | None = PASSAGES) -> str:
    messages = answer_messages(question, language, passages)  # type: ignore[arg-type]
    return ScriptedEngine().complete([GenerationRequest(messages=messages)])[0].text


@pytest.mark.parametrize(
    ("question", "language", "expected"),
    [
        ("What does fault E07 mean?", "en", "Fault E07 means low pressure. [1]"),
        ("How much does the Q-200 weigh?", "en", "The Q-200 weighs 12.5 kg. [1]"),
        ("T6烤箱要预热多久？", "zh", "T6 烤箱使用前要预热十分钟。 [2]"),
        ("Are prices with tax?", "en", "Prices are without tax. [3]"),
        ("Who won the cup?", "en", not_covered("en")),
        ("谁得了冠军？", "zh", not_covered("zh")),
    ],
)
def test_answers_with_the_sentence_that_fits(question: str, language: str, expected: str) -> None:
    assert answer(question, language) == expected


def test_without_context_it_does_not_know() -> None:
    assert answer("What does fault E07 mean?", "en", None) == "I do not know."
    assert answer("故障代码是什么意思？", "zh", None) == "我不知道。"


def test_context_is_split_by_its_numbers() -> None:
    system = answer_messages("?", "en", PASSAGES)[0].content
    assert split_context(system) == dict(enumerate(TEXTS, 1))


def test_the_first_rule_that_fits_decides(ask: Callable) -> None:
    engine = ScriptedEngine([("^Wh", "first"), ("why", "second"), ("pump", "third")])
    texts = [engine.complete([ask(q)])[0].text for q in ("Why?", "say why", "a pump", "else")]
    assert texts == ["first", "second", "third", "I do not know."]


def test_streams_words_and_characters_at_its_pace(ask: Callable) -> None:
    engine = ScriptedEngine([("", "Open it now. 打开")], token_seconds=0.01)
    started = time.monotonic()
    *pieces, end = engine.stream(ask("Why?"))
    assert pieces == [TextDelta(text=text) for text in ("Open", " it", " now", ".", " 打", "开")]
    assert end.usage.completion_tokens == 6
    assert time.monotonic() - started >= 0.06


def test_adapters_by_name(ask: Callable, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    engine = ScriptedEngine([("", "yes")])
    engine.load_adapter("pumps", str(tmp_path))
    engine.load_adapter("pumps", str(tmp_path))
    assert engine.adapters() == ("pumps",)
    assert engine.complete([ask("Why?", adapter="pumps")])[0].text == "yes"
