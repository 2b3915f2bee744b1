"""What README and the documents claim: commands and targets exist, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from assistant.cli.app import COMMANDS, root

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
COMMAND = re.compile(r"\bdeskmate ((?:[a-z-]+ ?){1,2})")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
LINK = re.compile(r"\]\(([^)#:]+)\)")
TARGET = re.compile(r"\bmake ([a-z]+)\b")


def _options(command: click.Command) -> set[str]:
    found = {name for parameter in command.params for name in parameter.opts}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found |= _options(child)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(document.read_text("utf-8")):
        assert (document.parent / link).exists(), link


def test_commands_and_targets_in_readme_exist() -> None:
    text = (REPOSITORY / "README.md").read_text("utf-8")
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    commands = [match.split()[0] for match in COMMAND.findall(blocks)]
    assert len(commands) >= 6
    assert set(commands) <= set(COMMANDS)
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    targets = TARGET.findall(blocks)
    assert {"demo", "serve", "test"} <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_options_in_readme_exist() -> None:
    text = (REPOSITORY / "README.md").read_text("utf-8")
    used = {option for block in re.findall(r"`{1,3}[^`]+`{1,3}", text) for option in OPTION.findall(block)}
    assert used
    assert used <= _options(root) | {"--help", "--version"}


def test_every_make_target_has_help() -> None:
    for line in (REPOSITORY / "Makefile").read_text("utf-8").splitlines():
        if re.match(r"^[a-z]+:", line):
            assert "## " in line, line


def test_shipped_text_is_the_projects_own() -> None:
    """No path of a machine stands in what ships."""
    files = [file for package in ("assistant", "indexing", "training", "eval") for file in _texts(package)]
    bad = re.compile(r"/root/|/home/\w+/|/work/|\.\./shared")
    assert [str(file) for file in files if bad.search(file.read_text("utf-8"))] == []


def _texts(package: str) -> list[Path]:
    folder = REPOSITORY / package
    return [file for suffix in ("*.py", "*.txt", "*.md", "*.js", "*.html") for file in folder.rglob(suffix)]
