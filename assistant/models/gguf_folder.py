"""GGUF to a folder of Hugging Face format: bfloat16 weights, tokenizer, chat template, greedy decoding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.errors import ModelError
from assistant.models.catalogue import Decoding, ModelSpec

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

# Two quantizations of one matrix differ by a few percent, two matrices that were trained apart by 100.
SAME_MATRIX_SHARE = 0.2
_COMPARED_ROWS = 4096


def write_gguf_folder(spec: ModelSpec, source: Path, target: Path) -> None:
    """Dequantize a GGUF file and save model, tokenizer and generation settings.

    Raises:
        ModelError: the file is no such model, or what was saved does not hold together.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    if spec.decoding is None:
        raise ModelError(f"{spec.name}: the catalogue says nothing about decoding")
    file = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
    try:
        # read once and handed on: parsing a file's vocabulary takes ten seconds each time
        config = AutoConfig.from_pretrained(**file)
        tokenizer = AutoTokenizer.from_pretrained(**file, config=config)
        # said aloud: where matmul kernels are installed, the weights would stay packed
        plain = GgufConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(
            **file, config=config, dtype=torch.bfloat16, quantization_config=plain
        )
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise ModelError(f"{source.name} cannot be read as GGUF: {error}") from error
    _forget_quantization(model)
    _tie_same_matrices(model)
    model.generation_config = _greedy(spec.decoding)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    check_gguf_folder(target, spec.decoding)


def _forget_quantization(model: PreTrainedModel) -> None:
    """Remove what says that the weights are quantized: they are plain now; saving refuses otherwise."""
    # the label is the file's own and wrong: Qwen's 0.5B calls itself "AWQ"
    for attribute in ("quantization_config", "_model_name_or_path"):
        model.config.__dict__.pop(attribute, None)
    for attribute in ("hf_quantizer", "quantization_method", "is_quantized"):
        if attribute in model.__dict__:
            delattr(model, attribute)


def _tie_same_matrices(model: PreTrainedModel) -> None:
    """Tie embedding to head where a file holds one matrix in two quantizations; the head's is finer."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if embedding.weight.data_ptr() == head.weight.data_ptr():
        return
    if _difference(embedding.weight, head.weight) > SAME_MATRIX_SHARE:
        return
    model.config.tie_word_embeddings = True
    embedding.weight.data = head.weight.data
    model.tie_weights()


def _difference(a: Tensor, b: Tensor) -> float:
    """Return the norm of the difference as a share of the norm, over the first rows."""
    if a.shape != b.shape:
        return float("inf")
    first, second = a[:_COMPARED_ROWS].float(), b[:_COMPARED_ROWS].float()
    return float(((first - second).norm() / second.norm()).detach())


def _greedy(decoding: Decoding) -> object:
    from transformers import GenerationConfig

    return GenerationConfig(
        bos_token_id=decoding.bos_token_id,
        pad_token_id=decoding.pad_token_id,
        eos_token_id=list(decoding.eos_token_ids),
        do_sample=False,
    )


def check_gguf_folder(folder: Path, decoding: Decoding) -> None:
    """Read back what was saved.

    Raises:
        ModelError: chat template, special tokens or embedding do not fit each other.
    """
    from safetensors import safe_open
    from transformers import AutoTokenizer

    config = json.loads((folder / "config.json").read_text("utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with safe_open(folder / "model.safetensors", framework="np") as weights:
        rows, width = weights.get_slice("model.embed_tokens.weight").get_shape()
    problems = {
        "it still says that it is quantized": "quantization_config" in config,
        "the tokenizer has no chat template": not tokenizer.chat_template,
        "the tokenizer's end token does not end a generation": (
            tokenizer.eos_token_id not in decoding.eos_token_ids
        ),
        f"the embedding is {rows} x {width}": (rows, width) != (config["vocab_size"], config["hidden_size"]),
        "the tokenizer has more tokens than the embedding": len(tokenizer) > rows,
    }
    found = [text for text, is_so in problems.items() if is_so]
    if found:
        raise ModelError(f"the converted folder does not hold together: {'; '.join(found)}")
