"""The records that flow between stages; one per stage, frozen, plain values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from assistant.core.boxes import Box
from assistant.core.language import Language

Arm = Literal["base", "rag", "ft", "rag+ft"]
ARMS: tuple[Arm, ...] = ("base", "rag", "ft", "rag+ft")
ElementKind = Literal["title", "text", "list_item", "table", "code"]
ElementOrigin = Literal["", "ticket", "dialogue"]
ChunkKind = Literal["text", "table", "ticket", "dialogue"]
Role = Literal["system", "user", "assistant", "tool"]
Split = Literal["train", "valid", "test"]
RouteName = Literal["curated", "code", "retrieval", "closed_book", "tool", "hand_over"]
HandOverReason = Literal["", "no_passages", "no_evidence", "unknown_code", "orders_only", "refused", "unsure"]
MetadataValue = str | tuple[str, ...]
Metadata = dict[str, MetadataValue]
Filters = Mapping[str, str | Sequence[str]]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all records."""


class Element(Record, frozen=True, kw_only=True):
    """One typed block of a document, as parsing found it.

    Attributes:
        kind: what the block is.
        text: its text; for a table, rows as sentences or cells joined by `` | ``.
        html: the table as HTML, else empty.
        page: page number from 1, where the format has pages.
        depth: level of a title from 0 (document title) down.
        origin: the whole ticket or dialogue that this block is; empty for a block of a text.
        starts_passage: its author set a border before it: a horizontal rule, an anchor.
        confidence: of text recognition, from 0 to 1; None for text that stands in the file.
        box: where on the page it stands, where the format has places.
    """

    kind: ElementKind
    text: str
    html: str = ""
    page: int | None = None
    depth: int = 0
    origin: ElementOrigin = ""
    starts_passage: bool = False
    confidence: float | None = None
    box: Box | None = None


class ParsedDocument(Record, frozen=True, kw_only=True):
    """What parsing made of one file.

    Attributes:
        title: the document's title, its file name's stem if it has none.
        elements: its blocks in reading order; never empty.
        page_count: number of pages, None where the format has none.
        warnings: what is missing, for a person.
        metadata: what it says of itself: front matter, meta tags, properties.
        unread_pages: pages without text that text recognition could read where it is installed.
    """

    title: str
    elements: tuple[Element, ...]
    page_count: int | None = None
    warnings: tuple[str, ...] = ()
    metadata: Metadata = msgspec.field(default_factory=dict)
    unread_pages: tuple[int, ...] = ()


class Chunk(Record, frozen=True, kw_only=True):
    """A piece of one version of one document, to be embedded and cited.

    Attributes:
        id: content hash over document, heading path and text.
        document: path of the document relative to the folder that was added, with ``/``.
        version: number of the document's version, from 1.
        position: order in the document, from 0.
        text: the text that is shown, cited and put into a context.
        heading_path: titles above the chunk, outermost first.
        page: page it starts on, where the format has pages.
        kind: what it was cut from.
        language: language of its text.
        confidence: of text recognition over what was recognised of it, None where nothing was.
        box: around the blocks on its page that it was cut from, where the format has places.
    """

    id: str
    document: str
    version: int
    position: int
    text: str
    heading_path: tuple[str, ...] = ()
    page: int | None = None
    kind: ChunkKind = "text"
    language: Language = "en"
    confidence: float | None = None
    box: Box | None = None


class Passage(Record, frozen=True, kw_only=True):
    """A chunk as found for a query.

    Attributes:
        rank: from 1.
        score: fused score, higher is better; comparable within one query only.
        chunk: what was found.
        dense: cosine similarity to the query, None if the dense lane did not see it.
        lexical: BM25 score, None if the lexical lane did not see it.
        is_code_match: a fault code, model or part number of the query stands verbatim in the chunk.
        metadata: of the chunk's document: product, model, language, date, audience, tags and others.
    """

    rank: int
    score: float
    chunk: Chunk
    dense: float | None = None
    lexical: float | None = None
    is_code_match: bool = False
    metadata: Metadata = msgspec.field(default_factory=dict)


class Neighbours(Record, frozen=True, kw_only=True):
    """What stands around a chunk in the same version of its document, in the order of the document."""

    before: tuple[Chunk, ...] = ()
    after: tuple[Chunk, ...] = ()


