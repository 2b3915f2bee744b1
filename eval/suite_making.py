"""Questions for a suite, proposed from a collection's documents; a person approves what becomes a case.

Proposals come from few documents, which synthesis then leaves alone: a suite by document measures what was
taught, a suite by row also what was learnt by heart.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from assistant.core.errors import InputError, NotFoundError
from assistant.core.jsonl import read_jsonl, write_jsonl
from assistant.core.records import Case, Chunk, Gold, Record
from assistant.core.sentences import split_sentences, support
from eval.answers import holds_form
from training.filtering import PairFilter
from training.pairs import Pair, rule_pairs
from training.quantities import quantity_pairs
from training.repetition import contradictions
from training.twins import stand_ins

Status = Literal["proposed", "approved", "rejected"]
Wording = Callable[[Sequence[Chunk], int], Sequence[Pair]]
SUITES = "suites"
REVIEW_SUFFIX = ".review.jsonl"
DEFAULT_NAME = "own"
DOCUMENT_SHARE = 0.2
# one in so many proposals asks for what is not there
_UNANSWERABLE = 8
_PAIRS_A_CHUNK = 3
_CODE = re.compile(r"(?<![A-Za-z0-9])[A-Z]{1,4}-?\d{1,5}(?![A-Za-z0-9])")
_DIGITS = re.compile(r"\d+")
# a number with the unit behind it
_VALUE = re.compile(
    r"(?<![A-Za-z0-9.-])\d[\d,]*(?:\.\d+)?(?:\s?(?:[A-Za-z%°℃μΩ][A-Za-z/·²³]{0,7}"
    r"|个月|小时|分钟|工作日|千瓦|公斤|千克|毫米|厘米|公里|[\u4e00-\u9fff]))?"
)
_LONGEST_UNIT = 4
# characters before a value that tell where it stands
_BEFORE = 4
_KINDS = {"table": "factual", "sentence": "factual"}
_NAME = re.compile(r"[\w.-]{1,80}")


class Proposal(Record, frozen=True, kw_only=True):
    """A case that waits for its owner.

    Attributes:
        status: edited by hand or by ``deskmate suite approve``.
        made_by: ``rules``, ``tickets`` or an engine's name.
        case: as it will stand in the suite; may be edited.
    """

    status: Status = "proposed"
    made_by: str
    case: Case


def choose_documents(chunks: Sequence[Chunk], seed: int, trained: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the documents to ask about: a fifth of each language, what is not trained on first.

    One document at least a language, and never all of them where there are two. Tickets and dialogues come
    last: they are the best that training has, and one file often holds them all. What is like a chosen one,
    as its translation is, comes first: training leaves it alone anyway.
    """
    known = frozenset(trained)
    rng = random.Random(seed)
    sizes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for chunk in chunks:
        sizes[chunk.language][chunk.document] += 1
    talks = {chunk.document for chunk in chunks if chunk.kind in {"ticket", "dialogue"}}
    twins = stand_ins(chunks)
    chosen: list[str] = []
    for _, documents in sorted(sizes.items()):
        order = sorted(documents)
        rng.shuffle(order)
        families = {twins[name] for name in chosen}
        ranks = {name: (name in talks, name in known, twins[name] not in families) for name in order}
        order.sort(key=ranks.__getitem__)
        chosen += _fill(order[: max(1, len(order) - 1)], documents)
    return tuple(dict.fromkeys(chosen))


