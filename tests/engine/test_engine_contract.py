"""What every engine must do, whatever is behind it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant.core.errors import EngineUnavailable, ModelError, NotFoundError
from assistant.core.home import Home
from assistant.core.records import Message
from assistant.core.settings import load_settings
from assistant.engine.protocol import Engine, GenerationRequest, PromptTooLong, StreamEnd
from assistant.engine.registry import load_engine
from assistant.engine.scripted import ScriptedEngine

Ask = Callable[..., GenerationRequest]
LONG = "The pump stops with fault code E07. Why?"


@pytest.fixture(params=["scripted", "local", pytest.param("real", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "local":
        yield request.getfixturevalue("local")()
        return
    if request.param == "scripted":
        text = (
            "Close the valve, wait ten minutes. 关闭阀门，等待十分钟。 Then start the pump again, and look."
        )
        made: Engine = ScriptedEngine([("E07|代码", text * 3)])
    else:
        try:
            made = load_engine(load_settings(environment=os.environ).settings, Home.from_environment())
        except ModelError as error:
            pytest.skip(f"no model prepared: {error}")
    yield made
    made.close()


def test_stream_gives_the_text_of_complete(engine: Engine, ask: Ask, read: Callable) -> None:
    for question in (LONG, "代码是什么意思？请用中文回答。"):
        whole = engine.complete([ask(question)])[0]
        text, end = read(engine.stream(ask(question)))
        assert text == whole.text
        assert (end.finish_reason, end.usage) == (whole.finish_reason, whole.usage)
        assert 0 < whole.usage.completion_tokens <= 24


def test_results_come_in_the_order_given(engine: Engine, ask: Ask) -> None:
    limits = [7, 3, 9, 1, 5]
    done = engine.complete([ask(LONG + " " * n, max_new_tokens=n) for n in limits])
    assert [one.usage.completion_tokens for one in done] == limits
    assert {one.finish_reason for one in done} == {"length"}


def test_nothing_to_complete(engine: Engine) -> None:
    assert engine.complete([]) == []


def test_stop_text_ends_the_text_before_it(engine: Engine, ask: Ask, read: Callable) -> None:
    whole = engine.complete([ask(LONG)])[0].text
    stop = whole[6:9]
    cut = whole[: whole.index(stop)]
    request = ask(LONG, stop=("never there", stop))
    one = engine.complete([request])[0]
    assert (one.text, one.finish_reason) == (cut, "stop")
    text, end = read(engine.stream(request))
    assert (text, end.finish_reason) == (cut, "stop")


def test_half_a_stop_text_at_the_end_is_shown(engine: Engine, ask: Ask, read: Callable) -> None:
    whole = engine.complete([ask(LONG)])[0].text
    assert read(engine.stream(ask(LONG, stop=(whole[-2:] + "\x00",))))[0] == whole


def test_unknown_adapter(engine: Engine, ask: Ask) -> None:
    with pytest.raises(NotFoundError, match="'nobody' is not loaded"):
        engine.stream(ask(LONG, adapter="nobody"))
    with pytest.raises(NotFoundError, match="'nobody' is not loaded"):
        engine.complete([ask(LONG), ask(LONG, adapter="nobody")])


def test_folder_without_adapter(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"adapter_config\.json"):
        engine.load_adapter("empty", str(tmp_path))
    assert engine.adapters() == ()


def test_prompt_longer_than_the_window_names_both_figures(engine: Engine) -> None:
    message = Message(role="user", content="pump valve " * 40000)
    for call in (engine.stream, lambda request: engine.complete([request])):
        with pytest.raises(PromptTooLong, match=r"has \d+ tokens, the model's window is \d+") as caught:
            call(GenerationRequest(messages=(message,)))
        assert caught.value.status == 400


def test_tokens_are_counted_in_both_languages(engine: Engine) -> None:
    assert engine.count_tokens("") == 0
    assert 1 < engine.count_tokens("Close the valve now.") < engine.count_tokens("Close the valve now. " * 3)
    assert engine.count_tokens("关闭阀门") > 1


def test_a_closed_engine_says_so(engine: Engine, ask: Ask) -> None:
    assert engine.problems() == ()
    running = engine.stream(ask(LONG, max_new_tokens=400))
    next(running)
    engine.close()
    *_, end = running
    assert isinstance(end, StreamEnd)
    assert end.finish_reason == "cancelled"
    assert engine.problems() == ("the engine is closed",)
    with pytest.raises(EngineUnavailable):
        engine.stream(ask(LONG))
    engine.close()
