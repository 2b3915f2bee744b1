"""``deskmate synth``, ``dataset`` and ``glossary`` from files to an export, with fakes in place of models."""

from __future__ import annotations

import json
import shutil
from html import escape
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.core.errors import InputError, NotFoundError
from assistant.core.home import Home
from training.recipes.recipe import shipped_recipes

DRY = ["--set", "engine.kind=scripted", "--set", "embedder.model=hashing"]
TICKETS = [
    ("设备趴窝了，屏上显示F12", "F12 表示风机停转。更换风机电容 HT-5117，断电 2 分钟后复位。"),
    ("又趴窝了，后面不转", "F12 表示风机停转，电容失效。"),
    ("趴窝，急", "风机停转，请更换风机电容 HT-5117。"),
    *[(f"炉温不对{n}", "在 P3 中修正温度。") for n in range(30)],
]
MANUAL = """# T3 手册

## 9.2 故障代码表

| 代码 | 含义 | 原因 | 处理方法 | 复位 |
|---|---|---|---|---|
| F12 | 风机停转 | 电容失效 | 更换风机电容 HT-5117 | 断电 2 分钟 |
| F27 | 除垢到期 | 达到时限 | 执行除垢程序 P4 | 自动 |

## 3.1 参数

| 项目 | T3 | T6 |
|---|---|---|
| 额定功率 | 5.4 kW | 11.8 kW |
| 净重 | 59 kg | 112 kg |

## 8.3 更换叶轮

1. 关闭水阀并断电。
2. 取下导流板。
3. 装上新叶轮，拧到 11 N·m。
"""
# "correction" takes what "by-heart" and "faq" part
RECIPES = ",".join(
    name for name in shipped_recipes() if name not in {"replay", "paraphrase", "by-heart", "faq"}
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, [*DRY, *arguments])


def good(*arguments: str) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a manual and tickets, in Chinese only."""
    folder = tmp_path_factory.mktemp("indexed")
    files = folder / "files"
    files.mkdir()
    (files / "手册.md").write_text(MANUAL, "utf-8")
    rows = [
        json.dumps({"question": said, "resolution": meant}, ensure_ascii=False) for said, meant in TICKETS
    ]
    (files / "工单.jsonl").write_text("\n".join(rows), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESKMATE_HOME", str(folder / "home"))
        good("index", "add", str(files), "--collection", "烤箱")
    return folder / "home"


@pytest.fixture
def collection(indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of it."""
    shutil.copytree(indexed, tmp_path / "copy")
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "copy"))
    return Home(tmp_path / "copy")


def synth(*arguments: str) -> dict[str, object]:
    output = good("--set", f"synth.recipes={RECIPES}", "synth", "--collection", "烤箱", *arguments, "--json")
    manifest: dict[str, object] = json.loads(output.splitlines()[-1])
    return manifest


def test_general_instructions_are_the_bases_own_whoever_teaches(collection: Home) -> None:
    away = ("teacher.kind=sglang", "teacher.url=http://127.0.0.1:9", "synth.teacher_questions=0")
    good(*(part for one in away for part in ("--set", one)), "synth", "--collection", "烤箱")
    shown = json.loads(good("dataset", "show", "--collection", "烤箱", "--rows", "999", "--json"))
    assert {row["teacher"] for row in shown["rows"] if row["recipe"] == "replay"} == {"people", "scripted"}


