"""The questions of a report's page, arm beside arm, with the passages they were answered from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from assistant.core.records import Arm, Citation, Passage
from eval.summary import ShownAnswer, ShownCase


def cases_html(cases: Sequence[ShownCase], arms: Sequence[Arm]) -> str:
    """Return the cases, each with every arm's answer, its citations, and the passages of all arms."""
    return "".join(_case(shown, arms) for shown in cases) or "<p>None.</p>"


def _case(shown: ShownCase, arms: Sequence[Arm]) -> str:
    case = shown.case
    expected = " · ".join(" / ".join(forms) for forms in case.key_facts) or " / ".join(case.answers)
    if not case.answerable:
        expected = "not in the documents"
    answers = "".join(_answer(arm, shown.answers[arm], case.lang) for arm in arms)
    return (
        f'<article><h3 lang="{case.lang}">{escape(case.question)}</h3>'
        f'<p class="meta">{escape(case.id)} · {case.lang} · {escape(case.kind)} · gap {shown.gap:+.2f}'
        f' · expected: <span lang="{case.lang}">{escape(expected)}</span></p>'
        f'<div class="answers">{answers}</div>{_passages(shown, arms)}</article>'
    )


def _answer(arm: Arm, answer: ShownAnswer, language: str) -> str:
    mark = " · abstained" if answer.abstained else ""
    cited = "".join(_citation(citation, language) for citation in answer.citations)
    return (
        f"<section><h4>{escape(arm)} <b>{answer.score:.2f}</b>{mark}</h4>"
        f'<p lang="{language}">{escape(answer.text)}</p>{f"<ul>{cited}</ul>" if cited else ""}</section>'
    )


def _citation(citation: Citation, language: str) -> str:
    page = f", p. {citation.page}" if citation.page is not None else ""
    return (
        f"<li>[{citation.number}] {escape(citation.document)}, version {citation.version}{page}: "
        f'<q lang="{language}">{escape(citation.quote)}</q></li>'
    )


def _passages(shown: ShownCase, arms: Sequence[Arm]) -> str:
    """Return each passage once, with the arms that read it and the spans that an answer cites marked."""
    found: dict[str, Passage] = {}
    read_by: dict[str, list[str]] = {}
    spans: dict[str, set[tuple[int, int]]] = {}
    for arm in arms:
        answer = shown.answers[arm]
        for number, passage in enumerate(answer.passages, 1):
            found.setdefault(passage.chunk.id, passage)
            read_by.setdefault(passage.chunk.id, []).append(f"{arm} [{number}]")
        for citation in answer.citations:
            spans.setdefault(citation.chunk_id, set()).add((citation.start, citation.end))
    if not found:
        return ""
    items = "".join(
        _passage(passage, read_by[chunk_id], spans.get(chunk_id, set()))
        for chunk_id, passage in found.items()
    )
    many = "s" if len(found) > 1 else ""
    return f"<details><summary>{len(found)} passage{many} read</summary><ol>{items}</ol></details>"


def _passage(passage: Passage, arms: Sequence[str], spans: Iterable[tuple[int, int]]) -> str:
    chunk = passage.chunk
    where = " › ".join((chunk.document, *chunk.heading_path))
    page = f", p. {chunk.page}" if chunk.page is not None else ""
    return (
        f"<li><span>{escape(where)}{page}</span> <small>{escape(', '.join(arms))}</small>"
        f'<p lang="{chunk.language}">{_marked(chunk.text, spans)}</p></li>'
    )


def _marked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Return the text with the cited spans marked; a span that begins inside another is left out."""
    parts, end = [], 0
    for start, stop in sorted(spans):
        if end <= start < stop <= len(text):
            parts += [escape(text[end:start]), "<mark>", escape(text[start:stop]), "</mark>"]
            end = stop
    return "".join((*parts, escape(text[end:])))
