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
# no part of a code, a time of day, a date, a range, a version or a name ("5G")
_QUANTITY = re.compile(
    rf"(?<![A-Za-z0-9_.:：～~/\-–—第])(?!802\.11)\d[\d,]*(?:\.\d+)?(?=\s?(?:{_UNIT}))"
    r"(?!\s?[年月]\s?\d)(?!\s?(?:[GD](?![A-Za-z])|x))"
)
_DATE = re.compile(r"\d{4}\s?年|\d{1,2}\s?月\s?\d{1,2}\s?日|\d[:：]\d\d")
_CLAUSE_END = re.compile(r"[，；：]")
# what asks for nothing without the clause after it: "45 days after", "who registers within", "over"
_CONDITION = re.compile(r"(?:时|后|前|以?内|的部分|[后内][^，；：]*的[^，；：的]{1,4})[，；：]\Z")
_COMPARING = re.compile(r"(?<![不得能可要])(?:超过|高于|低于|大于|小于|多于|少于|不足)\Z")
# what comes then leans on another sentence, or is the condition of what is told and no question by itself
_LINKING = re.compile(
    r"(?:其中|例如|比如|因为|是因为|由于|因此|所以|否则|此时|但是?|而且|并?且|以及|即使|也就是|这|该|其(?!余|他))"
)
_CONDITIONAL = re.compile(r"(?:如果|若|对于|当(?!前|地))")
# "（T3）或 13 N·m（T6）": the sentence answers for both
_ALTERNATIVE = re.compile(r"(?<=[A-Za-zΩ%℃])\s?（[^（）]*）或.*")
# what comes right after a quantity that is one of two
_RANGE = re.compile(rf"\s?(?:{_UNIT})?\s?(?:[~～(]|[和与或至到、-]\s?\d)")
_FORMULA = re.compile(r"[+=*×]|这多少")
_NOTE = re.compile(r"\A(?:注意|说明|提示|警告|备注|应用场景|note)[：:]+\s?")
# no more than a thing: "a 500 V megger"
_BARE = re.compile(rf"(?:最多|至少|最大|最小|约)?多少\s?(?:{_UNIT})?.{{0,4}}")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_PAIRED = ("（）", "()", "“”", "《》", "[]", "「」")
_LEAST_CLAUSE, _LONGEST_SENTENCE = 8, 120
_LEAST_SAID, _LONGEST_SHORT = 2, 4


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
    start, end = _clause(sentence, quantity)
    before, after = sentence[start : quantity.start()], sentence[quantity.end() : end]
    after = _ALTERNATIVE.sub("", after)
    gap = "" if after.lstrip()[:1] > "\u2e7f" else " "
    clause = f"{before.rstrip()}多少{gap}{after.lstrip()}".lstrip(" 0123456789.、").rstrip(
        " .、，；：。！？\n"
    )
    clause = _NOTE.sub("", clause)
    if start == end or _RANGE.match(after) or not _is_question(clause):
        return ""
    heading = chunk.heading_path[-1].lstrip("0123456789. ") if chunk.heading_path else ""
    is_clear = len(clause) >= _LEAST_CLAUSE and start == 0
    return f"{clause}？" if is_clear or not heading else f"{heading}：{clause}？"


def _clause(sentence: str, quantity: re.Match[str]) -> tuple[int, int]:
    """Return where the clause of a quantity begins and ends, with the neighbours that it needs.

    "Over 3 days:" asks nothing without what comes then, nor "4 minutes at least" without what came before. A
    clause that leans on another sentence is empty.
    """
    borders = [0, *(match.end() for match in _CLAUSE_END.finditer(sentence)), len(sentence)]
    start = max(border for border in borders if border <= quantity.start())
    end = min(border for border in borders if border >= quantity.end())
    before = sentence[start : quantity.start()].strip()
    if _LINKING.match(before) or _CONDITIONAL.match(before):
        return start, start
    if not before or _COMPARING.search(before) or _CONDITION.search(sentence[quantity.end() : end]):
        end = min((border for border in borders if border > end), default=end)
    if start and (sentence[start - 1] == "：" or 0 < len(before) <= _LONGEST_SHORT):
        start = max(border for border in borders if border < start)
    return (start, start) if _LINKING.match(sentence[start:]) else (start, end)


def _is_question(clause: str) -> bool:
    """Whether a clause has a subject and something to say of it in Chinese, and is no formula."""
    said = len(_HAN.findall(clause.replace("多少", "")))
    is_torn = any(clause.count(pair[0]) != clause.count(pair[1]) for pair in _PAIRED)
    return said >= _LEAST_SAID and not (is_torn or _FORMULA.search(clause) or _BARE.fullmatch(clause))
