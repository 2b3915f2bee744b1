"""A tiny random model with a real tokenizer, and engines over it: no download, under a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant.core.environment import prepare_environment
from assistant.core.records import Message
from assistant.core.settings import EngineSettings
from assistant.engine.local import LocalEngine
from assistant.engine.protocol import GenerationRequest, StreamEnd, TextDelta

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
    marks = ["<|end|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=marks,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|end|>", chat_template=TEMPLATE
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


def build_adapter(folder: Path, base: Path, *, seed: int, rank: int = 4) -> Path:
    """Write a random LoRA adapter that changes the base's text."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    targets = ["q_proj", "v_proj", "down_proj"]
    config = LoraConfig(r=rank, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def tiny_adapters(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiny-adapters")
    return {
        name: build_adapter(folder / name, tiny_model, seed=seed)
        for seed, name in enumerate(("pumps", "ovens.v2"), 1)
    }


LocalFactory = Callable[..., LocalEngine]


@pytest.fixture
def local(tiny_model: Path) -> Iterator[LocalFactory]:
    """Make engines over the tiny model in full precision; they are closed at the end."""
    engines: list[LocalEngine] = []

    def make(folder: Path = tiny_model, **settings: object) -> LocalEngine:
        chosen = EngineSettings(**({"dtype": "float32", "timeout_seconds": 30.0} | settings))  # type: ignore[arg-type]
        engines.append(LocalEngine("tiny", folder, chosen))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


Ask = Callable[..., GenerationRequest]
Read = Callable[[Iterator[TextDelta | StreamEnd]], tuple[str, StreamEnd]]


@pytest.fixture
def ask() -> Ask:
    """Make requests of one user message."""

    def make(question: str, **options: object) -> GenerationRequest:
        message = Message(role="user", content=question)
        return GenerationRequest(messages=(message,), **({"max_new_tokens": 24} | options))  # type: ignore[arg-type]

    return make


@pytest.fixture
def read() -> Read:
    """Return text and end of a stream; the end must come last and once, and no piece be empty."""

    def take(events: Iterator[TextDelta | StreamEnd]) -> tuple[str, StreamEnd]:
        *pieces, end = list(events)
        assert isinstance(end, StreamEnd)
        assert all(isinstance(piece, TextDelta) and piece.text for piece in pieces)
        return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)), end

    return take
