import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.core.errors import ModelError, NotFoundError
from assistant.engine.adapters import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    check_adapter,
    model_fingerprint,
    seal_adapter,
)
from assistant.engine.local import LocalEngine

FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps(config | changes))


def edit_tensors(folder: Path, change: Callable[[dict], object]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / WEIGHTS_FILE)
    change(tensors)
    save_file(tensors, folder / WEIGHTS_FILE)


def cut(folder: Path) -> None:
    content = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(content[:-100])


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda f: (f / WEIGHTS_FILE).unlink(), "No such file"),
    "weights are text": (lambda f: (f / WEIGHTS_FILE).write_text("x" * 50), "cut off or no safetensors"),
    "weights are empty": (lambda f: (f / WEIGHTS_FILE).write_bytes(b""), "no safetensors file"),
    "cut off": (cut, "cut off or changed"),
    "config is no JSON": (lambda f: (f / CONFIG_FILE).write_text("{"), "is not JSON"),
    "config is a list": (lambda f: (f / CONFIG_FILE).write_text("[]"), "holds no object"),
    "other method": (lambda f: edit_config(f, peft_type="IA3"), "only LORA"),
    "DoRA": (lambda f: edit_config(f, use_dora=True), "tuned with DoRA"),
    "rank of nothing": (lambda f: edit_config(f, r=0), "rank 0"),
    "other rank": (lambda f: edit_config(f, r=8), r"has shape \(.*4.*\), the base model needs \(.*8.*\)"),
    "no targets": (lambda f: edit_config(f, target_modules=[]), "names no target_modules"),
    "a target has no tensors": (
        lambda f: edit_config(f, target_modules=["q_proj", "v_proj", "down_proj", "o_proj"]),
        r"4 tensors are missing, first .*o_proj\.lora_A",
    ),
    "a tensor is missing": (lambda f: edit_tensors(f, lambda t: t.pop(FIRST)), "1 tensors are missing"),
    "a tensor of no layer": (
        lambda f: edit_tensors(f, lambda t: t.update({FIRST.replace("layers.0", "layers.9"): t[FIRST] * 1})),
        "fits no layer of the base model",
    ),
}


@pytest.fixture
def adapter(tmp_path: Path, tiny_adapters: dict[str, Path]) -> Path:
    return Path(shutil.copytree(tiny_adapters["pumps"], tmp_path / "copy"))


@pytest.mark.parametrize("case", BROKEN)
def test_broken_adapter_is_refused(case: str, adapter: Path, tiny_model: Path) -> None:
    check_adapter(adapter, tiny_model)
    breaking, reason = BROKEN[case]
    breaking(adapter)
    with pytest.raises(ModelError, match=reason) as caught:
        check_adapter(adapter, tiny_model)
    assert str(adapter) in caught.value.message


def test_layers_and_pattern_of_targets_are_understood(adapter: Path, tiny_model: Path) -> None:
    edit_tensors(adapter, lambda t: [t.pop(name) for name in list(t) if "layers.0" in name])
    with pytest.raises(ModelError, match="tensors are missing"):
        check_adapter(adapter, tiny_model)
    edit_config(adapter, layers_to_transform=[1])
    check_adapter(adapter, tiny_model)
    edit_config(adapter, target_modules=r".*\.(q_proj|v_proj|down_proj)", rank_pattern={"q_proj": 4})
    check_adapter(adapter, tiny_model)
    edit_config(adapter, rank_pattern={"q_proj": 8})
    with pytest.raises(ModelError, match="the base model needs"):
        check_adapter(adapter, tiny_model)


def test_sealed_adapter_that_was_changed(adapter: Path, tiny_model: Path) -> None:
    seal_adapter(adapter, tiny_model)
    check_adapter(adapter, tiny_model)
    edit_tensors(adapter, lambda t: t.update({FIRST: t[FIRST] * 2}))
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors was changed after training"):
        check_adapter(adapter, tiny_model)


def test_sealed_adapter_of_another_base_of_the_same_size(
    adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(tiny_model, tmp_path / "other"))
    assert model_fingerprint(other) == model_fingerprint(tiny_model)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    assert model_fingerprint(other) != model_fingerprint(tiny_model)
    seal_adapter(adapter, other)
    with pytest.raises(ModelError, match="was trained on another base model"):
        check_adapter(adapter, tiny_model)


def test_engine_refuses_and_goes_on(
    local: Callable[..., LocalEngine], ask: Callable, adapter: Path, tiny_adapters: dict[str, Path]
) -> None:
    engine = local()
    before = engine.complete([ask("Pump?")])
    edit_tensors(adapter, lambda t: t.update({FIRST: t[FIRST] * float("nan")}))
    with pytest.raises(ModelError, match="no numbers"):
        engine.load_adapter("bad", str(adapter))
    assert engine.adapters() == ()
    engine.load_adapter("bad", str(tiny_adapters["pumps"]))
    with pytest.raises(ModelError, match=r"stands for .* already"):
        engine.load_adapter("bad", str(tiny_adapters["ovens.v2"]))
    assert engine.complete([ask("Pump?")]) == before
    assert engine.complete([ask("Pump?", adapter="bad")]) != before


def test_an_unloaded_adapter_leaves_the_others_as_they_were(
    local: Callable[..., LocalEngine], ask: Callable, read: Callable, tiny_adapters: dict[str, Path]
) -> None:
    engine = local()
    before = engine.complete([ask("Pump?")])[0].text
    texts = {}
    for name, folder in tiny_adapters.items():
        engine.load_adapter(name, str(folder))
        texts[name] = engine.complete([ask("Pump?", adapter=name)])[0].text
    stream = engine.stream(ask("Pump?", adapter="pumps", max_new_tokens=60))
    next(stream)
    unloading = threading.Thread(target=engine.unload_adapter, args=("pumps",))
    unloading.start()
    assert read(stream)[1].finish_reason == "length"  # what is under way ends first
    unloading.join(10)
    with pytest.raises(NotFoundError):
        engine.complete([ask("Pump?", adapter="pumps")])
    assert engine.complete([ask("Pump?", adapter="ovens.v2")])[0].text == texts["ovens.v2"]
    engine.unload_adapter("ovens.v2")
    engine.unload_adapter("ovens.v2")  # once more does nothing
    assert engine.complete([ask("Pump?")])[0].text == before
    for name, folder in tiny_adapters.items():
        engine.load_adapter(name, str(folder))
        assert engine.complete([ask("Pump?", adapter=name)])[0].text == texts[name]


def test_a_local_adapter_proves_itself(
    local: Callable[..., LocalEngine], adapter: Path, tiny_adapters: dict[str, Path]
) -> None:
    engine = local()
    engine.load_adapter("pumps", str(adapter))
    assert engine.numerics().endswith("/cpu/float32")
    assert not engine.prove_adapter("pumps")  # recorded
    assert engine.prove_adapter("pumps")
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copy(tiny_adapters["ovens.v2"] / file, adapter / file)
    other = local()
    other.load_adapter("pumps", str(adapter))
    with pytest.raises(ModelError, match="fails its canary"):
        other.prove_adapter("pumps")
