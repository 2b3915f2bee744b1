from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.engine.loading import load_model
from assistant.engine.local import AdaptedModel, LocalEngine
from assistant.engine.packing import pack_linear_layers


def test_packed_layers_give_the_same_scores(tiny_model: Path) -> None:
    import torch

    model = load_model(tiny_model, "bfloat16").model
    ids = torch.arange(40).view(4, 10)
    with torch.inference_mode():
        before = model(ids).logits
    count = pack_linear_layers(model)
    if not count:
        pytest.skip("this processor gains nothing")
    assert count == 15  # two layers of seven, and the output head
    assert model.model.layers[0].mlp.up_proj.weight.numel() == 0
    assert model.get_input_embeddings().weight.numel() > 0
    if model.config.tie_word_embeddings:
        assert model.lm_head.weight is model.get_input_embeddings().weight
    with torch.inference_mode():
        after = model(ids).logits
    assert (before - after).abs().max() <= 0.02 * before.abs().max()
    assert pack_linear_layers(load_model(tiny_model, "float32").model) == 0


def test_bfloat16_engine_answers_with_adapters(
    local: Callable[..., LocalEngine], ask: Callable, tiny_adapters: dict[str, Path]
) -> None:
    engine = local(dtype="bfloat16")
    base = engine.complete([ask("Pump?")])[0].text
    for name, folder in tiny_adapters.items():
        engine.load_adapter(name, str(folder))
    names = (None, *tiny_adapters, None)
    texts = [done.text for done in engine.complete([ask("Pump?", adapter=name) for name in names])]
    assert texts[0] == texts[3] == base
    assert len(set(texts)) == 3


def test_the_output_head_is_never_copied_per_prompt(tiny_model: Path) -> None:
    import torch

    model = load_model(tiny_model, "float32").model.requires_grad_(False)
    adapted = AdaptedModel(model)
    with torch.inference_mode(), torch.profiler.profile(record_shapes=True) as profile:
        adapted.forward([None], {"input_ids": torch.arange(10)[None]})
    # a product in a batch would lie in memory once per row: for a view of the last position it did
    copies = [event for event in profile.events() if event.name in ("aten::bmm", "aten::copy_")]
    vocabulary = model.config.vocab_size
    assert not [event for event in copies if any(vocabulary in shape for shape in event.input_shapes)]
