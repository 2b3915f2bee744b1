"""Metadata, versions, snapshots and sync on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.core.errors import DeskmateError, InputError, NotFoundError

SETTINGS = """
[embedder]
model = "hashing"

[[index.metadata_rules]]
path = "zh/*"
audience = "客服"
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "home"))
    (tmp_path / "deskmate.toml").write_text(SETTINGS, "utf-8")
    folder = tmp_path / "files"
    (folder / "zh").mkdir(parents=True)
    (folder / "pump.md").write_text(
        "---\nproduct: Q7\ntags: [manual]\n---\n# Seals\n\nReplace seal HQ-1204 every two years.\n", "utf-8"
    )
    (folder / "zh" / "泵.txt").write_text("---\n产品：Q7\n---\n密封圈 HQ-1204 每两年更换一次。\n", "utf-8")
    return folder


def deskmate(files: Path, *words: str | Path) -> Result:
    arguments = ["--config", str(files.parent / "deskmate.toml"), *map(str, words)]
    return CliRunner().invoke(root, arguments, catch_exceptions=True)


def answer(result: Result) -> Any:
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def error(result: Result) -> DeskmateError:
    assert isinstance(result.exception, DeskmateError), result.exception
    return result.exception


def test_the_life_of_a_collection(files: Path) -> None:
    told = deskmate(files, "index", "sync", files, "--dry-run", "--meta", "plant=Graz")
    assert told.exit_code == 0
    assert "added     zh/泵.txt" in told.stdout
    assert "\ndry run: nothing was changed; " in told.stdout
    assert (
        answer(deskmate(files, "index", "sync", files, "--meta", "plant=Graz", "--json"))["document_count"]
        == 2
    )

    (collection,) = answer(deskmate(files, "index", "status", "--json"))["collections"]
    assert {row["document"]: row["metadata"] for row in collection["documents"]} == {
        "pump.md": {"language": "en", "product": "Q7", "tags": ["manual"], "plant": "Graz"},
        "zh/泵.txt": {"language": "zh", "audience": "客服", "product": "Q7", "plant": "Graz"},
    }
    for flags, documents in (
        (("--filter", "product=q7", "--filter", "language=zh"), ["zh/泵.txt"]),
        (("--filter", "tags=manual"), ["pump.md"]),
        (("--filter", "受众=客服", "--filter", "plant=Graz"), ["zh/泵.txt"]),
        (("--filter", "product=Q5"), []),
    ):
        found = answer(deskmate(files, "search", "HQ-1204", "--json", *flags))["passages"]
        assert [passage["document"] for passage in found] == documents
        assert all(passage["metadata"]["plant"] == "Graz" for passage in found)
    unknown = error(deskmate(files, "search", "HQ-1204", "--filter", "colour=red"))
    assert isinstance(unknown, InputError)
    assert "unknown filter 'colour'" in unknown.message

    (files / "pump.md").write_text(
        "# Seals\n\nReplace seal HQ-1204 every year. Questions: +49 30 555018600.\n", "utf-8"
    )
    (files / "zh" / "泵.txt").rename(files / "zh" / "水泵.txt")
    changed = deskmate(files, "index", "sync", files).stdout
    assert "replaced  pump.md" in changed
    assert "renamed   zh/泵.txt → zh/水泵.txt" in changed
    assert "0 added, 1 replaced, 0 removed, 1 renamed, 0 unchanged, 0 refused" in changed
    assert "personal data in 1 document: phone 1; see: deskmate index status --collection" in changed
    listed = answer(deskmate(files, "index", "versions", "pump.md", "--json"))["versions"]
    assert [(row["version"], row["is_live"]) for row in listed] == [(1, False), (2, True)]
    old = answer(deskmate(files, "index", "show", "pump.md", "--version", "1", "--json"))
    assert "every two years" in old["chunks"][0]["text"]
    assert old["chunks"][0]["heading_path"] == ["Seals"]
    assert "密封圈 HQ-1204" in deskmate(files, "index", "show", "zh/泵.txt", "--version", "1").stdout

    assert "replaced  pump.md  version 1 → 2" in deskmate(files, "index", "diff", "1", "2").stdout
    assert (
        "version 1 of pump.md answers now"
        in deskmate(files, "index", "restore", "pump.md", "--version", "1").stdout
    )
    assert "0 added, 0 replaced, 1 unchanged, 1 held" in deskmate(files, "index", "add", files).stdout
    rows = answer(deskmate(files, "index", "snapshots", "--json"))["snapshots"]
    assert [(row["snapshot"], row["is_served"]) for row in rows] == [("000002", False), ("000003", True)]
    assert (
        "the state of snapshot 000002 is served as 000004" in deskmate(files, "index", "rollback", "2").stdout
    )
    assert "served" in deskmate(files, "index", "snapshots").stdout


def test_what_is_not_there_is_told(files: Path) -> None:
    missing = error(deskmate(files, "index", "snapshots", "--collection", "x"))
    assert missing.next_command == "deskmate index add PATH --collection x"
    assert isinstance(error(deskmate(files, "index", "sync", files / "pump.md")), InputError)
    deskmate(files, "index", "add", files)
    for words in (("show", "none.md"), ("versions", "none.md"), ("rollback", "9"), ("diff", "1", "9")):
        assert isinstance(error(deskmate(files, "index", *words)), NotFoundError)
    assert error(deskmate(files, "index", "show", "pump.md", "--version", "7")).next_command == (
        "deskmate index versions pump.md --collection default"
    )
    assert error(deskmate(files, "index", "add", files, "--meta", "date=soon")).exit_code == 2
    for file in files.rglob("*.*"):
        file.unlink()
    refused = error(deskmate(files, "index", "sync", files))
    assert refused.exit_code == 2
    assert "--yes" in refused.message


def test_the_file_of_a_version_is_written_as_it_came(files: Path, tmp_path: Path) -> None:
    before = (files / "zh" / "泵.txt").read_bytes()
    kept = ("--set", "index.originals=all")
    contents = (before, before + "新的一行。\n".encode())
    for content in contents:
        (files / "zh" / "泵.txt").write_bytes(content)
        deskmate(files, *kept, "index", "add", files)
    for number, content in enumerate(contents, 1):
        target = tmp_path / f"{number}.txt"
        words = ("--version", str(number), "--to", target, "--json")
        told = answer(deskmate(files, "index", "download", "zh/泵.txt", *words))
        assert target.read_bytes() == content
        assert told["size_bytes"] == len(content)
    nowhere = deskmate(files, "index", "download", "pump.md", "--to", tmp_path / "no" / "folder")
    assert isinstance(error(nowhere), InputError)
    deskmate(files, "--set", "index.originals=none", "index", "compact")
    gone = deskmate(files, "index", "download", "pump.md", "--to", tmp_path / "gone")
    assert "not kept" in error(gone).message
    assert error(gone).next_command == "deskmate index show pump.md --collection default"
