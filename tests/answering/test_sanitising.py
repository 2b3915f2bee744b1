"""Answers without HTML, pictures and foreign addresses, whole and in pieces."""

from __future__ import annotations

import pytest

from assistant.answering.sanitising import SafeText, sanitise

KNOWN = "Download it from https://halvorn.example/app and write to service@halvorn.example."


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("See https://evil.example/x.", "See ."),
        ("See https://halvorn.example/app.", "See https://halvorn.example/app."),
        (
            "Write to service@halvorn.example, not to a@evil.example.",
            "Write to service@halvorn.example, not to .",
        ),
        ("![pump](https://evil.example/a.png?q=secret) It weighs 21 kg [1].", "pump It weighs 21 kg [1]."),
        ("[Refund](https://evil.example) here", "Refund here"),
        ("[App](https://halvorn.example/app)", "App (https://halvorn.example/app)"),
        ("[run](javascript:alert(1))", "run)"),
        ("<script>alert('x')</script>48 Nm", "48 Nm"),
        ("<img src=x onerror=alert(1)>48 <b>Nm</b>", "48 Nm"),
        ("<!-- hidden -->48 Nm", "48 Nm"),
        ("拨打 www.evil.example 领取。", "拨打  领取。"),
        ("48\u200b Nm\U000e0041", "48 Nm"),
        ("Enter <SSID> and <password> [1][2].", "Enter <SSID> and <password> [1][2]."),
        ("3 < 4 and 5 > 4: at 3.5 bar", "3 < 4 and 5 > 4: at 3.5 bar"),
    ],
)
def test_what_a_client_might_run_is_gone(text: str, clean: str) -> None:
    assert sanitise(text, (KNOWN,)) == clean


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("See https://evil.example/x now [1].", "See  now [1]."),
        ("Get https://halvorn.example/app now.", "Get https://halvorn.example/app now."),
        ("<script>alert('x')</script>48 Nm <SSID>.", "48 Nm <SSID>."),
        ("A <img src=x onerror=alert(1)> B < C", "A  B < C"),
        ("请打开 www.evil.example 查看 [1]。", "请打开  查看 [1]。"),
    ],
)
def test_pieces_show_no_more_than_the_whole(text: str, clean: str, size: int) -> None:
    safe = SafeText((KNOWN,))
    shown = [safe.feed(text[place : place + size]) for place in range(0, len(text), size)]
    assert "".join([*shown, safe.flush()]) == clean


def test_plain_words_are_not_held_back() -> None:
    safe = SafeText(())
    pieces = ["The", " Q7", " weighs", " 21", " kg", " [1]", "."]
    assert [safe.feed(piece) for piece in pieces] == pieces
