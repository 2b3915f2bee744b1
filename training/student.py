"""The base model with a fresh adapter on top: how it is loaded, what it computes, how it is written."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core.errors import ModelError, ResourceError
from assistant.core.jsonl import write_json
from assistant.core.records import Message
from assistant.core.settings_train import TrainSettings
from assistant.engine.adapters import CONFIG_FILE, seal_adapter
from assistant.engine.loading import LoadedModel, load_model
from training.losses import PackLoss, checkpoint_activations, choose_loss
from training.rendering import Pack

if TYPE_CHECKING:
    import torch

MODEL_CARD = "README.md"
_PROBE = (
    Message(role="system", content="Passage one."),
    Message(role="user", content="Question two?"),
)


class Student:
    """The model that is tuned.

    Args:
        base_folder: of the base model.
        settings: of training.
        dtype: of the base, ``bfloat16`` or ``float32``.

    Raises:
        ModelError: the base cannot be loaded, has no chat template, or this machine cannot do the method.
    """

    def __init__(self, base_folder: Path, settings: TrainSettings, dtype: str) -> None:
        import torch
        from peft import get_peft_model

        torch.manual_seed(settings.seed)
        self._settings = settings
        self._base_folder = base_folder
        loaded = open_base(base_folder, settings, dtype)
        self.tokenizer = loaded.tokenizer
        self.config = loaded.model.config
        self.end_ids = sorted(loaded.end_ids)
        self.window_tokens = loaded.window_tokens
        self._has_windows = loaded.has_windows
        check_template(base_folder, loaded)
        check_targets(loaded.model, settings.targets)
        with warnings.catch_warnings():  # PEFT asks transformers by an old name, and tells of layers of GPT-2
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", "fan_in_fan_out")
            self.model: Any = get_peft_model(
                loaded.model, adapter_config(settings), autocast_adapter_dtype=False
            )
        self.causal = self.model.get_base_model()
        self._set_modes()
        if settings.activation_checkpointing:
            checkpoint_activations(self.causal)
        self._loss: PackLoss | None = None

    def named_weights(self) -> list[tuple[str, torch.Tensor]]:
        """Return the learnt weights by name."""
        return [(name, weight) for name, weight in self.model.named_parameters() if weight.requires_grad]

    @property
    def pad_id(self) -> int:
        """Token that fills up rows."""
        return self.end_ids[0] if self.end_ids else 0

    def choose_loss(self, packs: Sequence[Pack]) -> str:
        """Choose how packs are computed; return the name of the way."""
        self._loss = choose_loss(self.causal, packs, self.pad_id, has_windows=self._has_windows)
        return type(self._loss).__name__

    def backward(self, pack: Pack) -> torch.Tensor:
        """Add the gradients of a pack's loss to the weights; return the loss, of shape (1,)."""
        import torch

        if self._loss is None:
            self.choose_loss([pack])
        assert self._loss is not None  # noqa: S101 - chosen above
        total = torch.zeros(1, device=self.causal.device)
        for part in self._loss.parts(pack):
            part.backward()  # type: ignore[no-untyped-call]
            total += part.detach().float()
        return total

    def _set_modes(self) -> None:
        """Let the adapter's dropout work and nothing else of the base's.

        PEFT's layers are put into training mode whole, and 4-bit layers without an adapter too: on processors
        these reorder their weights in evaluation mode for good, and then let no gradient through.
        """
        from peft.tuners.lora import LoraLayer

        self.model.eval()
        for module in self.model.modules():
            if isinstance(module, LoraLayer) or type(module).__name__ == "Linear4bit":
                module.train()

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
        """Return the greedy continuation of each prompt, within the base's window."""
        import torch

        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self.pad_id)
        seen = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
            seen[row, longest - len(prompt) :] = 1
        device = self.causal.device
        dropouts = [m for m in self.model.modules() if isinstance(m, torch.nn.Dropout) and m.training]
        for dropout in dropouts:
            dropout.eval()
        with torch.no_grad():
            out = self.causal.generate(
                input_ids=ids.to(device),
                attention_mask=seen.to(device),
                max_new_tokens=max(1, min(max_new_tokens, self.window_tokens - longest)),
                do_sample=False,
                eos_token_id=self.end_ids,
                pad_token_id=self.pad_id,
            )
        for dropout in dropouts:
            dropout.train()
        return [self.tokenizer.decode(row.tolist()) for row in out[:, longest:]]

    def save(self, folder: Path) -> None:
        """Write the adapter's folder; it appears whole or not at all.

        Raises:
            ResourceError: the disk does not take it.
        """
        for left in folder.parent.glob(f".{folder.name}.*.tmp"):  # of a process that was killed here
            shutil.rmtree(left, ignore_errors=True)
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        try:
            self._write(temporary)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _write(self, folder: Path) -> None:
        from safetensors import SafetensorError

        try:
            self.model.save_pretrained(folder)
        except SafetensorError as error:
            raise ResourceError(
                f"the adapter cannot be written to {folder.parent}: {error}; with room, the same "
                "command goes on from the last checkpoint, if there is one",
                next_command="deskmate doctor",
            ) from error
        (folder / MODEL_CARD).unlink(missing_ok=True)  # PEFT's empty form, with the path of the base
        _write_plain_config(folder / CONFIG_FILE, self._base_folder)
        seal_adapter(folder, self._base_folder)


