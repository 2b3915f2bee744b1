from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.cli.app import run as deskmate
from assistant.cli.assess import pilot_settings
from assistant.core.home import Home
from assistant.core.jsonl import read_jsonl, write_jsonl
from assistant.core.progress import NoProgress
from assistant.core.records import Chunk, Example, Message
from assistant.core.settings import EmbedderSettings, Settings
from assistant.store.adapters import Adapter, Adapters
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents, NewVersion
from eval.suites import load_suite
from indexing.build import Builder
from indexing.embedding import HashingEmbedder

FAULTS = (
    "Code: E-14 · Meaning: inverter too hot · Remedy: clean the air filter of the inverter\n"
    "Code: E-15 · Meaning: pressure too low · Remedy: open the valve of the suction line"
)
PUMP = "Tighten the flange bolts of the Q7 crosswise to 48 Nm before the first start."
OVEN = "清洗 T0 的蒸汽发生器需要加入 2 升除垢液，然后静置 30 分钟再冲洗。每次清洗后门封条必须擦干净。"


def chunks_of(number: int) -> dict[str, list[Chunk]]:
    """Return the chunks of a pump's and an oven's manual."""
    pump, oven = f"pump{number}.md", f"烤箱{number}.md"
    faults = FAULTS.replace("E-1", f"E-{number + 1}")
    return {
        pump: [
            Chunk(id=f"{pump}0", document=pump, version=1, position=0, text=PUMP),
            Chunk(id=f"{pump}1", document=pump, version=1, position=1, text=faults, kind="table"),
        ],
        oven: [
            Chunk(
                id=f"{oven}0",
                document=oven,
                version=1,
                position=0,
                text=OVEN.replace("2 升", f"{number + 2} 升").replace("T0", f"T{number}"),
                language="zh",
            )
        ],
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with collection ``desk`` of two small documents a language."""
    home = Home(tmp_path_factory.mktemp("built")).make()
    database = Database(home.database_url)
    with database.write() as session:
        collection = Documents(session).make_collection("desk")
        for name, rows in {**chunks_of(0), **chunks_of(1)}.items():
            new = NewVersion(document=name, number=1, sha256="0" * 64, recipe="r", size_bytes=1, title=name)
            version = Documents(session).save_version(collection.id, new)
            Chunks(session).save(version, rows, tuple(row.text for row in rows))
    settings = Settings(embedder=EmbedderSettings(model="hashing"))
    Builder("desk", home, settings, database, HashingEmbedder(), NoProgress()).publish()
    database.close()
    return home.root


@pytest.fixture
def home(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of the built folder, with settings for dry runs."""
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("DESKMATE__ENGINE__KIND", "scripted")
    monkeypatch.setenv("DESKMATE__EMBEDDER__MODEL", "hashing")
    shutil.copytree(built, tmp_path / "data")
    return Home(tmp_path / "data")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(root, [*map(str, arguments)])


def answer(*arguments: str | Path) -> dict[str, object]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output + str(done.exception)
    read: dict[str, object] = json.loads(done.stdout)
    return read


def add_tuned(home: Home, question: str) -> None:
    """Register a served adapter that was tuned on one question."""
    folder = home.adapters / "tuned"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    turns = (Message(role="user", content=question), Message(role="assistant", content="48 Nm"))
    example = Example(id="ex-1", recipe="r", language="en", messages=turns, documents=("pump0.md",))
    write_jsonl(home.collection("desk") / "datasets" / "d1" / "examples.jsonl", [example])
    database = Database(home.database_url)
    with database.write() as session:
        row = Adapter(
            name="tuned",
            collection="desk",
            folder=str(folder),
            base_fingerprint="b",
            dataset_hash="d1",
            created="2026-01-01",
            is_active=True,
        )
        Adapters(session).save(row)
    database.close()


def test_from_proposals_to_a_measured_suite(home: Home) -> None:
    made = answer("suite", "make", "desk", "--no-engine", "--count", "12")
    documents, proposals = made["documents"], made["proposals"]
    assert isinstance(documents, list)
    assert isinstance(proposals, list)
    assert len(documents) == 2
    assert {row["case"]["lang"] for row in proposals} == {"en", "zh"}
    assert "proposed already" in str(run("suite", "make", "desk").exception)
    assert "no suite of its own" in str(run("eval", "--collection", "desk").exception)
    first, second = proposals[0]["case"]["id"], proposals[1]["case"]["id"]
    approved = answer("suite", "approve", "desk", first, "--reject", second)
    assert approved["approved"] == 1
    assert approved["open"] == len(proposals) - 2
    approved = answer("suite", "approve", "desk", "--all")
    assert approved["approved"] == len(proposals) - 1
    suite = load_suite(Path(str(approved["suite"])))
    assert second not in {case.id for case in suite}
    checked = run("suite", "check", str(approved["suite"]), "--collection", "desk")
    assert checked.exit_code == 0, checked.output
    assert "fit to be measured on" in checked.output
    for arguments in ([], ["--suite", "own"]):
        measured = answer("eval", "--collection", "desk", "--arms", "base,rag", *arguments)
        assert str(len(suite)) in str(measured["about"])


def test_a_suite_that_was_trained_on_is_refused_with_its_rows(home: Home, tmp_path: Path) -> None:
    question = "How tight are the flange bolts of the Q7?"
    suite = tmp_path / "mine.jsonl"
    row = {
        "id": "m-1",
        "lang": "en",
        "question": question,
        "answers": ["48 Nm"],
        "gold": [{"doc": "pump0.md"}],
    }
    suite.write_bytes(msgspec.json.encode(row) + b"\n")
    add_tuned(home, "How tight are the flange bolts of a Q7?")
    refused = run("eval", "--collection", "desk", "--suite", suite)
    for part in ("1 of 1 questions", "dataset d1", "'m-1'", "ex-1", "--held-out"):
        assert part in str(refused.exception)
    assert not list(home.runs.glob("eval-*"))
    assert run("eval", "--collection", "desk", "--suite", suite, "--arms", "base,rag").exit_code == 0
    checked = run("suite", "check", suite, "--collection", "desk")
    assert checked.exit_code == 2
    assert "ex-1" in checked.output


def test_the_gate_ends_with_its_own_code_and_says_why(home: Home, tmp_path: Path) -> None:
    suite = tmp_path / "mine.jsonl"
    rows = [
        {
            "id": f"m-{n}",
            "lang": "en",
            "question": f"{what}?",
            "answers": ["48 Nm"],
            "gold": [{"doc": "pump0.md"}],
        }
        for n, what in enumerate(("How tight are the flange bolts of the Q7", "What does E-14 mean"))
    ]
    suite.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    assert "no report for collection 'desk'" in str(run("eval", "gate", "--collection", "desk").exception)
    add_tuned(home, "What is the weight of the oven?")
    measured = run("eval", "--collection", "desk", "--suite", suite)
    assert measured.exit_code == 0, str(measured.exception)
    assert "gate: rag+ft is refused" in measured.stdout
    page = Path(measured.stdout.splitlines()[-1].removeprefix("report: "))
    assert "general ability kept" in page.read_text("utf-8")
    refused = run("eval", "gate", "--collection", "desk")
    assert refused.exit_code == 8
    assert "FAILED  better than rag somewhere" in refused.output
    assert "FAILED  enough questions: 2, at least 30" in refused.output
    by_path = run("eval", "gate", page.with_name("report.json"), "--json")
    assert by_path.exit_code == 8
    verdict = json.loads(by_path.stdout)["verdict"]
    assert verdict == json.loads(page.with_name("gate.json").read_bytes())
    config = tmp_path / "gate.toml"
    config.write_text('[gate]\nleast_cases = 1\narm = "rag"\nagainst = "base"\nfloors = {}\n')
    other = run("--config", config, "eval", "gate", page.parent)
    assert "does not compare rag with base" in str(other.exception)
    page.with_name("report.json").write_text("{}")
    assert "not a report of this version" in str(run("eval", "gate", page.parent).exception)


def test_a_refusal_ends_the_process_with_its_code(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = {"id": "a", "lang": "en", "question": "Why?", "answers": ["x"], "gold": [{"doc": "gone.md"}]}
    suite = tmp_path / "mine.jsonl"
    suite.write_bytes(msgspec.json.encode(case))
    measured = run("eval", "--collection", "desk", "--suite", suite)
    assert "1 documents that the collection lacks, such as gone.md" in " ".join(measured.output.split())
    report = next((home.runs / "eval-desk-mine").glob("report.json"))
    monkeypatch.setattr(sys, "argv", ["deskmate", "suite", "check", str(suite), "--collection", "desk"])
    with pytest.raises(SystemExit) as ended:
        deskmate()
    assert ended.value.code == 2
    assert "gone.md" in json.loads(report.read_bytes())["about"]["documents"]


def test_importing_tells_what_it_left_out(home: Home, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("问题,答案,文档,颜色\n清洗需要多少升？,两升,烤箱0.md,红\n", "utf-8")
    output = tmp_path / "suite.jsonl"
    done = run("suite", "import", table, "--output", output)
    assert done.exit_code == 0, done.output
    assert "columns that mean nothing here: 颜色" in done.output
    assert len(load_suite(output)) == 1
    assert "cannot be read" in str(run("suite", "check", tmp_path / "none.jsonl").exception)


def test_assess_writes_its_advice_as_text_page_and_json(home: Home, tmp_path: Path) -> None:
    done = run("assess", "desk", "--no-engine", "--count", "6")
    assert done.exit_code == 0, str(done.exception)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("recommended: RAG")
    page = Path(lines[-1].removeprefix("page: "))
    assert "多少" in page.read_text("utf-8")
    again = answer("assess", "desk", "--no-engine", "--count", "6")
    kept = json.loads(page.with_name("assessment.json").read_bytes())
    assert again["assessment"] == kept
    assert kept["measured"]["closed_book"]["mean"] == 0
    assert kept["about"]["questions"].startswith("6 made from 4 of 4 documents")
    suite = tmp_path / "mine.jsonl"
    rows = [
        {
            "id": f"m-{n}",
            "lang": "en",
            "question": f"{what}?",
            "answers": ["48 Nm"],
            "gold": [{"doc": "pump0.md"}],
        }
        for n, what in enumerate(("How tight are the flange bolts of the Q7", "What does E-14 mean"))
    ]
    suite.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    given = answer("assess", "desk", "--suite", suite)
    assert "mine.jsonl: 2 questions (2 en)" in str(given["assessment"])
    assert "no index" in str(run("assess", "none").exception)


def test_a_pilot_takes_a_tenth_of_the_data() -> None:
    settings = pilot_settings(Settings())
    full = Settings().synth
    assert settings.synth.closed_book == max(8, full.closed_book // 10)
    assert settings.synth.seed == full.seed
    assert settings.train == Settings().train


@pytest.mark.slow
def test_a_pilot_tunes_apart_from_what_is_served(
    home: Home, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DESKMATE__ENGINE__KIND", "local")
    monkeypatch.setenv("DESKMATE__ENGINE__BASE_MODEL", str(tiny_model))
    monkeypatch.setenv("DESKMATE__ENGINE__DTYPE", "float32")
    monkeypatch.setenv("DESKMATE__TRAIN__EPOCHS", "1")
    monkeypatch.setenv("DESKMATE__EVAL__MAX_NEW_TOKENS", "8")
    monkeypatch.setenv("DESKMATE__ANSWER__CONTEXT_TOKENS", "120")
    suite = tmp_path / "mine.jsonl"
    question = "How tight are the flange bolts of the Q7?"
    row = {
        "id": "m",
        "lang": "en",
        "question": question,
        "answers": ["48 Nm"],
        "gold": [{"doc": "files/pump0.md"}],
    }
    suite.write_bytes(msgspec.json.encode(row) + b"\n")
    found = answer("assess", "desk", "--suite", suite, "--pilot")
    assessment = found["assessment"]
    assert isinstance(assessment, dict)
    assert assessment["measured"]["pilot"]["case_count"] == 1
    assert "none of them asked about; asked: mine.jsonl" in assessment["about"]["pilot"]
    database = Database(home.database_url)
    with database.read() as session:
        assert Adapters(session).active("desk") is None
        assert len(Adapters(session).of("desk")) == 1
    database.close()
    rows = read_jsonl(next((home.runs / "assess-desk" / "datasets").glob("*/examples.jsonl")), Example)
    examples = list(rows)
    assert examples
    assert "pump0.md" not in {name for example in examples for name in example.documents}
    assert question not in {turn.content for example in examples for turn in example.messages}


def test_answerable_questions_are_asked_again_with_their_evidence_hidden(tmp_path: Path) -> None:
    source, target = tmp_path / "own.jsonl", tmp_path / "hard.jsonl"
    gold = {"doc": "pump0.md", "evidence": "48 Nm"}
    row = {
        "id": "q1",
        "lang": "en",
        "question": "How tight are the bolts?",
        "gold": [gold],
        "answers": ["48 Nm"],
    }
    bare = {"id": "q2", "lang": "zh", "question": "火星上有水泵吗？", "answerable": False}
    write_jsonl(source, [row, bare])
    done = run("suite", "hide", source, "--output", target)
    assert done.exit_code == 0, done.output
    assert "2 cases and 1 with their evidence hidden" in done.output
    assert [case.id for case in load_suite(target)] == ["q1", "q2", "q1-hidden"]
    write_jsonl(source, [bare])
    refused = run("suite", "hide", source, "--output", target)
    assert "no answerable question" in str(refused.exception)
