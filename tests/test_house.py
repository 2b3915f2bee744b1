"""The house rules that a machine can hold: imports, file length, packaging, wiring of the commands."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from assistant.cli.app import COMMANDS, root

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("assistant", "indexing", "training", "eval")
HEAVY = (
    "torch",
    "transformers",
    "peft",
    "sentence_transformers",
    "faiss",
    "unstructured",
    "sglang",
    "tantivy",
)
MAX_LINES = 400


def test_cli_and_core_import_without_heavy_libraries() -> None:
    modules = [f"assistant.{name}" for name in ("cli.app", "core.settings", "core.prompts", "core.runs")]
    modules += [target.split(":")[0] for target in COMMANDS.values()]
    blocked = f"sys.modules.update(dict.fromkeys({HEAVY!r}))"
    script = f"import sys; {blocked}; import importlib; [importlib.import_module(m) for m in {modules!r}]"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_file_is_too_long() -> None:
    files = [file for package in (*PACKAGES, "tests") for file in (REPOSITORY / package).rglob("*.py")]
    assert len(files) > 50
    long = {str(file): len(file.read_text("utf-8").splitlines()) for file in files}
    assert {name: lines for name, lines in long.items() if lines > MAX_LINES} == {}


def test_every_package_stands_in_the_layers() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    named = {name.strip() for layer in contracts[0]["layers"] for name in layer.split("|")}
    found = {f"assistant.{folder.name}" for folder in (REPOSITORY / "assistant").iterdir() if folder.is_dir()}
    assert named == (found - {"assistant.__pycache__"}) | {"indexing", "training", "eval"}


def _commands(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    rows = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            rows += _commands(child, f"{path} {name}")
    return rows


def test_every_command_and_option_has_help_and_is_documented() -> None:
    documented = (REPOSITORY / "docs" / "cli.md").read_text("utf-8")
    rows = _commands(root, "deskmate")
    assert len(rows) > 12
    for path, command in rows:
        assert command.help, path
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, f"{path} {parameter.name}"
        assert f"`{path}`" in documented, path


def test_help_of_every_command_prints() -> None:
    for path, _ in _commands(root, "deskmate"):
        done = CliRunner().invoke(root, [*path.split()[1:], "--help"])
        assert done.exit_code == 0, path
        assert "Usage:" in done.output


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_their_data(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--quiet",
        "-w",
        str(tmp_path),
        str(REPOSITORY),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("deskmate-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    for wanted in (
        "assistant/core/templates/grounded.zh.txt",
        "training/templates/table_patterns.en.txt",
        "training/recipes/files/fault-code.toml",
        "assistant/service/console/index.html",
        "assistant/samples/suite.jsonl",
        "assistant/engine/sglang_cpu/deskmate_sglang-1.dist-info/entry_points.txt",
        "assistant/engine/sglang_cpu/sgl_kernel/__init__.py",
        "assistant/samples/files/pumps/en/q-series-service-manual.pdf",
        "eval/templates/report.html.txt",
    ):
        assert wanted in names
