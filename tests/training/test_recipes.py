"""Recipes: each makes right pairs from rules, in both languages, and only from what stands there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from assistant.core.errors import InputError, NotFoundError
from assistant.core.language import Language
from assistant.core.progress import NoProgress
from assistant.core.prompts import not_covered
from assistant.core.records import Chunk, Message, Passage
from assistant.core.settings_answer import AnswerSettings
from assistant.core.settings_synth import TeacherSettings
from assistant.engine.scripted import ScriptedEngine
from indexing.glossary import Term
from training.checks import check_pair
from training.pairs import Pair, rule_pairs
from training.recipes.materials import Materials
from training.recipes.reading import set_into_contexts
from training.recipes.recipe import load_recipe, shipped_recipes
from training.recipes.registry import MAKERS, maker_of
from training.sources import GivenPair
from training.teaching import Teacher

TEXTS: dict[Language, list[tuple[str, str, tuple[str, ...]]]] = {
    "en": [
        (
            "table",
            "Code: E-11 · Meaning: Dry running · Cause: Air in the head · Remedy: Replace sensor QP-4417 · "
            "Reset: Hold OK\nCode: E-14 · Meaning: Rotor blocked · Cause: Limescale · "
            "Remedy: Clean the impeller · Reset: Automatic",
            ("Manual", "9.2 Fault codes"),
        ),
        (
            "table",
            "Item | Q5 | Q7\nRated power | 90 W | 150 W\nProtection | IPX4 | IPX4",
            ("Manual", "3.1 Data"),
        ),
        ("table", "Part number: QP-4417 · Name: Pressure sensor · Price (EUR): 132.00", ("Price list",)),
        (
            "text",
            "1. Close the valve.\n2. Pull out the motor.\n3. Push on the impeller.\n4. Tighten to 14 Nm.",
            ("Manual", "8.2 Changing the impeller"),
        ),
        ("text", "- two gaskets\n- this guide\n- a card with the PIN", ("Guide", "What is in the box")),
        (
            "text",
            "The Building Management System (BMS) sets the speed. It runs at 62 % by night.",
            ("Manual", "Night"),
        ),
        (
            "dialogue",
            "customer: The pump shows E-14.\nagent: E-14 means that the rotor is blocked.\n"
            "customer: How do I free it?\nagent: Clean the impeller and turn it by hand.\n"
            "resolution: Cleaned.",
            (),
        ),
    ],
    "zh": [
        (
            "table",
            "代码: F03 · 含义: 传感器断路 · 原因: 插头松脱 · 处理方法: 更换传感器 HT-4051 · 复位: 自动\n"
            "代码: F05 · 含义: 腔体超温 · 原因: 触点粘连 · 处理方法: 断电冷却 · 复位: 按红色按钮",
            ("手册", "9.2 故障代码表"),
        ),
        (
            "table",
            "项目 | T3 | T6\n额定功率 | 5.4 kW | 11.8 kW\n进水接口 | G3/4 | G3/4",
            ("手册", "3.1 参数"),
        ),
        ("table", "零件号: HT-4051 · 名称: 温度传感器 · 价格（元）: 83.00", ("价格表",)),
        (
            "text",
            "1. 关闭水阀。\n2. 取出导流板。\n3. 装上新叶轮。\n4. 拧到 11 N·m。",
            ("手册", "8.3 更换叶轮"),
        ),
        ("text", "- 烤架三个\n- 进水管和垫片\n- 印有配网码的卡片", ("手册", "随机附件")),
        ("text", "楼宇控制系统（BCS）决定转速。夜间转速为 62%。", ("手册", "夜间模式")),
        (
            "dialogue",
            "customer: 烤箱显示F05。\nagent: F05 表示腔体超温，请先断电。\ncustomer: 断电之后怎么办？\n"
            "agent: 冷却后按背面的红色按钮复位。\nresolution: 已复位。",
            (),
        ),
    ],
}


def make_chunks(language: Language) -> list[Chunk]:
    return [
        Chunk(
            id=f"{language}{place}",
            document=f"{language}/{place}.md",
            version=2,
            position=0,
            text=text,
            heading_path=headings,
            kind=kind,  # type: ignore[arg-type]
            language=language,
        )
        for place, (kind, text, headings) in enumerate(TEXTS[language])
    ]


class Finder:
    """Finds the chunks in order; the same for every query."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._passages = tuple(Passage(rank=n, score=1 / n, chunk=c) for n, c in enumerate(chunks, 1))

    def search_many(self, queries: Sequence[str], top_k: int | None = None) -> list[tuple[Passage, ...]]:
        return [self._passages[:top_k] for _ in queries]


def make_materials(language: Language, folder: Path, **more: object) -> Materials:
    chunks = make_chunks(language)
    pairs = [pair for pair in rule_pairs(chunks, 7) if check_pair(pair) is None]
    return Materials(
        chunks=chunks,
        pairs=pairs,
        searcher=Finder(chunks),
        count_tokens=lambda text: len(text) // 2,
        teacher=Teacher(ScriptedEngine, TeacherSettings(), folder, NoProgress()),
        answer=AnswerSettings(),
        seed=7,
        **more,  # type: ignore[arg-type]
    )


