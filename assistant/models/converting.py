"""Convert in a process of its own: its memory goes back to the system, its noise does not reach the terminal.

The libraries that read model files take gigabytes and print; a file that makes them crash ends
that process and not the caller's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from assistant.core.environment import prepare_environment
from assistant.core.errors import DeskmateError, ModelError, ResourceError
from assistant.models.catalogue import ModelSpec


def convert(spec: ModelSpec, source: Path, target: Path) -> None:
    """Write the model's data as a folder of Hugging Face format, in this process.

    Raises:
        ModelError: the data is not such a model.
    """
    if spec.format == "gguf":
        from assistant.models.gguf_folder import write_gguf_folder

        write_gguf_folder(spec, source, target)
    else:
        from assistant.models.e5_folder import write_e5_folder

        write_e5_folder(source, target)


def convert_apart(spec: ModelSpec, source: Path, target: Path) -> None:
    """Convert in a new process, which ends with this one.

    Raises:
        ModelError: the conversion failed.
        ResourceError: it was killed, as by a system out of memory, or the disk is full.
    """
    arguments = (msgspec.json.encode(spec).decode(), str(source), str(target))
    # the new process reads this pipe to its end: it closes when this process dies, however it does
    alive, held = os.pipe()
    try:
        ended = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "assistant.models.converting", *arguments],
            stdin=alive,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(alive)
        os.close(held)
    if ended.returncode:
        raise _explain(spec.name, ended.returncode, ended.stderr)


def _explain(name: str, code: int, output: str) -> DeskmateError:
    if code == -signal.SIGKILL:
        return ResourceError(
            f"the conversion of {name} was killed, perhaps for want of memory", next_command="deskmate doctor"
        )
    if "No space left on device" in output:
        return ResourceError(f"the disk is full while converting {name}", next_command="deskmate doctor")
    lines = output.strip().splitlines()
    reason = lines[-1] if lines else f"exit code {code}"
    return ModelError(f"{name} cannot be converted: {reason}", next_command="deskmate doctor")


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Convert what the arguments name: the spec as JSON, the data file, the folder."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare_environment()
    spec = msgspec.json.decode(sys.argv[1], type=ModelSpec)
    try:
        convert(spec, Path(sys.argv[2]), Path(sys.argv[3]))
    except DeskmateError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(error.exit_code)
    # the thread blocks in a read of standard input, which would hang the interpreter's way out
    os._exit(0)


if __name__ == "__main__":
    main()
