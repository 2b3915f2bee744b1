"""Whether a number that looks like personal data can be it: checksums, dates, numbering plans."""

from __future__ import annotations

import datetime
import re

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10X98765432"
_ID_REGION = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]")
_EARLIEST_YEAR = 1880

# card issuers: prefix → lengths; MasterCard's second range and Discover's are spelt by their beginnings
_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|6(?:011|4[4-9]\d|5\d\d)\d{12}|62\d{14,17}|9558\d{15}"
)

# ISO 13616: country and length of its account numbers
_IBAN_LENGTHS = dict(
    re.findall(
        r"([A-Z]{2})(\d{2})",
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18"
        "FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21"
        "LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24"
        "SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30",
    )
)

_COUNTRY_CODE = re.compile(
    r"1|7|2(?:0|7|[1-69]\d)|3(?:[0-4]|6|9|[578]\d)|4(?:[013-9]|2\d)|5(?:[1-8]|[09]\d)|6(?:[0-6]|[7-9]\d)"
    r"|8(?:[1246]|[0578]\d)|9(?:[0-58]|[679]\d)"
)
_NATIONAL_LENGTHS = {
    "1": (10,), "44": (9, 10), "61": (9,), "64": (8, 9, 10), "353": (7, 8, 9), "86": (9, 10, 11), "91": (10,),
    "852": (8,), "853": (8,), "886": (8, 9), "65": (8,), "27": (9,),
}  # fmt: skip
_OTHER_LENGTHS = range(7, 13)
_SERVICE_NUMBER = re.compile(
    r"(?:00|\+)?(?:86)?[48]00\d{7}|(?:00|\+)?1?(?:8(?:00|33|44|55|66|77|88)|900)[2-9]\d{6}"
    r"|(?:(?:00|\+)?44|0)(?:80[08]\d{6,7}|(?:3\d\d|8[47]\d|9\d\d)\d{7})|(?:\+?61)?1[38]00\d{6}|\+?800\d{8}"
)
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])[0-3]\d|[0-3]\d[01]\d(?:19|20)\d\d")
_NORTH_AMERICAN = re.compile(r"1?([2-9])(\d\d)([2-9])(\d\d)\d{4}")


def is_luhn(digits: str) -> bool:
    """Return whether the last digit is the checksum of ISO/IEC 7812."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(value - 9 * (value > 9) for value in doubled)) % 10 == 0  # noqa: PLR2004


def is_bank_card(number: str) -> bool:
    """Return whether issuer, length and checksum are a bank card's.

    Groups of round numbers (``4800 9600 1000 2000``) are a row of values.
    """
    digits = re.sub(r"\D", "", number)
    round_count = sum(group.endswith("00") for group in re.split(r"[ -]", number)[:-1])
    return bool(_CARD.fullmatch(digits)) and is_luhn(digits) and round_count < 2  # noqa: PLR2004


def is_chinese_id(number: str) -> bool:
    """Return whether region, date of birth and checksum (GB 11643) are right; of 15 or 18 digits."""
    digits = re.sub(r"[ -]", "", number).upper()
    if not _ID_REGION.match(digits):
        return False
    if len(digits) == 15:  # noqa: PLR2004 - the form until 1999, without century and checksum
        return _is_birthday("19" + digits[6:12])
    total = sum(weight * int(digit) for weight, digit in zip(_ID_WEIGHTS, digits[:17], strict=True))
    return _is_birthday(digits[6:14]) and _ID_CHECKS[total % 11] == digits[17]


def iban_length(text: str) -> int:
    """Return how many characters of the text, spaces included, are an IBAN; 0 if none (ISO 13616, mod 97)."""
    wanted = int(_IBAN_LENGTHS.get(text[:2], "0"))
    taken = end = 0
    while taken < wanted and end < len(text):
        taken += text[end] != " "
        end += 1
    account = text[:end].replace(" ", "")
    if not wanted or taken < wanted or text[end : end + 1].isalnum():
        return 0
    number = "".join(str(int(character, 36)) for character in account[4:] + account[:4])
    return end if int(number) % 97 == 1 else 0


def is_phone_number(number: str) -> bool:
    """Return whether a number can be a person's phone.

    Service numbers (400, 800, toll-free and the like) are nobody's; dates and ones and zeros are no numbers.
    """
    digits = re.sub(r"\D", "", re.sub(r"(?:x|ext|转).*", "", number.lower()))
    return bool(digits.strip("01")) and not (_SERVICE_NUMBER.fullmatch(digits) or _DATE.fullmatch(digits))


def is_north_american(number: str) -> bool:
    """Return whether area and exchange are of the numbering plan (no N11), and it is no service number."""
    bare = re.sub(r"(?:x|ext).*", "", number.lower())
    digits = re.sub(r"\D", "", bare).removeprefix("00")
    match = _NORTH_AMERICAN.fullmatch(digits)
    return match is not None and "11" not in match.group(2, 4) and is_phone_number(digits)


def international_length(text: str) -> int:
    """Return how many characters of a text that opens with ``+`` are a phone number; 0 if none are."""
    for end in sorted({match.end() for match in re.finditer(r"\d(?!\d)", text)}, reverse=True):
        digits = re.sub(r"\D", "", text[:end].replace("(0)", ""))
        code = _COUNTRY_CODE.match(digits)
        lengths = _NATIONAL_LENGTHS.get(code.group(), _OTHER_LENGTHS) if code else ()
        if code and len(digits) - code.end() in lengths:
            return end if is_phone_number(text[:end]) and not _SERVICE_NUMBER.fullmatch("+" + digits) else 0
    return 0


def _is_birthday(digits: str) -> bool:
    try:
        day = datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return day.year >= _EARLIEST_YEAR and day <= datetime.datetime.now(datetime.UTC).date()
