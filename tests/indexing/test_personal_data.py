from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from assistant.core.errors import FileRefused
from assistant.core.home import Home
from assistant.core.records import Element, ParsedDocument
from assistant.core.settings import EmbedderSettings, IndexSettings, Settings
from indexing.build import Builder
from indexing.corpus import load_corpus
from indexing.personal_data import PersonalDataFilter

ENGLISH = "The customer Ms Lee (lee@acme.example, phone 212-555-0123) reports a leaking seal QP-5136."
CHINESE = "客户王伟（手机13800138000，车牌粤B12345）反映水泵漏水，备件 QP-5136。"


def apply(parsed: ParsedDocument, **settings: object) -> tuple[ParsedDocument, dict[str, int]]:
    index = IndexSettings(**{"pii": "mask", **settings})  # type: ignore[arg-type]
    return PersonalDataFilter(index, "pumps").apply(parsed, Path("report.md"))


def document(*texts: str) -> ParsedDocument:
    return ParsedDocument(title="report", elements=tuple(Element(kind="text", text=text) for text in texts))


def test_masks_are_in_the_language_of_the_document() -> None:
    masked, counts = apply(document(ENGLISH))
    assert counts == {"email": 1, "phone": 1}
    assert masked.elements[0].text == (
        "The customer Ms Lee ([e-mail], phone [phone]) reports a leaking seal QP-5136."
    )
    assert masked.warnings == ("personal data masked: email 1, phone 1",)
    masked, counts = apply(document(CHINESE))
    assert masked.elements[0].text == "客户王伟（手机[电话]，车牌[车牌号]）反映水泵漏水，备件 QP-5136。"
    assert counts == {"phone": 1, "plate": 1}


def test_title_table_and_metadata_are_masked_too() -> None:
    table = Element(
        kind="table",
        text="Name Lee · Phone 2125550123",
        html="<table><tr><th>Name</th><th>Phone</th></tr><tr><td>Lee</td><td>2125550123</td></tr></table>",
    )
    parsed = ParsedDocument(
        title="Call 212-555-0123",
        elements=(table,),
        metadata={"author": "lee@acme.example", "tags": ("a", "lee@acme.example")},
    )
    masked, counts = apply(parsed)
    assert counts == {"email": 2, "phone": 2}
    assert "2125550123" not in masked.elements[0].html + masked.elements[0].text
    assert masked.elements[0].html.endswith("<td>[phone]</td></tr></table>")
    assert (masked.title, masked.metadata) == (
        "Call [phone]", {"author": "[e-mail]", "tags": ("a", "[e-mail]")},
    )  # fmt: skip


def test_warnings_are_masked_and_counted() -> None:
    told = "attachment '请致电13800138000.eml': sheet 'lee@acme.example' is empty"
    parsed = msgspec.structs.replace(document("Replace seal QP-5136."), warnings=(told,))
    masked, counts = apply(parsed)
    assert counts == {"email": 1, "phone": 1}
    assert masked.warnings[0] == "attachment '请致电[phone].eml': sheet '[e-mail]' is empty"
    with pytest.raises(FileRefused, match="email 1, phone 1"):
        apply(parsed, pii="refuse")


def test_keep_counts_and_changes_nothing_else() -> None:
    parsed = document(ENGLISH)
    kept, counts = apply(parsed, pii="keep")
    assert kept.elements == parsed.elements
    assert (counts, kept.warnings) == ({"email": 1, "phone": 1}, ("personal data kept: email 1, phone 1",))
    clean = document("Replace seal QP-5136.")
    assert apply(clean) == (clean, {})


def test_a_refusal_names_kinds_and_counts_but_no_value() -> None:
    with pytest.raises(FileRefused) as refused:
        apply(document(ENGLISH), pii="refuse")
    assert "email 1, phone 1" in str(refused.value)
    assert "555" not in str(refused.value)
    assert "lee" not in str(refused.value)


@pytest.mark.parametrize(
    ("allowed", "left"),
    [
        (("+1 (212) 555 0123",), {"email": 1}),
        (("LEE@acme.example",), {"phone": 1}),
        (("@acme.example", "212.555.0123"), {}),
        (("lee@other.example", "55-0123"), {"email": 1, "phone": 1}),
    ],
)
def test_what_is_allowed_is_nobodys(allowed: tuple[str, ...], left: dict[str, int]) -> None:
    assert apply(document(ENGLISH), pii_allow=allowed)[1] == left


def test_a_collection_may_have_its_own_policy() -> None:
    index = IndexSettings(pii="keep", pii_collections={"pumps": "refuse"})
    assert PersonalDataFilter(index, "pumps").policy == "refuse"
    assert PersonalDataFilter(index, "ovens").policy == "keep"


def with_policy(**index: object) -> Settings:
    return Settings(embedder=EmbedderSettings(model="hashing"), index=IndexSettings(**index))  # type: ignore[arg-type]


def test_masked_values_are_in_no_file_of_the_data_folder(
    make_builder: Callable[..., Builder], tmp_path: Path, home: Home
) -> None:
    files = tmp_path / "in"
    files.mkdir()
    (files / "en.txt").write_text(ENGLISH, "utf-8")
    (files / "zh.txt").write_text(CHINESE, "utf-8")
    report = make_builder(settings=with_policy(pii="mask")).add([files])
    assert report.personal_data == {"en.txt": {"email": 1, "phone": 1}, "zh.txt": {"phone": 1, "plate": 1}}
    texts = [chunk.text for chunk in load_corpus("pumps", home).chunks]
    assert "[phone]" in texts[0]
    assert "[电话]" in texts[1]
    everything = b"".join(path.read_bytes() for path in home.root.rglob("*") if path.is_file())
    for value in ("212-555-0123", "lee@acme.example", "13800138000", "B12345"):
        assert value.encode() not in everything


def test_another_policy_cuts_unchanged_files_anew(
    make_builder: Callable[..., Builder], tmp_path: Path, home: Home
) -> None:
    (tmp_path / "en.txt").write_text(ENGLISH, "utf-8")
    (tmp_path / "clean.txt").write_text("Replace seal QP-5136.", "utf-8")
    paths = [tmp_path / "en.txt", tmp_path / "clean.txt"]
    assert make_builder().add(paths).personal_data == {"en.txt": {"email": 1, "phone": 1}}
    masking = with_policy(pii="mask")
    assert "en.txt" in make_builder(settings=masking).add(paths).replaced
    assert "555" not in " ".join(chunk.text for chunk in load_corpus("pumps", home).chunks)
    assert len(make_builder(settings=masking).add(paths).unchanged) == 2
    refused = make_builder(collection="hr", settings=with_policy(pii="refuse")).add(paths)
    assert (refused.added, len(refused.refused)) == (("clean.txt",), 1)