class Message(Record, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: Role
    content: str


class ToolCall(Record, frozen=True, kw_only=True):
    """A function that the engine wants to have called; ``arguments`` is JSON as it wrote it."""

    id: str
    name: str
    arguments: str


class ToolTurn(Message, frozen=True, kw_only=True):
    """A turn of the assistant that calls tools, or the result of one call.

    Attributes:
        tool_calls: of the assistant's turn.
        tool_call_id: of the call that a tool's turn answers.
    """

    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


class Citation(Record, frozen=True, kw_only=True):
    """A claim's link to a passage.

    Attributes:
        number: the ``n`` of ``[n]`` in the answer's text.
        document: path of the document.
        version: version of the document that was read.
        page: page number, where the format has pages.
        quote: verbatim span of the passage that supports the claim.
        heading_path: where in the document.
        chunk_id: the chunk.
        start: offset of the quote in the chunk's text, in characters.
        end: offset behind its last character.
    """

    number: int
    document: str
    version: int
    page: int | None
    quote: str
    heading_path: tuple[str, ...]
    chunk_id: str
    start: int
    end: int


class Usage(Record, frozen=True, kw_only=True):
    """Tokens of one engine call."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Route(Record, frozen=True, kw_only=True):
    """Which way a question went.

    Attributes:
        name: ``curated`` (a person wrote the answer), ``code`` (a passage explains the question's code),
            ``retrieval``, ``closed_book`` (what the weights know), ``tool`` (a function of the caller's is to
            be called, or its result answers), ``hand_over`` (to a person).
        confidence: chance from 0 to 1 that the answer, or handing over, is right; None where nothing tells.
        evidence: how well the passages cover the question, from 0 to 1; None where none were looked for.
        reason: why it is handed over.
        curated_id: of the curated answer that was given.
    """

    name: RouteName
    confidence: float | None = None
    evidence: float | None = None
    reason: HandOverReason = ""
    curated_id: str = ""


class Section(Record, frozen=True, kw_only=True):
    """A place in a document to look at where there is no answer."""

    document: str
    version: int
    page: int | None
    heading_path: tuple[str, ...]
    chunk_id: str


class Withheld(Record, frozen=True, kw_only=True):
    """A span that gives an order to a language model, and was not obeyed.

    Attributes:
        number: of the passage, 0 for the question.
        start: offset in its text, in characters.
        end: offset behind it.
        kind: of order, see ``assistant.core.injection``.
    """

    number: int
    start: int
    end: int
    kind: str


class Answer(Record, frozen=True, kw_only=True):
    """What a question got.

    Attributes:
        id: ``ans-…``.
        question: as asked.
        text: the answer with ``[n]`` marks.
        abstained: the documents do not cover the question, and the text says so.
        citations: one per ``[n]`` used, in order of number.
        passages: the context the answer was made from, numbered by position from 1.
        arm: how it was made.
        language: of the answer.
        timings: seconds by stage: ``retrieve``, ``first_token``, ``total``.
        usage: tokens.
        release: that it was made with, None where none was promoted.
        is_extract: the engine could not be reached: the text quotes the best passages as they stand.
        tool_calls: functions that the asker is to call before there is an answer.
        route: which way the question went.
        searched: the question as it was searched for, which stands alone.
        nearest: where to look, for an answer that abstains.
        missing: words of the question that none of the passages holds, for an answer that abstains.
        unsupported: sentences of the text that no passage carries.
        withheld: orders in passages or question that the engine did not get to see.
    """

    id: str
    question: str
    text: str
    abstained: bool
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    arm: Arm
    language: Language
    timings: dict[str, float]
    usage: Usage = Usage()
    release: str | None = None
    is_extract: bool = False
    tool_calls: tuple[ToolCall, ...] = ()
    route: Route = Route(name="retrieval")
    searched: str = ""
    nearest: tuple[Section, ...] = ()
    missing: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    withheld: tuple[Withheld, ...] = ()


class Example(Record, frozen=True, kw_only=True):
    """One instruction pair for tuning.

    Attributes:
        id: content hash.
        recipe: which recipe made it.
        language: of question and answer.
        messages: system, user and so on; the last one is the assistant's and the only one learnt.
        chunk_ids: chunks that the answer stands on; empty for replay and unknown questions.
        documents: their documents.
        teacher: who wrote it: ``rules``, ``tickets`` or an engine's name.
        versions: number of each document's version.
        access: who may read what it was made from; empty for everybody.
        recipe_version: version of the recipe's wording and rules.
        weight: how much it counts against a generated example; real questions and corrections count more.
        split: by document, so that no document stands in two of them.
        scores: what the filters measured, such as ``support`` or ``round_trip_rank``.
    """

    id: str
    recipe: str
    language: Language
    messages: tuple[Message, ...]
    chunk_ids: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    teacher: str = "rules"
    versions: tuple[int, ...] = ()
    access: tuple[str, ...] = ()
    recipe_version: int = 1
    weight: float = 1.0
    split: Split = "train"
    scores: dict[str, float] = msgspec.field(default_factory=dict)


class Gold(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Where the right passage of a case stands.

    Attributes:
        doc: path of the document relative to its collection's folder.
        evidence: text that the right passage holds.
        page: page number, if known.
        heading: nearest heading, if known.
        grade: how much the passage is worth against the case's other golds.
    """

    doc: str = ""
    evidence: str = ""
    page: int | None = None
    heading: str | None = None
    grade: int = 1


class Case(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """One question of a suite; unknown fields of foreign suites are ignored.

    Attributes:
        id: unique in the suite.
        lang: its language.
        question: as a person would ask.
        kind: factual, fault_code, colloquial, two_step, unanswerable, or a set's own.
        answers: reference answers.
        gold: right passages; empty for unanswerable ones.
        key_facts: facts that a right answer holds, each with its accepted surface forms.
        answerable: whether the documents hold the answer.
        history: turns before the question.
        paraphrases: other wordings of the question.
        schema: JSON Schema that the answer's text is held to; None where it is free.
        hides_evidence: asked without the passages that answer it, so that a refusal is right; the golds and
            answers say which those are.
    """

    id: str
    lang: Language
    question: str
    kind: str = "factual"
    answers: tuple[str, ...] = ()
    gold: tuple[Gold, ...] = ()
    key_facts: tuple[tuple[str, ...], ...] = ()
    answerable: bool = True
    history: tuple[Message, ...] = ()
    paraphrases: tuple[str, ...] = ()
    schema: dict[str, object] | None = None
    hides_evidence: bool = False
