from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.core.errors import DeskmateError, InputError, NotFoundError

FILES = {
    "en/pump.md": "# Faults\n\nFault code E-47: the fan is blocked.\n\n## Seals\n\nReplace seal HQ-1204.\n",
    "zh/烤箱.txt": "门封条每天擦净一次。\n\n清洗蒸汽发生器需要两升除垢液。\n",
}


def deskmate(*arguments: str | Path) -> Result:
    words = ["--set", "embedder.model=hashing", *map(str, arguments)]
    return CliRunner().invoke(root, words, catch_exceptions=True)


def answer(result: Result) -> Any:
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def error(result: Result) -> DeskmateError:
    assert isinstance(result.exception, DeskmateError)
    return result.exception


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder into which real files were added by the real parser; its report as ``added.json``."""
    data, files = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("files")
    for name, text in FILES.items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(text, "utf-8")
    (files / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESKMATE_HOME", str(data))
        result = deskmate("index", "add", files, "--collection", "泵", "--json")
    (data / "added.json").write_text(result.stdout, "utf-8")
    (data / "added.err").write_text(result.stderr, "utf-8")
    assert result.exit_code == 0
    return data


@pytest.fixture
def data(added: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(added, copy)
    monkeypatch.setenv("DESKMATE_HOME", str(copy))
    return copy


def test_add_reports_what_it_did_and_lists_the_refused_on_stderr(data: Path) -> None:
    report = json.loads((data / "added.json").read_text("utf-8"))
    assert report["added"] == ["en/pump.md", "zh/烤箱.txt"]
    assert (report["document_count"], report["snapshot"]) == (2, "000001")
    assert report["chunk_count"] >= 3
    assert [Path(row["path"]).name for row in report["refused"]] == ["broken.pdf"]
    assert "refused: " in (data / "added.err").read_text("utf-8")
    assert "broken.pdf" in (data / "added.err").read_text("utf-8")


def test_search_prints_exactly_the_fixed_shape(data: Path) -> None:
    found = answer(deskmate("search", "what is e47", "--collection", "泵", "--top-k", "1", "--json"))
    (passage,) = found["passages"]
    assert list(found) == ["passages"]
    assert list(passage) == [
        *("rank", "score", "document", "version", "page", "heading_path", "text", "metadata"),
        *("dense", "lexical", "is_code_match"),
    ]
    assert passage["is_code_match"]
    assert passage["dense"] is not None
    assert (passage["rank"], passage["document"], passage["version"], passage["page"]) == (
        1,
        "en/pump.md",
        1,
        None,
    )
    assert "E-47" in passage["text"]
    assert passage["heading_path"][-1] == "Faults"


def test_neighbours_stand_beside_a_passage_where_they_are_asked_for(data: Path, tmp_path: Path) -> None:
    ask = ("search", "E-47", "--collection", "泵", "--top-k", "1", "--neighbours", "1")
    (passage,) = answer(deskmate(*ask, "--json"))["passages"]
    near = [*passage["before"], *passage["after"]]
    assert near
    assert all(list(row) == ["page", "heading_path", "text"] for row in near)
    assert passage["text"] not in {row["text"] for row in near}
    shown = deskmate(*ask).stdout
    assert all(row["text"].splitlines()[0][:40] in shown for row in near)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "a", "question": "E-47"}\n', "utf-8")
    line = answer(deskmate("search", "--collection", "泵", "--batch", rows, "--neighbours", "1"))
    assert line["passages"][0]["after"] == passage["after"]


def test_a_collection_keeps_its_embedder_whatever_the_settings_name(data: Path) -> None:
    ask = ("search", "E-47", "--collection", "泵", "--top-k", "1", "--json")
    other = ("--set", "embedder.model=multilingual-e5-small")
    assert answer(deskmate(*other, *ask))["passages"][0]["document"] == "en/pump.md"
    missing = error(deskmate("index", "rebuild", "--collection", "泵", "--embedder", "nowhere"))
    assert "nowhere" in missing.message
    assert answer(deskmate(*ask))["passages"][0]["document"] == "en/pump.md"


def test_a_batch_prints_one_line_a_row_with_its_id(data: Path, tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "除垢液要多少？", "extra": 1},
        {
            "id": "b",
            "question": "And which part is it?",
            "history": [{"role": "user", "content": "Do I replace the seal?"}],
        },
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    result = deskmate("search", "--batch", file, "--collection", "泵", "--top-k", "1")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["id"] for line in lines] == ["a", "b"]
    assert "两升除垢液" in lines[0]["passages"][0]["text"]
    assert "HQ-1204" in lines[1]["passages"][0]["text"]
    file.write_text('{"id": "a"}\n')
    assert "line 1" in error(deskmate("search", "--batch", file, "--collection", "泵")).message


def test_a_person_reads_documents_and_marks(data: Path) -> None:
    shown = deskmate("search", "E-47 [bold]?", "--collection", "泵").stdout
    assert "1. en/pump.md (version 1)" in shown
    assert "· code" in shown
    assert "泵: 2 documents" in deskmate("index", "status").stdout
    assert "  zh/烤箱.txt  version 1" in deskmate("index", "status", "--collection", "泵").stdout


def test_status_names_a_snapshot_that_cannot_be_searched(data: Path) -> None:
    before = answer(deskmate("index", "status", "--json"))["collections"][0]
    assert before["problem"] == ""
    (data / "collections" / "泵" / "snapshots" / "000001" / "manifest.json").write_text("damaged", "utf-8")
    after = answer(deskmate("index", "status", "--json"))["collections"][0]
    assert "has no readable manifest" in after["problem"]
    assert f"  problem: {after['problem']}" in deskmate("index", "status").stdout


def test_status_and_remove_agree(data: Path) -> None:
    before = answer(deskmate("index", "status", "--collection", "泵", "--json"))["collections"][0]
    assert [row["document"] for row in before["documents"]] == ["en/pump.md", "zh/烤箱.txt"]
    assert sum(row["chunk_count"] for row in before["documents"]) == before["chunk_count"]
    assert (
        answer(deskmate("index", "remove", "zh/烤箱.txt", "--collection", "泵", "--json"))["document_count"]
        == 1
    )
    after = answer(deskmate("index", "status", "--json"))["collections"][0]
    assert [row["document"] for row in after["documents"]] == ["en/pump.md"]
    assert after["snapshot"] == "000001"  # hidden, not written anew
    assert after["segments"] == [{"name": "base", "chunk_count": 3, "kind": "flat", "recall": 1.0}]
    gone = error(deskmate("index", "remove", "zh/烤箱.txt", "--collection", "泵"))
    assert isinstance(gone, NotFoundError)
    rebuilt = answer(deskmate("index", "rebuild", "--collection", "泵", "--json"))
    assert (rebuilt["snapshot"], rebuilt["document_count"]) == ("000002", 1)
    compacted = answer(deskmate("index", "compact", "--collection", "泵", "--json"))
    assert compacted["snapshot"] == "000003"
    assert compacted["freed_bytes"] > 0
    files = {path.name: path.read_bytes() for path in data.glob("deskmate.sqlite3*")}
    assert "deskmate.sqlite3" in files
    assert not any("蒸汽发生器".encode() in content for content in files.values())
    assert b"fan is blocked" in files["deskmate.sqlite3"]
    assert "recall@10 1.000" in deskmate("index", "status").stdout


@pytest.mark.parametrize("command", [["search", "pump"], ["index", "status"], ["index", "remove", "a.md"]])
def test_a_collection_that_is_not_there_names_the_next_command(data: Path, command: list[str]) -> None:
    missing = error(deskmate(*command, "--collection", "x"))
    assert isinstance(missing, NotFoundError)
    assert "collection 'x'" in missing.message
    assert missing.next_command == "deskmate index add PATH --collection x"


def test_an_empty_machine_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "new"))
    assert "deskmate index add PATH" in deskmate("index", "status").stdout


def test_what_is_not_there_is_told_before_a_model_is_loaded(data: Path, tmp_path: Path) -> None:
    absent = ("--set", "embedder.model=absent")
    asked = CliRunner().invoke(root, [*absent, "ask", "what is e47", "--collection", "nope"])
    assert "no index for collection 'nope'" in str(error(asked))
    added = CliRunner().invoke(root, [*absent, "index", "add", str(tmp_path / "my manuals")])
    assert "my manuals does not exist" in str(error(added))


@pytest.mark.parametrize("words", [("--set", "index.nope=1"), ("--config", "absent.toml")])
def test_settings_that_are_wrong_end_a_command_that_needs_none(data: Path, words: tuple[str, str]) -> None:
    refused = CliRunner().invoke(root, [*words, "index", "remove", "en/pump.md", "--collection", "泵"])
    assert error(refused).exit_code == 2
    assert "en/pump.md" in deskmate("index", "status", "--collection", "泵").stdout


def test_a_named_command_can_be_pasted_with_a_blank_in_its_path(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "my manual.txt"
    file.write_text("The fan is blocked.", "utf-8")
    assert deskmate("index", "add", file, "--collection", "泵").exit_code == 0
    refused = error(deskmate("index", "show", "my manual.txt", "--version", "3", "--collection", "泵"))
    assert refused.next_command == "deskmate index versions 'my manual.txt' --collection 泵"


def test_nothing_readable_ends_with_2_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "absent"):
        result = deskmate("index", "add", path, "--collection", "new", "--json")
        assert error(result).exit_code == 2
        assert json.loads(result.stdout)["refused"][0]["path"] == str(path)
    assert not (data / "collections" / "new" / "current").exists()
    names = [row["collection"] for row in answer(deskmate("index", "status", "--json"))["collections"]]
    assert names == ["泵"]


@pytest.mark.parametrize("query", ["", "a" * 100_000, "\x00\x01\x02"])
def test_what_is_no_question_is_refused(data: Path, query: str) -> None:
    assert isinstance(error(deskmate("search", query, "--collection", "泵")), InputError)


def test_a_question_in_broken_bytes_ends_with_2_and_no_traceback(data: Path) -> None:
    start = [
        sys.executable,
        "-c",
        "from assistant.cli import main; main()",
        "--set",
        "embedder.model=hashing",
    ]
    words = [*start, "search", b"\xff\xfe", "--collection", "泵"]
    ended = subprocess.run(words, check=False, capture_output=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error: the question is not text")
    assert b"Traceback" not in ended.stderr


def test_a_row_that_cannot_be_searched_fails_alone(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [{"id": str(place), "question": text} for place, text in enumerate(("E-47?", " ", "除垢液"))]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    result = deskmate("search", "--batch", file, "--collection", "泵")
    assert result.exit_code == 0
    first, second, third = [json.loads(line) for line in result.stdout.splitlines()]
    assert "E-47" in first["passages"][0]["text"]
    assert second == {"id": "1", "error": "the question is empty"}
    assert "除垢液" in third["passages"][0]["text"]


@pytest.mark.parametrize("command", ["search", "ask"])
def test_an_unknown_filter_ends_a_batch_before_its_rows(data: Path, tmp_path: Path, command: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": "a", "question": "E-47?"}\n', "utf-8")
    words = ["--set", "engine.kind=scripted", command, "--batch", file, "--collection", "泵"]
    result = deskmate(*words, "--filter", "nope=1")
    assert error(result).exit_code == 2
    assert "'nope'" in error(result).message
    assert result.stdout == ""
    assert deskmate(*words, "--filter", "language=en").exit_code == 0


def test_tune_measures_and_what_a_suite_found_stays(data: Path) -> None:
    kept = data / "collections" / "泵" / "tuning.json"
    found = answer(deskmate("index", "tune", "--collection", "泵", "--json"))
    assert {"BM25", "dense", "RRF", "weighted 0.6"} <= {row["name"] for row in found["rows"]}
    assert json.loads(kept.read_text("utf-8")) == found
    assert (found["is_used"], found["reranker"]) == (False, [])
    assert isinstance(error(deskmate("index", "tune", "--collection", "none")), NotFoundError)
    suite = data / "suite.jsonl"
    row = {"id": "1", "lang": "en", "question": "What is E-47?", "answers": ["A blocked fan."]}
    gold = [{"doc": "en/pump.md", "evidence": "Fault code E-47: the fan is blocked."}]
    suite.write_text(json.dumps(row | {"gold": gold}), "utf-8")
    real = answer(deskmate("index", "tune", "--collection", "泵", "--suite", suite, "--json"))
    assert (real["question_count"], real["is_made"]) == (1, False)
    assert "95 % interval" in deskmate("index", "tune", "--collection", "泵").stdout
    assert json.loads(kept.read_text("utf-8")) == real
