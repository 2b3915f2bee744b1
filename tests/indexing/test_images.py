"""Pictures of pages as documents: every format, every way round, none too large."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.images import _count_pages, _pages, read_image
from indexing.sniffing import sniff_kind

SETTINGS = IndexSettings()


def page(size: tuple[int, int] = (400, 600), mode: str = "L") -> Image.Image:
    """A white page with a black upper left corner."""
    image = Image.new("L", size, "white")
    ImageDraw.Draw(image).rectangle((0, 0, size[0] // 4, size[1] // 4), fill=0)
    return image.convert(mode)


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff", "webp", "bmp"])
def test_pictures_are_known_by_their_content(tmp_path: Path, name: str) -> None:
    file = tmp_path / "page.txt"
    page().save(file, format=name)
    assert sniff_kind(file, SETTINGS, is_named=False) == "image"
    (item,) = _pages(file, 1)
    assert item.image.getpixel((10, 10)) < 40
    assert item.image.getpixel((item.image.width - 10, 10)) > 220


def test_a_text_that_begins_like_a_picture_is_a_text(tmp_path: Path) -> None:
    file = tmp_path / "bm25.txt"
    file.write_text("BM25 is a ranking function. 排序函数。", "utf-8")
    assert sniff_kind(file, SETTINGS, is_named=False) == "txt"


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera stood on its side: turn 90 degrees clockwise
    page().save(tmp_path / "a.jpg", exif=exif)
    (item,) = _pages(tmp_path / "a.jpg", 1)
    assert item.image.width > item.image.height
    assert item.image.getpixel((item.image.width - 10, 10)) < 40


def test_all_pages_of_a_tiff_are_read(tmp_path: Path) -> None:
    page().save(tmp_path / "a.tif", save_all=True, append_images=[page((600, 400)), page()])
    assert _count_pages(tmp_path / "a.tif") == 3
    shapes = [(item.number, item.image.width > item.image.height) for item in _pages(tmp_path / "a.tif", 3)]
    assert shapes == [(1, False), (2, True), (3, False)]
    with pytest.raises(FileRefused, match="has 3 pages, at most 2"):
        read_image(tmp_path / "a.tif", IndexSettings(max_pages=2))


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_any_kind_of_colour_becomes_grey(tmp_path: Path, mode: str) -> None:
    image = page()
    if mode == "I;16":
        image = image.convert("I").point(lambda value: value * 257).convert("I;16")
    elif mode.endswith("A"):
        image = image.convert(mode)
        image.putalpha(page().point(lambda value: 255 - value))  # black on nothing
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.tif")
    (item,) = _pages(tmp_path / "a.tif", 1)
    assert item.image.mode == "L"
    assert item.image.getpixel((10, 10)) < 40
    assert item.image.getpixel((item.image.width - 10, 10)) > 220


@pytest.mark.parametrize(
    ("size", "dpi", "expected"),
    [
        ((1654, 2339), (200, 200), (1654, 200)),
        ((3308, 4677), (400, 400), (2481, 300)),  # more only costs time
        ((800, 1131), (96, 96), (1654, 200)),  # a screen's dots say nothing of the paper
        ((300, 200), None, (750, 60)),  # what is small is not enlarged without end
    ],
)
def test_resolution_is_what_recognition_works_well_with(
    tmp_path: Path, size: tuple[int, int], dpi: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    page(size, "1").save(tmp_path / "a.png", **({"dpi": dpi} if dpi else {}))
    (item,) = _pages(tmp_path / "a.png", 1)
    assert (item.image.width, item.dpi) == expected


def test_bombs_and_wrecks_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    page().save(good)
    raw = bytearray(good.read_bytes())
    for width, says in [(10_000, "is a picture of 100 megapixels"), (60_000, "too many pixels")]:
        raw[16:24] = width.to_bytes(4, "big") + (10_000).to_bytes(4, "big")
        raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
        (tmp_path / "bomb.png").write_bytes(raw)
        with pytest.raises(FileRefused, match=says):
            list(_pages(tmp_path / "bomb.png", 1))
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:20])
    with pytest.raises(FileRefused, match="is corrupt"):
        list(_pages(tmp_path / "cut.png", 1))


@pytest.mark.parametrize(
    ("ocr", "says"), [("auto", "is a picture, and .*not installed; run: apt-get"), ("off", "switched off")]
)
def test_without_recognition_a_picture_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ocr: str, says: str
) -> None:
    page().save(tmp_path / "a.png")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileRefused, match=says):
        read_image(tmp_path / "a.png", IndexSettings(ocr="auto" if ocr == "auto" else "off"))
