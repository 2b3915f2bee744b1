"""A reranker of a collection's own: candidates ordered by what its real questions and their passages taught.

It is linear over what the lanes say of a candidate, so that it costs microseconds and learns from some dozens
of questions; larger ones, trained on other collections, lost on those that they had not seen
(``docs/experiments.md``). ``index tune`` trains it and keeps it only where it wins on questions left out.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import msgspec
import numpy as np
import numpy.typing as npt

from indexing.candidates import Scores

Features = npt.NDArray[np.float64]
FEATURES = ("near", "words", "letters", "near and words", "place by nearness", "place by words")
_RRF_K = 10
_STEPS, _RATE, _DECAY = 300, 0.5, 0.01


class Lanes(msgspec.Struct, frozen=True, kw_only=True):
    """What the lanes say of the candidates of a query; one score a candidate, in the order of ``numbers``.

    Attributes:
        numbers: of the candidates, ascending.
        cosines: to the query.
        uncrowded: the same less a share of the crowd around each.
        lexical: BM25 scores, 0 of those that the lexical lane did not find.
        letters: by groups of letters.
    """

    numbers: Sequence[int]
    cosines: Scores
    uncrowded: Scores
    lexical: Scores
    letters: Scores


def features(lanes: Lanes) -> Features:
    """Return what is weighed, shape ``(candidates, 6)``, rows in the order of ``lanes.numbers``."""
    near, words, letters = map(scaled, (lanes.uncrowded, lanes.lexical, lanes.letters))
    return np.column_stack((near, words, letters, near * words, _by_place(near), _by_place(words)))


def train(questions: Sequence[tuple[Lanes, Set[int]]]) -> tuple[float, ...]:
    """Return weights under which right candidates come before the others of their question.

    Pairwise logistic loss over all pairs of a right and another candidate, each question weighing the same.

    Args:
        questions: for each its candidates and the numbers of the right ones; those without both are left out.

    Returns:
        One weight a feature; empty where there is nothing to learn from.
    """
    differences, shares = [], []
    for lanes, right in questions:
        rows = features(lanes)
        is_right = np.array([number in right for number in lanes.numbers])
        if is_right.any() and not is_right.all():
            pairs = rows[is_right][:, np.newaxis] - rows[~is_right][np.newaxis]
            differences.append(pairs.reshape(-1, len(FEATURES)))
            shares.append(np.full(len(differences[-1]), 1 / len(differences[-1])))
    if not differences:
        return ()
    pairs, share = np.vstack(differences), np.concatenate(shares) / len(shares)
    weights = np.zeros(len(FEATURES))
    for _ in range(_STEPS):
        wrong = 1 / (1 + np.exp(np.clip(pairs @ weights, -30, 30)))
        weights += _RATE * ((share * wrong) @ pairs - _DECAY * weights)
    return tuple(round(float(weight), 4) for weight in weights)


def rerank(lanes: Lanes, weights: Sequence[float]) -> Scores:
    """Return a score from 0 to 1 of each candidate."""
    return scaled(features(lanes) @ np.array(weights))


def scaled(scores: Scores) -> Scores:
    """Return the scores as from 0 to 1 between the lowest and the highest; zeros where all are alike."""
    lowest, highest = (scores.min(), scores.max()) if len(scores) else (0.0, 0.0)
    return (scores - lowest) / (highest - lowest) if highest > lowest else np.zeros(len(scores))


def _by_place(scores: Features) -> Features:
    places = np.empty(len(scores))
    places[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return _RRF_K / (_RRF_K + places)