def test_corrections_are_learnt_by_heart_and_faq_read_in_contexts(collection: Home, tmp_path: Path) -> None:
    given = tmp_path / "given.jsonl"
    rows = [
        {"question": "机器的净重到底多少？", "answer": "T3 净重 59 kg。", "kind": "correction"},
        {"question": "装叶轮要拧多紧？", "answer": "装上新叶轮，拧到 11 N·m。", "kind": "faq"},
        {"question": "周日能不能上门？", "answer": "周日不上门服务，节假日另行通知客户。", "kind": "faq"},
    ]
    given.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    sets = ("--set", "synth.recipes=by-heart,faq", "--set", "synth.grounded_groups=400")
    output = good(*sets, "synth", "--collection", "烤箱", "--pairs", str(given), "--json")
    manifest = json.loads(output.splitlines()[-1])
    assert manifest["rejected"]["no passage carries it"] == 1
    shown = json.loads(good("dataset", "show", "--collection", "烤箱", "--rows", "9999", "--json"))
    asked = {row["question"]: [] for row in rows}
    for row in shown["rows"]:
        asked.get(row["messages"][-2]["content"], []).append(row)
    (heart,) = asked[rows[0]["question"]]
    assert (heart["recipe"], heart["weight"]) == ("by-heart", 3.0)
    read = asked[rows[1]["question"]]
    assert read
    assert all("[1] " in row["messages"][0]["content"] for row in read)
    assert {row["weight"] for row in read if row["recipe"] == "grounded"} == {2.0}
    assert asked[rows[2]["question"]] == []


def test_recipes_filters_report_and_exports(collection: Home, tmp_path: Path) -> None:
    given = tmp_path / "given.jsonl"
    given.write_text('{"question": "T3 多重？", "answer": "T3 净重 59 kg。"}\n', "utf-8")
    manifest = synth("--pairs", str(given))
    recipes, filters = manifest["recipes"], manifest["filters"]
    assert isinstance(recipes, dict)
    assert isinstance(filters, dict)
    assert {"fault-code", "comparison", "procedure", "correction", "structured", "grounded"} <= set(recipes)
    for counts in filters.values():
        rejected = sum(count for name, count in counts.items() if name not in {"made", "kept"})
        assert counts["made"] == counts.get("kept", 0) + rejected
    assert set(manifest["languages"]) == {"zh", "en"}  # type: ignore[call-overload]
    shown = json.loads(good("dataset", "show", "--collection", "烤箱", "--rows", "9999", "--json"))
    assert {row["recipe"] for row in shown["rows"] if row["language"] == "en"} == {"replay"}
    general = {row["messages"][-2]["content"]: row for row in shown["rows"] if row["recipe"] == "replay"}
    iron, tools = general["铁的化学符号是什么？只写符号。"], general["List four kitchen tools, one per line."]
    assert (iron["messages"][-1]["content"], iron["teacher"]) == ("Fe", "people")
    assert tools["teacher"] != "people"
    assert any("one language" in note for note in manifest["notes"])  # type: ignore[union-attr]
    assert synth("--pairs", str(given))["id"] == manifest["id"]

    page = Path(good("synth", "report", "--collection", "烤箱").removeprefix("page: ").strip())
    text = page.read_text("utf-8")
    rejected = manifest["rejected"]
    assert isinstance(rejected, dict)
    assert len(rejected) >= 2
    assert all(escape(reason) in text for reason in rejected)
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("<article>") == 50

    shown = good("dataset", "show", "--collection", "烤箱", "--rows", "2", "--recipe", "correction")
    assert "T3 净重 59 kg。" in shown
    folder = tmp_path / "out"
    for form in ("llamafactory", "openai", "alpaca"):
        good("dataset", "export", str(folder / form), "--format", form, "--collection", "烤箱")
    assert (folder / "llamafactory" / "dataset_info.json").exists()

    other = synth()
    difference = good("dataset", "diff", str(manifest["id"]), "--collection", "烤箱")
    assert f"{manifest['id']} → {other['id']}" in difference
    assert "-1     correction" in difference


