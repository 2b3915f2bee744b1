"""How a cell of a table is asked for and told: a header may be a thing, a question, or half a sentence.

"The what to do of Rattling is Bleed the pump" and "The wear part of the impeller is no" teach a model bad
English, so each form has wordings of its own in ``templates/table_patterns``.
"""

from __future__ import annotations

import re

from assistant.core.language import Language

_CODE = re.compile(r"[A-Z]{1,4}-?\d{1,5}")
_YES, _NO = frozenset({"yes", "是", "✓", "✔", "√"}), frozenset({"no", "否", "✗", "✘", "×"})
_ASKING = re.compile(r"(?:what|how|when|where|which|who|why)\b|.*(?:什么|怎么|如何|怎样|哪)", re.IGNORECASE)
# in the order of a statement: "What it does", "What to do", and no question like "What is it"
_CLAUSE = re.compile(
    r"(?:what|how|when|where|which|who|why)\s+(?:to|it|you|we|they|this|that|these|the|an?|your|its|our)\b.*",
    re.IGNORECASE,
)
_OPEN = re.compile(r".*\b(?:to|for|with|by|at|in|of|on|from)", re.IGNORECASE)
_TASK = re.compile(
    r"(?:adjust|bleed|change|check|clean|descale|drain|fill|grease|inspect|lubricate|measure|open|replace|regrease"
    r"|refill|renew|reset|set|test|tighten|update)\b|更换|清洗|清洁|检查|加注|润滑|测量|紧固|除垢|校准|清理|补充",
    re.IGNORECASE,
)
_PLURAL = re.compile(r".*[a-z]{2}(?<!s)s", re.IGNORECASE)
_FIGURES = {
    "price": ("price", "cost", "list price", "unit price", "价格", "单价", "售价"),
    "delivery": ("delivery", "delivery time", "lead time", "供货", "供货天数", "交货期", "货期", "到货"),
}
_UNIT = re.compile(r"(?P<header>.*\S)\s*[(（](?P<unit>[^()（）]{1,8})[)）]")
_REAL_UNIT = re.compile(
    r"(?:[%‰€$£¥]|°[CF]?|℃|(?!(?i:max|typ|nom|avg|std|ac|dc|each|note|opt|ref|no|id|std|all|new|old)\b)"
    r"[A-Za-zµμΩ]{1,4}[²³23]?)(?:[/·.*-][A-Za-zµμΩ]{1,4}[²³23]?)*"
    r"|(?:day|hour|minute|second|week|month|year|piece|page|byte|metre|meter|watt|volt)s?"
    r"|个?月|元|万元|天|日|小时|分钟?|秒|年|周|个|件|台|人|次|套|千克|公斤|克|吨|毫米|厘米|米|升|毫升|千?瓦|伏|安"
    r"|字符|字节|页|转|摄氏度|工作日"
)
_DURATION = re.compile(r"time|duration|period|interval|delay|时间|时长|周期|间隔", re.IGNORECASE)
# cells that say that there is nothing
EMPTY = frozenset({"", "–", "-", "—", "--", "n/a", "N/A", "/", "空", "无", "none", "None"})
_NUMBER = re.compile(r"[-−+±]?\d+(?:[.,]\d+)*")
_STATED_WORDS = 3


def cell_form(key: str, header: str, value: str) -> str:
    """Return which wordings fit a cell; a fault code's own columns are told apart elsewhere.

    Returns:
        ``yes`` or ``no`` (the row is what the header says, or not), ``asked`` (the header is a question),
        ``told`` (it is a clause: "What it does"), ``open`` (it ends before the value: "Best suited to"),
        ``model``, ``models`` or ``task`` (the header is a model and the row one thing, several, or work),
        ``price``, ``delivery``, ``stated`` (the value is a sentence), ``value``.
    """
    if value.lower() in _YES | _NO:
        return "yes" if value.lower() in _YES else "no"
    if _CODE.fullmatch(header):
        return _model_form(key)
    if _ASKING.match(header):
        return "told" if _CLAUSE.fullmatch(header) else "asked"
    if _OPEN.fullmatch(header):
        return "open"
    for form, names in _FIGURES.items():
        if header.lower() in names and value[:1].isdigit():
            return form
    return "stated" if _is_stated(value) else "value"


def _model_form(key: str) -> str:
    if _TASK.match(key):
        return "task"
    return "models" if _PLURAL.fullmatch(key) else "model"


def with_unit(header: str, value: str) -> tuple[str, str]:
    """Return a cell with its unit behind the number: ("Price (EUR)", "5.60") is ("Price", "5.60 EUR").

    What else stands in brackets is left there: "Load (max)", "Size (1)", and "Height (min)", since only a
    time is in minutes.
    """
    found = _UNIT.fullmatch(header)
    if not found or not _NUMBER.fullmatch(value) or not _REAL_UNIT.fullmatch(found["unit"]):
        return header, value
    if found["unit"].lower() == "min" and not _DURATION.search(found["header"]):
        return header, value
    return found["header"], f"{value} {found['unit']}"


def called_by(header: str, key: str, language: Language) -> str:
    """Return a key that says too little by itself with its column's name: ``level A``, ``等级A``."""
    if not header or key.startswith(header) or header.lower() in key.lower():
        return key
    return f"{header}{key}" if language == "zh" else f"{within_sentence(header)} {key}"


def told_of(header: str, name: str) -> str:
    """Return a header that is a clause as somebody asks for it: ``what "LINK" does``, ``what I can do``."""
    called = name if _CODE.fullmatch(name) else f'"{name}"'
    clause = re.sub(r"\byou\b", "I", re.sub(r"\byour\b", "my", within_sentence(header)))
    told, count = re.subn(r"\bit\b", lambda _: called, clause, count=1)
    return told if count else f"{clause} in the case of {called}"


def within_sentence(words: str) -> str:
    """Return words as they stand inside a sentence; codes and what is written in capitals keep them."""
    keeps = words[:2].isupper() or words.isupper() or _CODE.match(words)
    return words if keeps else words[:1].lower() + words[1:]


def at_beginning(words: str) -> str:
    """Return words as they begin a sentence."""
    return words[:1].upper() + words[1:]


def _is_stated(value: str) -> bool:
    """Return whether a value reads as a sentence: it begins like one and has several words, or two parts."""
    return (value[:1].isupper() and len(value.split()) >= _STATED_WORDS) or ";" in value
