"""From pairs to the rows of a dataset: prompts as in service, splits, scores, coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from assistant.core.prompts import answer_messages
from assistant.core.records import Chunk, Example, Message
from assistant.core.settings_synth import SynthSettings
from training.access import EVERYBODY, AccessLists, Readers
from training.balancing import split_of
from training.checks import Verdict, support_of
from training.dataset import Coverage, make_example
from training.filtering import PairFilter
from training.pairs import Pair
from training.recipes.codes import CODE
from training.tables import read_rows

NO_TWINS: Mapping[str, str] = MappingProxyType({})
_ACROSS = Verdict("documents of two splits")
_NO_READER = Verdict("nobody may read all its documents")


def finish_examples(
    core: Sequence[Example],
    cooked: Sequence[Pair],
    synth: SynthSettings,
    pairs_filter: PairFilter,
    access: AccessLists = EVERYBODY,
    twins: Mapping[str, str] = NO_TWINS,
) -> list[Example]:
    """Return all rows, each once, with splits and access lists.

    A document is in the split of the one that ``twins`` names for it. Rows across two splits, and from
    documents that nobody may all read, are left out and counted.
    """
    made: list[Example] = []
    pairs: dict[str, Pair] = {}
    for pair in cooked:
        readers = access.common(chunk.document for chunk in pair.chunks)
        if readers is None:
            pairs_filter.leave_out(pair, _NO_READER)
        else:
            made.append(make_row(pair, readers))
            pairs[made[-1].id] = pair
    again = {row.messages for row in made}  # a recipe's row weighs what the recipe says, the core's does not
    rows = {row.id: row for row in (*(row for row in core if row.messages not in again), *made)}
    if synth.valid_share + synth.test_share <= 0:
        return list(rows.values())
    finished = []
    for row in rows.values():
        splits = {
            split_of((twins.get(name, name),), synth.valid_share, synth.test_share, synth.seed)
            for name in row.documents
        }
        if len(splits) > 1:
            if row.id in pairs:
                pairs_filter.leave_out(pairs[row.id], _ACROSS)
            else:
                pairs_filter.leave_out_row(row, _ACROSS)
            continue
        finished.append(msgspec.structs.replace(row, split=splits.pop() if splits else "train"))
    return finished


def make_row(pair: Pair, readers: Readers = ()) -> Example:
    """Return the row of a recipe's pair: the prompt that serving would make, and the answer.

    Args:
        pair: of a recipe.
        readers: who may read its documents; empty for everybody.
    """
    language = pair.chunk.language
    if pair.recipe == "replay":
        messages: tuple[Message, ...] = (Message(role="user", content=pair.question),)
    else:
        messages = answer_messages(pair.question, language, pair.passages, pair.history)
    scores = {"support": round(support_of(pair), 3)} if pair.chunks and pair.is_covered else {}
    example = make_example(
        recipe=pair.recipe,
        language=language,
        messages=messages,
        answer=pair.answer,
        chunks=pair.chunks if pair.is_covered else (),
        teacher=pair.teacher,
        scores=scores,
        access=readers,
    )
    return msgspec.structs.replace(example, weight=pair.weight, recipe_version=pair.recipe_version)


def measure_coverage(chunks: Sequence[Chunk], examples: Sequence[Example]) -> Coverage:
    """Return how many chunks, codes and tables have an example.

    A code is one where an example's question or answer names it; a table is a chunk of that kind.
    """
    covered = {chunk_id for example in examples for chunk_id in example.chunk_ids}
    codes = {row.key for chunk in chunks for row in read_rows(chunk) if CODE.fullmatch(row.key)}
    said = "\n".join(turn.content for example in examples for turn in example.messages[-2:])
    named = set(CODE.findall(said))
    tables = [chunk for chunk in chunks if chunk.kind == "table"]
    return Coverage(
        chunks=(sum(chunk.id in covered for chunk in chunks), len(chunks)),
        codes=(len(codes & named), len(codes)),
        tables=(sum(chunk.id in covered for chunk in tables), len(tables)),
    )
