from __future__ import annotations

from pathlib import Path

import pytest

from assistant.core.errors import IndexBroken
from indexing.codes import CodeIndex, build_codes, find_codes, merge_codes, read_codes, write_codes

TEXTS = [
    (1, "Fault code E-01: no power. Fault code E-02: fan blocked."),
    (2, "错误代码 E-47：温度传感器断路。"),
    (3, "Error F03 means low pressure; error F04 and error F05 mean no flow."),
    (4, "Spare part HQ-1204 fits the T6, status ERR_1234 and fault 0x1A."),
    (5, "Error Number: 8001. The memory limit of 1500 MiB was reached in 2024."),
    (6, "## 错误代码 8002：写入冲突"),
    *[
        (number, f"The ESP32 supports feature {number}, GPIO{number % 10} and I2C.")
        for number in range(10, 60)
    ],
]


@pytest.fixture(scope="module")
def codes() -> CodeIndex:
    return build_codes((number, "", text) for number, text in TEXTS)


@pytest.mark.parametrize(
    ("question", "chunks"),
    [
        ("What does E-47 mean?", {2}),
        ("what does e47 mean", {2}),
        ("显示Ｅ－４７怎么办", {2}),
        ("E47故障怎么处理", {2}),
        ("the display says E 47", {2}),
        ("is HQ1204 in stock", {4}),
        ("err-1234 appeared", {4}),
        ("register 0x1a", {4}),
        ("E-01 and F03 together", {1, 3}),
        ("what is 8001", {5}),
        ("出现 8002 怎么办", {6}),
        ("显示8001怎么办", {5}),
        ("8002报警", {6}),
        ("8001 元", set()),
        ("no code at all", set()),
        ("in 2024 we sold 1500", set()),
        ("E-470", set()),
        ("XE-47", set()),
    ],
)
def test_known_codes_lead_to_their_chunks(codes: CodeIndex, question: str, chunks: set[int]) -> None:
    assert set(codes.chunks_of(codes.known(question))) == chunks


def test_a_chunk_with_more_of_the_codes_counts_more(codes: CodeIndex) -> None:
    assert codes.chunks_of(codes.known("E-01, E-02 or F03?")) == {1: 2, 3: 1}


def test_what_stands_everywhere_leads_nowhere(codes: CodeIndex) -> None:
    assert codes.chunks_of(codes.known("How do I start the ESP32?")) == {}


@pytest.mark.parametrize(
    ("question", "code", "nearest"),
    [("What does E-48 mean?", "E-48", "E-47"), ("出现 e03 怎么办", "e03", "E-02"), ("F-09?", "F-09", "F05")],
)
def test_an_unknown_member_of_a_family_is_told_with_its_neighbours(
    codes: CodeIndex, question: str, code: str, nearest: str
) -> None:
    (unknown,) = codes.unknown(question)
    assert unknown.code == code
    assert unknown.nearest[0] == nearest


@pytest.mark.parametrize(
    "question",
    [
        "What does E-47 mean?",
        "the ESP33 chip",
        "GPIO39 is floating",
        "since 2024-05-01, 5 mm wide, step 3, T7, v2.1, 230V, IPv6",
        "HQ-9999",
        "E-100",
        "2024 年 5 月，第 3 步，型号 T7",
    ],
)
def test_words_dates_and_sizes_are_no_unknown_codes(codes: CodeIndex, question: str) -> None:
    assert codes.unknown(question) == ()


def test_lower_case_words_with_digits_are_no_codes_of_a_document() -> None:
    assert find_codes("item2, covid-19, step3, top10, 3D, 2024, 5mm") == []


def test_a_number_that_begins_a_title_is_a_code_and_years_are_none() -> None:
    codes = build_codes(
        [(1, "Errors\n04101 UV LED", "Calibration failed."), (2, "2.1 Data", "Made in 2019.")]
    )
    assert codes.chunks_of(codes.known("04101?")) == {1: 1}
    assert codes.chunks_of(codes.known("since 2019")) == {}
    assert codes.unknown("04199 or 4711?") == ()


def test_codes_survive_the_disk(codes: CodeIndex, tmp_path: Path) -> None:
    write_codes(tmp_path, codes)
    again = CodeIndex(read_codes(tmp_path), len(TEXTS))
    assert again.entries == codes.entries
    assert again.unknown("E-48") == codes.unknown("E-48")
    (tmp_path / "codes.json").write_text("{")
    with pytest.raises(IndexBroken, match=r"codes\.json"):
        read_codes(tmp_path)


