"""The SGLang client against a server on a real port that behaves as SGLang was measured to."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from assistant.core.errors import (
    EngineBusy,
    EngineError,
    EngineUnavailable,
    InputError,
    ModelError,
    NotFoundError,
)
from assistant.core.settings import EngineSettings
from assistant.engine.protocol import PromptTooLong, StreamEnd, TextDelta
from assistant.engine.sglang import SglangEngine

USER_KEY, ADMIN_KEY = "user-key-4711", "admin-key-0815"


def test_stream_and_complete(connect: Callable, ask: Callable, read: Callable, server: Any) -> None:
    engine = connect()
    request = ask("为什么?", stop=("END",), seed=3, temperature=0.5, top_p=0.9)
    text, end = read(engine.stream(request))
    assert text == "base|为什么?\u2028阀门🙂"
    assert (end.finish_reason, end.usage.prompt_tokens, end.usage.completion_tokens) == ("stop", 9, 5)
    done = engine.complete([request])[0]
    assert (done.text, done.finish_reason, done.usage) == (text, "length", end.usage)
    streamed, whole = server.bodies
    assert streamed.pop("stream_options") == {"include_usage": True}
    assert streamed.pop("stream") is True
    assert streamed == whole
    assert whole == {
        "model": "base",
        "messages": [{"role": "user", "content": "为什么?"}],
        "max_tokens": 24,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["END"],
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_adapters_are_chosen_by_base_and_name_and_never_guessed(
    connect: Callable, ask: Callable, server: Any
) -> None:
    engine = connect()
    with pytest.raises(NotFoundError, match="'pumps' is not loaded; loaded: none"):
        engine.stream(ask("Why?", adapter="pumps"))
    assert server.bodies == []
    engine.load_adapter("pumps", "/adapters/pumps-1")
    engine.load_adapter("pumps", "/adapters/pumps-1")
    assert engine.adapters() == ("pumps",)
    assert engine.complete([ask("Why?", adapter="pumps"), ask("Why?")])[0].text.startswith("base:pumps|")
    with pytest.raises(ModelError, match="stands for /adapters/pumps-1 already"):
        engine.load_adapter("pumps", "/adapters/pumps-2")
    with pytest.raises(ModelError, match="rank 64 is over the limit"):
        engine.load_adapter("ovens", "/adapters/broken")
    with pytest.raises(InputError, match="no adapter name"):
        engine.load_adapter("a:b", "/adapters/pumps-1")
    assert connect().complete([ask("Why?", adapter="pumps")])[0].text.startswith("base:pumps|")


def test_an_adapter_that_another_process_loaded_meanwhile_is_taken_over(
    connect: Callable, ask: Callable, server: Any
) -> None:
    service, command = connect(), connect()
    assert service.adapters() == ()
    command.load_adapter("pumps", "/adapters/pumps-1")
    service.load_adapter("pumps", "/adapters/pumps-1")
    assert service.complete([ask("Why?", adapter="pumps")])[0].text.startswith("base:pumps|")
    command.load_adapter("ovens", "/adapters/ovens-1")
    with pytest.raises(ModelError, match="already loaded"):
        service.load_adapter("ovens", "/adapters/ovens-2")
    assert sorted(service.adapters()) == ["ovens", "pumps"]


def test_many_requests_at_once_but_bounded(connect: Callable, ask: Callable, server: Any) -> None:
    server.token_seconds = 0.05
    done = connect(batch_size=4).complete([ask(f"q{n}") for n in range(8)])
    assert [one.text.split("|")[1][:2] for one in done] == [f"q{n}" for n in range(8)]
    assert server.most_running == 4


def test_closing_a_stream_ends_it_in_the_server(connect: Callable, ask: Callable, server: Any) -> None:
    server.token_seconds = 0.05
    engine = connect()
    for read_first in (True, False):
        server.aborted.clear()
        stream = engine.stream(ask("Why?"))
        if read_first:
            assert isinstance(next(stream), TextDelta)
        stream.close()
        assert server.aborted.wait(5)


def test_a_connection_that_breaks_before_the_first_token_is_tried_again(
    connect: Callable, ask: Callable, read: Callable, server: Any
) -> None:
    engine = connect()
    server.connections_to_break = 2
    assert read(engine.stream(ask("Why?")))[0].startswith("base|Why?")
    server.connections_to_break = 1
    assert engine.complete([ask("Why?")])[0].text.startswith("base|Why?")
    assert len(server.bodies) == 5
    server.connections_to_break = 9
    with pytest.raises(EngineUnavailable, match="no engine answers"):
        engine.complete([ask("Why?")])


def test_a_stream_that_breaks_after_a_token_is_not_tried_again(
    connect: Callable, ask: Callable, server: Any
) -> None:
    server.break_after_tokens = 3
    stream = connect().stream(ask("Why?"))
    assert next(stream) == TextDelta(text="base")
    with pytest.raises(EngineError, match="broke off"):
        list(stream)
    assert len(server.bodies) == 1


def test_errors_of_the_server(connect: Callable, ask: Callable, server: Any) -> None:
    engine = connect()
    for call in (engine.stream, lambda request: engine.complete([request])):
        with pytest.raises(PromptTooLong, match="900 tokens"):
            call(ask("x" * 501))
        server.status = 503
        with pytest.raises(EngineBusy, match="no room"):
            call(ask("Why?"))
        server.status = 500
        with pytest.raises(EngineError, match="answers 500: no room"):
            call(ask("Why?"))
        server.reason = "CUDA out of memory. Tried to allocate 2 GiB"
        with pytest.raises(EngineError, match=r"ran out of memory.*max_total_tokens"):
            call(ask("Why?"))
        server.reason = "no room"
        assert "not ready: 500" in engine.problems()[0]
        server.status = 200
    assert engine.problems() == ()


@pytest.mark.parametrize(
    "nonsense",
    [
        "<html>Welcome to nginx!</html>",
        '{"choices": []}',
        '{"choices": 3}',
        '{"error": {"message": "CUDA error: an illegal memory access"}}',
        'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        "data: not JSON\n\ndata: [DONE]\n\n",
        "",
    ],
)
def test_an_engine_that_answers_nonsense_is_a_clean_error(
    connect: Callable, ask: Callable, server: Any, nonsense: str
) -> None:
    server.nonsense = nonsense
    engine = connect()
    with pytest.raises(EngineError, match="engine"):
        engine.complete([ask("Why?")])
    with pytest.raises(EngineError, match="engine"):
        list(engine.stream(ask("Why?")))
    server.nonsense = None
    assert engine.complete([ask("Why?")])[0].text.startswith("base|Why?")


def test_no_token_in_time(connect: Callable, ask: Callable, server: Any) -> None:
    server.token_seconds = 1.0
    stream = connect(timeout_seconds=0.2).stream(ask("Why?"))
    with pytest.raises(EngineError, match="no token in time"):
        next(stream)


def test_keys_are_needed_and_never_shown(
    connect: Callable, ask: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(EngineUnavailable, match="DESKMATE_ENGINE_API_KEY"):
        connect({}).complete([ask("Why?")])
    without_admin = connect({"DESKMATE_ENGINE_API_KEY": USER_KEY})
    with pytest.raises(EngineUnavailable, match="DESKMATE_ENGINE_ADMIN_KEY"):
        without_admin.load_adapter("pumps", "/adapters/pumps-1")
    engine = connect()
    engine.load_adapter("pumps", "/adapters/pumps-1")
    assert engine.complete([ask("Why?")])
    shown = caplog.text + repr(engine)
    assert USER_KEY not in shown
    assert ADMIN_KEY not in shown


def test_tokens_are_counted_by_the_server_else_estimated(connect: Callable, server: Any) -> None:
    assert connect().count_tokens("valve 阀") == 7
    server.has_tokenize = False
    engine = connect()
    assert engine.count_tokens("阀" * 40) == 40
    assert 8 <= engine.count_tokens("close the valve and wait a bit") <= 12


def test_tokens_are_counted_here_where_the_base_model_lies(server: Any, tiny_model: Path) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    server.has_tokenize = False
    engine = SglangEngine(EngineSettings(kind="sglang", url=url), {}, base=tiny_model)
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    for text in ("Close the valve.", "关闭阀门并等待。", ""):
        assert engine.count_tokens(text) == len(tokenizer.encode(text, add_special_tokens=False).ids)
    engine.close()


def test_nobody_listens(ask: Callable) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    engine = SglangEngine(EngineSettings(kind="sglang", url=url), {})
    with pytest.raises(EngineUnavailable, match=f"no engine answers at {url}") as caught:
        engine.stream(ask("Why?"))
    assert caught.value.next_command == "deskmate doctor"
    assert url in engine.problems()[0]
    engine.close()


def test_closed(connect: Callable, ask: Callable) -> None:
    engine = connect()
    stream = engine.stream(ask("Why?"))
    assert isinstance(list(stream)[-1], StreamEnd)
    engine.close()
    assert engine.problems() == ("the engine is closed",)
    with pytest.raises(EngineUnavailable, match="closed"):
        engine.complete([ask("Why?")])