def made(name: str, materials: Materials) -> list[Pair]:
    recipe = load_recipe(name)
    return list(maker_of(recipe)(recipe, materials))


def test_every_shipped_recipe_has_its_maker_and_both_languages() -> None:
    names = shipped_recipes()
    assert {load_recipe(name).maker for name in names} == set(MAKERS)
    for name in names:
        recipe = load_recipe(name)
        assert recipe.name == name
        assert set(recipe.wording.get("en", {})) == set(recipe.wording.get("zh", {}))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", sorted(set(shipped_recipes()) - {"by-heart", "correction", "faq", "replay"}))
def test_what_a_recipe_makes_stands_in_its_chunks(name: str, language: Language, tmp_path: Path) -> None:
    materials = make_materials(language, tmp_path)
    pairs = made(name, materials)
    assert pairs
    assert {pair.recipe for pair in pairs} == {name}
    verdicts = [(pair.question, pair.answer, check_pair(pair)) for pair in pairs]
    assert [row for row in verdicts if row[2]] == []
    again = made(name, make_materials(language, tmp_path))
    assert [(pair.question, pair.answer) for pair in again] == [
        (pair.question, pair.answer) for pair in pairs
    ]


def test_a_code_leads_to_meaning_cause_and_remedy(tmp_path: Path) -> None:
    answers = {pair.question[:4]: pair.answer for pair in made("fault-code", make_materials("en", tmp_path))}
    whole = "E-14 means: Rotor blocked. Cause: Limescale. What to do: Clean the impeller. Reset: Automatic."
    assert whole in answers.values()


def test_two_steps_join_two_chunks(tmp_path: Path) -> None:
    (pair,) = made("two-step", make_materials("zh", tmp_path))
    assert pair.answer == "F03表示：传感器断路。处理方法：更换传感器 HT-4051。HT-4051的价格（元）是83.00。"
    assert [chunk.id for chunk in pair.chunks] == ["zh0", "zh2"]
    recipe = load_recipe("two-step")
    (placed,) = set_into_contexts([pair], recipe, make_materials("zh", tmp_path))
    assert placed.passages is not None
    assert {"zh0", "zh2"} <= {passage.chunk.id for passage in placed.passages}
    assert "[1]" in placed.answer


