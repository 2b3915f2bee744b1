"""The forms of personal data, and the words that speak for each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from indexing.personal_checks import (
    iban_length,
    international_length,
    is_bank_card,
    is_chinese_id,
    is_north_american,
    is_phone_number,
)

PersonalKind = Literal["phone", "email", "id_number", "bank_card", "iban", "plate"]
Context = Literal["any", "no_other", "needed"]

# a word for another kind of number
OTHER_NUMBER = re.compile(
    r"\bserial|\bs/?n\b|\bparts?\b|\bp/n|\bsku\b|\bitems?\b|\border|\binvoice|\bmodel|\barticle|\bart\."
    r"|\bcatalog|\bfirmware|\bversion|\brev(?:ision)?\b|\bbatch|\blot\b|\bimei\b|\bmac\b|\basset|\btracking"
    r"|\bisbn|\bpatent|序列号|型号|料号|物料|备件|零件|订单|订货|货号|批号|批次|编号|固件|版本|运单|快递|专利|条码|发票"
    r"|机身号|出厂|单号",
    re.I | re.A,
)

# neither inside a word or a code such as QP-5136 nor running on into one; an attached mail is called by its
# subject, which may end in a number
_OPEN = r"(?<![A-Za-z0-9_])(?<![A-Za-z0-9][-.+])"
_SHUT = r"(?![A-Za-z0-9_])(?![-.](?!eml\b)[A-Za-z0-9])"
# a phone may stand right behind its word: Tel.13800138000, fax-020-55501234
_PHONE_OPEN = (
    r"(?<![A-Za-z0-9_])(?:(?<![A-Za-z0-9][-.+])|(?<=(?<![A-Za-z])(?i:tel|fax|mob)[-.+])|(?<=[Pp]hone[-.+]))"
)
# nor one of a row of numbers
_APART = r"(?<!\d )"
_ALONE = _SHUT + r"(?! \d)"
_EXTENSION = r"(?: ?(?:x|ext\.?) ?\d{1,6}|[-转]\d{1,5})?"

_PHONE = (
    r"\b(?:tele)?phones?\b|\btel\b|\bmobiles?\b|\bcell ?phone|\bcell:|\bfax\b|\bwhatsapp|\bdial\b|\bhotline"
    r"|\bcall[:,]? ?\Z"
    r"|\b(?:call|ring|text|reach|contact)(?:ed)? (?:\w{1,20} ){0,2}(?:me|us|him|her|them|back|on|at)\b"
    r"|\bcontact(?: no\b| number|:| \|)"
    r"|电话|手机|座机|固话|传真|联系方式|热线|致电|拨打|来电|分机|微信"
)
_PERSON = r"|\bcustomer|\bcontact|\bcaller|联系人|收货人|收件人|姓名|客户|用户|先生|女士"
_CARD = (
    r"\b(?:bank|credit|debit|visa|mastercard|amex|unionpay|payment)\b|\bcards?\b|银行|卡号|银联|信用卡|储蓄卡"
)
_PLATE = (
    r"number plate|licen[cs]e plate|registration (?:plate|number|mark|no)|\breg(?:\.| no| number)|\bvehicle"
    r"|\bcars?\b|\bvan\b|\blorry\b|\btruck\b|kennzeichen|车牌|牌照|号牌|车|驾驶"
)
_NO_CUE = re.compile(r"(?!)")
_NO_DOMAIN = (
    r"(?!(?:png|jpe?g|gif|svg|webp|js|css|html?|md|txt|py|sh|cpp|json|xml|zip|gz|service|socket|timer|target|mount"
    r"|local|lan|localdomain|domain|dom|ext)"
    r"(?![A-Za-z0-9])(?!\.[A-Za-z]))"
)
_NINO = "(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
_NINO_CUES = r"national insurance|\bnino\b|\bni (?:no|number)"
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
# as the end of a word (更新, 腾讯云, 北京) before a code, these are no province
_AMBIGUOUS_PROVINCES = "京津云黑新苏甘吉贵青藏川宁蒙"


class Form(NamedTuple):
    """One form of personal data.

    Attributes:
        kind: of the data.
        pattern: what it looks like.
        judge: whether a match can be it, or how many of its characters are.
        cues: words before it that speak for it.
        context: ``needed``: counts after such a word only; ``no_other``: unless a word for another kind of
            number stands nearer; ``any``: always.
    """

    kind: PersonalKind
    pattern: re.Pattern[str]
    judge: Callable[[str], bool | int]
    cues: re.Pattern[str] = _NO_CUE
    context: Context = "no_other"


def _is_email(text: str) -> bool:
    return not text.lower().startswith("git@")


def _is_plate(text: str) -> bool:
    """Judge the part behind province and city: at most three letters, of the shape of either system."""
    number = re.sub(r"[ ·•・.-]", "", text)[2:]
    letters = sum(character.isascii() and character.isalpha() for character in number)
    is_green = len(number) == 6 and (number[0] in "ABCDEFGHJK" or number[-1] in "ABCDEFGHJK")  # noqa: PLR2004
    return letters <= (3 if is_green else 2) and (len(number) == 5 or is_green)  # noqa: PLR2004


def _always(_text: str) -> bool:
    return True


def _form(
    kind: PersonalKind,
    pattern: str,
    judge: Callable[[str], bool | int] = _always,
    cues: str = "",
    context: Context = "no_other",
) -> Form:
    said = re.compile(cues, re.I | re.A) if cues else _NO_CUE
    return Form(kind, re.compile(pattern, re.A), judge, said, context)


FORMS: tuple[Form, ...] = (
    _form(
        "email",
        r"(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9][A-Za-z0-9-]{0,61}\.){1,8}"
        + _NO_DOMAIN
        + r"[A-Za-z]{2,24}(?![A-Za-z0-9])(?![-_][A-Za-z0-9])(?!\.[A-Za-z])(?!:[\w~/])",
        _is_email,
        context="any",
    ),
    _form("iban", _OPEN + r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8}", iban_length, context="any"),
    _form(
        "id_number",
        _OPEN + r"[1-9]\d{5}[ -]?(?:18|19|20)\d{2}[01]\d[0-3]\d[ -]?\d{3}[\dXx]" + _SHUT,
        is_chinese_id,
        context="any",
    ),
    _form("id_number", _OPEN + r"[1-9]\d{14}" + _SHUT, is_chinese_id, r"身份证|证件号", "needed"),
    *(
        _form("bank_card", _OPEN + shape + _SHUT, is_bank_card, _CARD)
        for shape in (
            r"\d{13,19}",
            r"(?<!\d{4}[ -])\d{4}(?:[ -]\d{4}){3}(?:[ -]\d{3})(?! \d{4})",
            r"(?<!\d{4}[ -])\d{4}(?:[ -]\d{4}){3}(?![ -]\d{4})",
            r"\d{4}[ -]\d{6}[ -]\d{4,5}",
            r"\d{6}[ -]\d{13}",
        )
    ),
    _form(
        "id_number",
        _OPEN + r"(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}" + _SHUT,
        cues=r"social security|\bssn\b",
    ),
    _form(
        "id_number",
        _OPEN + r"(?!000|666|9)\d{3} ?(?!00)\d{2} ?(?!0000)\d{4}" + _SHUT,
        cues=r"social security|\bssn\b",
        context="needed",
    ),
    _form("id_number", rf"{_OPEN}{_NINO} ?\d{{2}} \d{{2}} \d{{2}} ?[A-D]{_SHUT}", cues=_NINO_CUES),
    _form("id_number", rf"{_OPEN}{_NINO} ?\d{{6}} ?[A-D]{_SHUT}", cues=_NINO_CUES, context="needed"),
    _form(
        "phone",
        _PHONE_OPEN + r"(?:(?:\+|00)?86[ -]?)?1(?:3\d|4[5-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9[0-35-9])"
        r"[ -]?\d{4}[ -]?\d{4}" + _SHUT,
        cues=_PHONE + _PERSON,
    ),
    _form(
        "phone",
        _PHONE_OPEN + r"(?:(?:\+|00)?1[ .-]?)?[2-9]\d{2}[-.][2-9]\d{2}[-. ]\d{4}" + _EXTENSION + _SHUT,
        is_north_american,
        _PHONE + _PERSON,
    ),
    _form(
        "phone",
        _PHONE_OPEN + r"\+[1-9](?:[ .()/-]{0,3}\d){7,14}" + _SHUT,
        international_length,
        _PHONE + _PERSON,
    ),
    *(
        _form("phone", f"{_PHONE_OPEN}(?:{shape}){_EXTENSION}{end}", is_phone_number, _PHONE + _PERSON)
        for shape, end in (
            (
                r"(?:\(0(?:10|2[0-57-9])\) ?|0(?:10|2[0-57-9])-)[2-8]\d{3}[ -]?\d{4}"
                r"|(?:\(0[3-9]\d{2}\) ?|0[3-9]\d{2}-)[2-8]\d{2,3}[ -]?\d{4}",
                _SHUT,
            ),
            (r"(?:1[ .-]?)?\(\d{3}\)[ .-]?\d{3}[-. ]\d{4}", _SHUT),
            (r"\(0\d{1,4}\)[ .-]{0,2}\d{3,4}[ .-]?\d{3,4}", _SHUT),
            (
                _APART + r"(?:0[1-9] \d{3,4}[ -]?\d{4}|0[1-9]\d \d{3,4}[ -]?\d{3,4}"
                r"|0[1-9]\d{2} \d{3}[ -]?\d{3,4}|0[1-9]\d{3} \d{3} ?\d{3})",
                _ALONE,
            ),
            (r"04\d{2}[-.]\d{3}[-.]\d{3}", _SHUT),
            (_APART + r"0(?:7\d{3}|1[2-9]\d{2})[ -]\d{6}", _ALONE),
            (r"07[4-9]\d{8}", _SHUT),
        )
    ),
    _form(
        "phone",
        _PHONE_OPEN + r"\(?\d(?:[ .()-]{0,2}\d){6,12}" + _EXTENSION + _SHUT,
        is_phone_number,
        _PHONE,
        "needed",
    ),
    _form(
        "plate",
        rf"(?:(?<![㐀-鿿])[{_PROVINCES}]|[{''.join(sorted(set(_PROVINCES) - set(_AMBIGUOUS_PROVINCES)))}])"
        r"[A-HJ-Z][ ·•・.-]?[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9警学挂港澳试超领][A-HJ-NP-Z0-9]?(?![A-Za-z0-9])",
        _is_plate,
        _PLATE,
    ),
    _form(
        "plate",
        rf"[{_PROVINCES}][A-HJ-Z][ ·•・.-]?[A-HJ-NP-Z0-9]{{4}}"
        r"[A-HJ-NP-Z0-9警学挂港澳试超领][A-HJ-NP-Z0-9]?(?![A-Za-z0-9])",
        _is_plate,
        _PLATE,
        "needed",
    ),
    _form(
        "plate",
        _OPEN + r"(?:[A-HJ-PR-Y]{2}\d{2} ?[A-HJ-PR-Z]{3}|[A-ZÄÖÜ]{1,3}-[A-Z]{1,2}[ -]?\d{1,4}[EH]?)" + _SHUT,
        cues=_PLATE,
        context="needed",
    ),
)
