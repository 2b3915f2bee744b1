"""multilingual-e5-small as a sentence-transformers folder: Transformer, mean pooling, normalisation."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from assistant.core.errors import ModelError
from assistant.core.jsonl import write_json
from assistant.models.e5_binary import E5File, Floats, Sizes, Vocabulary

# our name of a layer's part → (name in the file, rows, columns) with sizes by attribute
_MATRICES = {
    "attention.self.query": ("q", "hidden", "hidden"),
    "attention.self.key": ("k", "hidden", "hidden"),
    "attention.self.value": ("v", "hidden", "hidden"),
    "attention.output.dense": ("ao", "hidden", "hidden"),
    "intermediate.dense": ("fi", "feed_forward", "hidden"),
    "output.dense": ("fo", "hidden", "feed_forward"),
}
_NORMS = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}
_MOST_AMENDMENTS = 8
# how e5 was trained: texts carry their role, similarity is the cosine of averaged token vectors
PROMPTS = {"query": "query: ", "document": "passage: ", "passage": "passage: "}


def write_e5_folder(source: Path, target: Path) -> None:
    """Write model, tokenizer and pooling, without importing sentence-transformers.

    Raises:
        ModelError: the file is broken.
    """
    from safetensors.numpy import save_file

    file = E5File(source)
    (target / "1_Pooling").mkdir(parents=True)
    (target / "2_Normalize").mkdir()
    save_file(_weights(file), target / "model.safetensors", {"format": "pt"})
    _tokenizer(file.vocabulary).save(str(target / "tokenizer.json"))
    for name, value in _descriptions(file.sizes, file.epsilon, file.vocabulary).items():
        write_json(target / name, value)


def _weights(file: E5File) -> dict[str, Floats]:
    sizes = file.sizes
    hidden = sizes.hidden
    weights = {
        "embeddings.word_embeddings.weight": file.tensor("emb.word", sizes.vocabulary, hidden),
        "embeddings.position_embeddings.weight": file.tensor("emb.pos", sizes.positions, hidden),
        "embeddings.token_type_embeddings.weight": file.tensor("emb.type", sizes.token_types, hidden),
        "embeddings.LayerNorm.weight": file.tensor("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": file.tensor("emb.ln.b", hidden),
        # mean pooling does not use the pooler; zeros keep loaders from inventing random weights for it
        "pooler.dense.weight": np.zeros((hidden, hidden), np.float32),
        "pooler.dense.bias": np.zeros(hidden, np.float32),
    }
    for layer in range(sizes.layers):
        weights |= _layer_weights(file, layer)
    return weights


def _layer_weights(file: E5File, layer: int) -> dict[str, Floats]:
    to, source = f"encoder.layer.{layer}", f"l{layer}"
    weights = {}
    for name, (short, *axes) in _MATRICES.items():
        rows, columns = (getattr(file.sizes, axis) for axis in axes)
        weights[f"{to}.{name}.weight"] = file.tensor(f"{source}.{short}.w", rows, columns)
        weights[f"{to}.{name}.bias"] = file.tensor(f"{source}.{short}.b", rows)
    for name, short in _NORMS.items():
        weights[f"{to}.{name}.weight"] = file.tensor(f"{source}.{short}.w", file.sizes.hidden)
        weights[f"{to}.{name}.bias"] = file.tensor(f"{source}.{short}.b", file.sizes.hidden)
    return weights


def _tokenizer(vocabulary: Vocabulary) -> Any:
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    rules = normalizers.Precompiled(_nmt_nfkc())
    amended = [normalizers.Replace(a, b) for a, b in _amendments(rules, vocabulary).items()]
    tokenizer = Tokenizer(models.Unigram(vocabulary.pieces, unk_id=vocabulary.unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([*amended, rules, normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    bos, eos, pad, unk = _special_pieces(vocabulary)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, vocabulary.bos), (eos, vocabulary.eos)],
    )
    special = [AddedToken(text, special=True, normalized=False) for text in (bos, pad, eos, unk)]
    mask = AddedToken("<mask>", lstrip=True, special=True, normalized=False)
    tokenizer.add_special_tokens([*special, mask])
    return tokenizer


def _special_pieces(vocabulary: Vocabulary) -> tuple[str, str, str, str]:
    pieces = vocabulary.pieces
    ids = (vocabulary.bos, vocabulary.eos, vocabulary.pad, vocabulary.unk)
    bos, eos, pad, unk = (pieces[special][0] for special in ids)
    return bos, eos, pad, unk


def _nmt_nfkc() -> bytes:
    """Return SentencePiece's compiled ``nmt_nfkc`` rules, which any model it trains carries along."""
    from sentencepiece import SentencePieceTrainer
    from sentencepiece.sentencepiece_model_pb2 import ModelProto

    trained = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f g h"] * 50),
        model_writer=trained,
        vocab_size=20,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    rules = ModelProto.FromString(trained.getvalue()).normalizer_spec.precompiled_charsmap
    return bytes(rules)


def _amendments(rules: Any, vocabulary: Vocabulary) -> dict[str, str]:
    """Return the characters that the file maps otherwise than the rules: the zero-width joiner, as of 0.2.3.

    Raises:
        ModelError: they are many, so that these are not the rules the model was trained with.
    """
    differing = {a: b for a, b in vocabulary.replaced.items() if rules.normalize_str(a) != b}
    if len(differing) > _MOST_AMENDMENTS:
        raise ModelError(
            f"{len(differing)} of {len(vocabulary.replaced)} characters of the e5 file are normalised "
            "otherwise by sentencepiece's rules"
        )
    return differing


def _descriptions(sizes: Sizes, epsilon: float, vocabulary: Vocabulary) -> dict[str, object]:
    bos, eos, pad, unk = _special_pieces(vocabulary)
    modules = (
        "base.modules.transformer.Transformer",
        "sentence_transformer.modules.pooling.Pooling",
        "base.modules.normalize.Normalize",
    )
    folders = ("", "1_Pooling", "2_Normalize")
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "vocab_size": sizes.vocabulary,
            "hidden_size": sizes.hidden,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "intermediate_size": sizes.feed_forward,
            "max_position_embeddings": sizes.positions,
            "type_vocab_size": sizes.token_types,
            "layer_norm_eps": float(f"{epsilon:.6g}"),
            "hidden_act": "gelu",
            "pad_token_id": vocabulary.pad,
            "dtype": "float32",
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": sizes.positions,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
            "mask_token": "<mask>",
            **dict.fromkeys(("bos_token", "cls_token"), bos),
            **dict.fromkeys(("eos_token", "sep_token"), eos),
            "pad_token": pad,
            "unk_token": unk,
        },
        "modules.json": [
            {"idx": n, "name": str(n), "path": folder, "type": f"sentence_transformers.{module}"}
            for n, (folder, module) in enumerate(zip(folders, modules, strict=True))
        ],
        "sentence_bert_config.json": {"max_seq_length": sizes.positions, "do_lower_case": False},
        "1_Pooling/config.json": {
            "embedding_dimension": sizes.hidden,
            "pooling_mode": "mean",
            "include_prompt": True,
        },
        "config_sentence_transformers.json": {
            "model_type": "SentenceTransformer",
            "prompts": PROMPTS,
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    }
