"""How the lanes are weighed, tuned for a collection.

Where a suite of real questions is given, the weight that is best on one half of them is used if it beats
the default on the other half, and a reranker if those that were trained on one half each beat the default on
the other one. Without a suite, questions are made from the chunks (a title is asked for its section, a
sentence without its rarest words for its chunk) and the table is shown only: made questions repeat the
documents' words and favour BM25. Measured on product support, the weight chosen on them (.3) loses 2 points
of hit@5 and MRR on real ones.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from assistant.core.errors import IndexBroken
from assistant.core.jsonl import write_json
from assistant.core.records import Chunk, Record
from assistant.core.sentences import split_sentences
from assistant.core.settings import SearchSettings
from indexing.analysis import analyze
from indexing.candidates import Scores
from indexing.embedding import Embedder
from indexing.opening import OpenSnapshot
from indexing.queries import Query
from indexing.ranking import ask_lanes, fuse
from indexing.reranking import FEATURES, Lanes, rerank, train
from indexing.snapshots import TUNING_FILE

RERANKED = "reranked"
Floats = np.typing.NDArray[np.float64]
Halves = np.typing.NDArray[np.bool_]
QUESTIONS = 300
WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_RRF_K = 60
_HIT, _CUTOFF = 5, 10
_MASKED_SHARE = 0.4
_WORDS = re.compile(r"[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*|[㐀-鿿]+")
_SHORTEST, _LONGEST = 12, 200
_RESAMPLES, _SEED = 1000, 7


class TuningQuestion(Record, frozen=True, kw_only=True):
    """A question, real or made from a chunk.

    Attributes:
        text: what is searched for.
        gold: numbers of the chunks that are right.
    """

    text: str
    gold: frozenset[int]


class TunedRow(Record, frozen=True, kw_only=True):
    """A way to rank, measured on all questions; intervals are of 95 %, by bootstrap."""

    name: str
    hit_at_5: float
    mrr_at_10: float
    mrr_interval: tuple[float, float]


class Tuning(Record, frozen=True, kw_only=True):
    """What tuning found.

    Attributes:
        fingerprint: of the embedder.
        question_count: questions.
        rows: every way to rank that was measured, on all questions.
        dense_weight: best on one half of the questions.
        gain: its MRR on the other half less the default's, with its interval.
        is_made: the questions are made from the chunks.
        is_used: the questions are real and the whole interval is above 0.
        reranker: weights of the reranker where it is used, else empty.
        reranked_gain: MRR less the default's of rerankers that were trained on the other half of the
            questions, with its interval.
    """

    fingerprint: str
    question_count: int
    rows: tuple[TunedRow, ...]
    dense_weight: float
    gain: tuple[float, float, float]
    is_made: bool
    is_used: bool
    reranker: tuple[float, ...] = ()
    reranked_gain: tuple[float, float, float] = (0.0, 0.0, 0.0)


def tune(
    snapshot: OpenSnapshot,
    embedder: Embedder,
    settings: SearchSettings,
    asked: Sequence[TuningQuestion] = (),
) -> Tuning | None:
    """Measure ways to rank; None where there are no questions.

    Args:
        snapshot: what is searched.
        embedder: makes the embeddings.
        settings: ``[search]``.
        asked: real questions; made from the chunks where there are none.
    """
    questions = asked or make_questions(snapshot)
    if not questions:
        return None
    ways = _ways(settings.dense_weight)
    asked_lanes = _lanes(snapshot, embedder, settings.pool, questions)
    scores = {name: [way(lanes) for lanes in asked_lanes] for name, way in ways.items()}
    chosen_on = _first_half(questions)
    scores[RERANKED] = _reranked(asked_lanes, questions, chosen_on)
    measured = {name: _places(found, questions) for name, found in scores.items()}
    rng = np.random.default_rng(_SEED)
    weighted = [name for name in ways if name.startswith("weighted")]
    best = max(weighted, key=lambda name: measured[name][chosen_on].mean())
    default = measured[_weighted(settings.dense_weight)]
    gain = _gain(measured[best][~chosen_on] - default[~chosen_on], rng)
    reranked_gain = _gain(measured[RERANKED] - default, rng)
    is_used = bool(asked) and gain[1] > 0
    is_reranked = (
        bool(asked)
        and reranked_gain[1] > 0
        and not (is_used and measured[best].mean() >= measured[RERANKED].mean())
    )
    return Tuning(
        fingerprint=embedder.fingerprint,
        question_count=len(questions),
        rows=tuple(_row(name, reciprocals, rng) for name, reciprocals in measured.items()),
        dense_weight=float(best.rsplit(" ", 1)[1]),
        gain=gain,
        is_made=not asked,
        is_used=is_used,
        reranker=_trained(asked_lanes, questions) if is_reranked else (),
        reranked_gain=reranked_gain,
    )


def _row(name: str, reciprocals: Floats, rng: np.random.Generator) -> TunedRow:
    return TunedRow(
        name=name,
        hit_at_5=round(float((reciprocals >= 1 / _HIT).mean()), 4),
        mrr_at_10=round(float(reciprocals.mean()), 4),
        mrr_interval=_interval(reciprocals, rng),
    )


def _gain(differences: Floats, rng: np.random.Generator) -> tuple[float, float, float]:
    mean = round(float(differences.mean()), 4) if len(differences) else 0.0
    return mean, *_interval(differences, rng)


def _trained(asked: Sequence[Lanes], questions: Sequence[TuningQuestion]) -> tuple[float, ...]:
    return train([(lanes, question.gold) for lanes, question in zip(asked, questions, strict=True)])


def _reranked(
    asked: Sequence[Lanes], questions: Sequence[TuningQuestion], chosen_on: Halves
) -> list[Mapping[int, float]]:
    """Return the scores by a reranker that was trained on the other half of the questions."""
    rows = list(zip(asked, questions, chosen_on.tolist(), strict=True))
    weights = {
        half: train([(lanes, question.gold) for lanes, question, is_first in rows if is_first is not half])
        for half in (True, False)
    }
    return [
        _by_number(lanes, rerank(lanes, weights[half]) if weights[half] else lanes.cosines)
        for lanes, _, half in rows
    ]


def _first_half(questions: Sequence[TuningQuestion]) -> Halves:
    """Return which questions are in the first half; those about the same chunk are all in one.

    Else a reranker meets the paraphrase of what it was trained on.
    """
    halves = np.zeros(len(questions), np.bool_)
    about: dict[int, list[int]] = {}
    for place, question in enumerate(questions):
        about.setdefault(min(question.gold, default=-1), []).append(place)
    if len(about) < 2:  # noqa: PLR2004 - nothing to keep apart
        halves[::2] = True
        return halves
    seen = 0
    for places in sorted(about.values(), key=lambda places: (-len(places), _lot(questions[places[0]].text))):
        halves[places] = 2 * int(halves.sum()) <= seen
        seen += len(places)
    return halves


def write_tuning(folder: Path, tuning: Tuning) -> None:
    """Keep what tuning found with the collection; the next snapshot's manifest holds it too.

    What made questions found changes nothing, and what real ones found stays.
    """
    if tuning.is_made:
        with suppress(IndexBroken, FileNotFoundError):
            if not _read_tuning(folder).is_made:
                return
    write_json(folder / TUNING_FILE, tuning)


def _read_tuning(folder: Path) -> Tuning:
    file = folder / TUNING_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Tuning)
    except FileNotFoundError:
        raise
    except (OSError, msgspec.DecodeError) as error:
        command = f"deskmate index tune --collection {folder.name} --suite FILE"
        raise IndexBroken(f"tuning {file} cannot be read: {error}", next_command=command) from error


def tuned_settings(folder: Path, settings: SearchSettings, fingerprint: str) -> SearchSettings:
    """Return the settings with the collection's own weight or reranker, where one won and none was set.

    Raises:
        IndexBroken: the file is damaged.
    """
    if settings.dense_weight != SearchSettings().dense_weight or settings.reranker:
        return settings
    try:
        tuning = _read_tuning(folder)
    except FileNotFoundError:
        return settings
    if tuning.fingerprint != fingerprint or len(tuning.reranker) not in {0, len(FEATURES)}:
        return settings
    weight = tuning.dense_weight if tuning.is_used else settings.dense_weight
    return msgspec.structs.replace(settings, dense_weight=weight, reranker=tuning.reranker)


def make_questions(snapshot: OpenSnapshot, count: int = QUESTIONS) -> list[TuningQuestion]:
    """Make questions of a collection's chunks, the same ones each time.

    Half of them, where there are titles enough, are the titles of sections; the others are sentences
    without their rarest words.
    """
    rows = [(row.number, row.chunk) for row in snapshot.corpus.rows]
    under: dict[str, set[int]] = {}
    for number, chunk in rows:
        if len(chunk.heading_path) > 1:
            under.setdefault(" ".join(chunk.heading_path[-2:]), set()).add(number)
    titles = [TuningQuestion(text=title, gold=frozenset(gold)) for title, gold in under.items()]
    titles = sorted(titles, key=lambda question: _lot(question.text))[: count // 2]
    rows.sort(key=lambda row: _lot(row[1].id))
    masked = _masked_questions(rows, snapshot.lexical.rarity)
    found = titles + [question for question, _ in zip(masked, range(count - len(titles)), strict=False)]
    return sorted(found, key=lambda question: _lot(question.text))


def _masked_questions(
    rows: Sequence[tuple[int, Chunk]], rarity: Callable[[str], float]
) -> Iterator[TuningQuestion]:
    for number, chunk in rows:
        spans = split_sentences(chunk.text)
        sentences = [span.text for span in spans if _SHORTEST <= len(span.text) <= _LONGEST]
        if sentences:
            sentence = min(sentences, key=_lot)
            yield TuningQuestion(text=_without_rarest(sentence, rarity), gold=frozenset({number}))


def _without_rarest(sentence: str, rarity: Callable[[str], float]) -> str:
    """Return a sentence without two fifths of its terms, the rarest: a person says it in other words."""
    words = [word for run in _WORDS.findall(sentence) for word in (_han_words(run) or [run])]
    weights = {word: max(map(rarity, analyze(word)), default=0.0) for word in words}
    gone = sorted(weights, key=lambda word: -weights[word])[: int(_MASKED_SHARE * len(weights))]
    kept = [word for word in words if word not in gone]
    return " ".join(kept) if sentence.isascii() else "".join(kept)


def _han_words(run: str) -> list[str]:
    return [] if run.isascii() else analyze(run)


def _lot(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _weighted(weight: float) -> str:
    return f"weighted {weight:g}"


Way = Callable[[Lanes], Mapping[int, float]]


def _ways(default: float) -> dict[str, Way]:
    """Return name → from what is known of candidates to their scores."""

    def weigh(weight: float) -> Way:
        return lambda lanes: _by_number(lanes, fuse(lanes, weight))

    weights = sorted({*WEIGHTS, default})
    return {
        "BM25": lambda lanes: _by_number(lanes, lanes.lexical),
        "dense": lambda lanes: _by_number(lanes, lanes.cosines),
        "RRF": _reciprocal_ranks,
        **{_weighted(weight): weigh(weight) for weight in weights},
    }


def _by_number(lanes: Lanes, scores: Scores) -> dict[int, float]:
    return dict(zip(lanes.numbers, scores.tolist(), strict=True))


def _reciprocal_ranks(lanes: Lanes) -> Mapping[int, float]:
    lexical = {number: score for number, score in _by_number(lanes, lanes.lexical).items() if score}
    return reciprocal_ranks(_by_number(lanes, lanes.cosines), lexical)


def reciprocal_ranks(cosines: Mapping[int, float], lexical: Mapping[int, float]) -> Mapping[int, float]:
    """Return number → score by reciprocal rank fusion, Cormack and others (2009), k = 60."""
    scores = dict.fromkeys([*cosines, *lexical], 0.0)
    for lane in (cosines, lexical):
        for place, number in enumerate(sorted(lane, key=lambda number: -lane[number]), 1):
            scores[number] += 1 / (_RRF_K + place)
    return scores


def _lanes(
    snapshot: OpenSnapshot, embedder: Embedder, pool: int, questions: Sequence[TuningQuestion]
) -> list[Lanes]:
    """Return for each question what the lanes say of its candidates."""
    vectors = embedder.embed_queries([question.text for question in questions])
    queries = [Query(text=row.text, aim=vector) for row, vector in zip(questions, vectors, strict=True)]
    return [
        ask_lanes(snapshot, query, near, dict(snapshot.lexical.search(query.text, pool)), frozenset())
        for query, near in zip(queries, snapshot.vectors.search(vectors, pool), strict=True)
    ]


def _places(scores: Sequence[Mapping[int, float]], questions: Sequence[TuningQuestion]) -> Floats:
    """Return for each question 1 / the place of its first right candidate, 0 beyond the tenth."""
    reciprocals = np.zeros(len(questions))
    for place, (row, question) in enumerate(zip(scores, questions, strict=True)):
        best = sorted(row, key=lambda number: (-row[number], number))[:_CUTOFF]
        rank = next((at for at, number in enumerate(best, 1) if number in question.gold), None)
        reciprocals[place] = 1 / rank if rank else 0.0
    return reciprocals


def _interval(values: Floats, rng: np.random.Generator) -> tuple[float, float]:
    if not len(values):
        return 0.0, 0.0
    means = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)
