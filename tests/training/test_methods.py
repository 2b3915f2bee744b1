"""LoRA and its relatives on the tiny model: each learns and is written as PEFT reads it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from assistant.core.errors import ModelError
from assistant.core.settings_train import TrainSettings
from assistant.engine.adapters import check_adapter
from training.losses import checkpoint_activations
from training.session import TrainReport
from training.student import Student, training_dtype

TrainTiny = Callable[..., TrainReport]


def logits(base: Path, adapter: Path) -> object:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    tuned = PeftModel.from_pretrained(model, str(adapter)).eval()
    with torch.no_grad():
        return tuned(torch.tensor([[5, 6, 7, 8, 9]])).logits


@pytest.mark.parametrize(
    "changes",
    [{"method": "rslora"}, {"method": "dora"}, {"plus_ratio": 16.0}],
    ids=["rslora", "dora", "lora+"],
)
def test_every_method_learns(train_tiny: TrainTiny, changes: dict[str, object]) -> None:
    report = train_tiny(**changes)
    assert report.last_loss < 0.9 * report.first_loss
    assert report.way == "SharedPrefix"


def test_checkpointed_activations_change_nothing(train_tiny: TrainTiny) -> None:
    plain = train_tiny("plain", epochs=1)
    checkpointed = train_tiny("checkpointed", epochs=1, activation_checkpointing=True)
    assert checkpointed.last_loss == pytest.approx(plain.last_loss, rel=1e-4)


def test_rslora_is_written_as_plain_lora(train_tiny: TrainTiny, tiny_model: Path, tmp_path: Path) -> None:
    import torch

    report = train_tiny(method="rslora", epochs=1)
    folder = Path(report.adapter)
    check_adapter(folder, tiny_model)
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    assert config["use_rslora"] is False
    assert config["lora_alpha"] == pytest.approx(8 * 2)  # alpha / √rank = alpha · √rank / rank
    written = logits(tiny_model, folder)
    config |= {"use_rslora": True, "lora_alpha": 8}
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    torch.testing.assert_close(written, logits(tiny_model, folder))


def test_a_dora_adapter_is_peft_s_own(train_tiny: TrainTiny, tiny_model: Path) -> None:
    import torch

    folder = Path(train_tiny(method="dora", epochs=1).adapter)
    assert bool(torch.as_tensor(logits(tiny_model, folder)).isfinite().all())
    with pytest.raises(ModelError, match="tuned with DoRA"):
        check_adapter(folder, tiny_model)


def test_lora_plus_moves_the_second_matrices_faster(train_tiny: TrainTiny) -> None:
    from safetensors.torch import load_file

    plain, plus = (
        load_file(Path(train_tiny(name, plus_ratio=ratio, epochs=1).adapter) / "adapter_model.safetensors")
        for name, ratio in (("plain", 1.0), ("plus", 16.0))
    )
    sizes = [sum(float(w.abs().sum()) for n, w in found.items() if "lora_B" in n) for found in (plain, plus)]
    assert sizes[1] > 2 * sizes[0]


def test_chosen_targets_only(train_tiny: TrainTiny, tiny_model: Path) -> None:
    folder = Path(train_tiny(targets=("q_proj", "v_proj"), epochs=1).adapter)
    check_adapter(folder, tiny_model)
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    assert config["target_modules"] == ["q_proj", "v_proj"]


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="it is installed")
def test_four_bits_without_the_package_are_refused(train_tiny: TrainTiny) -> None:
    with pytest.raises(ModelError, match="needs the package bitsandbytes") as caught:
        train_tiny(quantize="nf4")
    assert caught.value.next_command == "pip install 'deskmate[qlora]'"


@pytest.mark.slow
@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ("q_proj",)], ids=str)
def test_four_bits_without_an_adapter_let_the_gradient_through(
    train_tiny: TrainTiny, targets: tuple[str, ...]
) -> None:
    pytest.importorskip("bitsandbytes")
    wide = train_tiny("wide", targets=targets)
    packed = train_tiny("packed", targets=targets, quantize="nf4")
    assert packed.first_loss == pytest.approx(wide.first_loss, rel=0.1)
    assert packed.last_loss == pytest.approx(wide.last_loss, rel=0.1)


@pytest.mark.slow
def test_four_bits_learn_and_are_asked_meanwhile(train_tiny: TrainTiny, tiny_model: Path) -> None:
    pytest.importorskip("bitsandbytes")
    report = train_tiny(quantize="nf4", validation_examples=2, validations=2)
    assert report.last_loss < 0.95 * report.first_loss
    check_adapter(Path(report.adapter), tiny_model)


def test_a_template_that_drops_instructions_is_refused(
    tiny_model: Path, tmp_path: Path, train_tiny: TrainTiny
) -> None:
    import shutil

    for name, template, reason in (
        (
            "drops",
            "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
            "drops",
        ),
        ("raises", "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}x", "refuses"),
    ):
        base = shutil.copytree(tiny_model, tmp_path / name)
        (base / "chat_template.jinja").write_text(template, "utf-8")
        with pytest.raises(ModelError, match=f"chat template {reason}"):
            train_tiny(base=base)


def test_a_base_without_a_template_is_refused(
    tiny_model: Path, tmp_path: Path, train_tiny: TrainTiny
) -> None:
    import shutil

    base = shutil.copytree(tiny_model, tmp_path / "bare")
    (base / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template; name an instruct model"):
        train_tiny(base=base)


def test_bf16_only_where_it_is_fast() -> None:
    settings = TrainSettings()
    assert training_dtype(settings, "float32") == "float32"
    assert training_dtype(msgspec.structs.replace(settings, dtype="bfloat16"), "float32") == "bfloat16"


def test_dropout_works_in_the_adapter_only(tiny_model: Path) -> None:
    student = Student(tiny_model, TrainSettings(rank=2, dropout=0.5), "float32")
    training = {name for name, module in student.model.named_modules() if module.training}
    assert any("lora_dropout" in name for name in training)
    assert not any(name.endswith(("layers.0", "self_attn")) for name in training)


@pytest.mark.parametrize("target", ["nothing", "lm_head", "embed_tokens", "roj"])
def test_targets_that_are_not_there_are_refused_beside_others(train_tiny: TrainTiny, target: str) -> None:
    with pytest.raises(ModelError, match=rf"\[train\] targets: '{target}' is no.*down_proj.*v_proj"):
        train_tiny(targets=("q_proj", target))


def test_checkpointing_that_finds_no_layers_is_refused(tiny_model: Path) -> None:
    model = Student(tiny_model, TrainSettings(rank=2), "float32").causal
    model.config.num_hidden_layers = 3
    with pytest.raises(ModelError, match="no list of 3 layers"):
        checkpoint_activations(model)


def test_weights_by_which_no_adapter_knows_its_base_are_refused_first(
    tiny_model: Path, tmp_path: Path, train_tiny: TrainTiny
) -> None:
    import shutil

    import torch
    from safetensors.torch import load_file

    base = shutil.copytree(tiny_model, tmp_path / "bin")
    torch.save(load_file(base / "model.safetensors"), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no \*\.safetensors"):
        train_tiny(base=base)
    assert not (tmp_path / "runs" / "train-a" / "metrics.jsonl").exists()
