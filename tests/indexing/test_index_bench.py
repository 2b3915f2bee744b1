from __future__ import annotations

import pytest

from indexing.bench import bench_search, bench_swaps
from indexing.bench_texts import Texts


def test_made_up_texts_are_of_both_languages_and_the_same_each_time() -> None:
    texts = [Texts().text(number) for number in (4, 5)]
    assert texts == [Texts().text(number) for number in (4, 5)]
    assert [language for _, language in texts] == ["zh", "en"]
    assert "Error E-000010." in Texts().text(10)[0]
    assert Texts().query() != ""


def test_figures_stand_beside_their_limits(capsys: pytest.CaptureFixture[str]) -> None:
    bench_search(300, 20)
    shown = capsys.readouterr().out
    assert "300 chunks: flat, recall@10 1.0" in shown
    for name in ("first snapshot", "opening", "adding 200 chunks", "removing 20 chunks", "compacting"):
        assert f"{name}" in shown
    assert "search p50" in shown
    assert "the vector index alone is" in shown


def test_swaps_under_queries_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_swaps(100, swaps=2, queries=20) == 0
    assert "queries during 2 swaps: 0 failed (limit 0)" in capsys.readouterr().out
