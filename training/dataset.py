"""Datasets: immutable, named by their content, one JSON Lines file and a manifest in a folder."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from assistant.core.errors import NotFoundError
from assistant.core.ids import content_id
from assistant.core.jsonl import read_jsonl, write_json, write_jsonl
from assistant.core.language import Language
from assistant.core.records import Chunk, Example, Message, Record

EXAMPLES = "examples.jsonl"
MANIFEST = "manifest.json"
CURRENT = "current"


class DatasetManifest(Record, frozen=True, kw_only=True):
    """What a dataset holds and was made from.

    Attributes:
        id: hash over the examples' ids.
        collection: collection it was made from.
        snapshot: index snapshot that the contexts come from.
        example_count: rows.
        recipes: recipe → rows.
        languages: language → rows.
        rejected: reason → pairs that a filter turned away.
        covered_chunk_share: chunks with an example over all chunks.
        key: hash over everything that shaped it; the same key need not be made again.
    """

    id: str
    collection: str
    snapshot: str
    example_count: int
    recipes: dict[str, int]
    languages: dict[str, int]
    rejected: dict[str, int]
    covered_chunk_share: float
    key: str


def make_example(
    *,
    recipe: str,
    language: Language,
    messages: tuple[Message, ...],
    answer: str,
    chunks: Sequence[Chunk] = (),
    teacher: str = "rules",
) -> Example:
    """Return an example: the prompt's messages and the answer as the assistant's turn."""
    turns = (*messages, Message(role="assistant", content=answer))
    return Example(
        id=content_id(recipe, *(f"{turn.role}: {turn.content}" for turn in turns)),
        recipe=recipe,
        language=language,
        messages=turns,
        chunk_ids=tuple(chunk.id for chunk in chunks),
        documents=tuple(dict.fromkeys(chunk.document for chunk in chunks)),
        teacher=teacher,
    )


def write_dataset(
    folder: Path,
    examples: Sequence[Example],
    *,
    collection: str,
    snapshot: str,
    rejected: dict[str, int],
    chunk_count: int,
    key: str,
) -> DatasetManifest:
    """Write a dataset below ``folder`` and make it the current one.

    The folder is named by the dataset's id, so writing the same rows again changes nothing.
    """
    dataset_id = content_id(*(example.id for example in examples))
    covered = {chunk_id for example in examples for chunk_id in example.chunk_ids}
    manifest = DatasetManifest(
        id=dataset_id,
        collection=collection,
        snapshot=snapshot,
        example_count=len(examples),
        recipes=dict(Counter(example.recipe for example in examples)),
        languages=dict(Counter(example.language for example in examples)),
        rejected=rejected,
        covered_chunk_share=round(len(covered) / chunk_count, 3) if chunk_count else 0.0,
        key=key,
    )
    target = folder / dataset_id
    temporary = folder / f".{dataset_id}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write_jsonl(temporary / EXAMPLES, examples)
    write_json(temporary / MANIFEST, manifest)
    if target.exists():
        shutil.rmtree(temporary)
    else:
        temporary.replace(target)
    write_json(folder / CURRENT, dataset_id)
    return manifest


def current_dataset(folder: Path) -> DatasetManifest | None:
    """Return the manifest of the current dataset, None if there is none."""
    try:
        dataset_id = msgspec.json.decode((folder / CURRENT).read_bytes(), type=str)
        return msgspec.json.decode((folder / dataset_id / MANIFEST).read_bytes(), type=DatasetManifest)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def read_examples(folder: Path, collection: str) -> tuple[DatasetManifest, list[Example]]:
    """Return the current dataset.

    Raises:
        NotFoundError: the collection has none.
    """
    manifest = current_dataset(folder)
    if manifest is None:
        raise NotFoundError(
            f"no instruction data for collection {collection!r}",
            next_command=f"deskmate synth --collection {collection}",
        )
    return manifest, list(read_jsonl(folder / manifest.id / EXAMPLES, Example))