def test_steps_are_marked_behind_their_words(tmp_path: Path) -> None:
    materials = make_materials("en", tmp_path)
    recipe = load_recipe("procedure")
    whole = next(pair for pair in made("procedure", materials) if pair.answer.startswith("1. "))
    always = msgspec.structs.replace(recipe, grounded_share=1.0)
    (placed,) = set_into_contexts([whole], always, materials)
    mark = placed.answer.split("[")[1][0]
    assert placed.answer.splitlines()[:2] == [
        f"1. Close the valve [{mark}].",
        f"2. Pull out the motor [{mark}].",
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_known_by_heart_is_also_read_and_missed_in_contexts(
    language: Language, tmp_path: Path
) -> None:
    materials = make_materials(language, tmp_path)
    recipe = load_recipe("single-fact")
    pairs = made("single-fact", materials)
    both = msgspec.structs.replace(recipe, grounded_share=0.0, also_grounded_share=1.0)
    rows = set_into_contexts(pairs, both, materials)
    assert rows[::2] == pairs
    assert all(row.passages and "[" in row.answer and row.is_covered for row in rows[1::2])
    missing = msgspec.structs.replace(both, missing_share=1.0)
    rows = set_into_contexts(pairs, missing, materials)
    assert rows[::2] == pairs
    for row in rows[1::2]:
        assert row.answer == not_covered(language)
        assert not row.is_covered
        assert row.chunk.id not in [passage.chunk.id for passage in row.passages or ()]


def test_given_pairs_are_taken_by_kind(tmp_path: Path) -> None:
    given = (
        GivenPair(question="How do I free a blocked rotor?", answer="Clean the impeller.", kind="correction"),
        GivenPair(question="Who may open the cover?", answer="Only trained people.", kind="faq"),
    )
    materials = make_materials("en", tmp_path, given=given)
    recipe = load_recipe("correction")
    for kind, question in (("correction", given[0].question), ("faq", given[1].question)):
        only = msgspec.structs.replace(recipe, options={"kind": kind})
        assert [pair.question for pair in maker_of(only)(only, materials)] == [question]
    assert len(list(maker_of(recipe)(recipe, materials))) == 2
    wrong = msgspec.structs.replace(recipe, options={"kind": "rumour"})
    with pytest.raises(InputError, match="rumour"):
        list(maker_of(wrong)(wrong, materials))


def test_models_are_compared(tmp_path: Path) -> None:
    answers = [pair.answer for pair in made("comparison", make_materials("en", tmp_path))]
    assert "The Q7: 150 W against 90 W for the Q5." in answers
    assert any(answer.startswith("Protection is the same for") for answer in answers)


def test_structured_answers_fit_their_schema(tmp_path: Path) -> None:
    for pair in made("structured", make_materials("zh", tmp_path)):
        told = pair.history[0].content
        schema = json.loads(told[told.index("{") :])
        answer = json.loads(pair.answer)
        assert list(answer) == schema["required"]
        assert set(answer) == set(schema["properties"])
        assert answer["code"] in {"F03", "F05"}


def test_wordings_name_no_product_of_their_own() -> None:
    texts = [
        text.lower()
        for name in shipped_recipes()
        for wordings in load_recipe(name).wording.values()
        for found in wordings.values()
        for text in found
    ]
    assert [text for text in texts if any(word in text for word in ("pump", "oven", "水泵", "烤箱"))] == []


def test_follow_ups_keep_the_turns_before(tmp_path: Path) -> None:
    pairs = made("follow-up", make_materials("en", tmp_path))
    real = next(pair for pair in pairs if pair.teacher == "tickets")
    assert real.question == "How do I free it?"
    assert real.answer == "Clean the impeller and turn it by hand."
    assert [turn.role for turn in real.history] == ["user", "assistant"]
    assert all(turn.role in {"user", "assistant"} for pair in pairs for turn in pair.history)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_contexts_hold_the_right_passage_or_the_answer_says_no(language: Language, tmp_path: Path) -> None:
    pairs = made("grounded", make_materials(language, tmp_path))
    for pair in pairs:
        assert pair.passages is not None
        held = {passage.chunk.id for passage in pair.passages}
        assert (pair.chunk.id in held) == pair.is_covered
        assert pair.is_covered == (pair.answer != not_covered(language))
        if pair.is_covered:
            quote = pair.answer.split("“" if language == "zh" else ': "')[-1].rstrip('”"')
            assert quote in pair.chunk.text
    assert any(pair.is_covered for pair in pairs)
    unanswerable = made("unanswerable", make_materials(language, tmp_path))
    assert {pair.answer for pair in unanswerable} == {not_covered(language)}


def test_unknown_codes_name_the_nearest(tmp_path: Path) -> None:
    for pair in made("unknown-code", make_materials("zh", tmp_path)):
        assert not pair.is_covered
        assert "F03" in pair.answer or "F05" in pair.answer


def test_the_nearest_codes_are_of_the_same_machine(tmp_path: Path) -> None:
    materials = make_materials("en", tmp_path)
    text = "".join(f"\nCode: K-{n} · Meaning: Other machine · Remedy: Wait" for n in range(12, 90))
    other = Chunk(id="k", document="k.md", version=1, position=0, text=text.strip(), kind="table")
    object.__setattr__(materials, "chunks", [*materials.chunks, other])
    named = [pair.answer for pair in made("unknown-code", materials) if "E-" in pair.question]
    assert named
    assert all("E-11" in answer and "E-14" in answer for answer in named)


def test_approved_terms_reword_and_explain(tmp_path: Path) -> None:
    term = Term(said="趴窝", meant="腔体超温", language="zh", state="approved")
    materials = make_materials("zh", tmp_path, glossary=[term])
    explained = {pair.question for pair in made("glossary", materials)}
    assert any("趴窝" in question for question in explained)
    pair = Pair(question="腔体超温怎么处理？", answer="断电冷却。", chunk=materials.chunks[0], recipe="table")
    reworded = make_materials("zh", tmp_path, glossary=[term])
    object.__setattr__(reworded, "pairs", [pair])
    assert "趴窝怎么处理？" in {found.question for found in made("paraphrase", reworded)}


def test_corrections_weigh_more_and_find_their_chunk(tmp_path: Path) -> None:
    given = [
        GivenPair(question="What is E-14?", answer="E-14: Rotor blocked, clean the impeller."),
        GivenPair(question="Do you deliver to islands?", answer="Yes, within three weeks.", kind="faq"),
    ]
    first, second = made("correction", make_materials("en", tmp_path, given=given))
    assert (first.weight, second.weight) == (3.0, 2.0)
    assert first.chunk.id == "en0"
    assert second.chunks == ()
    assert check_pair(second) is None


def test_bad_recipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no recipe 'nothing'"):
        load_recipe("nothing")
    bad = tmp_path / "bad.toml"
    bad.write_text('name = "x"\nversion = 1\nabout = "a"\nmaker = "m"\ncount = "many"\n', "utf-8")
    with pytest.raises(InputError, match="count"):
        load_recipe(str(bad))
    bad.write_text('name = "x"\nversion = 1\nabout = "a"\nmaker = "m"\ncount = 3\n', "utf-8")
    with pytest.raises(InputError, match="no maker 'm'"):
        maker_of(load_recipe(str(bad)))
    bad.write_text('name = "x"\nversion = 1\nabout = "a"\nmaker = "comparisons"\ncount = 3\n', "utf-8")
    recipe = load_recipe(str(bad))
    with pytest.raises(InputError, match="lacks the wording"):
        list(maker_of(recipe)(recipe, make_materials("en", tmp_path)))


def test_turns_are_read_in_both_languages() -> None:
    from training.recipes.conversations import read_turns

    assert read_turns("客户：坏了\n客服：请重启") == [
        Message(role="user", content="坏了"),
        Message(role="assistant", content="请重启"),
    ]