def check_targets(model: Any, targets: Sequence[str]) -> None:
    """Refuse layers that the base does not have or that no engine here adapts; PEFT passes over some of them.

    Raises:
        ModelError: naming what is there instead.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    ]
    unknown = [t for t in targets if not any(name == t or name.endswith(f".{t}") for name in names)]
    if unknown:
        there = sorted({name.rpartition(".")[2] for name in names})
        raise ModelError(
            f"[train] targets: {', '.join(map(repr, unknown))} is no linear layer below the base model's "
            f"output head; there are {', '.join(there)}"
        )


def adapter_config(settings: TrainSettings) -> Any:
    """Return PEFT's settings of the adapter."""
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets) or "all-linear",
        use_rslora=settings.method == "rslora",
        use_dora=settings.method == "dora",
        task_type="CAUSAL_LM",
    )


def open_base(folder: Path, settings: TrainSettings, dtype: str) -> LoadedModel:
    """Load the base model, in 4 bits if the settings say so.

    Raises:
        ModelError: it cannot be loaded, or this machine cannot quantize.
    """
    if settings.quantize == "none":
        return load_model(folder, dtype)
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(
            '[train] quantize = "nf4" needs the package bitsandbytes, which is not installed',
            next_command="pip install 'deskmate[qlora]'",
        )
    import torch
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )
    return load_model(folder, dtype, quantization=quantization)


def check_template(folder: Path, loaded: LoadedModel) -> None:
    """Refuse a chat template that loses a part of the conversation or refuses instructions.

    Raises:
        ModelError: naming the part.
    """
    from jinja2 import TemplateError

    try:
        ids = loaded.tokenizer.prompt_ids(_PROBE)
    except (TemplateError, TypeError, ValueError, KeyError) as error:
        raise ModelError(f"model folder {folder}: its chat template refuses instructions: {error}") from error
    text = loaded.tokenizer.decode(ids)
    for message in _PROBE:
        if message.content not in text:
            raise ModelError(f"model folder {folder}: its chat template drops the {message.role}'s message")


def training_dtype(settings: TrainSettings, engine_dtype: str) -> str:
    """Return the type that the base computes in: bfloat16 only where the processor is fast in it."""
    import torch

    if settings.dtype != "auto":
        return settings.dtype
    if engine_dtype != "bfloat16" or torch.cuda.is_available():
        return engine_dtype
    try:  # avx512_bf16, amx_bf16 or Arm's bf16
        return "bfloat16" if "bf16" in Path("/proc/cpuinfo").read_text("utf-8") else "float32"
    except OSError:
        return "bfloat16"


def _write_plain_config(path: Path, base_folder: Path) -> None:
    """Write rsLoRA's scale as plain LoRA's alpha, which every engine reads, and the base by its name."""
    config = json.loads(path.read_text("utf-8"))
    if config.get("use_rslora"):
        config["lora_alpha"] *= math.sqrt(config["r"])
        config["use_rslora"] = False
    config["base_model_name_or_path"] = base_folder.name
    config["target_modules"] = sorted(config["target_modules"])
    write_json(path, config)
