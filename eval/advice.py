"""What to do with a base model and a collection: prompt only, RAG only, or RAG and tuning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from assistant.core.records import Record
from eval.compare import Interval

Way = Literal["prompt only", "RAG only", "RAG + tuning"]
# the base answers the collection's own questions: there is nothing to look up
KNOWS = 0.6
# with the right passage before it, the base gets this much out of it
READS = 0.75
# of answers in form, in tone, with a citation
KEEPS = 0.8
# below it answers fail because nothing is found, which tuning does not mend
FINDS = 0.5
# pairs that rules make; synthesis makes several examples of each, and fewer teach nothing for good
LEAST_PAIRS = 80
LEAST_DOCUMENTS = 3


class Measured(Record, frozen=True, kw_only=True):
    """What the base model showed on a collection's own questions; shares from 0 to 1.

    Attributes:
        closed_book: answer score without documents.
        with_documents: answer score with search.
        gain: the second minus the first, paired by question.
        found: the right passage stood in the context.
        read: answer score where it did, None where it never did.
        cited: of the answers with documents that do not abstain, those with a citation that holds.
        form: answers that were the JSON object that was asked for.
        tone: the model's own words in the question's language, finished, without filler.
        pair_count: question and answer pairs that rules make from the collection.
        document_count: documents.
        pilot: RAG and a pilot adapter minus RAG, paired by question; None where no pilot ran.
    """

    closed_book: Interval
    with_documents: Interval
    gain: Interval
    found: float
    read: float | None
    cited: float | None
    form: float
    tone: float
    pair_count: int
    document_count: int
    pilot: Interval | None = None

    @property
    def weak_spots(self) -> tuple[str, ...]:
        """What the base does not do well enough with a prompt, and tuning teaches."""
        shares = {
            "using the passages it is given": (self.read, READS),
            "citing them": (self.cited, KEEPS),
            "keeping a form": (self.form, KEEPS),
            "keeping the tone": (self.tone, KEEPS),
        }
        return tuple(name for name, (value, least) in shares.items() if value is not None and value < least)

    @property
    def has_enough_data(self) -> bool:
        """Whether tuning would have enough to learn from."""
        return self.pair_count >= LEAST_PAIRS and self.document_count >= LEAST_DOCUMENTS


class Advice(Record, frozen=True, kw_only=True):
    """A recommendation and why."""

    way: Way
    reasons: tuple[str, ...]


def advise(measured: Measured) -> Advice:
    """Return the way to go; each reason names the figures it stands on."""
    closed, gain = measured.closed_book, measured.gain
    if closed.mean >= KNOWS and not (gain.is_clear and gain.low > 0):
        loses = "a loss that is clear of zero" if gain.is_clear else "which is not clear of zero"
        return Advice(
            way="prompt only",
            reasons=(
                f"no knowledge barrier: without documents it gets {closed.mean:.0%} of the collection's own "
                f"questions right, and documents add {gain.mean:+.0%}, {loses}",
            ),
        )
    barrier = (
        f"knowledge barrier: without documents it gets {closed.mean:.0%} right, with them "
        f"{measured.with_documents.mean:.0%}"
    )
    pilot = measured.pilot
    if pilot is not None and pilot.is_clear:
        return Advice(way="RAG + tuning" if pilot.mean > 0 else "RAG only", reasons=(barrier, _told(pilot)))
    way, reasons = _with_documents(measured)
    tried = () if pilot is None else (f"{_told(pilot)}, not clear of zero: measure after full training",)
    return Advice(way=way, reasons=(barrier, *reasons, *tried))


def _with_documents(measured: Measured) -> tuple[Way, tuple[str, ...]]:
    spots = measured.weak_spots
    if measured.found < FINDS:
        told = f"the right passage is in the context of {measured.found:.0%} of the questions only"
        return "RAG only", (f"{told}: mend documents and search first, tuning does not find more",)
    if not spots:
        return "RAG only", (
            "with the passages before it, it answers, cites, keeps form and tone well enough",
        )
    weak = f"tuning can teach what it does badly with a prompt: {', '.join(spots)}"
    if not measured.has_enough_data:
        return "RAG only", (weak, *_lacking(measured))
    return "RAG + tuning", (weak,)


def _told(pilot: Interval) -> str:
    change = f"{pilot.mean:+.2f} [{pilot.low:+.2f}, {pilot.high:+.2f}]"
    return f"a pilot on a tenth of the data changed the score by {change}"


def _lacking(measured: Measured) -> Iterator[str]:
    if measured.pair_count < LEAST_PAIRS:
        yield (
            f"but there is too little to learn from: {measured.pair_count} pairs, at least {LEAST_PAIRS}; "
            "add tickets, tables or corrections"
        )
    if measured.document_count < LEAST_DOCUMENTS:
        yield (
            f"but {measured.document_count} documents are too few to keep some for measuring, at least "
            f"{LEAST_DOCUMENTS}"
        )
