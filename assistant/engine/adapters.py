"""Adapter folders: what belongs to one, and whether it is whole and fits a base model.

Read with the standard library alone, so that a bad folder is refused before a heavy library sees it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.core.errors import ModelError
from assistant.core.jsonl import write_json
from assistant.core.records import Record
from assistant.core.settings_train import MAX_RANK

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
SEAL_FILE = "adapter_seal.json"
_PREFIX = "base_model.model."
_SAMPLES = 64
_SAMPLE_BYTES = 4096
_HEADER_LIMIT = 100_000_000
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I8": 1, "U8": 1, "BOOL": 1}

Shapes = dict[str, tuple[int, ...]]


class Seal(Record, frozen=True, kw_only=True):
    """Written beside an adapter: what it was trained on and what its files hold.

    Attributes:
        base_fingerprint: of the base model's folder.
        sha256: of the adapter's files by name.
    """

    base_fingerprint: str
    sha256: dict[str, str]


def model_fingerprint(folder: Path) -> str:
    """Return what tells a base model from every other: a hash over samples of its weights.

    Args:
        folder: a model of Hugging Face format.

    Raises:
        ModelError: it holds no weights.
    """
    digest = hashlib.sha256()
    for file in safetensors_files(folder):
        size = file.stat().st_size
        digest.update(str(size).encode())
        with file.open("rb") as stream:
            for sample in range(_SAMPLES):
                stream.seek(max(0, size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]


def seal_adapter(folder: Path, base: Path) -> Seal:
    """Write the seal of a finished adapter, which ``check_adapter`` holds it to."""
    files = {name: _sha256(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)}
    seal = Seal(base_fingerprint=model_fingerprint(base), sha256=files)
    write_json(folder / SEAL_FILE, seal)
    return seal


def check_adapter(folder: Path, base: Path | None, *, max_rank: int = MAX_RANK) -> None:
    """Refuse an adapter that is broken, changed or made for another base model.

    An adapter without a seal, trained elsewhere, is held to its sizes only.

    Args:
        folder: of the adapter.
        base: folder of the base model; None where it lies on another machine.
        max_rank: that the engine takes.

    Raises:
        ModelError: naming the folder and the reason.
    """
    config = _read_object(folder, CONFIG_FILE)
    check_seal(folder, base)
    _check_config(folder, config, max_rank)
    if base is None:
        return
    base_shapes: Shapes = {}
    for file in safetensors_files(base):
        base_shapes |= read_shapes(file)
    _check_tensors(folder, config, read_shapes(folder / WEIGHTS_FILE), base_shapes)


def read_shapes(file: Path) -> Shapes:
    """Return the shape of each tensor in a safetensors file.

    Raises:
        ModelError: the file is missing, cut off or not of this format.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, _HEADER_LIMIT):
                raise ModelError(f"{file}: cut off or no safetensors file")
            header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
        sound = all(_is_sound(entry) for entry in header.values())
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except OSError as error:
        raise ModelError(f"{file}: {error.strerror}") from error
    except (struct.error, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelError(f"{file}: no safetensors file: {error}") from error
    if not sound or 8 + length + end != size:
        raise ModelError(
            f"{file}: cut off or changed: its header says {8 + length + end} bytes, it has {size}"
        )
    return shapes


def _is_sound(entry: Mapping[str, Any]) -> bool:
    start, end = entry["data_offsets"]
    expected = _ITEM_BYTES.get(entry["dtype"], 0) * math.prod(entry["shape"])
    return bool(0 <= start <= end and (not expected or expected == end - start))


def check_seal(folder: Path, base: Path | None) -> None:
    """Refuse an adapter whose files are not those of its seal, or that is sealed for another base.

    Raises:
        ModelError: naming the file, or the base.
    """
    if not (folder / SEAL_FILE).exists():
        return
    record = _read_object(folder, SEAL_FILE)
    hashes = record.get("sha256")
    for name, expected in (hashes if isinstance(hashes, dict) else {}).items():
        if _sha256(folder / Path(name).name) != expected:
            raise ModelError(f"adapter {folder}: {name} was changed after training")
    if base is not None and record.get("base_fingerprint") != model_fingerprint(base):
        raise ModelError(f"adapter {folder} was trained on another base model than {base}")


def _check_config(folder: Path, config: Mapping[str, Any], max_rank: int) -> None:
    kind, rank, targets = config.get("peft_type"), config.get("r"), config.get("target_modules")
    if kind != "LORA":
        raise ModelError(f"adapter {folder}: peft_type is {kind!r}, only LORA is supported")
    ranks = (rank, *(config.get("rank_pattern") or {}).values())
    if wrong := [one for one in ranks if not isinstance(one, int) or not 1 <= one <= max_rank]:
        raise ModelError(f"adapter {folder}: rank {wrong[0]!r} is not between 1 and {max_rank}")
    if not targets or not isinstance(targets, list | str):
        raise ModelError(f"adapter {folder}: {CONFIG_FILE} names no target_modules")
    if config.get("use_dora"):
        raise ModelError(
            f"adapter {folder} was tuned with DoRA, which scales whole rows of the base model's matrices: no "
            "engine here does that for one request of a batch",
            next_command="deskmate --set train.method=lora train",
        )
    for key in ("modules_to_save", "trainable_token_indices", "alora_invocation_tokens"):
        if config.get(key):
            raise ModelError(f"adapter {folder}: {key} is not supported")


def _check_tensors(folder: Path, config: Mapping[str, Any], shapes: Shapes, base: Shapes) -> None:
    targets, rank = config["target_modules"], config["r"]
    ranks: dict[str, int] = config.get("rank_pattern") or {}
    seen = set()
    for name, shape in shapes.items():
        module = re.sub(r"\.lora_[AB]\.weight$", "", name.removeprefix(_PREFIX))
        size = base.get(f"{module}.weight")
        if size is None or len(size) != 2:  # noqa: PLR2004 - a matrix
            raise ModelError(f"adapter {folder}: {name} fits no layer of the base model")
        if config.get("fan_in_fan_out"):  # GPT-2 keeps its matrices the other way round
            size = size[::-1]
        own = next((value for key, value in ranks.items() if module.endswith(key)), rank)
        expected = (own, size[1]) if name.endswith(".lora_A.weight") else (size[0], own)
        if shape != expected:
            raise ModelError(f"adapter {folder}: {name} has shape {shape}, the base model needs {expected}")
        seen.add(name)
    wanted = _wanted_tensors(targets, config.get("layers_to_transform"), base)
    missing = sorted(wanted - seen)
    if missing or not seen:
        what = f"{len(missing)} tensors are missing, first {missing[0]}" if missing else "it holds no tensor"
        raise ModelError(f"adapter {folder}: {what}")


def _wanted_tensors(targets: list[str] | str, layers: list[int] | int | None, base: Shapes) -> set[str]:
    chosen = {layers} if isinstance(layers, int) else set(layers or ())
    wanted = set()
    for name in base:
        module = name.removesuffix(".weight")
        if module == name or not _is_target(module, targets):
            continue
        number = re.search(r"\.(\d+)\.", module)
        if chosen and (number is None or int(number.group(1)) not in chosen):
            continue
        wanted |= {f"{_PREFIX}{module}.lora_{side}.weight" for side in "AB"}
    return wanted


def _is_target(module: str, targets: list[str] | str) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, module) is not None
    return any(module == target or module.endswith(f".{target}") for target in targets)


def safetensors_files(folder: Path) -> list[Path]:
    """Return a base model's weights, by which its adapters know it.

    Raises:
        ModelError: it holds none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(
            f"model folder {folder} holds no *.safetensors, by which an adapter knows its base; save the "
            "model anew with save_pretrained of transformers"
        )
    return files


def _read_object(folder: Path, name: str) -> dict[str, Any]:
    try:
        record = json.loads((folder / name).read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"adapter {folder}: {name}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"adapter {folder}: {name} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise ModelError(f"adapter {folder}: {name} holds no object")
    return record


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{file}: {error.strerror}") from error
