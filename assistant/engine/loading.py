"""A model folder of Hugging Face format into memory, or a clear word on what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assistant.core.errors import ModelError
from assistant.engine.tokenizing import ChatTokenizer

_NEXT = "deskmate models prepare"
_PROBE = "valve 12"
_ANSWER = "turned 34"
_NO_WINDOW = 1 << 20
_KNOWN_LAYERS = {"full_attention", "sliding_attention"}


class LoadedModel:
    """A base model in memory with what the engine must know of it.

    Attributes:
        model: of transformers, in evaluation mode.
        tokenizer: with its chat template.
        layer_count: attention layers.
        has_windows: some layers see the last tokens only.
        window_tokens: prompt and generated tokens together.
        end_ids: tokens that end a text.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        config = model.config
        layers = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
        self.model = model
        self.layer_count = len(layers)
        self.has_windows = "sliding_attention" in layers
        self.window_tokens = _window_tokens(config)
        self.end_ids = _end_ids(model, tokenizer)
        self.tokenizer = ChatTokenizer(tokenizer, _turn_end(tokenizer, self.end_ids))


def load_model(folder: Path, dtype: str, *, quantization: Any = None) -> LoadedModel:
    """Load a model and its tokenizer.

    Args:
        folder: config.json, *.safetensors and the tokenizer's files.
        dtype: ``bfloat16`` or ``float32``.
        quantization: settings of transformers for weights of few bits, to be trained on.

    Raises:
        ModelError: naming the folder and the reason.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoTokenizer
    from transformers.utils import logging

    if not (folder / "config.json").is_file():
        raise ModelError(f"model folder {folder}: config.json is missing", next_command=_NEXT)
    logging.disable_progress_bar()
    try:
        model = _load_weights(folder, getattr(torch, dtype), quantization)
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"model folder {folder} cannot be loaded: {error}", next_command=_NEXT) from error
    _check_tokenizer(folder, tokenizer, model.get_input_embeddings().num_embeddings)
    unknown = set(getattr(model.config, "layer_types", None) or ()) - _KNOWN_LAYERS
    if unknown:
        raise ModelError(f"model folder {folder}: layers of kind {sorted(unknown)} are not supported here")
    return LoadedModel(model, tokenizer)


def _check_tokenizer(folder: Path, tokenizer: Any, vocabulary_size: int) -> None:
    """Refuse a tokenizer that is missing, which transformers replaces by an empty one, or another model's."""
    from jinja2 import TemplateError

    ids = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    if tokenizer.decode(ids, clean_up_tokenization_spaces=False).strip() != _PROBE:
        raise ModelError(f"model folder {folder}: the tokenizer is missing or broken", next_command=_NEXT)
    if not tokenizer.chat_template:
        raise ModelError(f"model folder {folder}: the tokenizer has no chat template; name an instruct model")
    turn = [{"role": "user", "content": _PROBE}]
    try:
        text = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    except (TemplateError, TypeError, ValueError) as error:
        raise ModelError(f"model folder {folder}: its chat template cannot be rendered: {error}") from error
    largest = max(tokenizer(text, add_special_tokens=False)["input_ids"])
    if largest >= vocabulary_size:
        raise ModelError(
            f"model folder {folder}: the tokenizer gives token {largest}, the model knows {vocabulary_size}",
            next_command=_NEXT,
        )


def _load_weights(folder: Path, dtype: Any, quantization: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = {"dtype": dtype, "output_loading_info": True}
    if quantization is not None:
        options |= {"quantization_config": quantization, "device_map": {"": device}}
    model, report = AutoModelForCausalLM.from_pretrained(str(folder), **options)
    # transformers fills a missing tensor with random numbers and goes on
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"model folder {folder}: {len(missing)} tensors are missing, first {missing[0]}",
            next_command=_NEXT,
        )
    return model.eval() if quantization is not None else model.eval().to(device)


def _window_tokens(config: Any) -> int:
    """Return the longest text that a model was made for; one without position embeddings has no limit."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if getattr(config, name, None):
            return int(getattr(config, name))
    return _NO_WINDOW


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    ends = model.generation_config.eos_token_id
    several = ends if isinstance(ends, list) else [ends]
    return frozenset(end for end in (*several, tokenizer.eos_token_id) if end is not None)


def _turn_end(tokenizer: Any, end_ids: frozenset[int]) -> int | None:
    """Return the token by which the chat template ends the assistant's turn, None where it cannot be told.

    Phi's and Gemma's is another one than the end of a text; it counts where the model's answers end with it.
    """
    from jinja2 import TemplateError

    turns = [{"role": "user", "content": _PROBE}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False)
    except (TemplateError, TypeError, ValueError):
        return None  # a template without earlier turns
    *_, after = text.rpartition(_ANSWER)
    ids = tokenizer(after.lstrip(), add_special_tokens=False)["input_ids"]
    return ids[0] if ids and ids[0] in end_ids else None
