from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.core.home import Home
from assistant.models.catalogue import ModelSpec, Package

PARTS = (b"first half, " * 1000, b"second half" * 1000)


class WheelShop:
    """A downloader that writes real wheels and counts what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.contents = {f"tiny-part{n}": part for n, part in enumerate(PARTS, 1)}

    def __call__(self, package: Package, folder: Path) -> Path:
        self.asked.append(package.name)
        wheel = folder / f"{package.name.replace('-', '_')}-{package.version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(package.member, self.contents[package.name])
            archive.writestr("tiny/__init__.py", "raise RuntimeError('packages are never imported')")
        return wheel


@pytest.fixture
def shop() -> WheelShop:
    return WheelShop()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").make()


@pytest.fixture
def make_spec() -> Callable[..., ModelSpec]:
    def make(name: str = "tiny", **changes: object) -> ModelSpec:
        values: dict[str, object] = {
            "name": name,
            "kind": "embedder",
            "licence": "MIT",
            "provenance": "made by the test",
            "languages": "English, Chinese",
            "format": "e5-q4",
            "packages": tuple(
                Package(name=f"tiny-part{n}", version="1.0", member=f"tiny/data/part{n}.bin") for n in (1, 2)
            ),
            "sha256": hashlib.sha256(b"".join(PARTS)).hexdigest(),
            "data_bytes": sum(map(len, PARTS)),
            "size_bytes": 1000,
        }
        return ModelSpec(**(values | changes))  # type: ignore[arg-type]

    return make


def copy_data(spec: ModelSpec, source: Path, target: Path) -> None:
    """Convert by copying, with a folder below as sentence-transformers has them."""
    (target / "1_Pooling").mkdir()
    (target / "1_Pooling" / "config.json").write_text("{}")
    (target / "model.safetensors").write_bytes(source.read_bytes())


@pytest.fixture
def convert() -> Callable[[ModelSpec, Path, Path], None]:
    return copy_data
