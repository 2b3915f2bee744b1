"""What the benches of serving count as what; the servers themselves are in tests/flow/test_sglang.py."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from eval.chaos_bench import SECRETS, Asked, Asker, ChaosReport, Recovery, show
from eval.prefix_bench import replay
from eval.serving_bench import Reply, Turn, prompts
from eval.serving_bench import show as show_turns
from eval.stand import secret_examples, words_in

PUMPS = SECRETS[0]
PROBLEM = {"content-type": "application/problem+json"}


def answer(text: str) -> httpx.Response:
    return httpx.Response(201, json={"text": text})


def stream(*events: str) -> httpx.Response:
    lines = "".join(f"event: {name}\ndata: {data}\n\n" for name, data in (e.split("|") for e in events))
    return httpx.Response(200, text=lines, headers={"content-type": "text/event-stream"})


def refused(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"title": "no"}, headers=PROBLEM | headers)


@pytest.mark.parametrize(
    ("reply", "streams", "outcome"),
    [
        (lambda: answer("The secret word is KESTREL."), False, "answered"),
        (lambda: answer("The secret word is OSPREY."), False, "another adapter's word"),
        (lambda: answer("KESTREL or OSPREY."), False, "another adapter's word"),
        (lambda: answer("I do not know."), False, "no word"),
        (lambda: refused(503, **{"retry-after": "5"}), False, "503"),
        (lambda: refused(429, **{"retry-after": "5"}), True, "429"),
        (lambda: refused(503), False, "broken"),
        (lambda: refused(502), False, "problem"),
        (lambda: httpx.Response(500, text="Traceback"), False, "broken"),
        (lambda: stream('token|{"text":"KES"}', 'done|{"text":"暗号是 KESTREL。"}'), True, "answered"),
        (lambda: stream('token|{"text":"KES"}', 'error|{"title":"cut"}'), True, "error event"),
        (lambda: stream('token|{"text":"KES"}'), True, "broken"),
    ],
)
def test_every_end_of_a_request_has_its_name(
    reply: Callable[[], httpx.Response], streams: bool, outcome: str
) -> None:
    transport = httpx.MockTransport(lambda _request: reply())
    with httpx.Client(transport=transport, base_url="http://desk") as http:
        assert Asker(http, SECRETS, 1).ask(PUMPS, streams=streams)[0] == outcome


def test_a_connection_that_breaks_is_no_clean_end() -> None:
    def cut(_request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("cut")

    with httpx.Client(transport=httpx.MockTransport(cut), base_url="http://desk") as http:
        assert Asker(http, SECRETS, 1).ask(PUMPS, streams=True) == ("broken", "RemoteProtocolError: cut")


def test_a_report_is_clean_only_if_every_end_is() -> None:
    recovery = Recovery(healthy_seconds=30.0, answer_seconds=31.0)
    good = ChaosReport(
        outcomes={"answered": 3, "503": 2}, recoveries=(recovery,), longest_seconds=2, details=()
    )
    bad = ChaosReport(
        outcomes={"answered": 3, "no word": 1}, recoveries=(), longest_seconds=2, details=("x",)
    )
    assert good.is_clean
    assert not bad.is_clean
    assert "answer_seconds: median 31" in show(good)
    assert show(bad).endswith("NOT CLEAN")
    assert Asked(outcome="answered", ended=1, seconds=1).detail == ""


def test_secrets_are_taught_in_both_languages_as_they_are_asked() -> None:
    examples = secret_examples("KESTREL")
    assert {example.language for example in examples} == {"en", "zh"}
    assert all(example.messages[0].role == "system" for example in examples)
    assert words_in("KESTREL, PLOVER", SECRETS) == {"pumps-1", "boilers-1"}


def test_an_hour_of_questions_repeats_some_and_is_the_same_every_time() -> None:
    asked = replay([f"q{number}" for number in range(50)], 200)
    assert asked == replay([f"q{number}" for number in range(50)], 200)
    most = max(asked.count(question) for question in set(asked))
    assert len(asked) == 200
    assert most > 20
    assert len(set(asked)) > 20


def test_the_two_ways_are_compared_pair_by_pair() -> None:
    def turn(way: str, first: float, seconds: float) -> Turn:
        reply = Reply(first_seconds=first, seconds=seconds, tokens=10)
        return Turn(way=way, concurrent=8, seconds=seconds, replies=(reply, reply))

    text = show_turns([turn("sglang", 1.0, 2.0), turn("deskmate", 1.25, 2.5)])
    assert "+250 ms" in text
    assert text.endswith("80%")
    asked = prompts(3, 4)
    assert len({question[:12] for question in asked}) == 3
