"""How fast the local engine is beside plain transformers.

Run ``python -m assistant.engine.bench --model FOLDER``.

Both run the same prompt in the same process, by turns, so that a busy machine slows both alike. Wall
time is what a person waits; on a machine that is shared, processor time is the steadier figure.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from assistant.core.environment import prepare_environment
from assistant.core.home import Home
from assistant.core.records import Message, Record
from assistant.core.settings import EngineSettings
from assistant.engine.loading import LoadedModel, load_model
from assistant.engine.local import LocalEngine
from assistant.engine.protocol import GenerationRequest, StreamEnd

_SENTENCE = "Pump P-{n} takes {n}.5 bar and 3 kW; its filter is changed every {n} weeks by two people. "


class Timing(Record, frozen=True, kw_only=True):
    """One run: seconds to the first token, tokens a second after it, processor seconds in all."""

    first_seconds: float
    tokens_per_second: float
    cpu_seconds: float


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table."""
    default = Home.from_environment().models / EngineSettings().base_model
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=default, help="folder of Hugging Face format")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt-tokens", type=int, default=480)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args(arguments)
    prepare_environment()
    import torch

    torch.set_num_threads(options.threads)
    settings = EngineSettings(dtype=options.dtype, threads=options.threads, batch_size=options.batch)
    plain = load_model(options.model, options.dtype)
    engine = LocalEngine("bench", options.model, settings)
    request = make_request(engine.count_tokens, options.prompt_tokens, options.new_tokens)
    try:
        _print_streams(plain, engine, request, options.repeats)
        _print_batch(engine, request, options.batch)
    finally:
        engine.close()


def make_request(
    count: Callable[[str], int], prompt_tokens: int, new_tokens: int, name: str = ""
) -> GenerationRequest:
    """Return a request of about ``prompt_tokens`` tokens whose answer is as long as it may be."""
    text = f"{name} "
    number = 1
    while count(text) < prompt_tokens:
        text += _SENTENCE.format(n=number)
        number += 1
    messages = (Message(role="system", content=text), Message(role="user", content="Repeat all of it."))
    return GenerationRequest(messages=messages, max_new_tokens=new_tokens)


def time_stream(engine: LocalEngine, request: GenerationRequest) -> Timing:
    """Time the engine's stream."""

    def run(seen: Callable[[], None]) -> int:
        for event in engine.stream(request):
            seen()
            if isinstance(event, StreamEnd):
                return event.usage.completion_tokens
        return 0

    return _timed(run)


def time_generate(loaded: LoadedModel, request: GenerationRequest) -> Timing:
    """Time plain ``model.generate`` with a streamer."""
    import torch

    ids = torch.tensor([loaded.tokenizer.prompt_ids(request.messages)])
    options = {"max_new_tokens": request.max_new_tokens, "do_sample": False}

    def run(seen: Callable[[], None]) -> int:
        mask = torch.ones_like(ids)
        with torch.inference_mode():
            out = loaded.model.generate(ids, attention_mask=mask, streamer=_Clock(seen), **options)
        return int(out.shape[1] - ids.shape[1])

    return _timed(run)


class _Clock:
    """A streamer that decodes nothing; the first thing it is given is the prompt."""

    def __init__(self, seen: Callable[[], None]) -> None:
        self._seen = seen
        self._has_prompt = False

    def put(self, value: object) -> None:
        del value
        if self._has_prompt:
            self._seen()
        self._has_prompt = True

    def end(self) -> None:
        """Do nothing."""


def _timed(run: Callable[[Callable[[], None]], int]) -> Timing:
    times: list[float] = []
    cpu, start = time.process_time(), time.perf_counter()
    count = run(lambda: times.append(time.perf_counter()))
    return Timing(
        first_seconds=times[0] - start,
        tokens_per_second=(count - 1) / (times[-1] - times[0]),
        cpu_seconds=time.process_time() - cpu,
    )


def _print_streams(plain: LoadedModel, engine: LocalEngine, request: GenerationRequest, repeats: int) -> None:
    time_generate(plain, request)
    time_stream(engine, request)
    rows = []
    for repeat in range(repeats):
        ours, theirs = time_stream(engine, request), time_generate(plain, request)
        rows.append((ours, theirs))
        _say(f"run {repeat + 1}: {'':12}first token   tokens/s   CPU seconds")
        for name, timing in (("engine", ours), ("model.generate", theirs)):
            figures = (
                f"{timing.first_seconds:11.2f} s {timing.tokens_per_second:10.1f}{timing.cpu_seconds:14.1f}"
            )
            _say(f"  {name:16}{figures}")
    compared = {
        "first token, generate / engine": [b.first_seconds / a.first_seconds for a, b in rows],
        "tokens a second, engine / generate": [a.tokens_per_second / b.tokens_per_second for a, b in rows],
        "CPU seconds, generate / engine": [b.cpu_seconds / a.cpu_seconds for a, b in rows],
    }
    for name, ratios in compared.items():
        _say(f"{name}: {statistics.median(ratios):.2f} (median of {repeats})")


def _print_batch(engine: LocalEngine, request: GenerationRequest, size: int) -> None:
    tokens = engine.count_tokens(request.messages[0].content)
    requests = [
        make_request(engine.count_tokens, tokens, request.max_new_tokens, f"Site {n}.") for n in range(size)
    ]
    together = _measure(lambda: engine.complete(requests))
    alone = _measure(lambda: [engine.complete([one]) for one in requests])
    for name, (wall, cpu) in (("together", together), ("one at a time", alone)):
        _say(f"{size} requests {name}: {wall:.1f} s, {cpu:.1f} CPU seconds")
    _say(f"together is {alone[0] / together[0]:.1f} times as fast, {alone[1] / together[1]:.1f} by CPU time")


def _measure(run: Callable[[], object]) -> tuple[float, float]:
    cpu, start = time.process_time(), time.perf_counter()
    run()
    return time.perf_counter() - start, time.process_time() - cpu


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
