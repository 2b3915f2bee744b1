"""Footnotes stand behind what refers to them; a figure's caption is text."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.core.settings import IndexSettings
from indexing.parsing import parse_file


def texts(tmp_path: Path, name: str, content: str) -> list[str]:
    (tmp_path / name).write_text(content, "utf-8")
    kind = {"md": "md", "rst": "rst", "html": "html"}[name.rpartition(".")[2]]
    return [row.text for row in parse_file(tmp_path / name, kind, IndexSettings()).elements]


def test_markdown_notes_follow_their_paragraph_item_and_table(tmp_path: Path) -> None:
    source = (
        "Use the kit.[^1] 使用密封圈。[^注]\n\nMore.[^1]\n\n- item[^q]\n- next\n\n"
        "| A | B |\n|---|---|\n| x[^t] | y |\n\n"
        "Last.\n\n[^1]: Not for model X3.\n[^注]: 仅限Q7。\n"
        "[^q]: Only dry.\n[^t]: At 20 degrees.\n[^9]: Of no one.\n"
    )
    assert texts(tmp_path, "a.md", source) == [
        "Use the kit. 使用密封圈。", "Not for model X3.", "仅限Q7。", "More.", "item", "Only dry.", "next",
        "A: x · B: y", "At 20 degrees.", "Last.", "Of no one.",
    ]  # fmt: skip


def test_a_note_that_is_nothing_but_an_address_is_kept(tmp_path: Path) -> None:
    assert texts(tmp_path, "a.md", "See.[^u]\n\nEnd.\n\n[^u]: https://x.example/a\n") == [
        "See.", "https://x.example/a", "End.",
    ]  # fmt: skip


def test_rst_notes_follow_their_paragraph(tmp_path: Path) -> None:
    source = "Use the kit. [1]_\n\nEnd.\n\n.. [1] Not for model X3.\n"
    assert texts(tmp_path, "a.rst", source) == ["Use the kit.", "Not for model X3.", "End."]


@pytest.mark.parametrize(
    ("mark", "note"),
    [
        ('<sup><a href="#n1">1</a></sup>', '<ol><li id="n1">Not for X3. <a href="#r1">↩</a></li></ol>'),
        ('<a href="#n1"><sup>1)</sup></a>', '<p id="n1">1) Not for X3.</p>'),
        ('<a role="doc-noteref" href="#n1">*</a>', '<aside id="n1">* Not for X3.</aside>'),
        ('<a class="footnote" href="#n1">[1]</a>', '<p><a name="n1">[1]</a> Not for X3.</p>'),
    ],
)
def test_a_pages_notes_follow_their_paragraph(tmp_path: Path, mark: str, note: str) -> None:
    page = f"<html><body><h1>Kit</h1><p>Use it.{mark}</p><p>End.</p>{note}</body></html>"
    assert texts(tmp_path, "a.html", page) == ["Kit", "Use it.", "Not for X3.", "End."]


@pytest.mark.parametrize(
    "page",
    [
        '<p>See chapter <a href="#c2">2</a>.</p><p id="c2">Chapter two.</p>',
        '<p>So it is.<sup><a href="#cite_note-4">4</a></sup></p><ol><li id="cite_note-4">A book.</li></ol>',
        '<p>See<sup><a href="#s">1</a></sup></p><div id="s"><h2>Seals</h2><p>All of it.</p></div>',
        '<p id="here">Itself<sup><a href="#here">1</a></sup></p><p>End.</p>',
        '<p>Lost<sup><a href="#nowhere">1</a></sup></p><p>End.</p>',
    ],
    ids=["a link in a sentence", "a list of sources", "a section", "itself", "no such place"],
)
def test_other_links_move_nothing(tmp_path: Path, page: str) -> None:
    found = texts(tmp_path, "a.html", f"<html><body>{page}</body></html>")
    assert len(found) >= 2
    assert found[-1] in {"Chapter two.", "1. A book.", "All of it.", "End."}


def test_a_picture_that_stands_alone_leaves_its_caption(tmp_path: Path) -> None:
    source = (
        "Look.\n\n![Figure 3: The seal seat](seat.png)\n\n![图 4 密封座](a.png)\n\n"
        "Press ![the green button](b.png) twice.\n\n![arch-v6](c.png)\n"
    )
    assert texts(tmp_path, "a.md", source)[:3] == ["Look.", "Figure 3: The seal seat", "图 4 密封座"]
    assert not any("arch-v6" in text for text in texts(tmp_path, "a.md", source))
