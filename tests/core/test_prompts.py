from __future__ import annotations

from collections.abc import Callable

import pytest

from assistant.core.errors import InputError
from assistant.core.language import Language
from assistant.core.prompts import answer_messages, render
from assistant.core.records import Chunk, Message, Passage

TEXTS: dict[Language, tuple[str, str, str]] = {
    "en": ("pumps/manual.pdf", "Motor flange bolts: 48 Nm", "Which torque?"),
    "zh": ("ovens/手册.pdf", "电机法兰螺栓：48 N·m", "力矩是多少？"),
}


def _passage(language: Language) -> Passage:
    document, text, _ = TEXTS[language]
    chunk = Chunk(
        id="c1", document=document, version=1, position=0, text=text, heading_path=("3 Data", "3.2 Torques")
    )
    return Passage(rank=1, score=1.0, chunk=chunk)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["grounded", "closed_book"])
def test_rendered_prompts(language: Language, kind: str, check_golden: Callable[[str, str], None]) -> None:
    passages = (_passage(language),) if kind == "grounded" else None
    history = (Message(role="user", content="Hello"), Message(role="assistant", content="Hi"))
    messages = answer_messages(TEXTS[language][2], language, passages, history)
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    text = "\n".join(f"<{message.role}>\n{message.content}" for message in messages)
    check_golden(f"prompt_{kind}_{language}.txt", text + "\n")


def test_variables_are_strict() -> None:
    with pytest.raises(InputError, match="takes"):
        render("passage", "en", number="1")
    with pytest.raises(InputError, match="takes"):
        render("not_covered", "en", stray="1")


def test_dollar_signs_in_documents_are_text() -> None:
    assert "$9 and $where" in render("passage", "en", number="1", where="x", text="costs $9 and $where")
