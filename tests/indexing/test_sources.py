"""Which files are found, what they are, and why others are refused."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import docx
import openpyxl
import pytest

from assistant.core.settings import IndexSettings
from indexing.sources import find_sources
from indexing.text_kinds import text_kind

SETTINGS = IndexSettings(max_file_mebibytes=1)
OLE = bytes.fromhex("d0cf11e0a1b11ae1")


def found(*paths: Path) -> dict[str, str]:
    return {source.document: source.kind for source in find_sources(paths, SETTINGS)[0]}


def reason(path: Path) -> str:
    sources, refused = find_sources([path], SETTINGS)
    assert not sources
    assert len(refused) == 1
    return refused[0].reason


def test_kind_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    docx.Document().save(str(tmp_path / "letter.pdf"))
    openpyxl.Workbook().save(tmp_path / "list.docx")
    (tmp_path / "manual.txt").write_bytes(b"%PDF-1.7\n...")
    (tmp_path / "page.docx").write_text("\n<!-- made by hand -->\n<!DOCTYPE html><p>Hi", "utf-8")
    (tmp_path / "notes.md").write_text("# 发布说明\n", "utf-8")
    (tmp_path / "wide.txt").write_bytes("Tighten to 14 Nm".encode("utf-16-le"))
    (tmp_path / "README").write_text("plain", "utf-8")
    assert found(tmp_path) == {
        "README": "txt",
        "letter.pdf": "docx",
        "list.docx": "xlsx",
        "manual.txt": "pdf",
        "notes.md": "md",
        "page.docx": "html",
        "wide.txt": "txt",
    }


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.txt", b"", "is empty"),
        ("blob.txt", bytes(range(256)) * 4, "is binary"),
        ("photo.pdf", b"GIF89a0000", "is a GIF image; save it as PNG first"),
        ("old.doc", OLE + bytes(600), "old Office file"),
        ("locked.docx", OLE + bytes(9) + "EncryptedPackage".encode("utf-16-le"), "is encrypted"),
        ("cut.docx", b"PK\x03\x04" + bytes(99), "is corrupt"),
        ("tape.gz", b"\x1f\x8b\x08" + bytes(20), "unpack it first"),
        ("huge.txt", b"a" * ((1 << 20) + 1), "is too large: 1.0 MiB"),
    ],
)
def test_refused_with_a_reason(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert says in reason(tmp_path)


def test_missing_path_and_folder_without_files(tmp_path: Path) -> None:
    assert reason(tmp_path / "nothing") == "does not exist"
    assert reason(tmp_path) == "is a folder without files"


def test_zipped_formats_are_told_apart(tmp_path: Path) -> None:
    for name, member, content in [
        ("a.bin", "ppt/presentation.xml", "x"),
        ("b.bin", "mimetype", "application/vnd.oasis.opendocument.text"),
        ("c.bin", "META-INF/container.xml", "x"),
    ]:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(member, content)
    assert found(tmp_path) == {"a.bin": "pptx", "b.bin": "odt", "c.bin": "epub"}


def test_opendocument_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "sums.odt", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    assert reason(tmp_path) == "is an OpenDocument spreadsheet; save it as XLSX, PPTX or PDF first"


MAIL = "From: a@example.com\r\nSubject: 漏水\r\nDate: Mon, 02 Mar 2026 09:00:00 +0000\r\n"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("mail.txt", f"{MAIL}MIME-Version: 1.0\r\n\r\nHi", "eml"),
        ("mail.eml", f"{MAIL}\r\nHi", "eml"),
        ("form.txt", f"{MAIL}\r\nA form letter that no program sent.", "txt"),
        ("page.html", f"{MAIL}Snapshot-Content-Location: http://h/\r\nMIME-Version: 1.0\r\n\r\n", "mhtml"),
        ("letter.doc", "{\\rtf1 hello}", "rtf"),
        ("export.xls", "id\t问题\n1\t漏水\n2\t停机\n", "csv"),
        ("export.xlsx", '{"question": "q", "answer": "a"}\n', "jsonl"),
        ("manual.rst", "Title\n=====\n", "rst"),
        ("rows.json", "[]", "jsonl"),
    ],
)
def test_text_is_told_by_content(tmp_path: Path, name: str, content: str, kind: str) -> None:
    (tmp_path / name).write_text(content, "utf-8", newline="")
    assert found(tmp_path) == {name: kind}


def test_comments_before_a_text_take_no_time() -> None:
    assert text_kind("<!-- x -->\n" * 700 + "# T", ".md", is_named=False) == "md"
    assert text_kind("<!-- x -->\n" * 700 + "<!-- x", ".md", is_named=False) == "md"
    assert text_kind("<?xml version='1.0'?>\n<!-- a -->\n<!doctype html>", ".md", is_named=False) == "html"


def test_office_file_that_unpacks_to_many_times_its_size_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(9 << 20))
    assert re.fullmatch(
        r"unpacks to 10\d\d times its size.*at most 200 times.*", reason_with_defaults(tmp_path)
    )


def reason_with_defaults(path: Path) -> str:
    sources, refused = find_sources([path], IndexSettings())
    assert not sources
    return refused[0].reason


def test_office_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(9 << 20))
    assert reason(tmp_path) == "unpacks to 9 MiB; at most 8 MiB are read"


def test_unknown_suffix_is_refused_in_a_folder_and_taken_where_named(tmp_path: Path) -> None:
    file = tmp_path / "deploy.conf"
    file.write_text("timeout = 5", "utf-8")
    assert "(.conf)" in reason(tmp_path)
    assert found(file) == {"deploy.conf": "txt"}


def test_walk_is_sorted_and_skips_hidden_files_and_leftovers(tmp_path: Path) -> None:
    for name in ["b/2.txt", "b/10.txt", "a.txt", ".git/x.txt", ".hidden.txt", "~$a.docx", "__MACOSX/a.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text", "utf-8")
    assert list(found(tmp_path)) == ["a.txt", "b/10.txt", "b/2.txt"]


def test_links_may_not_leave_the_folder_and_count_once(tmp_path: Path) -> None:
    outside = tmp_path / "secret.txt"
    outside.write_text("secret", "utf-8")
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("text", "utf-8")
    (folder / "b.txt").symlink_to("a.txt")
    (folder / "c.txt").symlink_to(outside)
    sources, refused = find_sources([folder], SETTINGS)
    assert [source.document for source in sources] == ["a.txt"]
    assert [(Path(refusal.path).name, refusal.reason) for refusal in refused] == [
        ("c.txt", "is a link that leaves the folder")
    ]


def test_link_to_itself_stops_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("a.txt")
    (tmp_path / "b.txt").symlink_to("gone.txt")
    (tmp_path / "c.txt").write_text("text", "utf-8")
    sources, refused = find_sources([tmp_path], SETTINGS)
    assert [source.document for source in sources] == ["c.txt"]
    assert [(Path(refusal.path).name, refusal.reason) for refusal in refused] == [
        ("a.txt", "is a link that leads to itself"),
        ("b.txt", "cannot be read: No such file or directory"),
    ]


def test_pipe_is_refused_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert reason(tmp_path) == "is no regular file"


def test_equal_names_of_two_folders_stay_apart(tmp_path: Path) -> None:
    for folder in ["pumps/docs", "ovens/docs"]:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "guide.md").write_text(f"# {folder}", "utf-8")
    names = found(tmp_path / "pumps/docs", tmp_path / "ovens/docs", tmp_path / "pumps")
    assert list(names) == ["guide.md", "docs/guide.md"]


def test_source_says_hash_and_size(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    source = find_sources([tmp_path / "a.txt"], SETTINGS)[0][0]
    assert (source.document, source.size_bytes, source.sha256[:8]) == ("a.txt", 3, "ba7816bf")
