"""Scans made from known text, read by the real tesseract: how many characters reach the index wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import reportlab
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from reportlab.pdfgen.canvas import Canvas

from assistant.core.records import ParsedDocument
from assistant.core.settings import IndexSettings
from indexing.parsing import ParserPool, parse_file
from indexing.parsing.ocr import INSTALL_COMMAND, LANGUAGES, find_languages
from indexing.sources import find_sources

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_languages() != LANGUAGES,
        reason=f"tesseract lacks a language: {INSTALL_COMMAND}",
    ),
]

_LATIN_FONT = str(Path(reportlab.__file__).parent / "fonts" / "Vera.ttf")
_FONTS = Path("/usr/share/fonts")
_CHINESE_FONTS = ("truetype/droid/DroidSansFallbackFull.ttf", "opentype/noto/NotoSansCJK-Regular.ttc")
_WIDTHS = str.maketrans("，：；！？（）", ",:;!?()")
_TOKEN = re.compile(r"[\x21-\x7e°]+ ?|.")

Part = tuple[Literal["title", "text"], str]
ENGLISH: list[Part] = [
    ("title", "Replacing the shaft seal"),
    (
        "text",
        "Stop the pump with the main switch and wait ten minutes until the pressure gauge reads 0.0 bar. "
        "Close both gate valves and open the drain plug M12 with a 19 mm wrench. Never loosen the housing "
        "bolts while the system is under pressure: hot water of up to 95 °C may escape.",
    ),
    (
        "text",
        "Pull the coupling half off the shaft with extractor tool EX-204 (part no. 8830-114-07). A run-out "
        "of more than 0.05 mm means that the shaft has to be replaced. Clean it with a lint-free cloth.",
    ),
    ("title", "Fault codes"),
    (
        "text",
        "E07 is shown when the suction pressure stays below 0.4 bar for longer than 30 seconds. Bleed the "
        "suction line, then acknowledge the message with OK. If E07 comes back within one hour, inspect the "
        "strainer.",
    ),
]
CHINESE: list[Part] = [
    ("title", "更换轴封"),
    (
        "text",
        "用主开关停泵，等待十分钟，直到压力表读数为零。关闭两侧闸阀，用扳手打开排水塞。系统带压时严禁松开壳体"
        "螺栓：温度高达九十五度的热水可能喷出，造成烫伤。",
    ),
    (
        "text",
        "使用拉拔工具EX-204（零件号8830-114-07）将联轴器从轴上拉下。检查轴表面是否有划痕；跳动量超过0.05 mm时"
        "必须更换轴。用无绒布清洁密封座，不得使用砂纸或钢丝刷。",
    ),
    ("title", "故障代码"),
    (
        "text",
        "当吸入压力低于0.4 bar并持续超过30秒时，显示E07。请对吸入管路排气，然后按OK键确认。如果一小时内再次"
        "出现E07，请检查过滤网，并拨打服务热线400-820-5550。",
    ),
]


def draw_scan(parts: list[Part], dpi: int = 200) -> Image.Image:
    """Typeset a page, turn it by half a degree, blur it a little and add noise."""
    width, height, margin = int(8.27 * dpi), int(11.69 * dpi), int(0.9 * dpi)
    page = Image.new("L", (width, height), 255)
    draw, y = ImageDraw.Draw(page), margin
    for kind, text in parts:
        size = int((17 if kind == "title" else 11) * dpi / 72)
        x = margin
        for token in _TOKEN.findall(text):
            face = ImageFont.truetype(_LATIN_FONT if token[0] <= "°" else chinese_font(), size)
            if x + draw.textlength(token.rstrip(), font=face) > width - margin:
                x, y = margin, y + int(size * 1.5)
            draw.text((x, y + size), token, fill=20, font=face, anchor="ls")
            x += int(draw.textlength(token, font=face))
        y += size * 2
    page = page.rotate(0.5, fillcolor=255, resample=Image.Resampling.BICUBIC)
    pixels = np.asarray(page.filter(ImageFilter.GaussianBlur(0.6)), dtype=np.float32)
    noise = np.random.default_rng(7).normal(-6, 8, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def chinese_font() -> str:
    for name in _CHINESE_FONTS:
        if (_FONTS / name).exists():
            return str(_FONTS / name)
    pytest.skip("no Chinese font: apt-get install fonts-droid-fallback")


def error_rate(parsed: ParsedDocument, parts: list[Part]) -> float:
    """Edits a character, white space and the width of punctuation aside."""
    found, wanted = (
        re.sub(r"\s", "", text).translate(_WIDTHS)
        for text in ("".join(e.text for e in parsed.elements), "".join(text for _, text in parts))
    )
    row = list(range(len(wanted) + 1))
    for place, letter in enumerate(found, 1):
        before, row = row, [place]
        for at, other in enumerate(wanted, 1):
            row.append(min(before[at] + 1, row[-1] + 1, before[at - 1] + (letter != other)))
    return row[-1] / len(wanted)


@pytest.mark.parametrize(("language", "most"), [("en", 0.01), ("zh", 0.03)])
@pytest.mark.parametrize("form", ["pdf", "png", "sideways.jpg"])
def test_characters_of_a_scan_reach_the_index(tmp_path: Path, language: str, most: float, form: str) -> None:
    parts = ENGLISH if language == "en" else CHINESE
    page = draw_scan(parts)
    path = tmp_path / f"page.{form}"
    if form.startswith("sideways"):
        page = page.rotate(90, expand=True)
    page.save(path, **({"resolution": 200} if form == "pdf" else {"dpi": (200, 200)}))
    parsed = parse_file(path, "pdf" if form == "pdf" else "image", IndexSettings())
    rate = error_rate(parsed, parts)
    print(f"{language} {form}: character error rate {rate:.4f}")  # noqa: T201
    assert rate <= most
    assert [e.kind for e in parsed.elements] == [kind for kind, _ in parts]
    assert all(e.confidence is not None and e.confidence > 0.8 for e in parsed.elements)
    assert parsed.warnings == ()


def test_a_long_scan_outlasts_the_limit_of_a_file_and_tells_its_pages(tmp_path: Path) -> None:
    english, chinese = draw_scan(ENGLISH), draw_scan(CHINESE)
    pages = [tmp_path / f"{number}.png" for number in range(4)]
    for number, page in enumerate(pages):
        (chinese if number % 2 else english).save(page)
    canvas = Canvas(str(tmp_path / "mixed.pdf"), pagesize=(595, 842))
    canvas.drawString(72, 700, "The first page is text and needs no recognition.")
    canvas.showPage()
    for page in pages:
        canvas.drawImage(str(page), 0, 0, 595, 842)
        canvas.showPage()
    canvas.save()
    (source,), _ = find_sources([tmp_path / "mixed.pdf"], IndexSettings())
    told: list[tuple[int, int]] = []
    settings = IndexSettings(parse_timeout_seconds=2)
    with ParserPool(settings) as pool:
        parsed = pool.parse(source, lambda done, total: told.append((done, total)))
    assert told[0] == (0, 4)
    assert told[-1] == (4, 4)
    assert [e.confidence is None for e in parsed.elements if e.page == 1] == [True]
    texts = {page: "".join(e.text for e in parsed.elements if e.page == page) for page in range(2, 6)}
    assert all(("EX-204" in text) for text in texts.values())
    assert all(("密封座" in texts[page]) == (page % 2 == 1) for page in texts)
