from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from assistant.core.errors import ModelError
from assistant.models.catalogue import CATALOGUE, Decoding, ModelSpec
from assistant.models.gguf_folder import write_gguf_folder

HIDDEN, FEED_FORWARD, HEADS = 64, 96, 4
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"


def write_gguf(path: Path, *, is_one_matrix: bool, template: str = TEMPLATE) -> np.ndarray:
    """Write a one-layer Qwen2 whose head is Q8_0 and whose embedding is Q5_0; return the head's matrix."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    rng = np.random.default_rng(1)
    tokens = [*sorted(bytes_to_unicode().values()), "ab", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    writer = GGUFWriter(path, "qwen2")
    writer.add_name("Wrong Label AWQ")
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - 3) + [3, 3, 3])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(len(tokens) - 2)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_pad_token_id(len(tokens) - 1)
    if template:
        writer.add_chat_template(template)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return rng.normal(scale=0.1, size=(rows, columns)).astype(np.float32)

    def add(name: str, values: np.ndarray, kind: GGMLQuantizationType) -> None:
        writer.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)

    head = matrix(len(tokens), HIDDEN)
    add("token_embd.weight", head if is_one_matrix else matrix(*head.shape), GGMLQuantizationType.Q5_0)
    add("output.weight", head, GGMLQuantizationType.Q8_0)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, np.float32))
    for name in ("attn_q", "attn_k", "attn_v"):
        add(f"blk.0.{name}.weight", matrix(HIDDEN, HIDDEN), GGMLQuantizationType.Q8_0)
        writer.add_tensor(f"blk.0.{name}.bias", np.zeros(HIDDEN, np.float32))
    add("blk.0.attn_output.weight", matrix(HIDDEN, HIDDEN), GGMLQuantizationType.Q8_0)
    for name in ("ffn_gate", "ffn_up"):
        add(f"blk.0.{name}.weight", matrix(FEED_FORWARD, HIDDEN), GGMLQuantizationType.Q8_0)
    add("blk.0.ffn_down.weight", matrix(HIDDEN, FEED_FORWARD), GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return head


def tiny_spec(eos: int = 259) -> ModelSpec:
    import msgspec

    return msgspec.structs.replace(
        CATALOGUE["smollm2-135m-instruct"],
        decoding=Decoding(bos_token_id=258, pad_token_id=259, eos_token_ids=(eos,)),
    )


@pytest.mark.slow
@pytest.mark.parametrize("is_one_matrix", [True, False])
def test_a_folder_that_loads_comes_out(tmp_path: Path, *, is_one_matrix: bool) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    head = write_gguf(tmp_path / "tiny.data", is_one_matrix=is_one_matrix)
    folder = tmp_path / "folder"
    write_gguf_folder(tiny_spec(), tmp_path / "tiny.data", folder)
    config = json.loads((folder / "config.json").read_text())
    assert config["tie_word_embeddings"] is is_one_matrix
    assert not {"quantization_config", "_model_name_or_path"} & set(config)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert model.dtype is torch.bfloat16
    assert np.allclose(model.get_output_embeddings().weight.detach().float().numpy(), head, atol=4e-3)
    embedding = model.get_input_embeddings().weight.detach().float().numpy()
    assert np.allclose(embedding, head, atol=4e-3) is is_one_matrix, "tied to the finer of the two"
    assert (model.generation_config.eos_token_id, model.generation_config.do_sample) == ([259], False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template([{"role": "user", "content": "水泵 stops"}], tokenize=False)
    assert text == "<|im_start|>user\n水泵 stops<|im_end|>"
    assert tokenizer.decode(tokenizer.encode("水泵 stops")) == "水泵 stops"


@pytest.mark.slow
def test_what_does_not_hold_together_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.data", is_one_matrix=True, template="")
    with pytest.raises(ModelError, match=r"has no chat template; the tokenizer's end token does not end"):
        write_gguf_folder(tiny_spec(eos=7), tmp_path / "tiny.data", tmp_path / "folder")
    (tmp_path / "bad.data").write_bytes(b"GGUF" + b"\0" * 64)
    with pytest.raises(ModelError, match=r"bad\.data cannot be read as GGUF"):
        write_gguf_folder(tiny_spec(), tmp_path / "bad.data", tmp_path / "other")
