"""From a dataset to a registered adapter: its name, its run, what it learnt from, the row serving reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from assistant.core.errors import InputError, ModelError
from assistant.core.home import Home
from assistant.core.ids import content_id
from assistant.core.jsonl import write_json
from assistant.core.progress import NoProgress, Progress
from assistant.core.prompts import template_hash
from assistant.core.records import Example, Record
from assistant.core.runs import Run
from assistant.core.settings import Settings
from assistant.core.settings_train import TrainSettings
from assistant.engine.adapters import check_seal
from assistant.engine.canary import write_prompts
from assistant.models.folders import model_fingerprint, resolve_model
from assistant.store.adapters import Adapter, Adapters
from assistant.store.candidates import write_candidate
from assistant.store.database import Database
from training.dataset import DatasetManifest
from training.lora import forget_checkpoint, split_examples, train_adapter
from training.processes import Processes
from training.session import TrainReport

TRAINING_VERSION = "2"
CARD = "adapter.json"
RUN_KIND = "train"
# DoRA scales whole rows of the base's matrices, which no engine here does for one request of a batch
SERVED_METHODS = frozenset({"lora", "rslora"})
Role = Literal["kept", "candidate", "served"]


class AdapterCard(Record, frozen=True, kw_only=True):
    """What an adapter is and what it learnt from; ``adapter.json`` in its folder.

    Attributes:
        name: of the adapter.
        collection: that it was tuned on.
        created: when, ISO 8601 in UTC.
        base_model: name of the base.
        base_hash: of the base's description, tokenizer and weights; other weights refuse the adapter.
        template_hash: of the base's chat template and the prompt templates.
        dataset_hash: of the dataset.
        chunks: ids of the chunks that it learnt from, without those of rows that were held out.
        documents: document → numbers of its versions that it learnt from.
        access: who may read all that it learnt from; empty for everybody.
        settings: of the training.
        metrics: of the training.
    """

    name: str
    collection: str
    created: str
    base_model: str
    base_hash: str
    template_hash: str
    dataset_hash: str
    chunks: tuple[str, ...]
    documents: dict[str, tuple[int, ...]]
    access: tuple[str, ...]
    settings: TrainSettings
    metrics: TrainReport


def train_collection(
    manifest: DatasetManifest,
    examples: list[Example],
    home: Home,
    settings: Settings,
    database: Database,
    progress: Progress,
    *,
    processes: Processes | None = None,
    role: Role = "served",
) -> tuple[Adapter, TrainReport | None]:
    """Train the collection's adapter on its dataset.

    The adapter's name is a hash over all that shapes it: training again with the same dataset, base
    and settings finds it there. A DoRA adapter is kept but not served.

    Args:
        manifest: of the dataset.
        examples: of the dataset.
        home: data folder.
        settings: all settings.
        database: that knows the adapters.
        progress: told of the steps.
        processes: that train together, if there are several.
        role: what becomes of it: ``kept`` only, the ``candidate`` that is measured and released next, or
            also ``served`` from now on.

    Returns:
        The adapter, and the report, None where nothing had to be trained.

    Raises:
        InputError: nobody may read all examples, or there are none.
        ModelError: the base model is missing or broken, or training went astray.
        ResourceError: memory or disk will not suffice.
        CollectionBusy: another process trains the same adapter now.
    """
    processes = processes or Processes()
    access = common_access(examples)
    base = resolve_model(settings.engine.base_model, "generator", home, settings.models)
    fingerprint = model_fingerprint(base, home)
    name = adapter_name(manifest, fingerprint, settings, processes.count)
    folder = home.adapters / name
    with database.read() as session:
        known = Adapters(session).find(name)
    is_there = known is not None and is_whole(folder)
    processes.wait()  # all have looked before one writes
    report = None
    if known is None or not is_there:
        run = _start_run(home, name, settings, manifest, base, fingerprint, processes)
        known = Adapter(
            name=name,
            collection=manifest.collection,
            folder=str(folder),
            base_fingerprint=fingerprint,
            dataset_hash=manifest.id,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            is_active=known is not None and known.is_active,
        )
        with run.alone() if processes.is_main else nullcontext():
            report = train_adapter(
                examples,
                base,
                folder,
                run,
                settings.train,
                progress if processes.is_main else NoProgress(),
                dtype=settings.engine.dtype,
                processes=processes,
            )
            if processes.is_main:
                write_prompts(folder, examples)
                _register(known, _card(known, examples, access, base, settings, report), database)
                forget_checkpoint(run)
    if processes.is_main and role != "kept" and settings.train.method in SERVED_METHODS:
        write_candidate(home.collection(manifest.collection), name)
        if role == "served":
            with database.write() as session:
                Adapters(session).activate(name)
            known = msgspec.structs.replace(known, is_active=True)
    return known, report


def is_whole(folder: Path) -> bool:
    """Return whether an adapter's card can be read and its weights are those that were written."""
    try:
        read_card(folder)
        check_seal(folder, None)
    except (OSError, msgspec.DecodeError, ModelError):
        return False
    return True


