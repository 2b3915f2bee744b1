"""What starts an SGLang server: its environment's recipe, its arguments, its keys."""

from __future__ import annotations

import stat
import sys
import tomllib
from importlib.metadata import Distribution
from pathlib import Path

import msgspec
import pytest

from assistant.core.errors import InputError, NotFoundError, ResourceError
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.settings import Settings
from assistant.core.settings_sglang import SglangSettings
from assistant.engine.sglang_home import ADMIN_KEY, API_KEY, SglangHome, find_keys, make_keys
from assistant.engine.sglang_install import (
    Installed,
    cpu_folder,
    install,
    install_steps,
    installed,
    recipe_of,
)
from assistant.engine.sglang_launch import launch_command, launch_environment, write_launch_file
from assistant.engine.sglang_server import check_start


@pytest.fixture
def home(tmp_path: Path) -> SglangHome:
    return SglangHome(Home(tmp_path), SglangSettings())


def test_keys_are_made_once_differ_and_are_for_their_owner_only(home: SglangHome) -> None:
    keys = make_keys(home, {})
    assert keys.user
    assert keys.user != keys.admin
    assert make_keys(home, {}) == find_keys(home, {}) == keys
    assert stat.S_IMODE(home.keys_file.stat().st_mode) == 0o600
    given = {API_KEY: "u", ADMIN_KEY: "a"}
    assert make_keys(home, given).user == find_keys(home, given).user == "u"
    for bad in ({API_KEY: "u"}, {API_KEY: "u", ADMIN_KEY: "u"}):
        with pytest.raises(InputError, match="both be set"):
            make_keys(home, bad)


def test_no_key_stands_in_the_command_or_the_environment(home: SglangHome) -> None:
    keys = make_keys(home, {})
    write_launch_file(home, keys)
    settings = Settings(sglang=SglangSettings(adapter_slots=2, loaded_adapters=1))
    command = launch_command(settings, Path("/models/m"), home)
    variables = launch_environment(settings, {"PATH": "/bin", API_KEY: keys.user, "DESKMATE_HOME": "/x"})
    shown = " ".join(command) + repr(variables)
    assert keys.user not in shown
    assert keys.admin not in shown
    assert keys.admin in home.launch_file.read_text()
    assert stat.S_IMODE(home.launch_file.stat().st_mode) == 0o600
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--max-loras-per-batch") + 1] == "3"  # the base model takes a slot
    assert int(command[command.index("--max-loaded-loras") + 1]) >= 3
    assert "--sleep-on-idle" in command
    cuda = launch_command(Settings(sglang=SglangSettings(device="cuda", tensor_parallel=4)), Path("/m"), home)
    assert cuda[cuda.index("--lora-backend") + 1] == "csgmv"
    assert cuda[cuda.index("--tensor-parallel-size") + 1] == "4"
    assert "deskmate_sglang_server" not in cuda


def test_the_shims_are_found_as_a_plugin() -> None:
    (found,) = Distribution.discover(name="deskmate-sglang", path=[str(cpu_folder())])
    (entry,) = found.entry_points
    assert (entry.group, entry.value) == ("sglang.srt.plugins", "deskmate_sglang_plugin:activate")
    for name in ("deskmate_sglang_plugin.py", "deskmate_sglang_server.py", "sgl_kernel/__init__.py"):
        assert (cpu_folder() / name).is_file()


def test_the_recipe_for_a_cpu_brings_no_cuda(home: SglangHome) -> None:
    steps = install_steps(SglangSettings(), home)
    assert [step.is_plain for step in steps] == [False, True, False, True]
    assert "--no-deps" in steps[2].command
    assert recipe_of(SglangSettings()) != recipe_of(SglangSettings(device="cuda"))
    assert len(install_steps(SglangSettings(device="cuda"), home)) == 2


def test_a_package_index_with_cuda_builds_is_refused_and_nothing_is_stamped(
    home: SglangHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = home.python
    pip.parent.mkdir(parents=True)
    pip.write_text("#!/bin/sh\necho 'Would install nvidia-cublas-13.1 torch-2.13.0'\n")
    pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", "/bin/true")  # in place of making an environment
    with pytest.raises(ResourceError, match=r"gives CUDA packages: nvidia-cublas"):
        install(SglangSettings(), home, NoProgress())
    assert installed(home) is None


def test_what_is_complete_is_not_installed_again(home: SglangHome) -> None:
    home.python.parent.mkdir(parents=True)
    home.python.touch()
    stamp = Installed(recipe=recipe_of(SglangSettings()), device="cpu", version="0.5.23")
    home.stamp.write_bytes(msgspec.json.encode(stamp))
    assert install(SglangSettings(), home, NoProgress()) == stamp


def test_a_start_without_an_environment_names_the_next_command(home: SglangHome) -> None:
    with pytest.raises(NotFoundError) as caught:
        check_start(Settings(), home)
    assert caught.value.next_command == "deskmate engine install"


def test_the_profiles_are_for_a_device_each() -> None:
    profiles = Path(__file__).parents[2] / "configs" / "profiles"
    read = {file.stem: tomllib.loads(file.read_text()) for file in profiles.glob("*.toml")}
    assert read["one-gpu"]["sglang"]["device"] == "cuda"
    assert read["many-gpu"]["sglang"]["tensor_parallel"] > 1
