"""Chinese questions that rules make from sentences with a quantity.

Chinese asks in place: put 多少 where the number stands and the statement is a question, in good grammar and
with its answer beside it. English word order would have to change; there the teacher words the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from assistant.core.records import Chunk
from assistant.core.sentences import split_sentences
from training.pairs import Pair

_UNIT = (
    r"个月|小时|分钟|工作日|千瓦|公斤|千克|毫米|厘米|公里|摄氏度|[秒天年月米克升度元次瓶个台圈套层人点档位项条份]"
    r"|°C|℃|%|％|[A-Za-zμΩ][A-Za-z/·μΩ²³]{0,7}(?![A-Za-z0-9_])"
)
# no part of a code, a time of day, a date, a range or a version
_QUANTITY = re.compile(
    rf"(?<![A-Za-z0-9_.:：～~/\-–—第])\d[\d,]*(?:\.\d+)?(?=\s?(?:{_UNIT}))(?!\s?[年月]\s?\d)"
)
_DATE = re.compile(r"\d{4}\s?年|\d{1,2}\s?月\s?\d{1,2}\s?日|\d[:：]\d\d")
_CLAUSE_END = re.compile(r"[，；：]")
_CONDITION = re.compile(r"(?:时|后|前|以?内|的部分)[，；：]?\Z")
# what comes then leans on another sentence, or is the condition of what is told and no question by itself
_LEANING = re.compile(
    r"(?:其中|例如|比如|如果|若|对于|因为|是因为|由于|因此|所以|否则|此时|当(?!前|地)|但是?|而且|并且|以及|这|该|其(?!余|他))"
)
_PAIRED = ("（）", "()", "“”", "《》", "[]", "「」")
_LEAST_CLAUSE, _LONGEST_SENTENCE = 8, 120


def quantity_pairs(chunk: Chunk) -> Iterator[Pair]:
    """Yield a pair for each sentence of a Chinese text chunk that holds one quantity to ask for."""
    if chunk.language != "zh" or chunk.kind != "text":
        return
    for span in split_sentences(chunk.text):
        sentence = span.text.lstrip("-·• ")
        quantity = _QUANTITY.search(sentence)
        if quantity and len(sentence) <= _LONGEST_SENTENCE and not _DATE.search(sentence):
            question = _ask(sentence, quantity, chunk)
            if question:
                yield Pair(question=question, answer=sentence, chunk=chunk, recipe="sentence")


def _ask(sentence: str, quantity: re.Match[str], chunk: Chunk) -> str:
    """Return the clause of the quantity as a question, the heading in front where it says too little.

    Empty where the clause asks nothing by itself.
    """
    borders = [0, *(match.end() for match in _CLAUSE_END.finditer(sentence)), len(sentence)]
    start = max(border for border in borders if border <= quantity.start())
    end = min(border for border in borders if border >= quantity.end())
    if _CONDITION.search(sentence[:end]):  # "over 3 days:" asks for nothing without what comes then
        end = min((border for border in borders if border > end), default=end)
    before, after = sentence[start : quantity.start()], sentence[quantity.end() : end]
    gap = "" if after.lstrip()[:1] > "\u2e7f" else " "
    clause = f"{before.rstrip()}多少{gap}{after.lstrip()}".lstrip(" 0123456789.、").rstrip(
        " .、，；：。！？\n"
    )
    if _LEANING.match(clause) or any(clause.count(pair[0]) != clause.count(pair[1]) for pair in _PAIRED):
        return ""
    heading = chunk.heading_path[-1].lstrip("0123456789. ") if chunk.heading_path else ""
    is_clear = len(clause) >= _LEAST_CLAUSE and start == 0
    return f"{clause}？" if is_clear or not heading else f"{heading}：{clause}？"