def test_filters_that_search_and_embed_and_splits(collection: Home) -> None:
    settings = [
        "synth.round_trip=true",
        "synth.embedding_checks=true",
        "synth.valid_share=0.5",
        "synth.seed=3",
    ]
    manifest = json.loads(
        good(
            *[part for setting in settings for part in ("--set", setting)],
            *("--set", f"synth.recipes={RECIPES}", "synth", "--collection", "烤箱", "--json"),
        ).splitlines()[-1]
    )
    shown = json.loads(good("dataset", "show", "--collection", "烤箱", "--rows", "9999", "--json"))
    split_of: dict[str, set[str]] = {}
    for row in shown["rows"]:
        for document in row["documents"]:
            split_of.setdefault(document, set()).add(row["split"])
    assert all(len(splits) == 1 for splits in split_of.values())
    assert sum(manifest["splits"].values()) == manifest["example_count"]


def test_a_term_is_mined_approved_and_searched_with(collection: Home, tmp_path: Path) -> None:
    proposed = json.loads(good("glossary", "mine", "--collection", "烤箱", "--json"))
    term = next(term for term in proposed if term["said"] == "趴窝")
    assert term["meant"] == "风机停转"
    before = json.loads(good("search", "趴窝", "--collection", "烤箱", "--top-k", "1", "--json"))
    assert before["passages"][0]["document"] == "工单.jsonl"
    listed = good("glossary", "list", "--collection", "烤箱", "--state", "proposed")
    identifier = next(line.split()[0] for line in listed.splitlines() if "趴窝" in line)
    good("glossary", "approve", identifier, "--add", "毛病", "故障", "--collection", "烤箱")
    after = json.loads(good("search", "趴窝", "--collection", "烤箱", "--top-k", "1", "--json"))
    assert "风机停转" in after["passages"][0]["text"]
    good("glossary", "export", str(tmp_path / "words.txt"), "--format", "jieba", "--collection", "烤箱")
    assert (tmp_path / "words.txt").read_text("utf-8").splitlines()[0] == "故障 1000 n"
    again = json.loads(good("glossary", "mine", "--collection", "烤箱", "--json"))
    assert "趴窝" not in {row["said"] for row in again}
    assert isinstance(run("glossary", "approve", "nothing", "--collection", "烤箱").exception, NotFoundError)


def test_bad_input_is_named(collection: Home, tmp_path: Path) -> None:
    given = tmp_path / "given.jsonl"
    given.write_text('{"question": "a?", "answer": "b"}\n{"question": "a?"}\n', "utf-8")
    refused = run("synth", "--collection", "烤箱", "--pairs", str(given)).exception
    assert isinstance(refused, InputError)
    assert "given.jsonl, line 2" in refused.message
    unknown = run("--set", "synth.recipes=nothing", "synth", "--collection", "烤箱").exception
    assert isinstance(unknown, NotFoundError)
    manifest = synth()
    file = collection.collection("烤箱") / "datasets" / str(manifest["id"]) / "examples.jsonl"
    lines = file.read_text("utf-8").splitlines()
    lines[4] = lines[4][:50]
    file.write_text("\n".join(lines), "utf-8")
    broken = run("dataset", "show", "--collection", "烤箱").exception
    assert isinstance(broken, InputError)
    assert "examples.jsonl, line 5" in broken.message
    assert isinstance(run("dataset", "show", "zz", "--collection", "烤箱").exception, NotFoundError)


