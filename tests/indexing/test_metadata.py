from __future__ import annotations

from pathlib import Path

import pytest

from assistant.core.errors import InputError, SettingsError
from indexing.metadata import (
    check_rules,
    fold_value,
    main_languages,
    merge_metadata,
    normalise_metadata,
    path_metadata,
    read_assignments,
)
from indexing.parsing.front_matter import front_metadata, front_title, split_front_matter
from indexing.parsing.properties import page_properties, read_properties

SAMPLES = Path(__file__).parents[2] / "assistant" / "samples" / "files"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"Product": "Ｑ７  pump"}, {"product": "Q7 pump"}),
        ({"型号": "T6"}, {"model": "T6"}),
        ({"lang": "zh-CN"}, {"language": "zh"}),
        ({"语言": "英文"}, {"language": "en"}),
        ({"date": "2026/3/5"}, {"date": "2026-03-05"}),
        ({"日期": "2026年3月5日"}, {"date": "2026-03-05"}),
        ({"date": "2026-03"}, {"date": "2026-03"}),
        ({"lastmod": "2026-03-05T10:00:00Z"}, {"date": "2026-03-05"}),
        ({"keywords": "manual, 手册；pump"}, {"tags": ("manual", "手册", "pump")}),
        ({"tags": ["one"]}, {"tags": ("one",)}),
        ({"product": ["Q5", "Q7", "Q5"]}, {"product": ("Q5", "Q7")}),
        ({"Plant": 7}, {"plant": "7"}),
        ({"product": ""}, {"product": ""}),
    ],
)
def test_metadata_has_one_form(given: dict[str, object], stored: dict[str, object]) -> None:
    assert normalise_metadata(given, "here") == stored


@pytest.mark.parametrize(
    "given", [{"date": "soon"}, {"date": "2026-13-01"}, {"a b!": "x"}, {"product": {"a": 1}}]
)
def test_what_cannot_be_used_is_refused_from_a_person_and_left_out_of_a_document(
    given: dict[str, object],
) -> None:
    with pytest.raises(InputError, match="--meta"):
        normalise_metadata(given, "--meta")
    assert normalise_metadata(given) == {}


def test_a_document_cannot_flood_the_index_with_metadata() -> None:
    found = normalise_metadata({f"key{number}": "x" * 10_000 for number in range(500)} | {"tags": "a," * 500})
    assert len(found) <= 32
    assert max(len(str(value)) for value in found.values()) <= 200


def test_the_strongest_layer_wins_tags_add_up_and_an_empty_value_takes_away() -> None:
    layers = [{"product": "Q", "tags": ("a",)}, {"product": "Q7", "tags": ("b", "a")}]
    assert merge_metadata(layers) == {"product": "Q7", "tags": ("a", "b")}
    assert merge_metadata([*layers, {"product": "", "tags": ()}]) == {}


def test_rules_match_paths_and_later_ones_win() -> None:
    rules = check_rules(
        [
            {"path": "pumps/**", "product": "Q series", "tags": ["pump"]},
            {"path": "*/zh/*", "language": "zh"},
            {"path": "pumps/q7*", "product": "Q7"},
        ]
    )
    assert path_metadata(rules, "pumps/q7.md") == {"product": "Q7", "tags": ("pump",)}
    assert path_metadata(rules, "pumps/zh/泵.md") == {
        "product": "Q series",
        "tags": ("pump",),
        "language": "zh",
    }
    assert path_metadata(rules, "ovens/t.md") == {}
    for bad in ({"product": "Q"}, {"path": "**", "date": "soon"}):
        with pytest.raises(SettingsError, match="metadata_rules"):
            check_rules([bad])


def test_assignments_are_read_and_what_is_none_is_told() -> None:
    assert read_assignments(["产品＝Q7", "product=Q5", "note=a=b"], "--filter") == {
        "product": ["Q7", "Q5"],
        "note": ["a=b"],
    }
    for bad in ("Q7", "=Q7"):
        with pytest.raises(InputError, match=r"--filter: .* is not KEY=VALUE"):
            read_assignments([bad], "--filter")


def test_a_documents_languages_are_those_of_a_quarter_of_its_chunks() -> None:
    assert main_languages(["zh"] * 9 + ["en"]) == {"language": "zh"}
    assert main_languages(["zh"] * 2 + ["en"]) == {"language": ("zh", "en")}
    assert main_languages([]) == {}


def test_dates_that_are_none_fold_to_nothing() -> None:
    assert [fold_value("date", text) for text in ("20260305", "2026", "3/5/2026", "")] == [
        "2026-03-05",
        "2026",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("head", "metadata"),
    [
        ("---\ntitle: Pump\ntags: [manual, 手册]\n---\n", {"tags": ("manual", "手册")}),
        ("---\n标题：泵\n产品：Q7\n语言：中文\n---\n", {"product": "Q7", "language": "zh"}),
        ("---\ntitle: Pump: the manual\nproduct: Q7\n---\n", {"product": "Q7"}),
        ('+++\ntitle = "Pump"\ndate = 2026-01-05\n+++\n', {"date": "2026-01-05"}),
        ("---\nproduct: &a [*b]\n---\n", {"product": "&a [*b]"}),
        ("---\n" + "a: &a [x]\n" + "b: [*a, *a]\n" + "---\n", {"a": "x"}),
    ],
)  # fmt: skip
def test_front_matter_is_read_and_leaves_the_text(head: str, metadata: dict[str, object]) -> None:
    fields, text = split_front_matter(f"{head}Replace the seal.\n")
    assert front_metadata(fields) == metadata
    assert text == "Replace the seal.\n"
    assert front_title(fields) in {"", "Pump", "泵", "Pump: the manual"}


def test_in_plain_text_rules_around_a_title_are_no_front_matter() -> None:
    for text in ("---\nPUMP MANUAL\n---\nText.\n", "---\nNote: read this first\n---\nText.\n"):
        assert split_front_matter(text, is_certain=False) == ({}, text)
    fields, rest = split_front_matter("---\n型号: Q7\n---\nText.\n", is_certain=False)
    assert (front_metadata(fields), rest) == ({"model": "Q7"}, "Text.\n")


def test_text_between_two_rules_is_no_front_matter() -> None:
    text = "---\n# Q7\n\nDo not open 勿开盖\n\n---\nMore"
    assert split_front_matter(text) == ({}, text)
    assert split_front_matter("---\n\n---\nMore") == ({}, "More")


def test_properties_of_pages_and_files() -> None:
    page = (
        "<html><head><meta name='keywords' content='pump,泵'><meta property='article:modified_time' "
        "content='2026-02-03T00:00:00'><meta name='product' content='Q7'><meta name='viewport' content='x'>"
        "</head><body>text</body></html>"
    )
    assert page_properties(page) == {"tags": ("pump", "泵"), "product": "Q7", "date": "2026-02-03"}
    assert page_properties("") == {}
    for kind, name in (
        ("pdf", "pumps/en/q-series-service-manual.pdf"),
        ("docx", "ovens/zh/t-series-user-guide.docx"),
    ):
        assert read_properties(SAMPLES / name, kind).get("date", "2")[0] == "2"
        assert read_properties(Path(__file__), kind) == {}
