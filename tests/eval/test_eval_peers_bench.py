from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assistant.core.errors import InputError
from assistant.core.language import Language
from assistant.core.records import Case, Chunk, Element, Gold, ParsedDocument, Passage
from assistant.core.settings import IndexSettings
from eval.peers import PEERS, PeerBuild, read_files, require
from eval.peers_bench import METRICS, bench, main, measure, own_ways, table
from indexing.embedding import HashingEmbedder
from indexing.parsing.ocr_pages import PageProgress, no_page_progress
from indexing.sources import SourceFile

SEAL = "Replace the pump seal every two years and grease the new one before it goes in."
ZH = "请每两年更换一次水泵密封圈，安装前先涂抹润滑脂。"
TEXTS = {
    "pump.md": f"# Seals\n\n{SEAL}\n\n# Fan\n\nClean the fan with a dry brush once a month.",
    "zh/guide.txt": f"{ZH}\n\n连接无线网络时先打开设置菜单。",
    "door.txt": "The door stays locked while the drum turns; wait until the light goes out.",
}
CASES = [
    Case(
        id="a",
        lang="en",
        question="How often is the pump seal replaced?",
        gold=(Gold(doc="pump.md", evidence=SEAL),),
    ),
    Case(id="b", lang="zh", question="水泵密封圈多久更换？", gold=(Gold(doc="zh/guide.txt", evidence=ZH),)),
    Case(id="c", lang="en", question="Which door is locked?", gold=(Gold(doc="door.txt"),)),
]


class ParagraphParser:
    def parse(self, source: SourceFile, on_page: PageProgress = no_page_progress) -> ParsedDocument:
        blocks = source.path.read_text("utf-8").split("\n\n")
        return ParsedDocument(title="", elements=tuple(Element(kind="text", text=block) for block in blocks))


@contextmanager
def open_paragraphs(settings: IndexSettings) -> Iterator[ParagraphParser]:
    yield ParagraphParser()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        file = tmp_path / "documents" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return tmp_path / "documents"


def test_own_ways_are_measured_beside_each_other(folder: Path) -> None:
    ways = own_ways(read_files(folder), CASES, HashingEmbedder(), open_paragraphs)
    assert list(ways) == ["BM25", "dense", "RRF", "Deskmate"]
    rows = {name: measure(name, CASES, found) for name, found in ways.items()}
    for name, row in rows.items():
        assert row.metrics["hit@5"].mean == 1, name
        assert row.metrics["context@1k"].case_count == 2, "a gold without a text has no context@1k"
    assert rows["Deskmate"].metrics["MRR@10"].mean == 1
    lexical = ways["BM25"][1]
    assert [passage.chunk.document for passage in lexical] == ["zh/guide.txt"]
    assert ways["dense"][1][0].score >= ways["dense"][1][-1].score


def test_a_case_whose_gold_lies_in_no_text_file_is_refused_before_anything_is_indexed(folder: Path) -> None:
    said: list[str] = []
    case = Case(id="x", lang="en", question="?", gold=(Gold(doc="manual.pdf"),))
    with pytest.raises(InputError, match="no case has its gold in a file"):
        bench(folder, [case], HashingEmbedder(), said.append)
    assert said == []


def test_a_way_is_measured_by_place_and_by_what_its_results_hold() -> None:
    chunk = Chunk(id="1", document="pump.md", version=1, position=0, text=SEAL)
    other = Chunk(id="2", document="fan.md", version=1, position=0, text="Clean the fan. " * 10)
    found = [Passage(rank=1, score=1, chunk=other), Passage(rank=2, score=0.5, chunk=chunk)]
    row = measure("own", CASES[:1], [found])
    assert [row.metrics[name].mean for name in METRICS] == [1, 1, 1, 0.5, 1]
    assert table([row]).splitlines()[0] == "|  | hit@5 | documents@5 | recall@5 | MRR@10 | context@1k |"
    assert table([row]).splitlines()[-1].startswith("| own | 1.000 [1.000, 1.000] |")
    late = measure("own", CASES[:1], [[*[found[0]] * 5, found[1]]])
    assert [late.metrics[name].mean for name in METRICS[:2]] == [0, 1]
    bare = measure("own", CASES[2:], [[]])
    assert table([bare]).splitlines()[-1].endswith("| 0.000 [0.000, 0.000] | – |")


@pytest.mark.parametrize(("lang", "seal"), [("en", SEAL), ("zh", ZH)])
def test_only_deskmates_context_is_filled_as_its_answers_are(lang: Language, seal: str) -> None:
    half, filler = len(seal) // 2, "words " * 400
    rows = [("pump.md", 0, seal[:half]), ("fan.md", 0, filler), ("door.md", 0, filler), ("fan.md", 5, filler)]
    found = [
        Passage(
            rank=rank,
            score=1 - rank / 10,
            chunk=Chunk(id=str(rank), document=document, version=1, position=position, text=text),
        )
        for rank, (document, position, text) in enumerate([*rows, ("pump.md", 1, seal[half:])], 1)
    ]
    case = Case(id="a", lang=lang, question="?", gold=(Gold(doc="pump.md", evidence=seal),))
    held = [measure(name, [case], [found]).metrics["context@1k"].mean for name in ("Deskmate", "BM25")]
    assert held == [1, 0]


def test_files_are_read_alike_or_refused(folder: Path) -> None:
    (folder / "picture.png").write_bytes(b"\x89PNG")
    assert {file.document: file.text for file in read_files(folder)} == TEXTS
    (folder / "old.txt").write_bytes("说明".encode("gb18030"))
    with pytest.raises(InputError, match=r"old\.txt is not UTF-8"):
        read_files(folder)
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no \.md or \.txt file"):
        read_files(folder / "empty")


def test_a_library_that_is_not_installed_is_named_with_the_command() -> None:
    with pytest.raises(InputError, match="no_such_library is not installed") as caught:
        require("json", "no_such_library")
    assert "deskmate[index,peers]" in (caught.value.next_command or "")


def test_a_bad_suite_ends_with_a_message_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path))
    assert main(["--documents", str(tmp_path), "--suite", str(tmp_path / "no.jsonl"), "--own"]) != 0
    assert "error:" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")  # theirs: LangChain's own BM25 lies in a package that is being retired
@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("txtai, sections", "txtai"),
        ("txtai, paragraphs", "txtai"),
        ("LlamaIndex", "llama_index"),
        ("LangChain", "langchain_classic"),
    ],
)
def test_each_library_finds_by_meaning_and_by_word(folder: Path, name: str, library: str) -> None:
    pytest.importorskip(library, reason="the extra peers is not installed")
    build = PeerBuild(files=read_files(folder), embedder=HashingEmbedder(), max_tokens=64, count=10)
    peer = PEERS[name](build)
    for case in CASES:
        found = peer.search(case.question)
        assert found[0].chunk.document == case.gold[0].doc, case.id
        assert [passage.rank for passage in found] == list(range(1, len(found) + 1))
