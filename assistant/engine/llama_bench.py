"""How fast the local engine is beside llama.cpp with the same weights.

Run ``python -m assistant.engine.llama_bench --gguf FILE`` with the extra ``bench`` installed; the base
model's folder must hold what was made of that file. Both answer the same prompt in the same process, by
turns, so that a busy machine slows both alike. llama.cpp reads the file's few bits a weight, the local engine
bfloat16: fewer bytes a token are llama.cpp's advantage in decoding.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from assistant.core.environment import prepare_environment
from assistant.core.home import Home
from assistant.core.settings import EngineSettings
from assistant.engine.bench import make_request, time_stream
from assistant.engine.local import LocalEngine
from assistant.engine.protocol import GenerationRequest

_NAMES = ("first_seconds", "whole_seconds", "tokens_per_second", "cpu_seconds")


def open_llama(file: Path, threads: int, window: int) -> Any:
    """Return llama.cpp's server inside this process, with one place and no cache between prompts."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx = window
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    return xllamacpp.Server(parameters)


def time_llama(server: Any, request: GenerationRequest) -> dict[str, float]:
    """Time a streamed answer of llama.cpp, greedy as ours."""
    times: list[float] = []

    def take(_chunk: object) -> bool:
        times.append(time.perf_counter())
        return False

    body = {
        "messages": [{"role": turn.role, "content": turn.content} for turn in request.messages],
        "max_tokens": request.max_new_tokens,
        "temperature": 0,
        "stream": True,
        "cache_prompt": False,
        "ignore_eos": True,
    }
    cpu, began = time.process_time(), time.perf_counter()
    server.handle_chat_completions(body, take)
    ended = time.perf_counter()
    # the first event opens the turn, the last one closes it
    first, count = times[1], request.max_new_tokens
    return {
        "first_seconds": first - began,
        "whole_seconds": ended - began,
        "tokens_per_second": (count - 1) / (ended - first),
        "cpu_seconds": time.process_time() - cpu,
    }


def time_local(engine: LocalEngine, request: GenerationRequest) -> dict[str, float]:
    """Time a streamed answer of the local engine."""
    began = time.perf_counter()
    timing = time_stream(engine, request)
    return {
        "first_seconds": timing.first_seconds,
        "whole_seconds": time.perf_counter() - began,
        "tokens_per_second": timing.tokens_per_second,
        "cpu_seconds": timing.cpu_seconds,
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table."""
    default = Home.from_environment().models / EngineSettings().base_model
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=default, help="folder of Hugging Face format")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt-tokens", type=int, default=600)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    prepare_environment()
    import torch

    torch.set_num_threads(options.threads)
    engine = LocalEngine("bench", options.model, EngineSettings(threads=options.threads))
    llama = open_llama(options.gguf, options.threads, 2 * options.prompt_tokens + options.new_tokens)
    request = make_request(engine.count_tokens, options.prompt_tokens, options.new_tokens)
    try:
        time_local(engine, request)
        time_llama(llama, request)
        rows = [(time_local(engine, request), time_llama(llama, request)) for _ in range(options.repeats)]
    finally:
        engine.close()
    for name in _NAMES:
        ours, theirs = ([row[place][name] for row in rows] for place in (0, 1))
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        _say(
            f"{name:18} engine {statistics.median(ours):7.2f}   llama.cpp {statistics.median(theirs):7.2f}   "
            f"engine / llama.cpp {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
