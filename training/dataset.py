"""Datasets: immutable, named by their content, one JSON Lines file and a manifest in a folder."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from assistant.core.errors import InputError, NotFoundError
from assistant.core.ids import content_id
from assistant.core.jsonl import read_jsonl, write_json, write_jsonl
from assistant.core.language import Language
from assistant.core.records import Chunk, Example, Message, Record, Split
from training.filtering import Rejected

EXAMPLES = "examples.jsonl"
REJECTS = "rejects.jsonl"
MANIFEST = "manifest.json"
CURRENT = "current"


class Coverage(Record, frozen=True, kw_only=True):
    """What of the corpus has an example: (with one, all)."""

    chunks: tuple[int, int] = (0, 0)
    codes: tuple[int, int] = (0, 0)
    tables: tuple[int, int] = (0, 0)


class DatasetManifest(Record, frozen=True, kw_only=True):
    """What a dataset holds and was made from.

    Attributes:
        id: hash over the examples.
        collection: collection it was made from.
        snapshot: index snapshot that the contexts come from.
        example_count: rows.
        recipes: recipe → rows.
        languages: language → rows.
        rejected: reason → pairs that a filter turned away.
        covered_chunk_share: chunks with an example over all chunks.
        key: hash over everything that shaped it; the same key need not be made again.
        filters: recipe → ``made``, ``kept`` and each reason → pairs.
        recipe_versions: recipe → version and hash of its file.
        splits: split → rows.
        documents: document → version that was read.
        teachers: teacher → rows.
        coverage: what of the corpus has an example.
        notes: what a person should know, such as a teacher that answered nothing usable.
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
    filters: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    recipe_versions: dict[str, str] = msgspec.field(default_factory=dict)
    splits: dict[str, int] = msgspec.field(default_factory=dict)
    documents: dict[str, int] = msgspec.field(default_factory=dict)
    teachers: dict[str, int] = msgspec.field(default_factory=dict)
    coverage: Coverage = Coverage()
    notes: tuple[str, ...] = ()


class Making(Record, frozen=True, kw_only=True):
    """How a dataset came about, beside its rows; fields as in the manifest."""

    filters: Mapping[str, Mapping[str, int]] = msgspec.field(default_factory=dict)
    rejects: tuple[Rejected, ...] = ()
    recipe_versions: dict[str, str] = msgspec.field(default_factory=dict)
    coverage: Coverage = Coverage()
    notes: tuple[str, ...] = ()


def make_example(
    *,
    recipe: str,
    language: Language,
    messages: tuple[Message, ...],
    answer: str,
    chunks: Sequence[Chunk] = (),
    teacher: str = "rules",
    scores: dict[str, float] | None = None,
    access: tuple[str, ...] = (),
) -> Example:
    """Return an example: the prompt's messages and the answer as the assistant's turn."""
    turns = (*messages, Message(role="assistant", content=answer))
    versions = {chunk.document: chunk.version for chunk in chunks}
    return Example(
        id=_row_id(recipe, turns),
        recipe=recipe,
        language=language,
        messages=turns,
        chunk_ids=tuple(chunk.id for chunk in chunks),
        documents=tuple(versions),
        versions=tuple(versions.values()),
        teacher=teacher,
        scores=scores or {},
        access=access,
    )


def _row_id(recipe: str, turns: Sequence[Message]) -> str:
    return content_id(recipe, *(f"{turn.role}: {turn.content}" for turn in turns))


def dataset_id(examples: Sequence[Example]) -> str:
    """Return the id of a dataset: a hash over its rows, with split and weight where they say something."""
    return content_id(*(_row_key(example) for example in examples))


def _row_key(example: Example) -> str:
    if example.split == "train" and example.weight == 1.0 and not example.access:
        return example.id
    return f"{example.id} {example.split} {example.weight} {' '.join(example.access)}"


def write_dataset(
    folder: Path,
    examples: Sequence[Example],
    *,
    collection: str,
    snapshot: str,
    rejected: dict[str, int],
    chunk_count: int,
    key: str,
    making: Making | None = None,
) -> DatasetManifest:
    """Write a dataset below ``folder`` and make it the current one.

    The folder is named by the dataset's id, so writing the same rows again leaves them as they are.
    """
    making = making or Making()
    covered = {chunk_id for example in examples for chunk_id in example.chunk_ids}
    manifest = DatasetManifest(
        id=dataset_id(examples),
        collection=collection,
        snapshot=snapshot,
        example_count=len(examples),
        recipes=dict(Counter(example.recipe for example in examples)),
        languages=dict(Counter(example.language for example in examples)),
        rejected=rejected,
        covered_chunk_share=round(len(covered) / chunk_count, 3) if chunk_count else 0.0,
        key=key,
        filters={recipe: dict(counts) for recipe, counts in making.filters.items()},
        recipe_versions=making.recipe_versions,
        splits=dict(Counter(example.split for example in examples)),
        documents=_versions(examples),
        teachers=dict(Counter(example.teacher for example in examples)),
        coverage=making.coverage,
        notes=making.notes,
    )
    target = folder / manifest.id
    temporary = folder / f".{manifest.id}.tmp"
    if not (target / EXAMPLES).exists():
        for old in (temporary, target):
            shutil.rmtree(old, ignore_errors=True)
        temporary.mkdir(parents=True)
        write_jsonl(temporary / EXAMPLES, examples)
        write_jsonl(temporary / REJECTS, making.rejects)
        write_json(temporary / MANIFEST, manifest)
        temporary.replace(target)
    else:
        write_jsonl(target / REJECTS, making.rejects)  # the rows are the same; what led to them may differ
        write_json(target / MANIFEST, manifest)
    write_json(folder / CURRENT, manifest.id)
    return manifest


