"""The weight of the dense lane, tuned for a collection.

Where a suite of real questions is given, the weight that is best on one half of them is used if it beats
the default on the other half. Without one, questions are made from the chunks (a title is asked for its
section, a sentence without its rarest words for its chunk) and the table is shown only: made questions repeat
the documents' words and favour BM25. Measured on product support, the weight chosen on them (.3) loses 2
points of hit@5 and MRR on real ones.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from assistant.core.errors import IndexBroken
from assistant.core.jsonl import write_json
from assistant.core.records import Chunk, Record
from assistant.core.sentences import split_sentences
from assistant.core.settings import SearchSettings
from indexing.analysis import analyze
from indexing.embedding import Embedder
from indexing.opening import OpenSnapshot
from indexing.ranking import fuse, uncrowded

TUNING_FILE = "tuning.json"
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
    """

    fingerprint: str
    question_count: int
    rows: tuple[TunedRow, ...]
    dense_weight: float
    gain: tuple[float, float, float]
    is_made: bool
    is_used: bool


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
    reciprocals, hits = _measure(snapshot, embedder, settings.pool, questions, ways)
    names = list(ways)
    rng = np.random.default_rng(_SEED)
    chosen_on = np.arange(len(questions)) % 2 == 0
    weighted = [place for place, name in enumerate(names) if name.startswith("weighted")]
    best = max(weighted, key=lambda place: reciprocals[place, chosen_on].mean())
    default = names.index(_weighted(settings.dense_weight))
    differences = reciprocals[best, ~chosen_on] - reciprocals[default, ~chosen_on]
    low, high = _interval(differences, rng)
    return Tuning(
        fingerprint=embedder.fingerprint,
        question_count=len(questions),
        rows=tuple(
            TunedRow(
                name=name,
                hit_at_5=round(float(hits[place].mean()), 4),
                mrr_at_10=round(float(reciprocals[place].mean()), 4),
                mrr_interval=_interval(reciprocals[place], rng),
            )
            for place, name in enumerate(names)
        ),
        dense_weight=float(names[best].rsplit(" ", 1)[1]),
        gain=(round(float(differences.mean()), 4) if len(differences) else 0.0, low, high),
        is_made=not asked,
        is_used=bool(asked) and low > 0,
    )


def write_tuning(folder: Path, tuning: Tuning) -> None:
    """Keep what tuning found with the collection."""
    write_json(folder / TUNING_FILE, tuning)


def tuned_settings(folder: Path, settings: SearchSettings, fingerprint: str) -> SearchSettings:
    """Return the settings with the collection's own weight, where it won and none was set by hand.

    Raises:
        IndexBroken: the file is damaged.
    """
    file = folder / TUNING_FILE
    if not file.exists() or settings.dense_weight != SearchSettings().dense_weight:
        return settings
    try:
        tuning = msgspec.json.decode(file.read_bytes(), type=Tuning)
    except (OSError, msgspec.DecodeError) as error:
        command = f"deskmate index tune --collection {folder.name} --suite FILE"
        raise IndexBroken(f"tuning {file} cannot be read: {error}", next_command=command) from error
    if not tuning.is_used or tuning.fingerprint != fingerprint:
        return settings
    return msgspec.structs.replace(settings, dense_weight=tuning.dense_weight)


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


class _Lanes(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the candidates of a question, by number."""

    cosines: Mapping[int, float]
    uncrowded: Mapping[int, float]
    lexical: Mapping[int, float]
    letters: Mapping[int, float]


Way = Callable[[_Lanes], Mapping[int, float]]


def _ways(default: float) -> dict[str, Way]:
    """Return name → from what is known of candidates to their scores."""

    def weigh(weight: float) -> Way:
        return lambda lanes: fuse(lanes.uncrowded, lanes.lexical, lanes.letters, weight)

    weights = sorted({*WEIGHTS, default})
    return {
        "BM25": lambda lanes: {number: lanes.lexical.get(number, 0.0) for number in lanes.cosines},
        "dense": lambda lanes: lanes.cosines,
        "RRF": lambda lanes: reciprocal_ranks(lanes.cosines, lanes.lexical),
        **{_weighted(weight): weigh(weight) for weight in weights},
    }


def reciprocal_ranks(cosines: Mapping[int, float], lexical: Mapping[int, float]) -> Mapping[int, float]:
    """Return number → score by reciprocal rank fusion, Cormack and others (2009), k = 60."""
    scores = dict.fromkeys([*cosines, *lexical], 0.0)
    for lane in (cosines, lexical):
        for place, number in enumerate(sorted(lane, key=lambda number: -lane[number]), 1):
            scores[number] += 1 / (_RRF_K + place)
    return scores


def _measure(
    snapshot: OpenSnapshot,
    embedder: Embedder,
    pool: int,
    questions: Sequence[TuningQuestion],
    ways: Mapping[str, Way],
) -> tuple[np.typing.NDArray[np.float64], np.typing.NDArray[np.float64]]:
    """Return reciprocal ranks and hits, each of shape ``(ways, questions)``."""
    vectors = embedder.embed_queries([question.text for question in questions])
    dense = snapshot.vectors.search(vectors, pool)
    reciprocals = np.zeros((len(ways), len(questions)))
    hits = np.zeros_like(reciprocals)
    for place, (question, vector, near) in enumerate(zip(questions, vectors, dense, strict=True)):
        lexical = dict(snapshot.lexical.search(question.text, pool))
        numbers = sorted({number for number, _ in near} | set(lexical))
        cosines = dict(zip(numbers, snapshot.vectors.cosines(vector, numbers), strict=True))
        lanes = _Lanes(
            cosines=cosines,
            uncrowded=uncrowded(snapshot, cosines),
            lexical=lexical,
            letters=snapshot.letters.scores(question.text, numbers),
        )
        for row, way in enumerate(ways.values()):
            scores = way(lanes)
            best = sorted(scores, key=lambda number: (-scores[number], number))[:_CUTOFF]
            rank = next((at for at, number in enumerate(best, 1) if number in question.gold), None)
            reciprocals[row, place] = 1 / rank if rank else 0.0
            hits[row, place] = float(rank is not None and rank <= _HIT)
    return reciprocals, hits


def _interval(values: np.typing.NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    if not len(values):
        return 0.0, 0.0
    means = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)
