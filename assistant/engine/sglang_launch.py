"""The command that starts an SGLang server: from settings to arguments and variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from assistant.core.settings import Settings
from assistant.engine.sglang_home import Keys, SglangHome, write_private
from assistant.engine.sglang_install import cpu_folder

HOST = "127.0.0.1"
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def launch_command(settings: Settings, model: Path, home: SglangHome) -> tuple[str, ...]:
    """Return the command; the keys stand in ``home.launch_file``, not in it.

    Args:
        settings: all settings.
        model: folder of the base model.
        home: of the server.
    """
    own = settings.sglang
    main = "deskmate_sglang_server" if own.device == "cpu" else "sglang.launch_server"
    command = [str(home.python), "-m", main, "--config", str(home.launch_file)]
    command += ["--model-path", str(model), "--served-model-name", served_name(settings)]
    command += ["--host", HOST, "--port", str(own.port), "--dtype", own.dtype]
    command += ["--enable-lora", "--max-lora-rank", str(own.max_lora_rank)]
    # the base model takes a slot of its own: without it one request too many has stopped a server
    command += ["--max-loras-per-batch", str(own.adapter_slots + 1)]
    command += ["--max-loaded-loras", str(max(own.loaded_adapters, own.adapter_slots + 1))]
    command += ["--lora-target-modules", *TARGETS]
    # a tuned model may fill a JSON object with blanks until its length ends it
    command += ["--constrained-json-disable-any-whitespace"]
    command += ["--log-level-http", "warning"]
    command += ["--enable-metrics", "--max-queued-requests", str(settings.engine.queue_limit)]
    command += ["--tensor-parallel-size", str(own.tensor_parallel)]
    if own.max_total_tokens:
        command += ["--max-total-tokens", str(own.max_total_tokens)]
    if own.tool_call_parser:
        command += ["--tool-call-parser", own.tool_call_parser]
    command += _device_arguments(own.device)
    return (*command, *own.extra_arguments)


def launch_environment(settings: Settings, base: Mapping[str, str]) -> dict[str, str]:
    """Return the server's variables; ours stay out of it, keys most of all."""
    environment = {name: value for name, value in base.items() if not name.startswith("DESKMATE")}
    environment |= {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    if settings.sglang.device == "cpu":
        threads = str(settings.engine.threads or 1)
        environment |= {"OMP_NUM_THREADS": threads, "SGLANG_USE_CPU_ENGINE": "1"}
        environment["PYTHONPATH"] = str(cpu_folder())
    return environment


def write_launch_file(home: SglangHome, keys: Keys) -> None:
    """Write what must not stand in a command line, which everybody on the machine can read."""
    lines = [f"api-key: {json.dumps(keys.user)}", f"admin-api-key: {json.dumps(keys.admin)}"]
    write_private(home.launch_file, ("\n".join(lines) + "\n").encode())


def served_name(settings: Settings) -> str:
    """Return the name under which the server offers the base model; ``:`` would begin an adapter's."""
    return Path(settings.engine.base_model).name.replace(":", "-")


def _device_arguments(device: str) -> list[str]:
    if device == "cuda":
        return ["--lora-backend", "csgmv"]
    backend = ["--attention-backend", "torch_native", "--lora-backend", "torch_native", "--device", "cpu"]
    # without sleep-on-idle the scheduler burns a core while nobody asks
    return [*backend, "--disable-overlap-schedule", "--sleep-on-idle"]
