from __future__ import annotations

from pathlib import Path

import pytest

from assistant.core.errors import SettingsError
from assistant.core.settings import Settings, load_settings, setting_keys

REPOSITORY = Path(__file__).parents[2]


def test_layers_win_in_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text('[engine]\nkind = "sglang"\nbatch_size = 4\n[search]\ntop_k = 9\n')
    second.write_text("[engine]\nbatch_size = 5\n")
    environment = {"DESKMATE__ENGINE__BATCH_SIZE": "6", "DESKMATE__ANSWER__HISTORY_TURNS": "0", "HOME": "/x"}
    loaded = load_settings([first, second], environment, {"search.top_k": 3})
    assert loaded.settings.engine.kind == "sglang"
    assert loaded.settings.engine.batch_size == 6
    assert loaded.settings.answer.history_turns == 0
    assert loaded.settings.search.top_k == 3
    assert loaded.origins["engine.kind"] == str(first)
    assert loaded.origins["engine.batch_size"] == "DESKMATE__ENGINE__BATCH_SIZE"
    assert loaded.origins["search.top_k"] == "flag"
    assert loaded.origins["search.pool"] == "default"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('stray = 1\n[engine]\nkind = "vllm"\nbatch = 3\n[train]\nepochs = 0\n')
    with pytest.raises(SettingsError) as caught:
        load_settings([file, tmp_path / "missing.toml"], {"DESKMATE__SEARCH__TOPK": "3"})
    message = str(caught.value)
    for part in ("stray", "engine.kind", "engine.batch", "train.epochs", "missing.toml", "search.topk"):
        assert part in message
    assert caught.value.next_command == "deskmate config check"


@pytest.mark.parametrize("text", ["[engine", "\xff\xfe", "engine = 3"])
def test_broken_files_are_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"broken\.toml"):
        load_settings([file])


def test_a_list_in_the_environment() -> None:
    loaded = load_settings(environment={"DESKMATE__SERVICE__API_KEY_SHA256": "aa, bb"})
    assert loaded.settings.service.api_key_sha256 == ("aa", "bb")


def test_every_setting_is_described() -> None:
    for section in Settings.__struct_fields__:
        described = type(getattr(Settings(), section)).__doc__ or ""
        for key in setting_keys():
            if key.startswith(f"{section}."):
                assert f"{key.split('.')[1]}:" in described, key


def test_every_shipped_config_loads_and_opens_with_its_command() -> None:
    files = sorted((REPOSITORY / "configs").rglob("*.toml"))
    assert len(files) >= 4
    for file in files:
        assert file.read_text("utf-8").startswith("# deskmate "), file
        loaded = load_settings([file])
        assert str(file) in loaded.origins.values(), f"{file} changes nothing"


@pytest.mark.parametrize(
    ("key", "text", "bound"),
    [
        ("RANK", "0", "Expected `int` >= 1"),
        ("RANK", "257", "Expected `int` <= 256"),
        ("DROPOUT", "1", "Expected `float` < 1.0"),
        ("LEARNING_RATE", "1e9", "Expected `float` <= 1.0"),
        ("LEARNING_RATE", "inf", "Expected `float` <= 1.0"),
        ("PLUS_RATIO", "inf", "Expected `float` <= 10000.0"),
        ("SEED", "seven", "Expected `int`, got `str`"),
    ],
)
def test_a_text_out_of_bounds_is_told_the_bound(key: str, text: str, bound: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environment={f"DESKMATE__TRAIN__{key}": text})
    assert bound in caught.value.message
