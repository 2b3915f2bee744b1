"""``[synth]`` and ``[teacher]``: instruction data from the corpus, and what writes its wording."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Weight = Annotated[float, Meta(gt=0.0, le=100.0)]


class SynthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[synth]``: instruction data from the corpus.

    Attributes:
        teacher_questions: questions that the engine as teacher writes.
        closed_book: questions without a context, spread over the chunks.
        grounded_groups: contexts with several questions each.
        context_questions: most questions of one context that it answers.
        uncovered_share: of the contexts, those in which something is asked too that they do not answer. A
            small model that meets more refusals refuses whatever is worded unlike its training questions.
            Measured on the sample suite's 54 answerable questions: with one refusal in six grounded examples
            it refused all 14 colloquial ones, with one in 17 (0.4) eleven of 54, with one in 32 (0.2) two.
        uncovered_parts: some of that asks for a part that the context does not name in place of one it does.
        near_misses: of each context so many questions too whose passages its search found, but for which it
            has no room: what is asked in people's own words can bear more of them than rules' questions.
        replay: general instructions mixed in.
        seed: of every random choice.
        recipes: further recipes: names from ``deskmate synth recipes``, or TOML files of one's own.
        recipe_share: of each recipe's own count; 0.5 makes half as many examples.
        round_trip: keep only questions that the search answers with their own chunk.
        embedding_checks: drop what resembles another example or a held-out question by embedding, and
            answers in free words that their chunk does not carry.
        document_share: most of a recipe's examples that one document may give.
        valid_share: documents whose examples are kept for validation.
        test_share: documents whose examples are kept for testing.
    """

    teacher_questions: Count = 96
    closed_book: Count = 40
    grounded_groups: Count = 88
    context_questions: Annotated[int, Meta(ge=1)] = 6
    uncovered_share: Share = 0.2
    uncovered_parts: bool = False
    near_misses: Count = 0
    replay: Count = 96
    seed: int = 7
    recipes: tuple[str, ...] = ()
    recipe_share: Annotated[float, Meta(gt=0.0, le=100.0)] = 1.0
    round_trip: bool = False
    embedding_checks: bool = False
    document_share: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.5
    valid_share: Share = 0.0
    test_share: Share = 0.0


class TeacherSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[teacher]``: the engine that words questions and answers for the instruction data.

    Attributes:
        kind: ``base`` is the engine of ``[engine]`` itself; else a kind of engine of its own.
        base_model: of a teacher of its own; as in ``[engine]``.
        url: of its server, for ``sglang``.
        batch_size: requests asked together; what is answered is kept after each batch.
        requests_per_minute: most requests, 0 for no limit.
        attempts: a batch that fails is asked again so often, with longer and longer pauses.
        timeout_seconds: longest wait for the teacher's next token.
    """

    kind: Literal["base", "local", "sglang", "scripted"] = "base"
    base_model: str = ""
    url: str = "http://127.0.0.1:30000"
    batch_size: Annotated[int, Meta(ge=1)] = 16
    requests_per_minute: Count = 0
    attempts: Annotated[int, Meta(ge=1)] = 3
    timeout_seconds: Annotated[float, Meta(gt=0)] = 120.0
