"""Fixtures of all tests: no hub, no telemetry, patient threads; a data folder per test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assistant.core.environment import prepare_environment
from assistant.core.home import Home

prepare_environment()


CORPUS = [
    "The pump stops with fault code E07 when the pressure is too low.",
    "Close the valve, wait ten minutes and start the pump again.",
    "水泵压力过低时会显示故障代码。关闭阀门，等待十分钟后重新启动。",
    "system user assistant question answer passage number",
] * 4
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_model(folder: Path, *, seed: int = 0) -> Path:
    """Write a random Qwen2 of two layers and a byte-level BPE tokenizer with a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE
    )
    fast.save_pretrained(str(folder))
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=fast.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    Qwen2ForCausalLM(config).save_pretrained(str(folder))
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write the golden files anew")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").make()


@pytest.fixture
def golden_losses(request: pytest.FixtureRequest) -> object:
    """Return a function that gives the losses kept in ``tests/golden/NAME``, or keeps the ones given."""
    folder = Path(__file__).parent / "golden"

    def read(name: str, losses: list[float]) -> list[float]:
        if request.config.getoption("--rewrite-golden"):
            (folder / name).write_text(json.dumps(losses) + "\n", "utf-8")
        kept: list[float] = json.loads((folder / name).read_text("utf-8"))
        return kept

    return read


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> object:
    """Return a function that compares a text with ``tests/golden/NAME``, or rewrites it."""
    folder = Path(__file__).parent / "golden"

    def check(name: str, text: str) -> None:
        file = folder / name
        if request.config.getoption("--rewrite-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        assert file.read_text("utf-8") == text

    return check


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("tiny-model"))
