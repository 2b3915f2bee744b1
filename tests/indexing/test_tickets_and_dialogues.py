"""Ticket tables by usual names and by a mapping; dialogues of many shapes; English and Chinese."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pytest

from assistant.core.errors import FileRefused
from assistant.core.records import Element
from assistant.core.settings import IndexSettings, TicketColumns, load_settings
from indexing.parsing import parse_file


def read(path: Path, kind: str, text: str = "", settings: IndexSettings | None = None) -> tuple[Element, ...]:
    if text:
        path.write_text(text, "utf-8")
    return parse_file(path, kind, settings or IndexSettings()).elements


@pytest.mark.parametrize(
    ("header", "ticket"),
    [
        (
            "Ticket ID,Subject,Issue Description,Resolution",
            "Ticket ID: 7\nSubject: a\nquestion: b\nresolution: c",
        ),
        ("工单号,主题,故障现象,处理结果", "工单号: 7\n主题: a\n问题: b\n答复: c"),
        ("No,Language,Question,Answer", "No: 7\nquestion: b\nresolution: c"),
    ],
)
def test_usual_names_are_recognised(tmp_path: Path, header: str, ticket: str) -> None:
    elements = read(tmp_path / "t.csv", "csv", f"{header}\n7,a,b,c\n")
    assert [(element.origin, element.text) for element in elements] == [("ticket", ticket)]


def test_table_of_something_else_is_no_ticket(tmp_path: Path) -> None:
    elements = read(tmp_path / "t.csv", "csv", "Code,Meaning\nE-11,Dry\n")
    assert [(element.kind, element.origin) for element in elements] == [("table", "")]


def test_mapping_from_the_settings_names_other_columns(tmp_path: Path) -> None:
    config = tmp_path / "tickets.toml"
    config.write_text(
        '[index.ticket_columns]\nquestion = ["Betreff", "Meldung"]\nanswer = ["处置"]\nid = ["Nr"]\n'
        'status = ["Stand"]\nlanguage = ["Sprache"]\n',
        "utf-8",
    )
    settings = load_settings([config]).settings.index
    assert settings.ticket_columns.answer == ("处置",)
    book = openpyxl.Workbook()
    book.worksheets[0].append(["Nr", "Betreff", "Meldung", "Stand", "Sprache", "处置"])
    book.worksheets[0].append([9, "Pumpe", "steht still", "zu", "de", "更换密封圈"])
    book.save(tmp_path / "t.xlsx")
    elements = read(tmp_path / "t.xlsx", "xlsx", settings=settings)
    assert elements[-1].origin == "ticket"
    assert elements[-1].text == "id: 9\nquestion: Pumpe steht still\nStand: zu\n答复: 更换密封圈"
    assert not [element for element in read(tmp_path / "t.xlsx", "xlsx") if element.origin]


def test_mapping_goes_before_the_usual_names(tmp_path: Path) -> None:
    settings = IndexSettings(ticket_columns=TicketColumns(answer=("internal",)))
    (row,) = read(tmp_path / "t.csv", "csv", "Question,Answer,Internal\nq,a,i\n", settings)
    assert row.text == "question: q\nAnswer: a\nresolution: i"


DIALOGUE = "user: E-14?\nassistant: 转子卡住了。"


@pytest.mark.parametrize(
    ("row", "origin", "text"),
    [
        ({"messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "E-14?"},
                       {"role": "assistant", "content": [{"type": "text", "text": "转子卡住了。"}]}]},
         "dialogue", DIALOGUE),
        ({"conversations": [{"from": "user", "value": "E-14?"},
                            {"from": "assistant", "value": "转子卡住了。"}]}, "dialogue", DIALOGUE),
        ({"dialogue": ["E-14?", "Rotor."]}, "dialogue", "user: E-14?\nagent: Rotor."),
        ({"对话": [{"角色": "客户", "内容": "漏水"}, {"角色": "客服", "内容": "换密封"}]},
         "dialogue", "客户: 漏水\n客服: 换密封"),
        ({"instruction": "Translate", "input": "pump", "output": "水泵"}, "ticket",
         "question: Translate pump\nresolution: 水泵"),
        ({"prompt": "q", "completion": "a"}, "ticket", "question: q\nresolution: a"),
        ({"query": "q2", "response": "a2", "history": [["q1", "a1"]]}, "ticket",
         "user: q1\nagent: a1\nquestion: q2\nresolution: a2"),
        ({"question": "q", "answers": ["a", "b"]}, "ticket", "question: q\nresolution: a b"),
        ({"问题": "漏水", "答案": "换密封"}, "ticket", "question: 漏水\nresolution: 换密封"),
        ({"title": "T", "text": "Body"}, "", "T\nBody"),
    ],
)  # fmt: skip
def test_shapes_of_dialogues(tmp_path: Path, row: dict[str, object], origin: str, text: str) -> None:
    (element,) = read(tmp_path / "d.jsonl", "jsonl", json.dumps(row, ensure_ascii=False))
    assert (element.origin, element.text) == (origin, text)


def test_one_list_and_one_holder_are_read_like_lines(tmp_path: Path) -> None:
    rows = [{"question": f"q{number}", "answer": "a"} for number in range(3)]
    for text in (json.dumps(rows, indent=1), json.dumps({"version": 1, "data": rows}, indent=1)):
        assert len(read(tmp_path / "d.json", "jsonl", text)) == 3


@pytest.mark.parametrize("text", ["[1, 2]", "{}", "[" * 100_000, '{"a": ' * 100_000, "null\n\n3"])
def test_json_without_a_dialogue_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FileRefused, match="holds no dialogue"):
        read(tmp_path / "d.jsonl", "jsonl", text)