def test_codes_of_segments_count_together_and_go_with_their_chunks() -> None:
    old = build_codes([(1, "Errors", "Error E-47."), (2, "Errors", "Error E-48, see E-47.")])
    new = build_codes([(5, "Errors", "Error E-49: 故障 E-47.")])
    codes = CodeIndex(merge_codes([old.entries, new.entries]), 3)
    assert codes.chunks_of(codes.known("E-47")) == {1: 1, 2: 1, 5: 1}
    assert codes.unknown("E-50")[0].nearest == ("E-49", "E-48", "E-47")
    fewer = codes.without({2, 5})
    assert fewer.chunks_of(fewer.known("E-47")) == {1: 1}
    assert fewer.unknown("E-48")[0].nearest == ("E-47",)
    assert fewer.without({1}).unknown("E-48") == ()
    assert codes.chunks_of(codes.known("E-49")) == {5: 1}


NUMBERS = [
    *[(10 + digit, f"Codes\nXX10{digit} STUCK", "Unload it.") for digit in range(1, 4)],
    (2, "Codes\n12201 HEATBED", "Heating failed."),
    (3, "Codes\n12202 NOZZLE", "See 12201 and #31-202."),
    (4, "Codes\n31-202 TOOL", "Park it."),
    (5, "", "In 2021 the error happened 12207 times, 54321 prints in all."),
]


@pytest.fixture(scope="module")
def numbers() -> CodeIndex:
    return build_codes(NUMBERS)


@pytest.mark.parametrize(
    ("question", "unknown"),
    [
        ("12203", ["12203"]),
        ("#12203?", ["12203"]),
        ("What does error 12203 mean?", ["12203"]),
        ("屏幕显示12203怎么办", ["12203"]),
        ("My machine shows 31-209", ["31-209"]),
        ("#31-202", []),
        ("31202 报警", []),
        ("Can I print 12203 pages?", []),
        ("出现 12203 个文件", []),
        ("显示 12203 元", []),
        ("error in 2024", []),
    ],
)
def test_plain_numbers_are_unknown_codes_where_a_question_says_so(
    numbers: CodeIndex, question: str, unknown: list[str]
) -> None:
    assert [code.code for code in numbers.unknown(question)] == unknown


def test_a_placeholder_is_the_nearest_of_a_number_that_it_may_stand_for(numbers: CodeIndex) -> None:
    assert numbers.unknown("error 31101")[0].nearest[0] == "XX101"


@pytest.mark.parametrize(
    ("text", "is_defining"),
    [
        ("Table 6\nCode: E-45 · Meaning: Insulation fault", True),
        ("代码: E-45 · 含义: 绝缘故障", True),
        ("- Error Number: E-45\n\nThe insulation is bad.", True),
        ("E-45 | insulation", True),
        ("Below 0.5 MΩ the error E-45 is shown.", False),
        ("E-45 shows after a flood.", False),
    ],
)
def test_a_chunk_that_explains_a_code_is_known(text: str, *, is_defining: bool) -> None:
    codes = build_codes(
        [(1, "", text), (2, "Codes\nE-45 Insulation", "Dry it."), (3, "", "error E-45, E-46")]
    )
    assert codes.defining(codes.known("What is E-45?")) == ({1, 2} if is_defining else {2})


@pytest.fixture(scope="module")
def plain() -> CodeIndex:
    """Two families of plain numbers, 8001 to 8005 and 20001 to 20003."""
    numbers = [*range(8001, 8006), *range(20001, 20004)]
    return build_codes((number, "", f"Error Number: {number}. A write conflict.") for number in numbers)


@pytest.mark.parametrize(
    ("question", "unknown"),
    [
        ("error 8099?", ["8099"]),
        ("错误编号 8099", ["8099"]),
        ("错误代码是8099", ["8099"]),
        ("ERROR [pid 4711] 8099 write conflict", ["8099"]),
        ("Error 8099 came up after 5000 hours", ["8099"]),
        ("What does error 2023 mean?", ["2023"]),
        ("订单10086报错20009怎么办", ["20009"]),
        ("Error 8001 came up after 5000 hours, what now?", []),
        ("Error 8001: process 4711 against 4712", []),
        ("错误8001，已经出现5000了", []),
        ("Which error was fixed in 2023?", []),
        ("ERROR [pid 4711] 8001 write conflict", []),
        ("订单10086是什么状态", []),
        ("序列号：10086 显示什么？", []),
        ("The error is on order no. 10086", []),
        ("The display of serial number 10086 is dark", []),
        ("The error came up after 5000 operating hours", []),
        ("The fault comes at 5000 rpm", []),
        ("The alarm says 5000 W", []),
        ("error within 5000 ms", []),
        ("错误出现在 5000 Hz", []),
        ("Does the error come with more than 5000?", []),
        ("超过5000出现错误", []),
    ],
)
def test_counts_and_other_numbers_are_no_unknown_codes(
    plain: CodeIndex, question: str, unknown: list[str]
) -> None:
    assert [code.code for code in plain.unknown(question)] == unknown


