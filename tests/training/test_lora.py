from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from assistant.core.errors import ModelError
from assistant.core.progress import NoProgress
from assistant.core.records import Example, Message
from assistant.core.runs import Run
from assistant.core.settings import Settings
from assistant.core.settings_train import TrainSettings
from assistant.engine.loading import load_model
from assistant.engine.tokenizing import ChatTokenizer
from training.dataset import make_example
from training.lora import forget_checkpoint, train_adapter
from training.optimizing import learning_rate
from training.rendering import make_packs, pack_tensors, tokenize_example
from training.session import TrainReport

SETTINGS = TrainSettings(rank=4, alpha=8, learning_rate=5e-3, epochs=3, step_tokens=96)


def make_examples() -> list[Example]:
    texts = [("en", "The pump stops.", "valve"), ("zh", "水泵会停止。", "阀门")]
    return [
        make_example(
            recipe="test",
            language=language,  # type: ignore[arg-type]
            messages=(
                Message(role="system", content=f"[1] {context} {number // 3}"),
                Message(role="user", content=f"{word} {number}?"),
            ),
            answer=f"{word} {number} [1].",
        )
        for language, context, word in texts
        for number in range(6)
    ]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> ChatTokenizer:
    return load_model(tiny_model, "float32").tokenizer


def test_examples_of_one_context_share_it(tokenizer: ChatTokenizer) -> None:
    packs = make_packs(make_examples(), tokenizer, 400)
    assert [len(pack.branches) for pack in packs] == [3, 3, 3, 3]
    for pack, example in zip(packs, make_examples()[::3], strict=True):
        ids, answer_start = tokenize_example(example, tokenizer)
        branch = pack.branches[0]
        assert [*pack.prefix, *branch.ids] == ids
        assert len(pack.prefix) + branch.answer_start == answer_start
        assert tokenizer.decode([*branch.ids[branch.answer_start :]]) == example.messages[-1].content


def test_examples_without_a_system_message_share_a_pack(tokenizer: ChatTokenizer) -> None:
    rows = [
        make_example(
            recipe="replay",
            language="en",
            messages=(Message(role="user", content=question),),
            answer="Yes.",
        )
        for question in ("Is it late?", "它晚了吗？")
    ]
    (pack,) = make_packs(rows, tokenizer, 512)
    assert len(pack.branches) == 2


def test_a_full_pack_is_followed_by_another(tokenizer: ChatTokenizer) -> None:
    packs = make_packs(make_examples()[:3], tokenizer, 1)
    assert [len(pack.branches) for pack in packs] == [1, 1, 1]


def test_a_pack_gives_the_same_probabilities_as_each_example_alone(
    tiny_model: Path, tokenizer: ChatTokenizer
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    examples = make_examples()[:3]
    (pack,) = make_packs(examples, tokenizer, 400)
    tensors = pack_tensors(pack, torch.float32)
    with torch.inference_mode():
        read = model.model(input_ids=tensors["prefix_ids"], use_cache=True)
        hidden = model.model(
            input_ids=tensors["input_ids"],
            position_ids=tensors["position_ids"],
            attention_mask=tensors["attention_mask"],
            past_key_values=read.past_key_values,
        ).last_hidden_state[0]
        packed = torch.log_softmax(model.lm_head(hidden[tensors["predictors"]]), -1)
        alone = []
        for example in examples:
            ids, answer_start = tokenize_example(example, tokenizer)
            logits = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)
            alone.append(logits[answer_start - 1 : len(ids) - 1])
    torch.testing.assert_close(packed, torch.cat(alone), rtol=1e-4, atol=1e-4)


def _train(folder: Path, base: Path, name: str = "a", settings: TrainSettings = SETTINGS) -> TrainReport:
    run = Run.start(folder / "runs", "train", name, Settings(train=settings))
    examples = make_examples()
    return train_adapter(
        examples, base, folder / "adapters" / name, run, settings, NoProgress(), dtype="float32"
    )


def test_a_seeded_run_learns_and_repeats(
    tmp_path: Path, tiny_model: Path, golden_losses: Callable[[str, list[float]], list[float]]
) -> None:
    report = _train(tmp_path, tiny_model)
    assert report.last_loss < 0.9 * report.first_loss
    assert (tmp_path / "adapters" / "a" / "adapter_model.safetensors").exists()
    rows = (tmp_path / "runs" / "train-a" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(row)["loss"] for row in rows]
    assert len(losses) == report.steps
    assert losses[:5] == pytest.approx(golden_losses("tiny_lora_losses.json", losses[:5]), rel=1e-3)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, dropout: float
) -> None:
    import torch
    from safetensors.torch import load_file

    settings = msgspec.structs.replace(SETTINGS, dropout=dropout)

    class Killed(NoProgress):
        left = 5

        def advance(self, count: int = 1, note: str = "") -> None:
            self.left -= bool(note)
            torch.rand(3)  # dropout does not hang on what others draw
            if not self.left:
                raise KeyboardInterrupt

    monkeypatch.setattr("training.session.CHECKPOINT_SECONDS", 0.0)
    whole = _train(tmp_path / "whole", tiny_model, settings=settings)
    run = Run.start(tmp_path / "runs", "train", "a", Settings(train=settings))
    target = tmp_path / "adapters" / "a"
    with pytest.raises(KeyboardInterrupt):
        train_adapter(make_examples(), tiny_model, target, run, settings, Killed(), dtype="float32")
    assert not target.exists()
    assert (run.folder / "checkpoint" / "state.pt").exists()
    report = _train(tmp_path, tiny_model, settings=settings)
    assert report.steps == whole.steps
    resumed = load_file(target / "adapter_model.safetensors")
    expected = load_file(Path(whole.adapter) / "adapter_model.safetensors")
    for name, weight in expected.items():
        torch.testing.assert_close(resumed[name], weight, msg=name)
    forget_checkpoint(run)
    assert not (run.folder / "checkpoint").exists()


def test_a_broken_base_is_named(tmp_path: Path, tiny_model: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="broken"):
        _train(tmp_path, broken)


def test_the_rate_warms_up_and_decays() -> None:
    rates = [learning_rate(step, 100, SETTINGS) for step in range(100)]
    assert max(rates) == pytest.approx(SETTINGS.learning_rate)
    assert rates[0] < rates[3] < rates[5]
    assert rates[6:] == sorted(rates[6:], reverse=True)
    assert rates[-1] > 0.09 * SETTINGS.learning_rate
