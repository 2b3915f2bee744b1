"""A collection's own reranker learns what its questions and their passages have in common."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from assistant.core.home import Home
from assistant.core.settings import EmbedderSettings, SearchSettings, Settings
from indexing.build import Builder
from indexing.candidates import Scores
from indexing.embedding import HashingEmbedder
from indexing.opening import OpenSnapshot
from indexing.queries import Query
from indexing.ranking import fuse, rank
from indexing.reranking import FEATURES, Lanes, features, rerank, train
from indexing.search import Searcher
from indexing.tuning import RERANKED, TuningQuestion, tune, tuned_settings, write_tuning

MakeBuilder = Callable[..., Builder]


def lanes(seed: int, *, words_decide: bool = True) -> tuple[Lanes, set[int]]:
    """Return twenty candidates; the right one leads by words or by letters, and never by nearness."""
    chance = random.Random(seed)
    near, letters = (np.array([chance.random() for _ in range(20)]) for _ in range(2))
    words = np.array([chance.random() * (number % 2 == 0) for number in range(20)])
    right = 4
    near[right] = 0.4
    (words if words_decide else letters)[right] = 2.0
    return Lanes(numbers=range(20), cosines=near, uncrowded=near, lexical=words, letters=letters), {right}


def best(scores: Scores) -> int:
    return int(scores.argmax())


@pytest.mark.parametrize("words_decide", [True, False])
def test_it_learns_which_lane_is_right_and_passes_the_usual_weights(*, words_decide: bool) -> None:
    taught = [lanes(seed, words_decide=words_decide) for seed in range(40)]
    weights = train(taught)
    assert len(weights) == len(FEATURES)
    asked = [lanes(seed, words_decide=words_decide) for seed in range(100, 140)]
    reranked = sum(best(rerank(one, weights)) in right for one, right in asked)
    usual = sum(best(fuse(one, 0.6)) in right for one, right in asked)
    assert reranked == 40
    assert usual < reranked


def test_scores_are_from_nothing_to_one_and_features_never_undefined() -> None:
    one, _ = lanes(1)
    scores = rerank(one, (1, 1, 1, 1, 1, 1))
    assert (scores.min(), scores.max()) == (0, 1)
    half, none = np.full(2, 0.5), np.zeros(2)
    alike = Lanes(numbers=[1, 2], cosines=half, uncrowded=half, lexical=none, letters=none)
    assert features(alike).shape == (2, 6)
    assert rerank(alike, (1, 1, 1, 1, 0, 0)).tolist() == [0, 0]
    empty = np.zeros(0)
    nothing = Lanes(numbers=[], cosines=empty, uncrowded=empty, lexical=empty, letters=empty)
    assert len(rerank(nothing, (1, 1, 1, 1, 1, 1))) == 0


def test_there_is_nothing_to_learn_where_all_or_none_are_right() -> None:
    one, _ = lanes(1)
    assert train([]) == ()
    assert train([(one, set()), (one, set(range(20)))]) == ()


@pytest.fixture
def snapshot(make_builder: MakeBuilder, home: Home, tmp_path: Path) -> OpenSnapshot:
    """Forty chunks that all speak of a pump, each with a part of its own."""
    files = tmp_path / "files"
    files.mkdir()
    for number in range(40):
        (files / f"{number:02}.txt").write_text(f"The pump has part zq{number}x. 水泵 {number} 的零件。")
    make_builder().add([files])
    return OpenSnapshot(home.collection("pumps"), HashingEmbedder())


def test_it_is_measured_on_questions_left_out_and_used_only_where_it_wins(
    snapshot: OpenSnapshot, home: Home
) -> None:
    numbers = {row.chunk.text.split("part ")[1].split(".")[0]: row.number for row in snapshot.corpus.rows}
    asked = [
        TuningQuestion(text=f"the pump 水泵 of {part[:-1]}", gold=frozenset({number}))
        for part, number in numbers.items()
    ]
    tuning = tune(snapshot, HashingEmbedder(), SearchSettings(), asked)
    assert tuning is not None
    rows = {row.name: row for row in tuning.rows}
    assert rows[RERANKED].mrr_at_10 == pytest.approx(
        rows["weighted 0.6"].mrr_at_10 + tuning.reranked_gain[0], abs=1e-3
    )
    assert bool(tuning.reranker) <= (tuning.reranked_gain[1] > 0)
    made = tune(snapshot, HashingEmbedder(), SearchSettings())
    assert made is not None
    assert made.reranker == ()
    folder = home.collection("pumps")
    write_tuning(folder, msgspec.structs.replace(tuning, is_used=False, reranker=(0, 1, 0, 0, 0, 0)))
    assert tuned_settings(folder, SearchSettings(), "of another embedder").reranker == ()
    settings = tuned_settings(folder, SearchSettings(), tuning.fingerprint)
    assert (settings.dense_weight, settings.reranker) == (0.6, (0, 1, 0, 0, 0, 0))
    by_hand = SearchSettings(dense_weight=0.5)
    assert tuned_settings(folder, by_hand, tuning.fingerprint) == by_hand
    write_tuning(folder, msgspec.structs.replace(tuning, reranker=(1, 2)))
    assert tuned_settings(folder, SearchSettings(), tuning.fingerprint).reranker == ()


def test_search_follows_the_reranker_of_the_settings(snapshot: OpenSnapshot, home: Home) -> None:
    query = Query(text="part zq7x", aim=HashingEmbedder().embed_queries(["水泵"])[0])
    dense = snapshot.vectors.search(query.aim.reshape(1, -1), 40)[0]
    by_words = rank(snapshot, query, dense, SearchSettings(reranker=(0, 1, 0, 0, 0, 0)), 5)
    by_nearness = rank(snapshot, query, dense, SearchSettings(reranker=(1, 0, 0, 0, 0, 0)), 5)
    assert "zq7x" in by_words[0].chunk.text
    assert [row.chunk for row in by_words] != [row.chunk for row in by_nearness]
    settings = Settings(
        embedder=EmbedderSettings(model="hashing"), search=SearchSettings(reranker=(0, 1, 0, 0, 0, 0))
    )
    searcher = Searcher(home.collection("pumps"), settings, HashingEmbedder())
    assert searcher.search("part zq7x")[0].chunk == by_words[0].chunk