def _fill(order: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
    """Take documents up to the share; one that alone is twice of it only where no other is taken."""
    wanted = DOCUMENT_SHARE * sum(sizes.values())
    taken: list[str] = []
    count = 0
    for name in order:
        if count < wanted and count + sizes[name] <= 2 * wanted:
            taken.append(name)
            count += sizes[name]
    return taken or list(order[:1])


def propose(
    chunks: Sequence[Chunk], documents: Sequence[str], count: int, seed: int, word: Wording
) -> list[Proposal]:
    """Return up to ``count`` proposals over some documents, spread over their chunks.

    Args:
        chunks: of the whole collection.
        documents: to ask about.
        count: of proposals.
        seed: of every choice.
        word: words questions about sentences, such as an engine as teacher; given the chunks and how many.
    """
    wanted = frozenset(documents)
    asked = [chunk for chunk in chunks if chunk.document in wanted]
    unanswerable = _unanswerable(asked, chunks, count // _UNANSWERABLE, seed)
    left = count - len(unanswerable)
    made = [
        *rule_pairs(asked, seed, wordings=1),
        *(pair for chunk in asked for pair in quantity_pairs(chunk)),
    ]
    made += word(asked, left)
    kept = PairFilter().keep(made)
    unclear = contradictions(kept)
    pairs = _spread([pair for place, pair in enumerate(kept) if place not in unclear], left, seed)
    cases = [(pair.teacher, _case(pair, number)) for number, pair in enumerate(pairs, 1)]
    cases += [("rules", case) for case in unanswerable]
    return [Proposal(made_by=made_by, case=case) for made_by, case in cases]


def review_path(folder: Path, name: str) -> Path:
    """Return where a suite's proposals lie in a collection's folder."""
    return folder / SUITES / f"{_checked(name)}{REVIEW_SUFFIX}"


def made_suite_path(folder: Path, name: str) -> Path:
    """Return where an approved suite lies in a collection's folder."""
    return folder / SUITES / f"{_checked(name)}.jsonl"


def made_suites(folder: Path) -> tuple[Path, ...]:
    """Return the approved suites of a collection."""
    found = (folder / SUITES).glob(f"*{REVIEW_SUFFIX}")
    suites = (path.with_name(path.name.removesuffix(REVIEW_SUFFIX) + ".jsonl") for path in found)
    return tuple(sorted(path for path in suites if path.exists()))


def read_proposals(path: Path) -> list[Proposal]:
    """Read a review file.

    Raises:
        NotFoundError: there is none.
        InputError: a line is no proposal.
    """
    if not path.exists():
        raise NotFoundError(f"no proposals at {path}", next_command="deskmate suite make COLLECTION")
    return list(read_jsonl(path, Proposal))


def decide(proposals: Sequence[Proposal], status: Status, ids: Iterable[str] | None) -> list[Proposal]:
    """Return the proposals, those named set to a status; None names all that are still open.

    Raises:
        NotFoundError: an id is in none of them.
    """
    wanted = None if ids is None else frozenset(ids)
    unknown = (wanted or frozenset()) - {row.case.id for row in proposals}
    if unknown:
        raise NotFoundError(f"no proposal with id {', '.join(map(repr, sorted(unknown)))}")
    return [
        msgspec.structs.replace(row, status=status)
        if (row.status == "proposed" if wanted is None else row.case.id in wanted)
        else row
        for row in proposals
    ]


def write_approved(proposals: Sequence[Proposal], review: Path, suite: Path) -> int:
    """Keep the decisions and write the approved cases as a suite; return their count."""
    write_jsonl(review, proposals)
    approved = [row.case for row in proposals if row.status == "approved"]
    if approved:
        write_jsonl(suite, approved)
    else:
        suite.unlink(missing_ok=True)
    return len(approved)


def held_out_cases(folder: Path) -> list[Case]:
    """Return the cases of a collection's own suites, approved or still open: never to be trained on."""
    cases = [case for path in made_suites(folder) for case in read_jsonl(path, Case)]
    for path in sorted((folder / SUITES).glob(f"*{REVIEW_SUFFIX}")):
        cases += [row.case for row in read_proposals(path) if row.status != "rejected"]
    return list({case.question: case for case in cases}.values())


def held_out_documents(folder: Path) -> frozenset[str]:
    """Return the documents that a collection's own suites ask about: synthesis leaves them alone."""
    return frozenset(gold.doc for case in held_out_cases(folder) for gold in case.gold)


def _spread(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """Return pairs from all chunks in turn: of each chunk the first, then the second, three at most."""
    rng = random.Random(seed)
    by_chunk: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_chunk[pair.chunk.id].append(pair)
    groups = list(by_chunk.values())
    rng.shuffle(groups)
    for group in groups:
        rng.shuffle(group)
    turns = [group[turn] for turn in range(_PAIRS_A_CHUNK) for group in groups if turn < len(group)]
    return turns[:count]


def _case(pair: Pair, number: int) -> Case:
    chunk = pair.chunk
    kind = _KINDS.get(pair.recipe, pair.recipe)
    if pair.recipe == "table" and _CODE.search(pair.question):
        kind = "fault_code"
    gold = Gold(
        doc=chunk.document,
        page=chunk.page,
        heading=chunk.heading_path[-1] if chunk.heading_path else None,
        evidence=_evidence(pair),
    )
    return Case(
        id=f"{chunk.language}-{kind}-{number:03}",
        lang=chunk.language,
        question=pair.question,
        kind=kind,
        answers=(pair.answer,),
        gold=(gold,),
        key_facts=_key_facts(pair),
    )


def _evidence(pair: Pair) -> str:
    """Return the line or sentence of the chunk that carries the answer."""
    pieces = [span.text for span in split_sentences(pair.chunk.text)]
    return max(pieces, key=lambda text: (support(pair.answer, text), -len(text)), default=pair.chunk.text)


def _key_facts(pair: Pair) -> tuple[tuple[str, ...], ...]:
    """Return the values of the answer that the question does not give away; none where it is plain words."""
    found = list(_VALUE.finditer(pair.answer))
    asked = [match for match in found if _stands_for(match, pair)][:1] or found
    values = dict.fromkeys(match.group().strip() for match in asked)
    return tuple(_forms(value, pair.chunk) for value in values if not holds_form(value, pair.question))


def _stands_for(value: re.Match[str], pair: Pair) -> bool:
    """Return whether a Chinese question has 多少 where the answer has this value."""
    before = pair.answer[: value.start()].rstrip()[-_BEFORE:]
    return bool(before) and f"{before}多少" in pair.question


def _forms(value: str, chunk: Chunk) -> tuple[str, ...]:
    """Return the ways to write a value: the number alone where what is behind it is no unit or a column's."""
    number, _, unit = value.partition(" ")
    is_no_unit = len(unit) > _LONGEST_UNIT and unit.isascii()
    is_columns = bool(unit) and chunk.kind == "table" and not holds_form(value, chunk.text)
    return (value, number) if is_no_unit or is_columns else (value,)


def _unanswerable(asked: Sequence[Chunk], chunks: Sequence[Chunk], count: int, seed: int) -> list[Case]:
    """Return questions about codes that look like the documents' own and stand in none of them."""
    known = {code for chunk in chunks for code in _CODE.findall(chunk.text)}
    rng = random.Random(seed)
    pairs = [pair for pair in rule_pairs(asked, seed, wordings=1) if _CODE.search(pair.question)]
    rng.shuffle(pairs)
    found: dict[str, Case] = {}
    for pair in pairs:
        if len(found) == count:
            break
        code = _CODE.search(pair.question)
        made_up = next(_near_codes(code.group(), known), None) if code else None
        if code and made_up and made_up not in found:
            question = pair.question.replace(code.group(), made_up)
            language = pair.chunk.language
            found[made_up] = Case(
                id=f"{language}-unanswerable-{made_up}",
                lang=language,
                question=question,
                kind="unanswerable",
                answerable=False,
            )
    return list(found.values())


def _near_codes(code: str, known: set[str]) -> Iterator[str]:
    digits = _DIGITS.search(code)
    if digits is None:
        return
    width = len(digits.group())
    for step in range(1, 100):
        value = int(digits.group()) + step
        near = f"{code[: digits.start()]}{value:0{width}}"
        if near not in known:
            yield near


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise InputError(f"{name!r} is no name for a suite: letters, digits, '.', '-' and '_'")
    return name
