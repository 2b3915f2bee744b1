"""Archives: each file in them is one of its own; what is bad stops none of the others."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from assistant.core.settings import IndexSettings
from indexing.archives import Unpacker
from indexing.sources import SourceFile, find_sources

Members = dict[str, str | bytes]


def zipped(members: Members) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def find(path: Path, **limits: int) -> tuple[list[SourceFile], dict[str, str]]:
    sources, refused = find_sources([path], IndexSettings(**limits))
    return sources, {Path(refusal.path).relative_to(path).as_posix(): refusal.reason for refusal in refused}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "docs.zip"


def test_each_member_is_a_document_of_its_own(archive: Path) -> None:
    inner = zipped({"手册/维修.md": "# 维修\n\n先断电。\n"})
    archive.write_bytes(
        zipped({"a.txt": "Alpha", "sub/b.txt": "Beta", "inner.zip": inner, "__MACOSX/x.txt": "x"})
    )
    sources, refused = find(archive)
    assert not refused
    assert [(source.document, source.kind) for source in sources] == [
        ("docs.zip/a.txt", "txt"),
        ("docs.zip/sub/b.txt", "txt"),
        ("docs.zip/inner.zip/手册/维修.md", "md"),
    ]
    assert sources[2].place == archive / "inner.zip" / "手册/维修.md"
    with Unpacker() as unpacker, unpacker.unpack(archive, sources[2].members) as file:
        assert file.name == "维修.md"
        assert file.read_text("utf-8").startswith("# 维修")
    assert not file.exists()


def test_archive_that_begins_with_an_unpacked_pdf_is_no_pdf(archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("a.pdf", "%PDF-1.7 ...")
    assert [(source.document, source.kind) for source in find(archive)[0]] == [("docs.zip/a.pdf", "pdf")]


def test_same_member_has_the_same_hash_as_the_file(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(zipped({"a.txt": "Alpha"}))
    (tmp_path / "a.txt").write_text("Alpha", "utf-8")
    assert find(archive)[0][0].sha256 == find(tmp_path / "a.txt")[0][0].sha256


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\boot.ini", "C:\\boot.ini", "a/../../b.txt"]
)
def test_path_tricks_are_refused(archive: Path, name: str) -> None:
    archive.write_bytes(zipped({name: "x", "good.txt": "good"}))
    sources, refused = find(archive)
    assert [source.document for source in sources] == ["docs.zip/good.txt"]
    assert list(refused.values()) == ["has a path that leads out of its archive"]


def test_bad_members_stop_none_of_the_others(archive: Path) -> None:
    members: Members = {
        "blob.txt": bytes(range(256)) * 9,
        "empty.txt": b"",
        "tool.exe.conf": "x",
        "broken.docx": b"PK\x03\x04" + bytes(99),
        "good.txt": "good",
    }
    archive.write_bytes(zipped(members))
    sources, refused = find(archive)
    assert [source.document for source in sources] == ["docs.zip/good.txt"]
    assert {name: reason.split(":")[0].split(" (")[0] for name, reason in refused.items()} == {
        "blob.txt": "is binary and of no kind that can be read",
        "broken.docx": "is corrupt",
        "empty.txt": "is empty",
        "tool.exe.conf": "is of a kind that is not read",
    }


def flip_flag(raw: bytes, name: str, flag: int) -> bytes:
    """Set a flag of one member, in its own header and in the list."""
    data = bytearray(raw)
    for magic, offset, name_offset in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        place = data.find(magic)
        while place >= 0:
            if data[place + name_offset :].startswith(name.encode()):
                struct.pack_into("<H", data, place + offset, flag)
            place = data.find(magic, place + 4)
    return bytes(data)


def test_encrypted_member_is_refused_with_the_reason(archive: Path) -> None:
    archive.write_bytes(flip_flag(zipped({"secret.txt": "s", "open.txt": "open"}), "secret.txt", 1))
    sources, refused = find(archive)
    assert [source.document for source in sources] == ["docs.zip/open.txt"]
    assert refused == {"secret.txt": "is encrypted: it opens with a password only"}


def test_link_is_refused(archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as opened:
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = 0o120777 << 16
        opened.writestr(link, "/etc/passwd")
    assert find(archive)[1] == {"link.txt": "is a link"}


def test_damaged_member_is_refused(archive: Path) -> None:
    raw = zipped({"a.txt": " ".join(map(str, range(300))), "b.txt": "Beta"})
    archive.write_bytes(raw.replace(raw[90:98], b"\xff" * 8, 1))
    sources, refused = find(archive)
    assert [source.document for source in sources] == ["docs.zip/b.txt"]
    assert refused == {"a.txt": "is damaged inside its archive"}


def test_limits_of_count_size_ratio_and_depth(archive: Path) -> None:
    deep = zipped({"x.txt": "deep"})
    for _ in range(3):
        deep = zipped({"in.zip": deep})
    members: Members = {f"{number}.txt": "text" for number in range(4)}
    archive.write_bytes(zipped({"zeros.txt": b" " * (9 << 20), **members, "deep.zip": deep}))
    sources, refused = find(archive, max_archive_members=4, max_archive_depth=2)
    assert len(sources) == 4
    assert "times its size" in refused["zeros.txt"]
    assert "max_archive_members" in refused["deep.zip"]
    refused = find(archive, max_archive_depth=2)[1]
    assert "is an archive inside 3 others; at most 2" in refused["deep.zip/in.zip/in.zip"]
    assert "is too large: 9.0 MiB, at most 1" in find(archive, max_file_mebibytes=1)[1]["zeros.txt"]


def test_total_of_an_archive_is_limited(archive: Path) -> None:
    noise = bytes(range(32, 127)) * 11000
    archive.write_bytes(zipped({f"{number}.txt": noise[number:] for number in range(9)}))
    sources, refused = find(archive, max_file_mebibytes=1, max_unpack_ratio=100_000)
    assert (len(sources), list(refused)) == (8, ["8.txt"])
    assert "unpacks to too much" in refused["8.txt"]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5"])
def test_names_in_other_encodings_are_readable(archive: Path, encoding: str) -> None:
    name = "中文文件.txt"
    placeholder = "x" * len(name.encode(encoding))
    raw = zipped({placeholder: "text"})
    archive.write_bytes(raw.replace(placeholder.encode(), name.encode(encoding)))
    sources, refused = find(archive)
    assert ([source.document for source in sources], refused) == ([f"docs.zip/{name}"], {})


def test_archive_without_files_and_damaged_archive(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(zipped({}))
    assert find(archive)[1] == {".": "is an archive without files"}
    archive.write_bytes(zipped({"a.txt": "Alpha"})[:40])
    assert "is corrupt" in find(archive)[1]["."]
