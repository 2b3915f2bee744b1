"""Look at a model folder before a heavy library does, so that an error names the file and the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from assistant.core.errors import ModelError
from assistant.models.catalogue import ModelKind

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
)
_CAUSAL = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_LENGTH_BYTES, _MOST_HEADER_BYTES = 8, 100_000_000


def check_folder(folder: Path, kind: ModelKind) -> None:
    """Check that a folder holds a model of a kind: description, whole weights, tokenizer.

    Raises:
        ModelError: naming the file and what is wrong with it.
    """
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        raise ModelError(f"{folder} is a LoRA adapter, not a model; name the folder of its base model")
    weights_folder = folder / _first_module(folder)
    config = read_object(weights_folder / "config.json")
    _check_weights(weights_folder)
    if not any((weights_folder / name).is_file() for name in _TOKENIZER_FILES):
        raise ModelError(f"{weights_folder} has no tokenizer: none of {', '.join(_TOKENIZER_FILES)}")
    is_causal = any(str(name).endswith(_CAUSAL) for name in config.get("architectures") or ())
    if kind == "generator":
        _check_generator(folder, config, is_causal=is_causal)
    elif is_causal and not (folder / "modules.json").exists():
        raise ModelError(f"{folder} is a generator, not an embedder: {config['architectures']}")


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        ModelError: the file is missing or no JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no JSON object")
    return value


def weight_files(folder: Path) -> list[Path]:
    """Return the weights of a folder, safetensors where there are any."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def _first_module(folder: Path) -> str:
    """Return where a sentence-transformers folder keeps its transformer, relative to it."""
    path = folder / "modules.json"
    if not path.exists():
        return ""
    try:
        return str(json.loads(path.read_bytes())[0]["path"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{path} is no list of modules: {error!r}") from error


def _check_generator(folder: Path, config: dict[str, Any], *, is_causal: bool) -> None:
    if not is_causal:
        raise ModelError(f"{folder} is no generator: its config.json names {config.get('architectures')}")
    described = folder / "tokenizer_config.json"
    has_template = any((folder / f"chat_template.{end}").is_file() for end in ("jinja", "json"))
    if not has_template and not (described.is_file() and read_object(described).get("chat_template")):
        raise ModelError(f"{folder} has no chat template; name an instruction-tuned model")


def _check_weights(folder: Path) -> None:
    files = weight_files(folder)
    if not files:
        raise ModelError(f"{folder} has no weights: no *.safetensors and no *.bin")
    for index in folder.glob("*.index.json"):
        named = set(map(str, read_object(index).get("weight_map", {}).values()))
        missing = sorted(name for name in named if not (folder / name).is_file())
        if missing:
            raise ModelError(f"{folder} lacks {missing[0]}, which {index.name} names")
    for file in files:
        if file.suffix == ".safetensors":
            _check_safetensors(file)
        elif file.stat().st_size == 0:
            raise ModelError(f"{file} is empty")


def _check_safetensors(file: Path) -> None:
    """Compare the file's size with what its header says: a copy or download that broke off is common."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        header_size = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or header_size > min(_MOST_HEADER_BYTES, size - _LENGTH_BYTES):
            raise ModelError(f"{file} is cut off or no safetensors file ({size} bytes)")
        raw = opened.read(header_size)
    try:
        header = json.loads(raw)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        expected = _LENGTH_BYTES + header_size + max(ends, default=0)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} is no safetensors file: its header cannot be read") from error
    if size != expected:
        raise ModelError(f"{file} is cut off: {size} bytes instead of {expected}")
