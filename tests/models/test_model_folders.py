from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from assistant.core.errors import ModelError
from assistant.core.home import Home
from assistant.core.settings import ModelsSettings
from assistant.models.catalogue import CATALOGUE, ModelKind
from assistant.models.folders import model_fingerprint, resolve_model
from assistant.models.manifest import MANIFEST, write_manifest

QWEN = "qwen2.5-coder-0.5b-instruct"


def write_model(folder: Path, architecture: str = "Qwen2ForCausalLM") -> Path:
    """A folder that looks like a model; its weights are one small tensor."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture], "hidden_size": 4}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    save_file({"weight": np.arange(16, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def resolve(name: str | Path, home: Home, kind: ModelKind = "generator", **settings: bool) -> Path:
    return resolve_model(str(name), kind, home, ModelsSettings(**settings))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "公司模型")


def test_a_folder_of_ones_own_is_taken(model: Path, home: Home) -> None:
    assert resolve(model, home) == model


def test_a_prepared_model_is_found_by_name(home: Home) -> None:
    write_manifest(CATALOGUE[QWEN], write_model(home.models / QWEN))
    assert resolve(QWEN, home) == home.models / QWEN


@pytest.mark.parametrize(
    ("name", "command"),
    [(QWEN, "deskmate models prepare"), ("smollm2-135m-instruct", "deskmate models prepare --profile test")],
)
def test_a_model_that_is_not_prepared_names_the_command(name: str, command: str, home: Home) -> None:
    with pytest.raises(ModelError, match=f"model '{name}' is not prepared") as caught:
        resolve(name, home)
    assert caught.value.next_command == command


def test_a_prepared_model_that_was_cut_is_broken(home: Home) -> None:
    folder = write_model(home.models / QWEN)
    write_manifest(CATALOGUE[QWEN], folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(ModelError, match=r"is broken: .*model\.safetensors has 100 bytes instead of"):
        resolve(QWEN, home)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"is broken: .*model\.safetensors is missing"):
        resolve(QWEN, home)


def test_the_wrong_kind_is_refused(model: Path, tmp_path: Path, home: Home) -> None:
    with pytest.raises(ModelError, match=r"\[embedder\] model names '.*', which is no embedder"):
        resolve(QWEN, home, "embedder")
    with pytest.raises(ModelError, match="is a generator, not an embedder"):
        resolve(model, home, "embedder")
    bert = write_model(tmp_path / "bert", "BertModel")
    assert resolve(bert, home, "embedder") == bert
    with pytest.raises(ModelError, match=r"is no generator: its config\.json names \['BertModel'\]"):
        resolve(bert, home)


def test_an_unknown_name_explains_the_three_ways(home: Home) -> None:
    with pytest.raises(ModelError) as caught:
        resolve("Qwen/Qwen3-0.6B", home)
    for part in ("[engine] base_model", QWEN, "folder of Hugging Face format", "allow_hub = true"):
        assert part in str(caught.value)
    with pytest.raises(ModelError, match="there is no folder /没有"):
        resolve("/没有", home)


def test_a_hub_that_is_not_reachable_is_said(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"'Qwen/Qwen3-0.6B' cannot be fetched from the hub"):
        resolve("Qwen/Qwen3-0.6B", home, allow_hub=True)


def damage(folder: Path, what: str) -> None:
    weights = folder / "model.safetensors"
    changes: dict[str, Callable[[], Any]] = {
        "no config": (folder / "config.json").unlink,
        "bad config": lambda: (folder / "config.json").write_text("{"),
        "list config": lambda: (folder / "config.json").write_text("[]"),
        "no weights": weights.unlink,
        "cut weights": lambda: weights.write_bytes(weights.read_bytes()[:-1]),
        "pointer": lambda: weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "binary header": lambda: weights.write_bytes((8).to_bytes(8, "little") + b"\xff" * 8),
        "missing shard": lambda: (folder / "model.safetensors.index.json").write_text(
            '{"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}'
        ),
        "no tokenizer": (folder / "tokenizer.json").unlink,
        "no template": (folder / "chat_template.jinja").unlink,
        "bad modules": lambda: (folder / "modules.json").write_text("[]"),
        "adapter": lambda: (folder / "config.json").rename(folder / "adapter_config.json"),
    }
    changes[what]()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no config", r"config\.json: No such file"),
        ("bad config", r"config\.json is no JSON"),
        ("list config", r"config\.json holds no JSON object"),
        ("no weights", r"has no weights: no \*\.safetensors"),
        ("cut weights", r"model\.safetensors is cut off: \d+ bytes instead of \d+"),
        ("pointer", r"model\.safetensors is cut off or no safetensors file \(\d+ bytes\)"),
        ("binary header", r"model\.safetensors is no safetensors file"),
        ("missing shard", r"lacks model-2\.safetensors, which model\.safetensors\.index\.json names"),
        ("no tokenizer", "has no tokenizer"),
        ("no template", "has no chat template"),
        ("bad modules", r"modules\.json is no list of modules"),
        ("adapter", "is a LoRA adapter, not a model"),
    ],
)
def test_a_broken_folder_is_refused_with_file_and_reason(
    model: Path, home: Home, what: str, message: str
) -> None:
    damage(model, what)
    with pytest.raises(ModelError, match=message):
        resolve(model, home)


def test_an_embedder_may_keep_its_transformer_one_level_below(tmp_path: Path, home: Home) -> None:
    folder = tmp_path / "st"
    write_model(folder / "0_Transformer", "BertModel")
    (folder / "modules.json").write_text('[{"idx": 0, "path": "0_Transformer"}]')
    assert resolve(folder, home, "embedder") == folder
    (folder / "0_Transformer" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="0_Transformer has no weights"):
        resolve(folder, home, "embedder")


def test_the_fingerprint_follows_the_content_and_not_the_place(
    model: Path, home: Home, tmp_path: Path
) -> None:
    before = model_fingerprint(model, home)
    copy = Path(shutil.copytree(model, tmp_path / "copy"))
    assert model_fingerprint(copy) == before
    (model / "README.md").write_text("不影响")
    assert model_fingerprint(model, home) == before
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert model_fingerprint(model, home) != before


def test_a_prepared_model_has_the_fingerprint_of_its_copy(model: Path, home: Home, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model, tmp_path / "copy"))
    write_manifest(CATALOGUE[QWEN], model)
    assert (model / MANIFEST).exists()
    assert model_fingerprint(model) == model_fingerprint(copy)


def test_hashes_are_kept_and_a_broken_cache_is_ignored(model: Path, home: Home) -> None:
    before = model_fingerprint(model, home)
    (cache,) = (home.models / ".fingerprints").iterdir()
    kept = json.loads(cache.read_text())
    assert set(kept) == {"config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"}
    kept["config.json"]["sha256"] = "0" * 64
    cache.write_text(json.dumps(kept))
    assert model_fingerprint(model, home) != before, "the kept hash was used"
    cache.write_text("{")
    assert model_fingerprint(model, home) == before
