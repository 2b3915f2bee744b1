"""How codes are written, and which of a question's words and numbers it gives as codes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

CODE = re.compile(
    r"(?<![A-Za-z0-9_.-])"
    r"(?:0[xX][0-9A-Fa-f]{1,8}"
    r"|[A-Za-z]{1,6}(?:[-_][A-Za-z]{1,6})?[-_]?\d{1,6}[A-Za-z]{0,2}(?:[-_][A-Za-z]{0,2}\d{0,6}[A-Za-z]?)*)"
    r"(?![A-Za-z0-9]|\.\d)"
)
_UNITS_ZH = "年月日元个次条台件人天分秒时小万千度字页倍克吨公米毫厘转瓦伏"
# a year, a sum or a count is no code: "2024年", "8001 元", "5000 个"
NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.-])(?:\d{4,6}|\d{2,3}-\d{3})"
    rf"(?![A-Za-z0-9_%-]|[.,]\d| ?[{_UNITS_ZH}])"
)
SPACED = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{1,5}) (\d{1,5})(?![A-Za-z0-9.])")
NUMBER_REACH = 24
# one to three digits are a code right behind what names them: "Error 12", "Err 03", "故障代码 701"
CALLED = re.compile(
    r"(?:(?<![A-Za-z])(?:(?:error|fault|alarm|warning|err|alm|trip)s?(?: ?(?:code|number|no|id)\b)?|codes?)"
    r"[ .:#=(\[]{1,3}"
    r"|(?:(?:故障|错误|报警|告警|警报)(?:代码|代号|编号|编码|[码号])?|代码|代号)[ .:#=(\[]{0,3})"
    rf"(?P<number>\d{{1,3}})(?![A-Za-z0-9_%/-]|[.,:]\d| ?[{_UNITS_ZH}])",
    re.IGNORECASE,
)
# a question writes them together too: "Err12", "ALM-3"
_TOGETHER = re.compile(r"(?<![A-Za-z])(err|error|alm|alarm|fault)[-_]?(?=\d)", re.IGNORECASE)
# "E 38 Heater", where codes are set apart from their number; "A 12 V supply" begins with a word
ENTRY_SPACED = re.compile(
    r"(?P<letters>[B-HJ-Z]|E[A-MO-Z]|F[A-Z]|AL) (?P<digits>\d{2,3})(?![A-Za-z0-9_%/.-])"
)
CUE = re.compile(
    r"\b(?:error|fault|alarm|warning|failure)s?\b|\bcodes?\b|故障|错误|报警|告警|异常|代码|代号",
    re.IGNORECASE,
)
# what stands right before a number that is given as a code: "Error Number: 8001", "错误码 8001", "#31202"
NAMING = re.compile(
    rf"(?:{CUE.pattern})\s*(?:number|no|id|编号|编码)?[码号\s.:：#=(（\[]*\Z|#\Z", re.IGNORECASE
)
# in a question also what is said of a display; a number alone in it needs no such word
_ASKING_CUE = re.compile(
    r"\b(?:show|say|display|report|mean|read)(?:s|ed|ing)?\b|#|显示|提示|出现|什么意思|含义|是什么|怎么办|怎么处理",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_BEFORE = 40
# a number right behind one of these is an order, a process, more than so many
_OTHER_NAME = re.compile(
    r"(?:\b(?:order|invoice|ticket|contract|customer|account|user|serial|part|article|item|product|model|batch"
    r"|lot|process|pid|thread|job|port|line|page|row|step|room|phone|zip|postal|build|s/?n|p/?n)"
    r"\s*(?:number|num|no|nr|id|code)?"
    r"|(?:订单|工单|合同|发票|客户|用户|账户|序列|产品|商品|物料|批次|进程|线程|端口|房间|电话|手机|邮政|流水)"
    r"(?:编号|编码|号码|代码|号)?|单号|批号|行号|页码|邮编|第)[\s.:：#=(（\[]*\Z"
    r"|(?:\b(?:than|over|least|most|every|exceed(?:s|ed|ing)?)|超过|大于|小于|多于|少于|至少|最多|每)\s*\Z"
    r"|[$€£¥]\s*\Z",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r" ?(?:(?:[kmμ]?s|min|h|[kM]?W|[kmM]?V|m?A(?! [a-z])|VA|[kMG]?Hz|[kMh]?Pa|m?bar|psi|m?[lL]|[kmcμ]?m"
    r"|[kmμ]?g|k?N|Nm|[kKMGT]i?B|m?Ah|k?Wh|k?Ω|ppm|ppb|rpm|r/min|dpi|px|fps|dB|USD|EUR|CNY|RMB|°[CF]?|[€£¥$‰])"
    r"(?![A-Za-z0-9])"
    r"|(?i:(?:(?:operating|running|working|service|load|print) )?"
    r"(?:(?:(?:milli|micro)?second|minute|hour|day|week|month|degree|watt|volt|amp|(?:kilo|mega|giga)?byte|bit"
    r"|(?:kilo|milli|centi)?met(?:er|re)|lit(?:er|re)|gram|kilogram|ton|dollar|euro)s?"
    r"|(?:year|time|cycle|revolution|rotation|step|page|sheet|print|part|piece|item|unit|row|line|record|file"
    r"|document|table|user|request|connection)s|copies|entries|retries|people|yuan|percent)\b))"
)
# "A4" is a sheet of paper, "M8" a screw, "Q3" a quarter: so short a name must be called a code
# and 0x40001000 an address
_DOUBTFUL = re.compile(r"[A-Za-z]\d|0[xX].*")
_CALLING = re.compile(
    rf"(?:{CUE.pattern}|{_ASKING_CUE.pattern}|\bwhat(?:'s| is)|\b(?:fix|clear|reset)"
    r"|什么是|处理|解决|消除|(?<!海)报)(?:\s*(?:is|was|number|no|id|编号|是|为|了))?[码号\s.:：#=(（\[\"'“”]*\Z",
    re.IGNORECASE,
)
_CALLED = re.compile(rf"[\s\"'“”]*(?:{CUE.pattern}|{_ASKING_CUE.pattern}|代表|表示)", re.IGNORECASE)
_PAPER = re.compile(
    r"[ -]?(?:paper|sheet|page|size|format|document|tray|portrait|landscape|纸|幅面|尺寸|大小|文档|页)",
    re.IGNORECASE,
)
_THREAD = re.compile(
    r"[ -]?(?:screws?|bolts?|nuts?|threads?|washers?|hex|allen|螺[钉栓母丝纹]|内六角)", re.IGNORECASE
)
_EXAMPLE = re.compile(
    r"(?:such as|like|e\.g\.|for example|例如|比如|诸如|像)[\s,:，：\"“'`]*\Z", re.IGNORECASE
)
_QUARTER = re.compile(r"[QqHh][1-4](?:[ /'’-]*(?:of )?(?:19|20)?\d\d\b| ?季度)")
# the characters of an address are ASCII: Chinese before and behind it is text
_ADDRESS = re.compile(r"(?<![A-Za-z])(?:[A-Za-z][A-Za-z+.]{1,15}|s3)://[!-~]+")
# "E‑47" and "E–47" are typeset "E-47"; the dashes of "01–05" and "E01–E05" make a range
_TYPESET_HYPHEN = re.compile(
    "(?<=[A-Za-z0-9])\u2010(?=[A-Za-z0-9])|(?<=[A-Za-z])[\u2012\u2013\u2212](?=[0-9])"
)


def folded(text: str) -> str:
    """Return the text with full-width forms and typeset hyphens folded and addresses blanked.

    What stands in an address is no code. It is blanked first: a Chinese comma folded would belong to it.
    """
    blanked = _ADDRESS.sub(lambda match: " " * len(match.group()), text)
    return _TYPESET_HYPHEN.sub("-", unicodedata.normalize("NFKC", blanked))


def asked_codes(text: str) -> Iterator[str]:
    """Yield the codes with letters that a question, folded, gives; "E 99" too where it is called one."""
    for match in CODE.finditer(text):
        if not _DOUBTFUL.fullmatch(match.group()) or _is_called_code(text, match):
            yield match.group()
    for match in ENTRY_SPACED.finditer(text):
        if _is_called_code(text, match) and not _UNIT.match(text, match.end()):
            yield match.group()


def called_numbers(text: str) -> Iterator[re.Match[str]]:
    """Yield the numbers of one to three digits that a text, folded, calls a code, with what calls them."""
    for match in CALLED.finditer(text):
        if not _UNIT.match(text, match.end()):
            yield match


def asked_names(text: str) -> Iterator[str]:
    """Yield what may be the name of a model or part in a question, folded: no sheet, no screw, no example.

    "A4 paper", "an M8 screw", "Q3 2025", "such as R5" and "5 V" are none.
    """
    for match in CODE.finditer(text):
        if _PAPER.match(text, match.end()) or _THREAD.match(text, match.end()):
            continue
        if not _EXAMPLE.search(_before(text, match)) and not _QUARTER.match(text, match.start()):
            yield match.group()


def asked_numbers(text: str) -> Iterator[str]:
    """Yield the plain numbers that a question, folded, gives as codes: alone, or near a word that says so.

    A year must be called a code; what has a unit, or another number's name before it, is none.
    """
    spans = [match.span() for cue in (CUE, _ASKING_CUE) for match in cue.finditer(text)]
    for match in NUMBER.finditer(text):
        before = _before(text, match)
        if _OTHER_NAME.search(before) or _UNIT.match(text, match.end()):
            continue
        is_near = not _YEAR.fullmatch(match.group()) and any(
            start - match.end() <= NUMBER_REACH and match.start() - end <= NUMBER_REACH
            for start, end in spans
        )
        if is_near or _is_alone(text, match) or NAMING.search(before):
            yield match.group()


def called_in_question(text: str) -> list[str]:
    """Return the numbers of one to three digits that a question, folded, calls codes."""
    return [match["number"] for match in called_numbers(_TOGETHER.sub(r"\1 ", text))]


def _is_called_code(text: str, match: re.Match[str]) -> bool:
    """Tell whether a short name stands alone or right beside a word such as "error" or "显示"."""
    if _PAPER.match(text, match.end()):
        return False
    is_called = _CALLING.search(_before(text, match)) or _CALLED.match(text, match.end())
    return bool(is_called) or _is_alone(text, match)


def _before(text: str, match: re.Match[str]) -> str:
    return text[max(match.start() - _BEFORE, 0) : match.start()]


def _is_alone(text: str, match: re.Match[str]) -> bool:
    return not re.search(r"\w", text[: match.start()] + text[match.end() :])
