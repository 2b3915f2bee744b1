"""Borders of chunks: titles, pages, authors' borders, tables, lists, long paragraphs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from assistant.core.records import Chunk, Element, ElementKind, ParsedDocument
from indexing.chunking import chunk_document

MAX_TOKENS = 48
SENTENCE = "Close both valves and drain the pump head before the screws are undone."
HAN_SENTENCE = "拆卸前先关闭两侧阀门并排空泵头。"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Return a tokenizer of words, punctuation marks and single Chinese characters."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def title(text: str, depth: int = 0, page: int | None = None) -> Element:
    return Element(kind="title", text=text, depth=depth, page=page)


def text(
    content: str, *, kind: ElementKind = "text", page: int | None = None, border: bool = False
) -> Element:
    return Element(kind=kind, text=content, page=page, starts_passage=border)


def table(rows: list[str], caption: str = "", page: int | None = None) -> Element:
    lines = [caption, *rows] if caption else rows
    html = f"<table><caption>{caption}</caption></table>" if caption else "<table></table>"
    return Element(kind="table", text="\n".join(lines), html=html, page=page)


@pytest.fixture
def chunk(tokenizer: Tokenizer) -> Callable[..., list[Chunk]]:
    def make(*elements: Element, name: str = "Manual", version: int = 1) -> list[Chunk]:
        parsed = ParsedDocument(title=name, elements=elements)
        chunks = chunk_document(parsed, "a/manual.pdf", version, tokenizer, MAX_TOKENS)
        for found in chunks:
            assert len(tokenizer.encode(f"passage: {found.text}").ids) <= MAX_TOKENS
        assert [found.position for found in chunks] == list(range(len(chunks)))
        assert len({found.id for found in chunks}) == len(chunks)
        return chunks

    return make


def test_chunk_never_crosses_a_title_and_knows_those_above(chunk: Callable[..., list[Chunk]]) -> None:
    chunks = chunk(
        title("Safety"), text("Wait."), title("Water", 1), text("Drain it."), title("Power"), text("Off.")
    )
    assert [(c.heading_path, c.text) for c in chunks] == [
        (("Manual", "Safety"), "Wait."),
        (("Manual", "Safety", "Water"), "Drain it."),
        (("Manual", "Power"), "Off."),
    ]


def test_document_title_stands_once_in_the_path_and_a_file_name_not_at_all(
    chunk: Callable[..., list[Chunk]],
) -> None:
    assert chunk(title("Manual"), text("Wait."))[0].heading_path == ("Manual",)
    assert chunk(title("Power"), text("Off."), name="manual")[0].heading_path == ("Power",)


def test_title_alone_makes_no_chunk_but_a_list_of_titles_does(chunk: Callable[..., list[Chunk]]) -> None:
    assert [c.text for c in chunk(title("Cover"), title("Safety"), text("Wait."))] == ["Wait."]
    listed = chunk(title("Parts"), title("Impeller", 1), title("Shaft seal", 1), title("Power"), text("Off."))
    assert [c.text for c in listed] == ["- Impeller\n- Shaft seal", "Off."]


@pytest.mark.parametrize(
    "told", ["E-47 replace the fuse", "Never open the lid.", "清洗前：拔掉电源", "请勿打开上盖。"]
)
def test_a_title_that_tells_something_is_text_where_nothing_stands_below(
    chunk: Callable[..., list[Chunk]], told: str
) -> None:
    texts = [found.text for found in chunk(title("Safety"), text("Wait."), title(told), title("Index"))]
    assert f"- {told}" in "\n".join(texts)
    assert [found.text for found in chunk(title("A"), text("Wait."), title(told))][-1] == f"- {told}"


@pytest.mark.parametrize(
    "titles", [("Opening hours", "Monday to Friday"), ("营业时间", "周一至周五"), ("A", "B", "C")]
)
def test_a_document_of_titles_only_is_kept(
    chunk: Callable[..., list[Chunk]], titles: tuple[str, ...]
) -> None:
    found = chunk(*(title(words, depth) for depth, words in enumerate(titles)))
    assert "\n".join(row.text for row in found).replace("\n\n", "\n") == "\n".join(titles)


@pytest.mark.parametrize("sentence", [SENTENCE, HAN_SENTENCE])
def test_each_part_of_a_long_row_begins_with_its_first_cell(
    chunk: Callable[..., list[Chunk]], sentence: str
) -> None:
    rows = [f"Code: E-47 · Remedy: {sentence * 8}", "Code: E-48 · Remedy: Wait."]
    texts = [found.text for found in chunk(title("Faults"), table(rows))]
    assert len(texts) > 3
    assert all(line.startswith("Code: E-4") for line in "\n".join(texts).split("\n") if line)


def test_small_blocks_share_a_chunk_and_lists_keep_their_lead_in(chunk: Callable[..., list[Chunk]]) -> None:
    items = [text(item, kind="list_item") for item in ["a wrench", "1. not a bullet"]]
    assert [c.text for c in chunk(text("Wait."), text("You need:"), *items)] == [
        "Wait.\n\nYou need:\n- a wrench\n1. not a bullet"
    ]


def test_long_list_repeats_its_lead_in(chunk: Callable[..., list[Chunk]]) -> None:
    items = [text(f"{SENTENCE} Step {number}.", kind="list_item") for number in range(4)]
    chunks = chunk(text("You need:"), *items)
    assert len(chunks) == 2
    assert all(c.text.startswith("You need:\n- Close") for c in chunks)


def test_table_is_cut_between_rows_evenly_under_its_caption(chunk: Callable[..., list[Chunk]]) -> None:
    rows = [f"Code: E {number} · Meaning: it is broken" for number in range(9)]
    chunks = chunk(table(rows, "Table 1: Codes"))
    assert [(c.kind, c.text.split("\n")[0], c.text.count("Code:")) for c in chunks] == [
        ("table", "Table 1: Codes", 3)
    ] * 3


def test_line_above_a_table_is_its_caption(chunk: Callable[..., list[Chunk]]) -> None:
    rows = [f"按键: 按键{number} · 作用: 把数值调大一点" for number in range(5)]
    chunks = chunk(text("面板按键"), table(rows))
    assert len(chunks) > 1
    assert all(c.text.startswith("面板按键\n按键: ") for c in chunks)


def test_page_border_ends_a_chunk_that_is_half_full(chunk: Callable[..., list[Chunk]]) -> None:
    long, short = text(f"{SENTENCE} {SENTENCE}", page=4), text("Wait.", page=4)
    assert [(c.page, c.text) for c in chunk(long, text("Next.", page=5))] == [(4, long.text), (5, "Next.")]
    assert [(c.page, c.text) for c in chunk(short, text("Next.", page=5))] == [(4, "Wait.\n\nNext.")]


def test_borders_of_the_author_part_passages_of_some_length(tokenizer: Tokenizer) -> None:
    passages = [f"{SENTENCE} " * count for count in (4, 4, 1, 1)]
    parsed = ParsedDocument(title="m", elements=tuple(text(p.strip(), border=True) for p in passages))
    chunks = chunk_document(parsed, "m.md", 1, tokenizer, 256)
    assert [c.text.count("Close") for c in chunks] == [4, 6]


def test_passage_that_no_longer_fits_starts_anew(chunk: Callable[..., list[Chunk]]) -> None:
    chunks = chunk(text(SENTENCE), text("No.", border=True), text(f"{SENTENCE} {SENTENCE} And so on and on."))
    assert [c.text[:3] for c in chunks] == ["Clo", "No."]


@pytest.mark.parametrize(("sentence", "end"), [(f"{SENTENCE} ", "."), (HAN_SENTENCE, "。")])
def test_long_paragraph_is_cut_at_sentences(
    chunk: Callable[..., list[Chunk]], sentence: str, end: str
) -> None:
    chunks = chunk(text((sentence * 9).strip()))
    assert len(chunks) > 2
    assert all(c.text.endswith(end) for c in chunks)
    assert "".join(c.text for c in chunks).count(sentence.strip()) == 9


def test_link_is_no_place_for_a_cut(chunk: Callable[..., list[Chunk]]) -> None:
    link = "https://host.example/a.html?key=one.two#part"
    chunks = chunk(text(f"{SENTENCE} {SENTENCE} See {link} for more of it. {SENTENCE}"))
    assert sum(link in c.text for c in chunks) == 1


def test_tickets_and_dialogues_stand_alone(chunk: Callable[..., list[Chunk]]) -> None:
    tickets = [Element(kind="text", text=f"question: {n}", origin="ticket") for n in "ab"]
    long = "\n".join(f"agent: {SENTENCE}" for _ in range(5))
    chunks = chunk(*tickets, Element(kind="text", text=long, origin="dialogue"))
    assert [(c.kind, c.text) for c in chunks[:2]] == [("ticket", "question: a"), ("ticket", "question: b")]
    assert {c.kind for c in chunks[2:]} == {"dialogue"}
    assert all(c.text.startswith("agent: ") and c.text.endswith("undone.") for c in chunks[2:])


def test_unchanged_chunk_keeps_its_id_in_the_next_version(chunk: Callable[..., list[Chunk]]) -> None:
    old = chunk(title("A"), text("Wait."), title("B"), text("Off."), title("B"), text("Off."))
    new = chunk(
        title("A"), text("Wait longer."), title("B"), text("Off."), title("B"), text("Off."), version=2
    )
    assert [one.id == two.id for one, two in zip(old, new, strict=True)] == [False, True, True]
    assert {c.version for c in new} == {2}


def test_borders_of_a_manual(
    chunk: Callable[..., list[Chunk]], check_golden: Callable[[str, str], None]
) -> None:
    elements = (
        title("水泵手册", page=1),
        text("供维修人员使用。", page=1),
        title("1 安全", 1, page=2),
        text(HAN_SENTENCE * 4, page=2),
        text("还需要：", page=2),
        *(
            text(item, kind="list_item", page=2)
            for item in ("扭力扳手，量程 2～50 N·m", "兆欧表", "耐酸手套")
        ),
        title("2 Codes", 1, page=3),
        text("A code appears in the display.", page=3),
        table(
            [f"Code: E-{n} · Meaning: Rotor blocked · Reset: by hand" for n in range(11, 18)],
            "Table 1: Codes",
            3,
        ),
        text("pump reset --all\npump log --last 5", kind="code", page=4),
    )
    chunks = chunk(*elements, name="水泵手册")
    shown = [
        f"[{c.position}] {c.page} {c.kind} {c.language} {' > '.join(c.heading_path)}\n{c.text}\n"
        for c in chunks
    ]
    check_golden("chunk_borders.txt", "\n".join(shown))


@pytest.mark.parametrize(("label", "kind"), [("Error Number: 8003", "list_item"), ("Run this:", "text")])
def test_a_label_stays_with_what_it_labels(
    chunk: Callable[..., list[Chunk]], label: str, kind: ElementKind
) -> None:
    before, explained = text(f"{SENTENCE} {SENTENCE}"), text(f"{SENTENCE} Then wait.")
    first, second = chunk(title("Errors"), before, text(label, kind=kind), explained)
    assert label not in first.text
    assert label in second.text
    assert second.text.endswith("Then wait.")
