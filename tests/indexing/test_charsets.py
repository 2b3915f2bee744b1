"""Encodings by content: without marks, and where the file declares another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexing.charsets import chinese_encoding, wide_encoding
from indexing.parsing.decoding import decode

SIMPLIFIED = "设备在启动时出现故障，我们已经更换了主控板，现在可以正常工作了。请用户注意保养的时间。\n"
TRADITIONAL = "設備在啟動時出現故障，我們已經更換了主機板，現在可以正常工作了。這是一個說明，請注意。\n"
RUSSIAN = (
    "Насос перекачивает тёплую воду по трубам отопления. Перед работой выключите питание и закройте кран.\n"
)
KOREAN = "설비를 시작하기 전에 전원을 끄고 밸브를 잠그십시오. 그런 다음 덮개를 분리하고 씰을 점검하십시오.\n"
JAPANESE = (
    "装置を起動する前に電源を切り、バルブを閉じてください。次にカバーを取り外し、シールを点検してください。\n"
)
ENGLISH = "Tighten the ring to 14 Nm, then switch the pump on.\n"
TEXTS = {"zh": SIMPLIFIED, "zh-tw": TRADITIONAL, "ru": RUSSIAN, "ko": KOREAN, "ja": JAPANESE, "en": ENGLISH}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"])
def test_wide_text_with_and_without_mark(language: str, encoding: str) -> None:
    raw = TEXTS[language].encode(encoding)
    assert decode(raw, Path("x.txt")) == TEXTS[language]


@pytest.mark.parametrize(
    ("text", "encoding", "declared"),
    [
        (SIMPLIFIED, "gbk", "big5"),
        (SIMPLIFIED, "gb18030", "iso-8859-1"),
        (TRADITIONAL, "big5", "gb2312"),
        (TRADITIONAL, "big5", "utf-8"),
        (SIMPLIFIED, "utf-8", "gb2312"),
        (RUSSIAN, "koi8_r", "koi8-r"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (KOREAN, "euc_kr", "euc-kr"),
        (JAPANESE, "euc_jp", "euc-jp"),
        (JAPANESE, "shift_jis", "shift_jis"),
        (ENGLISH, "ascii", "utf-16"),
    ],
)
def test_content_goes_before_what_is_declared(text: str, encoding: str, declared: str) -> None:
    page = f'<meta charset="{declared}">{text}'
    assert decode(page.encode(encoding), Path("x.html")) == page
    assert decode(text.encode(encoding), Path("x.eml"), declared) == text


@pytest.mark.parametrize("text", [RUSSIAN, KOREAN, JAPANESE, ENGLISH, "Das Gerät läuft für Sie – überall."])
def test_other_languages_are_not_taken_for_chinese_or_wide(text: str) -> None:
    for encoding in ("utf-8", "koi8_r", "cp1251", "euc_kr", "euc_jp", "shift_jis", "cp1252"):
        try:
            raw = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        assert (wide_encoding(raw), encoding == "utf-8" or chinese_encoding(raw) is None) == (None, True)


def test_eight_bit_text_is_never_wide() -> None:
    assert wide_encoding(b"bush hid the facts") is None
    assert wide_encoding((SIMPLIFIED * 20).encode("gbk")) is None
