"""Whether an answer says that the documents do not cover the question, and what to say where they do not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.core.language import Language
from assistant.core.prompts import not_covered, render
from assistant.core.records import Passage, Section
from assistant.core.sentences import terms
from indexing.analysis import analyze, cut_words, fold
from indexing.codes import UnknownCode
from indexing.corpus import indexed_text

# small base models refuse in words of their own; only refusals about the documents count
_REFUSALS = re.compile(
    r"not (?:\w+ ){0,2}(?:in|covered by|(?:covered|given|mentioned|stated|found|provided) in) "
    r"(?:the |these |this |any of the |your )?(?:documents?|passages?|text|context|manuals?|information)"
    r"|(?:documents?|passages?|text|context) (?:do(?:es)? not|don't|doesn't) "
    r"(?:mention|say|state|contain|provide|specify|cover|hold|include)"
    r"|(?:文档|段落|资料|文中|上下文|手册)(?:中|里)?(?:并)?(?:没有|未|不)(?:提到|提及|说明|包含|涉及|给出|提供|找到|相关|这方面|有关|答案)"
    r"|没有(?:在)?(?:文档|段落|资料)(?:中|里)?(?:找到|提到|提及)",
    re.IGNORECASE,
)
_NEAREST = 3
_MISSING = 3
_WORD = re.compile(r"[a-z][a-z0-9-]{2,}|[㐀-䶿一-鿿豈-﫿]+", re.IGNORECASE)
# words that questions are made with, and nobody misses in a document
_ASKING = frozenset(
    re.findall(
        r"\S+",
        "about after again all also any anyone anything because been before being best better both "
        "but come comes coming could did does doing done during each else every find get gets getting "
        "give given had has having her here him his into just know let like make many may mean means "
        "might more most "
        "much must need needs new not now off one only other out over please possible same say see "
        "she should show since some something still such take tell than thank thanks them then these "
        "they thing things think those through too try trying under until use used using very want "
        "was way well were whether while without work works would yes yet "
        "actually anyhow anyway bit certainly far kind maybe perhaps quite rather really somehow "
        "sometimes sort "
        "什么 怎么 怎样 如何 多少 多大 多长 多久 多高 多重 为什么 为何 是否 可以 能否 能不能 有没有 "
        "是不是 哪里 哪个 哪些 哪种 几个 请问 一下 一个 这个 那个 这些 那些 我们 你们 他们 需要 "
        "应该 怎么办 的话 时候 现在 已经 还是 或者 以及 如果 知道 告诉 问题 情况 "
        "应当 必须 多远 多宽 多深 多快 大概 大约 左右 至少 至多 最多 最少 本身 自己 这台 那台 这款 "
        "那款 这里 那里 这儿 那儿 出来 起来 以后 之后 以前 之前 以内 之内 不再 还能 还有 还要 才能 "
        "会不会 要不要 可不可以 怎么样 咋办 为啥 有点 有些 一些 一样 一直 一会 一会儿 到底 究竟 彻底 "
        "完全 突然 忽然 老是 总是 经常 碰到 遇到 出现 发生 想要 打算 感觉 觉得 看看 麻烦 帮忙 谢谢 "
        "您好 你好",
    )
)


def is_abstention(text: str, language: Language) -> bool:
    """Return whether the text declines to answer for want of documents."""
    return text.strip().startswith(_head(language)) or _REFUSALS.search(text) is not None


def without_afterthought(text: str, language: Language) -> str:
    """Return the text without the sentence of refusal where an answer stands before it.

    Tuned models now and then answer and then say, out of habit, that the documents do not: what comes first
    is checked against the passages anyway.
    """
    answer, refusal, _ = text.partition(_head(language))
    return answer.rstrip() if refusal and answer.strip() else text


def nearest_sections(found: Sequence[Passage]) -> tuple[Section, ...]:
    """Return the places of the best passages, one a section."""
    sections: dict[tuple[str, tuple[str, ...]], Section] = {}
    for passage in sorted(found, key=lambda row: row.rank):
        chunk = passage.chunk
        sections.setdefault(
            (chunk.document, chunk.heading_path),
            Section(
                document=chunk.document,
                version=chunk.version,
                page=chunk.page,
                heading_path=chunk.heading_path,
                chunk_id=chunk.id,
            ),
        )
    return tuple(sections.values())[:_NEAREST]


def missing_words(question: str, found: Sequence[Passage]) -> tuple[str, ...]:
    """Return words of a question that none of the passages holds, as they stand in it, in its order."""
    held = {term for passage in found for term in analyze(indexed_text(passage.chunk))}
    missing: dict[str, None] = {}
    for match in _WORD.finditer(question):
        run = match.group()
        words = [run] if run.isascii() else [word for word in cut_words(run) if len(word) > 1]
        for word in words:
            if _says_something(word) and held.isdisjoint(analyze(word)):
                missing[word] = None
    return tuple(missing)[:_MISSING]


def declined(language: Language, nearest: Sequence[Section] = (), missing: Sequence[str] = ()) -> str:
    """Return what to say where nothing covers a question: what is missing, where to look, who helps."""
    head = _head(language)
    parts = [head]
    if missing and nearest:
        quoted = [f"“{word}”" for word in missing]
        parts.append(render("missing_words", language, words=_comma(language).join(quoted)))
    if nearest:
        places = (describe_section(section, language) for section in nearest)
        parts.append(render("nearest_sections", language, sections=_semicolon(language).join(places)))
    parts.append(not_covered(language).removeprefix(head).strip())
    return ("" if language == "zh" else " ").join(parts)


def unknown_codes_text(language: Language, unknown: Sequence[UnknownCode]) -> str:
    """Return what to say where a question's codes or names are none of the collection's."""
    comma = _comma(language)
    codes = comma.join(row.code for row in unknown)
    nearest = comma.join(dict.fromkeys(code for row in unknown for code in row.nearest))
    template = "unknown_name" if all(row.is_name for row in unknown) else "unknown_code"
    return render(template, language, codes=codes, nearest=nearest)


def describe_section(section: Section, language: Language) -> str:
    """Return a section in a few words: document, last heading, page."""
    where = " › ".join((section.document.rsplit("/", 1)[-1], *section.heading_path[-1:]))
    if section.page is None:
        return where
    return f"{where}（第 {section.page} 页）" if language == "zh" else f"{where} (p. {section.page})"


def _says_something(word: str) -> bool:
    return fold(word) not in _ASKING and bool(terms(word))


def _comma(language: Language) -> str:
    return "、" if language == "zh" else ", "


def _semicolon(language: Language) -> str:
    return "；" if language == "zh" else "; "


def _head(language: Language) -> str:
    return re.split(r"(?<=[.。])", not_covered(language))[0].strip()
