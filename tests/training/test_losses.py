"""The fast loss is taken where it is right, and gives what each example alone gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.core.records import Example
from assistant.core.settings_train import TrainSettings
from assistant.engine.loading import load_model
from training.losses import TOLERANCE, PlainRows, SharedPrefix, agree, choose_loss
from training.rendering import make_packs, render_learnt
from training.session import TrainReport
from training.student import Student

TrainTiny = Callable[..., TrainReport]


def foreign_base(folder: Path, tiny_model: Path, kind: str) -> Path:
    """Write a random model of another architecture with the tiny model's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(tiny_model, folder)
    tiny = json.loads((tiny_model / "config.json").read_text("utf-8"))
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = AutoConfig.for_model(
        kind, vocab_size=tiny["vocab_size"], eos_token_id=tiny["eos_token_id"], **sizes
    )
    torch.manual_seed(1)
    (folder / "model.safetensors").unlink()
    AutoModelForCausalLM.from_config(config).save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize(
    ("kind", "way"), [("llama", "SharedPrefix"), ("gpt_neox", "SharedPrefix"), ("bloom", "PlainRows")]
)
def test_any_architecture_is_trained(
    kind: str, way: str, tmp_path: Path, tiny_model: Path, train_tiny: TrainTiny
) -> None:
    report = train_tiny(base=foreign_base(tmp_path / kind, tiny_model, kind))
    assert report.way == way
    assert report.last_loss < report.first_loss


def test_both_ways_give_the_same_loss(tiny_model: Path, examples: list[Example]) -> None:
    import torch

    student = Student(tiny_model, TrainSettings(rank=2), "float32")
    (pack, *_) = make_packs(examples, student.tokenizer, 96)
    shared, plain = SharedPrefix(student.causal), PlainRows(student.causal, student.pad_id)
    expected = sum(float(part.detach()) for part in plain.parts(pack))
    assert sum(float(part.detach()) for part in shared.parts(pack)) == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(shared.token_losses(pack), plain.token_losses(pack), rtol=1e-4, atol=1e-4)


def test_a_model_that_ignores_the_mask_falls_back(tiny_model: Path, examples: list[Example]) -> None:
    """Examples would see each other: the probe must notice."""
    student = Student(tiny_model, TrainSettings(rank=2), "float32")
    packs = make_packs(examples, student.tokenizer, 96)
    model = student.causal
    assert isinstance(choose_loss(model, packs, 0, has_windows=False), SharedPrefix)
    plain = model.forward

    def careless(*args: object, **kwargs: object) -> object:
        if "past_key_values" in kwargs:
            kwargs["attention_mask"] = None
        return plain(*args, **kwargs)

    model.forward = careless
    assert isinstance(choose_loss(model, packs, 0, has_windows=False), PlainRows)


@pytest.mark.parametrize(
    ("known", "gap", "is_same"),
    [
        # .02 is a fifth of what a base loses that knows the answer, and rounding all the same
        (0.1, 0.02, True),
        (0.1, 0.04, False),
        (2.0, 0.1, True),
        (2.0, 0.2, False),
    ],
)
def test_rounding_on_known_answers_does_not_choose_the_slow_way(
    known: float, gap: float, *, is_same: bool
) -> None:
    import torch

    expected = torch.full((4,), known)
    for sign in (1, -1):
        assert agree(expected + sign * gap, expected, TOLERANCE["bfloat16"]) is is_same


def test_a_model_with_windows_falls_back(tiny_model: Path, examples: list[Example]) -> None:
    student = Student(tiny_model, TrainSettings(rank=2), "float32")
    packs = make_packs(examples, student.tokenizer, 96)
    assert isinstance(choose_loss(student.causal, packs, 0, has_windows=True), PlainRows)


@pytest.mark.parametrize("place", [0, 6], ids=["en", "zh"])
def test_what_is_learnt_is_the_answer_and_its_end(
    place: int, tiny_model: Path, examples: list[Example], check_golden: Callable[[str, str], None]
) -> None:
    from assistant.engine.loading import load_model

    example = examples[place]
    tokenizer = load_model(tiny_model, "float32").tokenizer
    text = render_learnt(example, tokenizer)
    check_golden(f"learnt_{example.language}.txt", text + "\n")
    learnt = text[text.index("⟦") + 1 : text.index("⟧")]
    assert learnt == example.messages[-1].content + "<|im_end|>"


@pytest.mark.parametrize(
    ("ends", "learnt"),
    [((1, 2), "<|im_end|>"), ((0, 1), "<|endoftext|>"), ((0, 1, 2), "<|im_end|>")],
    ids=str,
)
@pytest.mark.parametrize("place", [0, 6], ids=["en", "zh"])
def test_the_turns_end_is_the_templates_where_answers_end_there(
    place: int, ends: tuple[int, ...], learnt: str, tiny_model: Path, tmp_path: Path, examples: list[Example]
) -> None:
    """Phi and Gemma end a turn with another token than a text."""
    base = shutil.copytree(tiny_model, tmp_path / "base")
    for name, changes in (
        ("tokenizer_config.json", {"eos_token": "<|endoftext|>"}),
        ("generation_config.json", {"eos_token_id": list(ends)}),
    ):
        record = json.loads((base / name).read_text("utf-8"))
        (base / name).write_text(json.dumps(record | changes), "utf-8")
    tokenizer = load_model(base, "float32").tokenizer
    text = render_learnt(examples[place], tokenizer)
    assert text.endswith(f"{examples[place].messages[-1].content}{learnt}⟧")


@pytest.mark.slow
def test_what_the_default_base_learns(
    examples: list[Example], check_golden: Callable[[str, str], None]
) -> None:
    from transformers import AutoTokenizer

    from assistant.core.home import Home
    from assistant.core.settings import EngineSettings
    from assistant.engine.tokenizing import ChatTokenizer

    folder = Home.from_environment().models / EngineSettings().base_model
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(str(folder)))
    text = "\n\n".join(render_learnt(examples[place], tokenizer) for place in (0, 6))
    check_golden("learnt_default_base.txt", text + "\n")


def test_rows_by_themselves_hold_the_scores_once(tiny_model: Path, examples: list[Example]) -> None:
    """Taken row by row, each row would bring a gradient as large as the scores of all."""
    student = Student(tiny_model, TrainSettings(rank=2), "float32")
    (pack, *_) = make_packs(examples, student.tokenizer, 400)
    losses = PlainRows(student.causal, student.pad_id).token_losses(pack)
    width = student.causal.config.vocab_size
    full, seen = 0, [losses.grad_fn]
    while seen:
        node = seen.pop()
        full += type(node).__name__ in {"SliceBackward0", "SelectBackward0"} and _last_size(node) == width
        seen.extend(before for before, _ in node.next_functions if before is not None)
    assert full == 0


def _last_size(node: object) -> int:
    return int(getattr(node, "_saved_self_sym_sizes", (0,))[-1])
