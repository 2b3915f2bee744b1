"""SGLang's own Python environment: it pins other versions of torch and transformers than this project."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec

from assistant.core.errors import ResourceError
from assistant.core.ids import content_id
from assistant.core.jsonl import write_json
from assistant.core.progress import Progress
from assistant.core.records import Record
from assistant.core.settings_sglang import SglangSettings
from assistant.engine.sglang_home import SglangHome

SGLANG = "sglang==0.5.23"
TORCH = "torch==2.13.0"
TORCHVISION = "torchvision==0.28.0"
_CUDA_SIGNS = ("nvidia-", "cuda-")
_SHOWN_LINES = 8


class Step(Record, frozen=True, kw_only=True):
    """One command of the installation.

    Attributes:
        title: for a person.
        command: with its arguments.
        is_plain: it must bring no CUDA packages: they take gigabytes and are of no use on a CPU.
    """

    title: str
    command: tuple[str, ...]
    is_plain: bool = False


class Installed(Record, frozen=True, kw_only=True):
    """The stamp of a complete environment.

    Attributes:
        recipe: hash over the commands that made it.
        device: that it is for.
        version: of SGLang.
    """

    recipe: str
    device: str
    version: str


def cpu_folder() -> Path:
    """Return the folder with our small package that lets SGLang run without CUDA."""
    return Path(str(resources.files("assistant.engine").joinpath("sglang_cpu")))


def install_steps(settings: SglangSettings, home: SglangHome) -> tuple[Step, ...]:
    """Return what makes the environment, in order."""
    python = str(home.python)
    pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet")
    make = Step(title="environment", command=(sys.executable, "-m", "venv", str(home.environment)))
    if settings.device == "cuda":
        return (make, Step(title=SGLANG, command=(*pip, SGLANG)))
    listed = str(cpu_folder() / "requirements.txt")
    return (
        make,
        Step(title=TORCH, command=(*pip, TORCH), is_plain=True),
        Step(title=SGLANG, command=(*pip, "--no-deps", SGLANG, TORCHVISION)),
        # torch is named again so that no requirement exchanges it
        Step(title="requirements", command=(*pip, TORCH, "-r", listed), is_plain=True),
    )


def installed(home: SglangHome) -> Installed | None:
    """Return the stamp of the environment, None where there is none or it is not complete."""
    if not home.python.exists():
        return None
    try:
        return msgspec.json.decode(home.stamp.read_bytes(), type=Installed)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def recipe_of(settings: SglangSettings) -> str:
    """Return the hash over what the environment is made of, wherever it lies."""
    listed = (cpu_folder() / "requirements.txt").read_text("utf-8") if settings.device == "cpu" else ""
    return content_id(settings.device, SGLANG, TORCH, TORCHVISION, listed)


def install(settings: SglangSettings, home: SglangHome, progress: Progress) -> Installed:
    """Make the environment; what is complete is left as it is.

    Raises:
        ResourceError: a package cannot be had, or CUDA packages would come for a CPU.
    """
    home.environment.parent.mkdir(parents=True, exist_ok=True)
    with home.environment.with_name(f".{home.environment.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # of two at once the second finds it done
        known = installed(home)
        if known is not None and known.recipe == recipe_of(settings):
            return known
        home.stamp.unlink(missing_ok=True)
        return _make(settings, home, progress)


def _make(settings: SglangSettings, home: SglangHome, progress: Progress) -> Installed:
    steps = install_steps(settings, home)
    progress.start("installing SGLang", len(steps) + 1)
    for step in steps:
        if step.is_plain:
            _refuse_cuda(step)
        _run(step.command, step.title)
        progress.advance(note=step.title)
    version = _version(settings, home)
    progress.advance()
    stamp = Installed(recipe=recipe_of(settings), device=settings.device, version=version)
    write_json(home.stamp, stamp)
    return stamp


def _version(settings: SglangSettings, home: SglangHome) -> str:
    """Import what was installed, on a CPU with our small package beside it as the server does."""
    code = "import sglang; print(sglang.__version__)"
    if settings.device == "cpu":
        code = f"import sys; sys.path.insert(0, {str(cpu_folder())!r}); import deskmate_sglang_server; {code}"
    return _run((str(home.python), "-c", code), "import").split()[-1]


def _refuse_cuda(step: Step) -> None:
    command = [word for word in step.command if word != "--quiet"]
    planned = _run((*command, "--dry-run"), step.title)
    wanted = next((line for line in planned.splitlines() if line.startswith("Would install")), "")
    found = [name for name in wanted.split()[2:] if name.startswith(_CUDA_SIGNS)]
    if found:
        raise ResourceError(
            f"{step.title}: the package index gives CUDA packages: {', '.join(found[:3])}, gigabytes; "
            "put a CPU build of torch first, for instance with PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL",
            next_command="deskmate engine install",
        )


def _run(command: Sequence[str], title: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        said = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-_SHOWN_LINES:])
        raise ResourceError(
            f"SGLang's environment cannot be made ({title}):\n  {said}",
            next_command="deskmate engine install",
        )
    return done.stdout
