"""A small collection in memory, a suite over it, and a pipeline with the scripted engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from assistant.answering.pipeline import Pipeline
from assistant.core.records import Case, Chunk, Filters, Gold, Neighbours, Passage
from assistant.core.settings import EngineSettings, EvalSettings, Settings
from assistant.engine.scripted import ScriptedEngine

TEXTS = {
    "pumps/manual.pdf": ("Tighten the flange bolts of the Q7 to 48 Nm.", 3),
    "ovens/手册.pdf": ("清洗蒸汽发生器需要两升除垢液，静置三十分钟后冲洗。", 5),
}


class FewPassages:
    """Finds all passages for everything, the one that shares most characters with the query first."""

    def __init__(self) -> None:
        self.chunks = [
            Chunk(id=f"c{n}", document=name, version=1, position=0, text=text, page=page)
            for n, (name, (text, page)) in enumerate(TEXTS.items())
        ]

    def search(
        self, query: str, top_k: int | None = None, filters: Filters | None = None
    ) -> tuple[Passage, ...]:
        ranked = sorted(self.chunks, key=lambda chunk: -len(set(query.lower()) & set(chunk.text.lower())))
        return tuple(
            Passage(rank=place, score=1 / place, chunk=chunk) for place, chunk in enumerate(ranked[:top_k], 1)
        )

    def search_many(
        self, queries: Sequence[str], top_k: int | None = None, filters: Filters | None = None
    ) -> list[tuple[Passage, ...]]:
        return [self.search(query, top_k) for query in queries]

    def neighbours(self, passage: Passage, count: int, filters: Filters | None = None) -> Neighbours:
        del passage, count, filters
        return Neighbours()

    def evidence(self, query: str, passages: Sequence[Passage]) -> float:
        del passages
        return 0.0 if "Mars" in query else 1.0

    def unknown_codes(self, question: str, filters: Filters | None = None) -> tuple[()]:
        del question, filters
        return ()


@pytest.fixture
def suite() -> tuple[Case, ...]:
    return (
        Case(
            id="en-1",
            lang="en",
            question="How tight are the flange bolts of the Q7?",
            answers=("48 Nm",),
            gold=(Gold(doc="pumps/manual.pdf", page=3, evidence="flange bolts of the Q7 to 48 Nm"),),
            key_facts=(("48 Nm", "48 牛米"),),
        ),
        Case(
            id="zh-1",
            lang="zh",
            question="清洗蒸汽发生器需要多少除垢液？",
            kind="two_step",
            answers=("两升，静置三十分钟",),
            gold=(Gold(doc="手册.pdf", page=5),),
            key_facts=(("两升", "2 升"), ("三十分钟", "30 分钟")),
        ),
        Case(
            id="en-2", lang="en", question="Is there a branch on Mars?", kind="unanswerable", answerable=False
        ),
    )


@pytest.fixture
def open_scripted(tmp_path: Path) -> Callable[..., Pipeline]:
    """Return a factory of pipelines; each has its own engine, two questions a batch."""

    def opened(rules: Sequence[tuple[str, str]] = (), *, has_adapter: bool = True) -> Pipeline:
        engine = ScriptedEngine(rules)
        folder = tmp_path / "adapter"
        folder.mkdir(exist_ok=True)
        (folder / "adapter_config.json").write_text("{}")
        engine.load_adapter("tuned", str(folder))
        settings = Settings(engine=EngineSettings(kind="scripted", batch_size=1), eval=EvalSettings(seed=3))
        return Pipeline(
            engine=engine,
            searcher=FewPassages(),
            settings=settings,
            adapter="tuned" if has_adapter else None,
        )

    return opened
