"""Queries that cross languages."""

from __future__ import annotations

import numpy as np
import pytest

from assistant.core.language import Language
from assistant.core.records import Chunk
from indexing.embedding import HashingEmbedder
from indexing.evidence import script_of
from indexing.queries import QueryReader
from indexing.snapshots import Background


def backgrounds(**counts: int) -> dict[str, Background]:
    return {name: Background(mean=0.8, spread=0.02, count=count) for name, count in counts.items()}


@pytest.mark.parametrize(
    ("text", "counts", "is_crossing"),
    [
        ("水泵密封圈多久更换", {"en": 100}, True),
        ("水泵密封圈多久更换", {"en": 100, "zh": 5}, True),
        ("水泵密封圈多久更换", {"en": 100, "zh": 40}, False),
        ("水泵密封圈多久更换", {"zh": 100}, False),
        ("How often is the seal replaced?", {"zh": 100}, True),
        ("How often is the seal replaced?", {"en": 60, "zh": 100}, False),
        ("How often is the seal replaced?", {}, False),
    ],
)
def test_a_query_is_moved_only_where_its_language_is_missing(
    text: str, counts: dict[str, int], *, is_crossing: bool
) -> None:
    embedder = HashingEmbedder()
    (query,) = QueryReader(embedder).read([text], backgrounds(**counts))
    assert query.is_crossing == is_crossing
    assert np.array_equal(query.aim, embedder.embed_queries([text])[0]) != is_crossing


def test_a_moved_query_comes_nearer_to_the_other_language() -> None:
    embedder = HashingEmbedder()
    question = "水泵密封圈多久更换？"
    (query,) = QueryReader(embedder).read([question], backgrounds(en=10))
    english = embedder.embed_passages(["What are the requirements, and how often is it cleaned?"])[0]
    assert query.aim @ english > embedder.embed_queries([question])[0] @ english


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Pull the plug.", "en"),
        ("拔下插头。", "zh"),
        ("请先调用 esp_wifi_set_ps(WIFI_PS_MIN_MODEM) after esp_wifi_start() was called", "zh"),
        ("The 锅 character stands alone in a long English sentence about something else.", "en"),
    ],
)
def test_a_chunk_with_some_chinese_is_chinese(text: str, script: Language) -> None:
    assert script_of(Chunk(id="a", document="a", version=1, position=0, text=text)) == script