def _versions(examples: Sequence[Example]) -> dict[str, int]:
    pairs = (pair for example in examples for pair in zip(example.documents, example.versions, strict=False))
    return dict(sorted(pairs))


def current_dataset(folder: Path) -> DatasetManifest | None:
    """Return the manifest of the current dataset, None if there is none with its rows."""
    try:
        name = msgspec.json.decode((folder / CURRENT).read_bytes(), type=str)
        manifest = msgspec.json.decode((folder / name / MANIFEST).read_bytes(), type=DatasetManifest)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return manifest if (folder / name / EXAMPLES).exists() else None


def find_dataset(folder: Path, collection: str, name: str = "") -> DatasetManifest:
    """Return the manifest of a dataset: the current one, or one by the beginning of its id.

    Raises:
        NotFoundError: there is none, or none of that name.
        InputError: the name fits several, or the manifest is damaged.
    """
    if not name:
        manifest = current_dataset(folder)
        if manifest is None:
            raise NotFoundError(
                f"no instruction data for collection {collection!r}",
                next_command=f"deskmate synth --collection {collection}",
            )
        return manifest
    found = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}") if path.parent.name[0] != ".")
    fitting = [dataset for dataset in found if dataset.startswith(name)]
    if not fitting:
        there = ", ".join(found) or "none"
        raise NotFoundError(f"no dataset {name!r} of collection {collection!r}; there is {there}")
    if len(fitting) > 1:
        raise InputError(f"{name!r} fits several datasets: {', '.join(fitting)}")
    try:
        raw = (folder / fitting[0] / MANIFEST).read_bytes()
        return msgspec.json.decode(raw, type=DatasetManifest)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{folder / fitting[0] / MANIFEST}: no manifest: {error}") from error


def read_rows(folder: Path, manifest: DatasetManifest) -> list[Example]:
    """Return the rows of a dataset.

    Raises:
        InputError: a row is broken, or the rows are not those that the dataset is named by.
    """
    path = folder / manifest.id / EXAMPLES
    try:
        examples = list(read_jsonl(path, Example))
    except InputError as error:
        raise _useless(path, manifest, error.message) from error
    for number, example in enumerate(examples, 1):
        if len(example.messages) < 2 or example.messages[-1].role != "assistant":  # noqa: PLR2004
            raise InputError(f"{path}, row {number}: an example ends with the assistant's turn after others")
        if not example.messages[-1].content.strip():
            raise InputError(f"{path}, row {number}: the answer is empty")
    _check_rows(path, manifest, examples)
    return examples


def _check_rows(path: Path, manifest: DatasetManifest, examples: Sequence[Example]) -> None:
    """An adapter names its dataset by what stands in it, so rows changed by hand would make that untrue."""
    edited = [number for number, row in enumerate(examples, 1) if row.id != _row_id(row.recipe, row.messages)]
    if edited or dataset_id(examples) != manifest.id:
        reason = f"row {edited[0]} was changed" if edited else "rows were added, taken away or moved"
        told = f"{path}: {reason} since the dataset was made, which is named by its rows"
        raise _useless(path, manifest, told)


def _useless(path: Path, manifest: DatasetManifest, reason: str) -> InputError:
    """Return an error that says how to come by the dataset again."""
    return InputError(
        f"{reason}; remove {path.parent} and give corrections with --pairs FILE",
        next_command=f"deskmate synth --collection {manifest.collection}",
    )


def read_examples(
    folder: Path, collection: str, split: Split | None = None
) -> tuple[DatasetManifest, list[Example]]:
    """Return the current dataset, or one split of it.

    Raises:
        NotFoundError: the collection has none.
        InputError: a row is broken; the message names file and line.
    """
    manifest = find_dataset(folder, collection)
    examples = read_rows(folder, manifest)
    return manifest, [example for example in examples if split is None or example.split == split]


def read_rejects(folder: Path, manifest: DatasetManifest) -> list[Rejected]:
    """Return the rejects kept with a dataset; none where it is an older one."""
    path = folder / manifest.id / REJECTS
    return list(read_jsonl(path, Rejected)) if path.exists() else []
