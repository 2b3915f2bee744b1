from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.engine.text_stream import StopFilter, TokenText

TEXT = "水泵 P-7 压力过低：关闭阀门 🙂，then wait ten minutes。ok"


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> object:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(tiny_model))


def pieces(tokenizer: object, ids: list[int]) -> list[str]:
    text = TokenText(tokenizer.decode)  # type: ignore[attr-defined]
    return [text.feed(token) for token in ids] + [text.flush()]


def test_split_characters_come_out_whole(tokenizer: Callable) -> None:
    ids = tokenizer(TEXT)["input_ids"]
    assert any("\ufffd" in tokenizer.decode([token]) for token in ids)  # type: ignore[attr-defined]
    shown = pieces(tokenizer, ids)
    assert "".join(shown) == TEXT
    assert not any("\ufffd" in piece for piece in shown)
    assert shown[-1] == ""


def test_a_character_cut_off_at_the_end_is_dropped(tokenizer: Callable) -> None:
    ids = tokenizer("ok 🙂")["input_ids"]
    assert "".join(pieces(tokenizer, ids[:-1])) == "ok "


def test_bytes_that_are_no_text_do_not_stop_the_stream(tokenizer: Callable) -> None:
    broken = tokenizer("🙂")["input_ids"][0]
    shown = pieces(tokenizer, [broken] * 20 + tokenizer("valve")["input_ids"])
    assert "".join(shown).endswith("valve")


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("stop", "expected", "stopped"),
    [
        (("ten",), "abc <te <t", True),
        (("<end>", "ten"), "abc <te <t", True),
        (("absent", ""), "abc <te <tten<e", False),
        (("<end>",), "abc <te <tten<e", False),
        ((), "abc <te <tten<e", False),
        (("c <", "bc"), "a", True),
    ],
)
def test_stop_texts_across_pieces(size: int, stop: tuple[str, ...], expected: str, *, stopped: bool) -> None:
    text = "abc <te <tten<e"
    chosen = StopFilter(stop)
    shown = "".join(chosen.feed(text[start : start + size]) for start in range(0, len(text), size))
    assert shown + chosen.flush() == expected
    assert chosen.is_stopped is stopped
    if stopped:
        assert chosen.feed("more") == ""


def test_no_part_of_a_stop_text_is_shown_early() -> None:
    chosen = StopFilter(("END",))
    assert [chosen.feed(piece) for piece in ("aE", "N", "xEN", "D")] == ["a", "", "ENx", ""]
