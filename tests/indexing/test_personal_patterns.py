from __future__ import annotations

import random
import time

import pytest

from indexing.personal_checks import is_bank_card, is_chinese_id, is_luhn
from indexing.personal_patterns import find_personal_data

# invented, with valid checksums; numbers of telephone plans come from the ranges kept for fiction
FOUND = [
    ("Call me on 07700 900123 or (020) 7946 0958.", ["phone 07700 900123", "phone (020) 7946 0958"]),
    ("Ring +44 (0)20 7946 0958 2 times", ["phone +44 (0)20 7946 0958"]),
    ("Phone: 2125550123, office 212-555-0199 x12", ["phone 2125550123", "phone 212-555-0199 x12"]),
    ("(212) 555-0123 | 0491 570 156", ["phone (212) 555-0123", "phone 0491 570 156"]),
    ("or +353 1 234 5678.", ["phone +353 1 234 5678"]),
    ("联系人王伟，手机１３８００１３８０００", ["phone １３８００１３８０００"]),
    ("座机010-55501234转801", ["phone 010-55501234转801"]),
    ("电话138 0013 8000/+86-139-0013-9000", ["phone 138 0013 8000", "phone +86-139-0013-9000"]),
    ("订单号20250131，收货人张三 13800138000", ["phone 13800138000"]),
    ("身份证110101199003077491，已登记", ["id_number 110101199003077491"]),
    ("ID 440101 19850615 004X", ["id_number 440101 19850615 004X"]),
    ("SSN 123-45-6789", ["id_number 123-45-6789"]),
    ("National Insurance AB123456C or AB 12 34 56 C", ["id_number AB123456C", "id_number AB 12 34 56 C"]),
    ("Card 4111 1111 1111 1111 123, 卡号6222020000000000001", ["bank_card 4111 1111 1111 1111"]),
    ("paid with 5555555555554444", ["bank_card 5555555555554444"]),
    ("IBAN GB82 WEST 1234 5698 7654 32 BIC X", ["iban GB82 WEST 1234 5698 7654 32"]),
    ("请汇款至DE89370400440532013000。", ["iban DE89370400440532013000"]),
    ("邮箱wang.li@qq.com，抄送 a_b+c@mail.co.uk.", ["email wang.li@qq.com", "email a_b+c@mail.co.uk"]),
    ("官网https://www.abc.com，联系人手机13812345678", ["phone 13812345678"]),
    ("详见https://a.cn联系电话13812345678", ["phone 13812345678"]),
    ("邮箱——zhang@163.com", ["email zhang@163.com"]),
    ("邮箱zhang@163.com——周一至周五", ["email zhang@163.com"]),
    ("-john@acme.com, _li.lei@acme.com_", ["email john@acme.com", "email li.lei@acme.com"]),
    ("Tel.13812345678 tel-2125550123", ["phone 13812345678", "phone 2125550123"]),
    ("Tel.+8613812345678，Fax.020-38889999", ["phone +8613812345678", "phone 020-38889999"]),
    ("车牌粤B12345、京A·D12345", ["plate 粤B12345", "plate 京A·D12345"]),
    ("我的沪A12345停在楼下", ["plate 沪A12345"]),
    ("Number plate AB12 CDE; Kennzeichen B-MW 1234", ["plate AB12 CDE", "plate B-MW 1234"]),
]  # fmt: skip

NOT_FOUND = [
    "Seal QP-5136, kit HQ-1204-B, code E-47, part 13-8001-38000, art. 212-555-0123, 备件号 010-55501234",
    "Serial 13800138000, S/N 4111111111111111, 序列号5555555555554444，运单13800138000",
    "Firmware 2.14.0.1187, v10.02.138 build 20250131, IP 192.168.10.255, 8.8.8.8",
    "M10 48 Nm, M12 62 Nm; 10 20 30 400 500 6000; 4800 9600 1000 2000; 230 V 50 Hz",
    "120 x 200 x 1800 mm, 2025-01-31 10:30, 31-01-2025, 20250131, 0100 0101 0110, 1706659200",
    "Hotline 400-555-0123, 1-800-555-0123, 0800 123 4567, 热线 8005550123",
    "更新V20315后重启，腾讯云S12345，川崎B1234，新款 A12345",
    "https://shop.example/item/13800138000?id=110101199003077491 git@git.example.com:a/b logo@2x.png",
    "-git@git.example.com:a/b, _logo@2x.png_, see logo@2x.png. foo@bar.service",
    "hotel-13812345678, part.13812345678, www.abc.com/13812345678?mail=zhang@163.com",
    "getty@tty1.service, user@host.local, user@host.domain.ext",
    "AB12 CDE without a word before it, call E-47 on 3 pumps",
    "110101199003077492 111111199003077491 110101199013077491 4111 1111 1111 1112 GB82WEST12345698765433",
    "身份证明需在三个工作日内提交，电话簿共 12 页，银行 3 家",
]


def found(text: str) -> list[str]:
    return [f"{finding.kind} {text[finding.start : finding.end]}" for finding in find_personal_data(text)]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_personal_data_is_found_in_both_languages(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize("text", NOT_FOUND)
def test_other_numbers_are_no_personal_data(text: str) -> None:
    assert found(text) == []


def test_made_up_codes_and_values_give_no_alarm() -> None:
    rng = random.Random(3)
    digits = {count: [f"{rng.randrange(10**count):0{count}d}" for _ in range(300)] for count in (2, 3, 4, 8)}
    for two, three, four, eight in zip(*digits.values(), strict=True):
        text = (
            f"QP-{four} {three}-{four}-{two} SN{eight} {eight}, {two}.{four}.{three}, v{two}.{two}.{three} "
            f"M{two} {three} Nm, {three} x {four} mm, {four} {four} {four}, 0x{eight}, 20{two}-0{two[0]}-15"
        )
        assert found(text) == []


def test_one_wrong_digit_breaks_every_checksum() -> None:
    assert is_luhn("4111111111111111")
    assert is_bank_card("3782 822463 10005")
    assert is_chinese_id("11010119900307803X")
    for place in range(16):
        wrong = "4111111111111111"[:place] + "7" + "4111111111111111"[place + 1 :]
        assert not is_luhn(wrong)
    assert not is_chinese_id("110101199003078031")
    assert not is_chinese_id("110101209903078035")  # born in the future
    assert found("IBAN GB82 WEST 1234 5698 7654 33") == []


@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "4111-", "a.", "a@", "+1(((", "GB82 ", "京A1234", "phone ", "http://", "tel.", "a@b-"],
)
def test_hostile_repetition_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    find_personal_data(piece * 10_000)
    assert time.process_time() - started < 2