def adapter_name(
    manifest: DatasetManifest, base_fingerprint: str, settings: Settings, process_count: int = 1
) -> str:
    """Return ``COLLECTION-HASH``."""
    shaping = msgspec.structs.replace(settings.train, memory_mebibytes=0)
    parts = (TRAINING_VERSION, manifest.id, base_fingerprint, str(shaping), settings.engine.dtype)
    several = (str(process_count),) if process_count > 1 else ()
    return f"{manifest.collection}-{content_id(*parts, *several, length=10)}"


def common_access(examples: Sequence[Example]) -> tuple[str, ...]:
    """Return who may read every example; empty for everybody.

    Raises:
        InputError: nobody may.
    """
    limited = [set(example.access) for example in examples if example.access]
    if not limited:
        return ()
    common = set.intersection(*limited)
    if not common:
        raise InputError(
            "nobody may read all documents that the instruction data is made from, so nobody could use the "
            "adapter; make it from documents with a common access list"
        )
    return tuple(sorted(common))


def learnt_documents(examples: Sequence[Example]) -> dict[str, tuple[int, ...]]:
    """Return document → numbers of its versions that the examples are made from."""
    found: dict[str, set[int]] = {}
    for example in examples:
        numbers = example.versions or (None,) * len(example.documents)
        for document, number in zip(example.documents, numbers, strict=False):
            versions = found.setdefault(document, set())
            if number is not None:
                versions.add(number)
    return {document: tuple(sorted(versions)) for document, versions in sorted(found.items())}


def chat_template_hash(base: Path) -> str:
    """Return a hash over the base's chat template and the prompt templates: what training text looks like."""
    file = base / "chat_template.jinja"
    if file.exists():
        template = file.read_text("utf-8")
    else:
        settings = json.loads((base / "tokenizer_config.json").read_text("utf-8"))
        template = str(settings.get("chat_template", ""))
    return content_id(template, template_hash())


def read_card(folder: Path | str) -> AdapterCard:
    """Return what an adapter's folder says of it."""
    return msgspec.json.decode((Path(folder) / CARD).read_bytes(), type=AdapterCard)


def _start_run(
    home: Home,
    name: str,
    settings: Settings,
    manifest: DatasetManifest,
    base: Path,
    fingerprint: str,
    processes: Processes,
) -> Run:
    if not processes.is_main:
        return Run(home.runs / f"{RUN_KIND}-{name}")
    about = {
        "collection": manifest.collection,
        "seed": settings.train.seed,
        "dataset_hash": manifest.id,
        "base_hash": fingerprint,
        "template_hash": chat_template_hash(base),
        "processes": processes.count,
    }
    return Run.start(home.runs, RUN_KIND, name, settings, about)


def _card(
    adapter: Adapter,
    examples: Sequence[Example],
    access: tuple[str, ...],
    base: Path,
    settings: Settings,
    report: TrainReport,
) -> AdapterCard:
    learnt = split_examples(examples, settings.train).train
    return AdapterCard(
        name=adapter.name,
        collection=adapter.collection,
        created=adapter.created,
        base_model=settings.engine.base_model,
        base_hash=adapter.base_fingerprint,
        template_hash=chat_template_hash(base),
        dataset_hash=adapter.dataset_hash,
        chunks=tuple(sorted({chunk for example in learnt for chunk in example.chunk_ids})),
        documents=learnt_documents(learnt),
        access=access,
        settings=settings.train,
        metrics=report,
    )


def _register(adapter: Adapter, card: AdapterCard, database: Database) -> None:
    write_json(Path(adapter.folder) / CARD, card)
    with database.write() as session:
        Adapters(session).save(adapter)
