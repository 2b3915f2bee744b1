import csv
import itertools
import json
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from assistant.samples import make
from assistant.samples.make.blocks import load_documents
from assistant.samples.make.checking import EXPECTED_COUNTS, check_collection, similarity
from assistant.samples.make.extracting import extract_pages
from assistant.samples.make.rows import write_dialogues, write_tickets
from assistant.samples.make.sheets import write_price_list
from assistant.samples.make.suite import load_suite, write_suite
from assistant.samples.make.web import write_html
from assistant.samples.make.word import write_docx

SAMPLES_PATH = Path(make.__file__).parents[1]
FILES_PATH = SAMPLES_PATH / "files"
SUITE_PATH = SAMPLES_PATH / "suite.jsonl"
MANUALS = ("pumps/en/q-series-service-manual.pdf", "ovens/zh/t-series-service-manual.pdf")


def test_shipped_files_agree_with_shipped_suite() -> None:
    assert check_collection(FILES_PATH, SUITE_PATH) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_suite_has_the_promised_kinds(language: str) -> None:
    counts = Counter(row.kind for row in load_suite(SUITE_PATH) if row.lang == language)
    assert counts == EXPECTED_COUNTS
    assert counts.total() == 32


def test_collection_is_small() -> None:
    sizes = [path.stat().st_size for path in FILES_PATH.rglob("*") if path.is_file()]
    assert len(sizes) == 11
    assert sum(sizes) < 1_500_000


@pytest.mark.parametrize("name", MANUALS)
def test_manuals_have_outline_and_printed_page_numbers(name: str) -> None:
    import pypdfium2

    with pypdfium2.PdfDocument(FILES_PATH / name) as document:
        levels = Counter(entry.level for entry in document.get_toc())
        assert 14 <= len(document) <= 18
    assert levels[0] >= 10
    assert levels[1] >= 30
    for number, text in enumerate(extract_pages(FILES_PATH / name)[1:], start=2):
        assert text.splitlines()[1].split()[-1] == str(number)


def test_tickets_and_dialogues_have_the_promised_rows() -> None:
    with (FILES_PATH / "tickets/resolved-tickets.csv").open(encoding="utf-8", newline="") as stream:
        tickets = list(csv.DictReader(stream))
    assert Counter(ticket["language"] for ticket in tickets) == {"en": 30, "zh": 30}
    assert all((FILES_PATH / ticket["document"]).is_file() for ticket in tickets)
    lines = (FILES_PATH / "dialogues/support-dialogues.jsonl").read_text(encoding="utf-8").splitlines()
    dialogues = [json.loads(line) for line in lines]
    assert Counter(dialogue["language"] for dialogue in dialogues) == {"en": 8, "zh": 7}
    assert all(4 <= len(dialogue["turns"]) <= 8 for dialogue in dialogues)


def test_shipped_files_are_made_from_the_sources(tmp_path: Path) -> None:
    """All but the PDFs, which need the font."""
    writers = {".docx": write_docx, ".html": write_html}
    for spec in load_documents():
        shipped = FILES_PATH / spec.target
        if shipped.suffix in writers:
            made = tmp_path / f"{spec.language}-{shipped.name}"
            writers[shipped.suffix](spec, made)
            assert extract_pages(made) == extract_pages(shipped), spec.target
    for name, write in {
        "company/price-list.xlsx": write_price_list,
        "tickets/resolved-tickets.csv": write_tickets,
        "dialogues/support-dialogues.jsonl": write_dialogues,
    }.items():
        made = tmp_path / Path(name).name
        write(made)
        assert extract_pages(made) == extract_pages(FILES_PATH / name), name
    write_suite(tmp_path / "suite.jsonl", FILES_PATH)
    assert (tmp_path / "suite.jsonl").read_bytes() == SUITE_PATH.read_bytes()


def test_office_files_do_not_depend_on_the_clock(tmp_path: Path) -> None:
    guide = next(spec for spec in load_documents() if spec.target.endswith(".docx"))
    for write, (first, second) in {
        lambda path: write_docx(guide, path): (tmp_path / "a.docx", tmp_path / "b.docx"),
        write_price_list: (tmp_path / "a.xlsx", tmp_path / "b.xlsx"),
    }.items():
        write(first)
        write(second)
        assert first.read_bytes() == second.read_bytes()
        assert b"2025-07-01T09:00:00Z" in _core_properties(first)


def _core_properties(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read("docProps/core.xml")


def test_check_names_what_is_wrong(tmp_path: Path) -> None:
    """A suite with one fault of each sort, over a copy of the files without the price list."""
    files_path = tmp_path / "files"
    shutil.copytree(FILES_PATH, files_path, ignore=shutil.ignore_patterns("*.xlsx", "*.pdf"))
    (files_path / "note.md").write_text("Bluetooth", encoding="utf-8")
    rows = [json.loads(line) for line in SUITE_PATH.read_text(encoding="utf-8").splitlines()]
    by_id = {row["id"]: row for row in rows}
    by_id["en-factual-05"]["gold"][0]["evidence"] = "the speed falls to 63 %"
    by_id["zh-factual-01"]["id"] = "en-factual-01"
    by_id["en-colloquial-01"]["question"] = "pump keeps stopping with E-11 every ten minutes or so"
    suite_path = tmp_path / "suite.jsonl"
    suite_path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    problems = "\n".join(check_collection(files_path, suite_path))
    for expected in (
        "en-factual-05: pumps/en/q-series-user-guide.docx page None lacks 'the speed falls to 63 %'",
        "en-factual-05: no form of ['62 %'",
        "id en-factual-01 is used 2 times",
        "en-two_step-01: no document company/price-list.xlsx",
        "note.md contains 'Bluetooth'",
        "en-colloquial-01: 'pump keeps stopping",
    ):
        assert expected in problems


def test_questions_of_the_suite_differ_from_each_other() -> None:
    questions = [row.question for row in load_suite(SUITE_PATH)]
    assert max(similarity(left, right) for left, right in itertools.combinations(questions, 2)) < 0.6