def test_a_small_collection_of_tables_says_what_it_lacks(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    (tmp_path / "prices.csv").write_text("Part,Name,Price\nQP-1,Seal,4.50\nQP-2,Nut,1.20\n", "utf-8")
    good("index", "add", str(tmp_path / "prices.csv"), "--collection", "small")
    output = good("--set", f"synth.recipes={RECIPES}", "synth", "--collection", "small")
    assert "note: the collection holds tables only" in output
    assert "note: only " in output


def test_recipes_are_listed() -> None:
    listed = good("synth", "recipes")
    assert all(name in listed for name in shipped_recipes())
    assert {row["name"] for row in json.loads(good("synth", "recipes", "--json"))} == set(shipped_recipes())


def test_pairs_are_taken_without_a_recipe_being_named(collection: Home, tmp_path: Path) -> None:
    given = tmp_path / "given.jsonl"
    given.write_text('{"question": "周日能不能上门？", "answer": "周日不上门服务。", "weight": 5}\n', "utf-8")
    manifest = json.loads(
        good("synth", "--collection", "烤箱", "--pairs", str(given), "--json").splitlines()[-1]
    )
    assert manifest["recipes"]["correction"] == 1
    shown = good("dataset", "show", "--collection", "烤箱", "--recipe", "correction", "--rows", "1", "--json")
    (row,) = json.loads(shown)["rows"]
    assert (row["weight"], row["messages"][-1]["content"]) == (5.0, "周日不上门服务。")


def test_a_question_too_long_to_search_costs_no_other_pairs(collection: Home, tmp_path: Path) -> None:
    given = tmp_path / "given.jsonl"
    rows = [
        {"question": "为什么" * 3000 + "？", "answer": "不知道。"},
        {"question": "周日能不能上门？", "answer": "周日不上门服务。"},
    ]
    given.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    output = good("synth", "--collection", "烤箱", "--pairs", str(given), "--json")
    manifest = json.loads(output.splitlines()[-1])
    assert manifest["recipes"]["correction"] == 1
    assert manifest["filters"]["correction"]["question too short or too long"] == 1


@pytest.mark.parametrize("weight", ["0", "-5", "1e9"])
def test_a_weight_that_unteaches_is_refused(weight: str, collection: Home, tmp_path: Path) -> None:
    given = tmp_path / "given.jsonl"
    given.write_text(
        f'{{"question": "周日能不能上门？", "answer": "不上门。", "weight": {weight}}}\n', "utf-8"
    )
    done = run("synth", "--collection", "烤箱", "--pairs", str(given))
    assert isinstance(done.exception, InputError)
    assert "line 1" in str(done.exception)
    assert "weight" in str(done.exception)
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        f'name = "own"\nversion = 1\nabout = "a"\nmaker = "given_pairs"\ncount = 3\nweight = {weight}\n'
    )
    done = run("--set", f"synth.recipes={recipe}", "synth", "--collection", "烤箱")
    assert isinstance(done.exception, InputError)


def test_splits_have_to_leave_documents_to_train_on(collection: Home) -> None:
    shares = ("--set", "synth.valid_share=0.8", "--set", "synth.test_share=0.7")
    done = run(*shares, "synth", "--collection", "烤箱")
    assert isinstance(done.exception, InputError)
    assert "leave no documents to train on" in str(done.exception)


def test_an_approved_term_makes_the_contexts_anew(collection: Home) -> None:
    good("synth", "--collection", "烤箱")
    assert "is there already" in good("synth", "--collection", "烤箱")
    good("glossary", "approve", "--add", "趴窝", "风机停转", "--collection", "烤箱")
    assert "is there already" not in good("synth", "--collection", "烤箱")
    assert "is there already" in good("synth", "--collection", "烤箱")


def test_what_names_nothing_is_said(collection: Home, tmp_path: Path) -> None:
    good("synth", "--collection", "烤箱")
    assert run("dataset", "show", "--rows", "-3", "--collection", "烤箱").exit_code == 2
    done = run("dataset", "show", "--recipe", "nothing", "--collection", "烤箱")
    assert isinstance(done.exception, NotFoundError)
    assert "there are closed-book" in str(done.exception)
    assert "give --all or --add" in run("glossary", "approve", "--collection", "烤箱").output
    assert run("glossary", "list", "--state", "odd", "--collection", "烤箱").exit_code == 2
    for line in (
        ("approve", "--add", "趴窝", "停机"),
        ("list",),
        ("export", str(tmp_path / "words.jsonl")),
    ):
        assert isinstance(run("glossary", *line, "--collection", "typo").exception, NotFoundError)
    assert not collection.collection("typo").exists()
    good("glossary", "export", str(tmp_path / "new" / "w.txt"), "--format", "jieba", "--collection", "烤箱")
