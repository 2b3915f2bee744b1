"""What does not fit is refused with its arithmetic before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from assistant.core.errors import ResourceError
from assistant.core.records import Example
from assistant.core.settings_train import TrainSettings
from training.memory import (
    MEBIBYTE,
    MemoryPlan,
    base_bytes,
    free_memory,
    group_memory,
    peak_memory,
    plan_memory,
    refuse_too_much,
)
from training.rendering import make_packs
from training.session import TrainReport
from training.student import Student

TrainTiny = Callable[..., TrainReport]


def test_too_little_memory_is_refused_before_a_step(train_tiny: TrainTiny, tmp_path: Path) -> None:
    with pytest.raises(ResourceError) as caught:
        train_tiny(memory_mebibytes=701)
    for part in (
        "base",
        "activations",
        "= ",
        "memory_mebibytes allows 0.68 GiB",
        "step_tokens (now 96)",
        "nf4",
    ):
        assert part in caught.value.message
    assert not (tmp_path / "runs" / "train-a" / "metrics.jsonl").exists()


def test_a_base_that_does_not_fit_is_told_what_helps_it(train_tiny: TrainTiny) -> None:
    with pytest.raises(ResourceError) as caught:
        train_tiny(memory_mebibytes=64)
    told = caught.value.message
    assert "needs at least 0.00 GiB base + 0.68 GiB libraries = 0.68 GiB" in told
    assert told.endswith('what helps: [train] quantize = "nf4" or a smaller base model')


def test_what_fits_passes() -> None:
    plan = MemoryPlan(base=1, adapter=1, activations=1, logits=1, libraries=0)
    refuse_too_much(plan, 4, TrainSettings())
    with pytest.raises(ResourceError, match="free are"):
        refuse_too_much(plan, 3, TrainSettings())


def test_four_bits_take_less(tiny_model: Path) -> None:
    settings = TrainSettings()
    wide = base_bytes(tiny_model, settings, "float32")
    assert wide == 2 * base_bytes(tiny_model, settings, "bfloat16")
    packed = msgspec.structs.replace(settings, quantize="nf4")
    assert base_bytes(tiny_model, packed, "bfloat16") < wide // 2


def test_memory_is_measured() -> None:
    assert free_memory() > 64 * MEBIBYTE
    assert peak_memory() > 32 * MEBIBYTE


def test_rows_by_themselves_take_more_than_a_shared_context(
    tiny_model: Path, examples: list[Example]
) -> None:
    student = Student(tiny_model, TrainSettings(rank=2), "float32")
    packs = make_packs(examples, student.tokenizer, 96)

    def plan(*, is_shared: bool) -> MemoryPlan:
        return plan_memory(student.config, 0, 0, packs, TrainSettings(), "float32", is_shared=is_shared)

    assert plan(is_shared=False).activations > plan(is_shared=True).activations
    rows = max(len(pack.branches) * (len(pack.prefix) + len(pack.branches[0].ids)) for pack in packs)
    assert plan(is_shared=False).logits > rows * student.config.vocab_size * 2 * 4


def test_a_groups_page_cache_makes_room(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 200\ninactive_file 600\n")
    assert group_memory(tmp_path) == 700


def test_processes_of_one_machine_share_its_memory() -> None:
    assert free_memory(4) < free_memory() / 2
