"""From the name in the settings to a folder that holds such a model."""

from __future__ import annotations

from pathlib import Path

import msgspec

from assistant.core.errors import ModelError
from assistant.core.home import Home
from assistant.core.ids import content_id
from assistant.core.jsonl import write_json
from assistant.core.settings import ModelsSettings
from assistant.models.catalogue import CATALOGUE, PROFILES, ModelKind, ModelSpec
from assistant.models.checks import check_folder, weight_files
from assistant.models.fetch import PREPARE
from assistant.models.manifest import MANIFEST, FileRecord, folder_problem, read_manifest, record_file

_SETTINGS: dict[ModelKind, str] = {"generator": "[engine] base_model", "embedder": "[embedder] model"}
_SHAPING = ("*.json", "*.model", "vocab.txt", "chat_template.jinja")
_HUB_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")


def resolve_model(name: str, kind: ModelKind, home: Home, settings: ModelsSettings) -> Path:
    """Return the folder of the model that a setting names.

    Args:
        name: of the catalogue, a folder, or with ``allow_hub`` a hub's name.
        kind: what the model is for.
        home: where prepared models lie.
        settings: whether a hub may be asked.

    Raises:
        ModelError: there is no such model, or its folder is broken or of the other kind.
    """
    folder = Path(name).expanduser()
    spec = CATALOGUE.get(name)
    if spec is not None:
        folder = _prepared(spec, kind, home)
    elif not folder.is_dir():
        if name.startswith(("/", "./", "../", "~")):
            raise ModelError(
                f"{_SETTINGS[kind]}: there is no folder {folder}", next_command="deskmate models list"
            )
        if not settings.allow_hub:
            raise _unknown(name, kind)
        folder = _from_hub(name)
    check_folder(folder, kind)
    return folder.resolve()


def model_fingerprint(folder: Path, home: Home | None = None) -> str:
    """Return a hash over a model's description, tokenizer and weights, the same wherever the folder lies.

    Hashing a gigabyte takes seconds: the hashes of a prepared model are taken from its manifest,
    those of other folders are kept below ``home`` where one is given; a changed file is hashed anew.

    Raises:
        ModelError: a file cannot be read.
    """
    manifest = read_manifest(folder)
    cache = home.models / ".fingerprints" / f"{content_id(str(folder.resolve()))}.json" if home else None
    known = manifest.files if manifest else _read_records(cache)
    try:
        records = {
            path.relative_to(folder).as_posix(): record_file(
                path, known.get(path.relative_to(folder).as_posix())
            )
            for path in _shaping_files(folder)
        }
        if cache and records != known and not manifest:
            write_json(cache, records)
    except OSError as error:
        raise ModelError(f"{error.filename or folder}: {error.strerror}") from error
    return content_id(*(part for name, record in sorted(records.items()) for part in (name, record.sha256)))


def _shaping_files(folder: Path) -> list[Path]:
    """Return the files that decide what a model computes, in the folder and one level below."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")]
    found = [
        file
        for place in places
        for file in (*(path for pattern in _SHAPING for path in place.glob(pattern)), *weight_files(place))
    ]
    return [file for file in found if file.name != MANIFEST]


def _read_records(cache: Path | None) -> dict[str, FileRecord]:
    if cache is None or not cache.exists():
        return {}
    try:
        return msgspec.json.decode(cache.read_bytes(), type=dict[str, FileRecord])
    except msgspec.DecodeError:
        return {}


def _prepared(spec: ModelSpec, kind: ModelKind, home: Home) -> Path:
    if spec.kind != kind:
        raise ModelError(
            f"{_SETTINGS[kind]} names {spec.name!r}, which is no {kind}", next_command="deskmate models list"
        )
    folder = home.models / spec.name
    problem = folder_problem(spec, folder)
    if problem:
        raise ModelError(f"model {spec.name!r} {problem}", next_command=prepare_command(spec.name))
    return folder


def prepare_command(name: str) -> str:
    """Return the command that prepares a model of the catalogue."""
    profile = next((profile for profile, names in PROFILES.items() if name in names), "default")
    return PREPARE if profile == "default" else f"{PREPARE} --profile {profile}"


def _unknown(name: str, kind: ModelKind) -> ModelError:
    names = ", ".join(spec.name for spec in CATALOGUE.values() if spec.kind == kind)
    return ModelError(
        f"{_SETTINGS[kind]} = {name!r} names no model: it takes a prepared model ({names}), "
        "a folder of Hugging Face format, or with [models] allow_hub = true the name of a model on a hub",
        next_command="deskmate models list",
    )


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise ModelError(
            f"{name!r} is to come from a hub, which needs huggingface_hub",
            next_command="pip install 'deskmate[local]'",
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(_HUB_PATTERNS)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{name!r} cannot be fetched from the hub: {first_line}") from error
