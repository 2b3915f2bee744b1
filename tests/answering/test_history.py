"""Earlier turns: bounded by exchanges and tokens, the older ones summarised."""

from __future__ import annotations

import pytest

from assistant.answering.history import bounded_history, summarise
from assistant.core.records import Message


def conversation(count: int, words: int = 3) -> tuple[Message, ...]:
    turns: list[Message] = [Message(role="system", content="Be kind.")]
    for place in range(count):
        turns.append(Message(role="user", content=f"question {place} " + "why " * words))
        turns.append(Message(role="assistant", content=f"Answer {place}. Further words."))
    return tuple(turns)


def count_words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("tokens", [60, 200, 2000])
@pytest.mark.parametrize("turns", [1, 4])
def test_the_budget_holds_and_the_latest_turns_stay(turns: int, tokens: int) -> None:
    kept = bounded_history(conversation(300), count_words, turns=turns, tokens=tokens)
    system, *spoken = kept
    assert system.content == "Be kind."
    assert len(spoken) <= 2 * turns
    assert spoken[0].role == "user"
    assert spoken[-1].content.startswith("Answer 299.")
    assert sum(count_words(turn.content) for turn in spoken) <= tokens


def test_what_came_before_is_told_in_one_line_an_exchange() -> None:
    kept = bounded_history(conversation(4), count_words, turns=1, tokens=500)
    first = kept[1].content
    assert first.startswith("(Earlier in this conversation:\n- question 0")
    assert "→ Answer 2." in first
    assert "Further words" not in first
    assert first.endswith("question 3 why why why ")


def test_a_chinese_conversation_is_told_in_chinese() -> None:
    turns = (
        Message(role="user", content="Q7 的流量是多少？"),
        Message(role="assistant", content="4 m³/h。很大。"),
    )
    assert summarise(turns, len, tokens=200) == "（此前的对话：\n- Q7 的流量是多少？ → 4 m³/h。）"
    assert summarise(turns, len, tokens=5) == ""


def test_without_turns_only_instructions_stay() -> None:
    assert bounded_history(conversation(3), count_words, turns=0, tokens=500) == conversation(0)
    assert bounded_history((), count_words, turns=3, tokens=500) == ()


def test_a_single_huge_turn_does_not_take_the_engine_down() -> None:
    huge = (Message(role="user", content="word " * 5000), Message(role="assistant", content="ok"))
    kept = bounded_history(huge, count_words, turns=3, tokens=100)
    assert sum(count_words(turn.content) for turn in kept) <= 100
