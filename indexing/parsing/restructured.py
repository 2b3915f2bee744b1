"""reStructuredText through docutils; what only Sphinx knows keeps its text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from assistant.core.settings import IndexSettings
from indexing.parsing.decoding import decode
from indexing.parsing.partition import Partition
from indexing.parsing.web import read_page

_DIRECTIVE = re.compile(r"^[ \t]*\.\.[ \t]+(?:\|[^|\n]+\|[ \t]+)?([A-Za-z][\w:+.-]*)::", re.M)
_ROLE = re.compile(r":([A-Za-z][\w:+.-]*):`")
_TARGET = re.compile(r"\s*<[^<>]*>\Z")
# A note's number and a warning's name belong to the line that follows.
_NOTE_LABEL = re.compile(r"<span class=\"label\">(.{1,200}?)</span>\s*<p>", re.S)
_ADMONITION = re.compile(r"<p class=\"admonition-title\">(.{1,200}?)</p>\s*<p>", re.S)
# Of these not even the text is for a reader.
_SILENT = {
    "toctree",
    "index",
    "highlight",
    "default-domain",
    "currentmodule",
    "meta",
    "contents",
    "sectnum",
    "raw",
}
_CODE = {"code", "code-block", "sourcecode", "literalinclude", "prompt", "console"}
# Their argument is a condition or a label, no text.
_UNTITLED = {"only", "ifconfig", "cond", "container", "rst-class", "tabs", "tab-set", "grid", "collapse"}
_SETTINGS = {
    "file_insertion_enabled": False, "raw_enabled": False, "halt_level": 5, "report_level": 5,
    "_disable_config": True, "line_length_limit": 1 << 24, "syntax_highlight": "none", "math_output": "LaTeX",
    "initial_header_level": 1, "doctitle_xform": False, "toc_backlinks": False, "embed_stylesheet": False,
    "stylesheet_path": None,
}  # fmt: skip


def read_rst(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read reStructuredText; it can include no file and run nothing."""
    from docutils.core import publish_parts

    text = decode(path.read_bytes(), path)
    _register(text)
    parts = publish_parts(text, writer="html5", settings_overrides=_SETTINGS)
    body = _NOTE_LABEL.sub(r"<p>\1 ", parts["html_body"])
    body = _ADMONITION.sub(r"<p>\1: ", body)
    return read_page(f"<html><body>{body}</body></html>")


def _register(text: str) -> None:
    """Let every directive and role that the text uses and docutils lacks keep its content."""
    from docutils.parsers.rst import directives, roles
    from docutils.parsers.rst.directives import images
    from docutils.parsers.rst.languages import en

    for directive in (images.Image, images.Figure):  # to embed a picture is to read any file of this machine
        directive.option_spec["loading"] = lambda _argument: "link"
    for name in {name.lower() for name in _DIRECTIVE.findall(text)}:
        if name not in en.directives or name in _CODE | _SILENT:
            directives.register_directive(name, _directive())
    for name in {name.lower() for name in _ROLE.findall(text)}:
        if name not in en.roles:
            roles.register_local_role(name, _keep_role_text)


def _keep_role_text(
    name: str,  # noqa: ARG001
    rawtext: str,
    text: str,
    lineno: int,  # noqa: ARG001
    inliner: Any,  # noqa: ARG001
    options: Mapping[str, Any] | None = None,  # noqa: ARG001
    content: Sequence[str] = (),  # noqa: ARG001
) -> tuple[list[Any], list[Any]]:
    from docutils import nodes, utils

    shown = _TARGET.sub("", utils.unescape(text)).lstrip("~!") or utils.unescape(text)
    return [nodes.inline(rawtext, shown)], []


class _AnyOption(dict[str, Callable[[str], str]]):
    """Takes an option of any name."""

    def __missing__(self, key: str) -> Callable[[str], str]:
        return str


def _directive() -> Any:
    from docutils import nodes
    from docutils.parsers.rst import Directive

    class KeepText(Directive):  # type: ignore[misc]
        """Keeps argument and content of a directive."""

        has_content = True
        optional_arguments = 1
        final_argument_whitespace = True
        option_spec = _AnyOption(name=str)

        def run(self) -> list[Any]:
            name = self.name.lower()
            if name in _SILENT:
                return []
            if name in _CODE:
                source = "\n".join(self.content)
                return [nodes.literal_block(source, source)] if source.strip() else []
            holder = nodes.container()
            if self.arguments and name not in _UNTITLED:
                line, messages = self.state.inline_text(" ".join(self.arguments[0].split()), self.lineno)
                holder += nodes.paragraph("", "", *line, *messages)
            self.state.nested_parse(self.content, self.content_offset, holder, match_titles=True)
            return [holder]

    return KeepText
