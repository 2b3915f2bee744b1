import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.core.errors import EngineError, ModelError, ResourceError
from assistant.core.home import Home
from assistant.core.records import Message
from assistant.core.settings import EngineSettings, Settings
from assistant.engine import registry
from assistant.engine.loading import load_model
from assistant.engine.scripted import ScriptedEngine


def drop_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-500])


def edit(name: str, **changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        record = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(record | changes))

    return change


def edit_tokenizer(folder: Path) -> None:
    content = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text("<|turn|>" + content)
    record = json.loads((folder / "tokenizer.json").read_text())
    record["added_tokens"].append(record["added_tokens"][0] | {"id": 400, "content": "<|turn|>"})
    (folder / "tokenizer.json").write_text(json.dumps(record))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), r"config\.json is missing"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "cannot be loaded"),
    "weights cut off": (cut, "cannot be loaded"),
    "weights of another size": (edit("config.json", intermediate_size=96), "cannot be loaded"),
    "a tensor is missing": (drop_tensor, "1 tensors are missing, first model.layers.1.mlp.up_proj.weight"),
    "unknown architecture": (edit("config.json", model_type="nonsense"), "cannot be loaded"),
    "config is text": (lambda f: (f / "config.json").write_text("no"), "cannot be loaded"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "is missing or broken"),
    "tokenizer of another model": (edit_tokenizer, r"gives token \d+, the model knows 400"),
    "a chat template that is no template": (
        lambda f: (f / "chat_template.jinja").write_text("{% for m in %}"),
        "its chat template cannot be rendered",
    ),
    "no chat template": (lambda f: (f / "chat_template.jinja").unlink(), "has no chat template"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_model_folder_is_refused(case: str, tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    breaking, reason = BROKEN[case]
    breaking(folder)
    with pytest.raises(ModelError, match=reason) as caught:
        load_model(folder, "float32")
    assert str(folder) in caught.value.message


def test_engines_by_name(tiny_model: Path, tmp_path: Path, ask: Callable) -> None:
    home = Home(tmp_path)
    scripted = registry.load_engine(Settings(engine=EngineSettings(kind="scripted")), home)
    assert isinstance(scripted, ScriptedEngine)
    engine = registry.load_engine(Settings(engine=EngineSettings(base_model=str(tiny_model))), home)
    assert engine.problems() == ()
    assert engine.base_model == str(tiny_model)
    assert engine.complete([ask("Why?")])[0].usage.completion_tokens > 0
    engine.close()
    sglang = registry.load_engine(
        Settings(engine=EngineSettings(kind="sglang", url="http://127.0.0.1:9")), home
    )
    with pytest.raises(EngineError):
        sglang.stream(ask("Why?"))
    sglang.close()


def test_missing_extra_is_named() -> None:
    with pytest.raises(ResourceError, match="needs no_such_package, which is not installed") as caught:
        registry._require_extra("local", ("json", "no_such_package"))
    assert caught.value.next_command == 'pip install "deskmate[local]"'


def test_a_base_that_thinks_aloud_is_asked_to_answer_at_once(tiny_model: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny_model, tmp_path / "base")
    file = base / "chat_template.jinja"
    thinks = "{% if enable_thinking is not defined or enable_thinking %}THINK{% else %}ANSWER{% endif %}"
    file.write_text(file.read_text("utf-8") + thinks, "utf-8")
    tokenizer = load_model(base, "float32").tokenizer
    assert tokenizer.decode(tokenizer.prompt_ids([Message(role="user", content="泵 pump?")])).endswith(
        "ANSWER"
    )