@pytest.mark.parametrize(
    ("question", "unknown"),
    [
        ("What does A4 mean?", ["A4"]),
        ("A4?", ["A4"]),
        ("error A4", ["A4"]),
        ("the error code is A4", ["A4"]),
        ("显示A4怎么办", ["A4"]),
        ("A4 故障", ["A4"]),
        ("My machine has A-4", ["A-4"]),
        ("error A2", []),
        ("How do I print on A4 paper?", []),
        ("Error when printing on A4", []),
        ("显示A4纸用完", []),
        ("怎么打印A4，出现错误", []),
    ],
)
def test_a_letter_with_one_digit_is_an_unknown_code_only_where_it_is_called_one(
    question: str, unknown: list[str]
) -> None:
    codes = build_codes([(1, "", "Error A1, error A2, error A3.")])
    assert [code.code for code in codes.unknown(question)] == unknown


@pytest.mark.parametrize("hyphen", "\u2010\u2011\u2012\u2013\u2212")
def test_a_typeset_hyphen_is_a_hyphen(codes: CodeIndex, hyphen: str) -> None:
    assert codes.chunks_of(codes.known(f"显示E{hyphen}47怎么办")) == {2: 1}
    assert build_codes([(7, "", f"Error E{hyphen}47.")]).known("E-47") == ["E47"]


def test_a_dash_between_numbers_or_codes_makes_a_range(codes: CodeIndex) -> None:
    assert codes.chunks_of(codes.known("E01–F03")) == {1: 1, 3: 1}
    assert find_codes("errors E-01–05") == [("E-01", 7)]
    assert find_codes("the ESP32‑S3") == [("ESP32-S3", 4)]


@pytest.mark.parametrize(
    "question",
    [
        "错误E47见https://a.cn/x",
        "https://a.cn/x，E47是什么意思",
        "见https://a.cn/F03。E47",
        "E47https://a.cn/F03",
    ],
)
def test_an_address_ends_where_chinese_begins(codes: CodeIndex, question: str) -> None:
    assert codes.chunks_of(codes.known(question)) == {2: 1}


NAMED = [
    (1, "The Q5 weighs 14 kg, the Q7 21 kg. Menu item P4."),
    (2, "Q5: 27 Nm · Q7: 48 Nm, bolts M8 and M6, paper A4"),
    (3, "Der Q7 and Q5 take the seal QP-2208; the T3 needs QP-4417."),
    (4, "烤箱 T3 和 T6 用 QP-5136，GPIO1、GPIO2。"),
    (5, "T3 and T6, GPIO1, GPIO2, v2 and v3"),
    (6, "T6 与 T3 的重量；GPIO1、GPIO2，v2 和 v3，M8"),
    (7, "v2 and v3 differ."),
]


@pytest.fixture(scope="module")
def named() -> CodeIndex:
    return build_codes((number, "", text) for number, text in NAMED)


@pytest.mark.parametrize(
    ("question", "unknown"),
    [
        ("What flow does the Q9 deliver?", {"Q9": ("Q7", "Q5")}),
        ("T9 的额定功率是多大？", {"T9": ("T6", "T3")}),
        ("what does a qp-9999 cost", {"qp-9999": ("QP-5136", "QP-4417", "QP-2208")}),
        ("What does the Q7 weigh?", {}),
        ("Is the Q9 larger than the Q7?", {}),
        ("Was it sold in Q3 2025?", {}),
        ("Does an M5 screw fit, or a name such as Q1?", {}),
        ("Is GPIO9 free in v4?", {}),
        ("Menu item P9?", {}),
        ("A3 paper", {}),
    ],
)
def test_names_of_a_known_family_that_nothing_holds_are_unknown(
    named: CodeIndex, question: str, unknown: dict[str, tuple[str, ...]]
) -> None:
    found = named.unknown(question)
    assert {row.code: row.nearest for row in found} == unknown
    assert all(row.is_name for row in found)


def test_a_name_whose_chunks_are_gone_is_unknown_too(named: CodeIndex) -> None:
    (found,) = named.without({1, 2, 3}).unknown("How heavy is the T9?")
    assert found.nearest == ("T6", "T3")
    assert named.without({1, 2, 3}).unknown("How heavy is the Q9?") == ()
