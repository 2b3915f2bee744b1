from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.records import Chunk
from assistant.core.settings import EmbedderSettings, Settings
from assistant.store.adapters import Adapter, Adapters
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents, NewVersion
from eval.summary import Report
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.glossary import own_term, write_glossary
from indexing.tombstones import write_removed
from indexing.tuning import Tuning, write_tuning

TEXTS = {
    "docs/pump.md": ("Tighten the flange bolts of the Q7 to 48 Nm.", "The pump weighs 12 kg without oil."),
    "docs/烤箱.md": ("清洗蒸汽发生器需要两升除垢液。", "门封条每天擦净一次。"),
}
SUITE = [
    {
        "id": "en-1",
        "lang": "en",
        "question": "How tight are the flange bolts of the Q7?",
        "gold": [{"doc": "en/docs/pump.md", "evidence": "flange bolts of the Q7 to 48 Nm"}],
        "key_facts": [["48 Nm"]],
    },
    {
        "id": "zh-1",
        "lang": "zh",
        "question": "清洗蒸汽发生器需要多少除垢液？",
        "gold": [{"doc": "烤箱.md", "evidence": "需要两升除垢液"}],
        "answers": ["两升"],
    },
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with collection ``pumps``, indexed with the hashing embedder, without an adapter."""
    home = Home(tmp_path_factory.mktemp("built")).make()
    database = Database(home.database_url)
    with database.write() as session:
        collection = Documents(session).make_collection("pumps")
        for name, texts in TEXTS.items():
            new = NewVersion(document=name, number=1, sha256="0" * 64, recipe="r", size_bytes=1, title=name)
            version = Documents(session).save_version(collection.id, new)
            chunks = [
                Chunk(id=f"{name}{n}", document=name, version=1, position=n, text=t)
                for n, t in enumerate(texts)
            ]
            Chunks(session).save(version, chunks, texts)
    settings = Settings(embedder=EmbedderSettings(model="hashing"))
    Builder("pumps", home, settings, database, HashingEmbedder(), NoProgress()).publish()
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


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "my suite.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, SUITE)))
    return path


def add_adapter(home: Home, created: str = "2026-01-01T00:00:00") -> None:
    folder = home.adapters / "tuned"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text("{}")
    database = Database(home.database_url)
    with database.write() as session:
        Adapters(session).save(
            Adapter(
                name="tuned",
                collection="pumps",
                folder=str(folder),
                base_fingerprint="b",
                dataset_hash="d",
                created=created,
                is_active=True,
            )
        )
    database.close()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(root, ["eval", "--collection", "pumps", *map(str, arguments)])


def answer_count(home: Home) -> int:
    return len((home.runs / "eval-pumps-my-suite" / "answers.jsonl").read_bytes().splitlines())


def test_retrieval_is_measured_by_language_without_an_engine(
    home: Home, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESKMATE__ENGINE__KIND", "local")
    result = run("--suite", suite, "--retrieval-only")
    assert result.exit_code == 0, result.output
    assert [line.split()[:3] for line in result.stdout.splitlines()[2:]] == [
        ["all", "2", "1.000"],
        ["en", "1", "1.000"],
        ["zh", "1", "1.000"],
    ]
    printed = json.loads(run("--suite", suite, "--retrieval-only", "--json").stdout)
    assert printed["retrieval"]["zh"]["mrr_at_10"] == 1
    assert not home.runs.exists()


def test_all_arms_that_are_there_are_measured_and_reported(home: Home, suite: Path) -> None:
    result = run("--suite", suite)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    # en holds its fact; zh has none: 14 characters for the 2 of the reference, F1 2·2 / (2 + 14)
    assert [line.split()[:2] for line in lines[2:4]] == [["base", "0.00"], ["rag", "0.62"]]
    assert lines[5].startswith("rag − base: +0.62 [")
    page = Path(lines[-1].removeprefix("report: "))
    assert page.read_text("utf-8").count("清洗蒸汽发生器需要多少除垢液？") == 1
    report = msgspec.json.decode(page.with_suffix(".json").read_bytes(), type=Report)
    assert report.arms == ("base", "rag")
    assert report.about["suite"] == "my suite.jsonl: 2 cases (1 en, 1 zh)"
    assert report.about["snapshot"].startswith("000001 (")
    assert len(report.about["prompts"]) == 12
    assert len((page.parent / "metrics.jsonl").read_bytes().splitlines()) == 2


def test_a_second_run_asks_nothing_and_a_new_adapter_only_its_arms(home: Home, suite: Path) -> None:
    add_adapter(home)
    first = run("--suite", suite)
    assert first.stdout.splitlines()[5].startswith("rag+ft"), first.output
    assert answer_count(home) == 8
    assert run("--suite", suite).stdout == first.stdout
    assert answer_count(home) == 8
    add_adapter(home, created="2026-02-02T00:00:00")
    run("--suite", suite)
    assert answer_count(home) == 12


@pytest.mark.parametrize("change", ["term", "中文词", "removed", "tuned"])
def test_what_changes_the_search_without_a_new_snapshot_asks_again(
    home: Home, suite: Path, change: str
) -> None:
    folder = home.collection("pumps")
    assert run("--suite", suite, "--arms", "rag").exit_code == 0
    assert answer_count(home) == 2
    if change == "removed":
        write_removed(folder, np.array([1]))
    elif change == "tuned":
        row = Tuning(
            fingerprint="f",
            question_count=1,
            rows=(),
            dense_weight=0.4,
            gain=(0, 0, 0),
            is_made=False,
            is_used=True,
        )
        write_tuning(folder, row)
    else:
        write_glossary(folder, [own_term(change, "flange bolts")])
    assert run("--suite", suite, "--arms", "rag").exit_code == 0
    assert answer_count(home) == 4


def test_json_has_the_numbers_and_where_the_report_lies(home: Home, suite: Path) -> None:
    result = run("--suite", suite, "--arms", "rag, base", "--limit", "1", "--json")
    printed = json.loads(result.stdout)
    assert [row["arm"] for row in printed["arms"]] == ["rag", "base"]
    assert printed["arms"][0]["score"]["case_count"] == 1
    assert printed["differences"][0]["reference"] == "base"
    assert Path(printed["report"]).is_file()
    assert Path(printed["page"]).is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "'pumps' has no suite of its own.*--collection pumps --suite FILE"),
        (["--suite", "none.jsonl"], "none.jsonl: cannot be read"),
        (["--suite", "SUITE", "--arms", "rag,magic"], "arms are some of base,rag,ft,rag"),
        (["--suite", "SUITE", "--arms", ""], "arms are some of"),
        (["--suite", "SUITE", "--arms", "rag,ft"], "adapter.*deskmate train"),
        (
            ["--suite", "SUITE", "--collection", "ovens"],
            "no index for collection 'ovens'.*deskmate index add",
        ),
        (["--suite", "SUITE", "--collection", "../x"], "no collection name"),
    ],
)
def test_what_cannot_be_measured_is_told_with_the_next_command(
    home: Home, suite: Path, arguments: list[str], message: str
) -> None:
    result = run(*(str(suite) if argument == "SUITE" else argument for argument in arguments))
    assert result.exit_code != 0
    with pytest.raises(type(result.exception), match=message):  # type: ignore[arg-type]
        raise result.exception  # type: ignore[misc]
    assert not list(home.runs.glob("*/report.json"))


def test_a_suite_without_answers_is_for_retrieval_only(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "bare.jsonl"
    path.write_bytes(msgspec.json.encode({**SUITE[0], "key_facts": []}))
    assert "--retrieval-only" in str(run("--suite", path).exception)
    assert run("--suite", path, "--retrieval-only").exit_code == 0
    path.write_bytes(msgspec.json.encode({**SUITE[0], "gold": [], "answerable": False}))
    assert "no case of the suite has gold" in str(run("--suite", path, "--retrieval-only").exception)


@pytest.mark.parametrize("option", [("--arms", "rag"), ("--latency", "2")])
def test_arms_and_retrieval_only_exclude_each_other(suite: Path, option: tuple[str, str]) -> None:
    result = run("--suite", suite, "--retrieval-only", *option)
    assert result.exit_code == 2
    assert "leave --arms and --latency out" in result.output


def test_waiting_times_are_taken_beside_the_answers(home: Home, suite: Path) -> None:
    result = run("--suite", suite, "--latency", "1")
    assert result.exit_code == 0, result.output
    assert "rag one at a time: " in result.stdout
    page = Path(result.stdout.splitlines()[-1].removeprefix("report: "))
    report = msgspec.json.decode(page.with_suffix(".json").read_bytes(), type=Report)
    assert {arm: row.total.count for arm, row in report.latency.items()} == {"base": 1, "rag": 1}
    assert answer_count(home) == 4  # those asked one at a time are not kept among the batches' answers


def test_stability_is_measured_kept_and_printed(home: Home, suite: Path) -> None:
    arguments = ["eval", "stability", "--collection", "pumps", "--suite", str(suite), "--vary", "1,2,2"]
    first = CliRunner().invoke(root, arguments)
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith(
        "stability of rag: agreement 1.00 [1.00, 1.00] over 2 questions, 8 answers"
    )
    assert "wording – (one wording only)" in first.stdout
    file = home.runs / "stability-pumps-my-suite" / "stability.json"
    assert first.stdout.endswith(f"report: {file}\n")
    kept = (file.parent / "stability.jsonl").read_bytes()
    printed = json.loads(CliRunner().invoke(root, [*arguments, "--json"]).stdout)
    assert printed["stability"]["by_language"]["zh"]["mean"] == 1
    assert (file.parent / "stability.jsonl").read_bytes() == kept


@pytest.mark.parametrize("vary", ["3", "3,2", "a,b,c", "1,1,1", "0,2,2", "3,2,2,1"])
def test_what_stability_cannot_vary_is_refused(home: Home, suite: Path, vary: str) -> None:
    found = CliRunner().invoke(
        root, ["eval", "stability", "--collection", "pumps", "--suite", str(suite), "--vary", vary]
    )
    assert isinstance(found.exception, InputError)
    assert "--vary takes three numbers" in str(found.exception) or "stability needs" in str(found.exception)


def test_a_judge_that_talks_nonsense_is_counted_and_changes_no_figure(
    home: Home, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run("--suite", suite)
    monkeypatch.setenv("DESKMATE__JUDGE__KIND", "scripted")
    result = run("--suite", suite)
    assert result.exit_code == 0, result.output
    assert result.stdout == before.stdout
    # the scripted engine does not know what a verdict is
    assert "not believed" in result.stderr
    page = Path(result.stdout.splitlines()[-1].removeprefix("report: "))
    report = msgspec.json.decode(page.with_suffix(".json").read_bytes(), type=Report)
    assert report.judge is not None
    assert report.judge.agreements[0].unreadable == report.judge.agreements[0].asked > 0
