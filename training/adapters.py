"""From a dataset to a registered adapter: names, the run, and the row that serving reads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from assistant.core.home import Home
from assistant.core.ids import content_id
from assistant.core.jsonl import write_json
from assistant.core.progress import Progress
from assistant.core.records import Example
from assistant.core.runs import Run
from assistant.core.settings import Settings
from assistant.models.folders import model_fingerprint, resolve_model
from assistant.store.adapters import Adapter, Adapters
from assistant.store.database import Database
from training.dataset import DatasetManifest
from training.lora import TrainReport, train_adapter

TRAINING_VERSION = "1"
LINEAGE = "deskmate-adapter.json"


def train_collection(
    manifest: DatasetManifest,
    examples: list[Example],
    home: Home,
    settings: Settings,
    database: Database,
    progress: Progress,
) -> tuple[Adapter, TrainReport | None]:
    """Train the collection's adapter on its dataset and make it the served one.

    The adapter's name is a hash over all that shapes it: training again with the same dataset, base
    and settings finds it there.

    Returns:
        The adapter, and the report, None where nothing had to be trained.

    Raises:
        ModelError: the base model is missing or broken, or training went astray.
    """
    base = resolve_model(settings.engine.base_model, "generator", home, settings.models)
    fingerprint = model_fingerprint(base, home)
    name = adapter_name(manifest, fingerprint, settings)
    folder = home.adapters / name
    with database.read() as session:
        known = Adapters(session).find(name)
    report = None
    if known is None or not (folder / LINEAGE).exists():
        run = Run.start(home.runs, "train", name, settings)
        report = train_adapter(
            examples, base, folder, run, settings.train, progress, dtype=settings.engine.dtype
        )
        known = _register(name, folder, manifest, fingerprint, database)
    with database.write() as session:
        Adapters(session).activate(name)
    return known, report


def adapter_name(manifest: DatasetManifest, base_fingerprint: str, settings: Settings) -> str:
    """Return ``COLLECTION-HASH``."""
    parts = (TRAINING_VERSION, manifest.id, base_fingerprint, str(settings.train), settings.engine.dtype)
    return f"{manifest.collection}-{content_id(*parts, length=10)}"


def _register(
    name: str, folder: Path, manifest: DatasetManifest, fingerprint: str, database: Database
) -> Adapter:
    adapter = Adapter(
        name=name,
        collection=manifest.collection,
        folder=str(folder),
        base_fingerprint=fingerprint,
        dataset_hash=manifest.id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_json(folder / LINEAGE, adapter)
    with database.write() as session:
        Adapters(session).save(adapter)
    return adapter
