"""Suites from tables and foreign JSON Lines: English or Chinese column names, ids and languages filled in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from assistant.core.errors import InputError
from assistant.core.ids import content_id
from assistant.core.language import detect_language
from assistant.core.records import Case
from eval.suites import PROBLEMS_SHOWN, case_of

# field of a case → names of columns, in lower case
_COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "case", "编号", "序号"),
    "lang": ("lang", "language", "语言"),
    "question": ("question", "query", "问题", "提问", "用户问题"),
    "answers": ("answers", "answer", "reference", "reference answer", "答案", "参考答案", "标准答案"),
    "doc": ("doc", "document", "file", "source", "文档", "文件", "来源"),
    "page": ("page", "页", "页码"),
    "heading": ("heading", "section", "title", "标题", "章节"),
    "evidence": ("evidence", "quote", "passage", "证据", "原文", "依据"),
    "key_facts": ("key_facts", "key facts", "facts", "关键点", "要点", "关键信息"),
    "kind": ("kind", "type", "类型", "类别"),
    "answerable": ("answerable", "可回答", "能否回答"),
    "paraphrases": ("paraphrases", "paraphrase", "同义问法", "其他问法"),
}
_FIELD_OF = {name: field for field, names in _COLUMNS.items() for name in names}
_GOLD = ("doc", "page", "heading", "evidence")
_TRUE = frozenset({"yes", "y", "true", "1", "是", "可", "能"})
_FALSE = frozenset({"no", "n", "false", "0", "否", "不可", "不能"})
_SEPARATORS = (",", ";", "\t")


def import_suite(path: Path) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """Read a table (CSV, TSV) or JSON Lines file of questions.

    In a table ``|`` parts several answers, paraphrases and accepted forms of a fact, and ``;`` or a new line
    parts facts. A row without an id gets one from its question, a row without a language the one it is in;
    a row without document and answer is unanswerable if it says so only.

    Returns:
        The cases, and the columns that mean nothing here.

    Raises:
        InputError: the file cannot be read or rows are no cases; rows are named.
    """
    from indexing.parsing.decoding import decode

    try:
        text = decode(path.read_bytes(), path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not text.strip():
        raise InputError(f"{path}: holds no cases")
    is_lines = text.lstrip("\ufeff \r\n").startswith("{")
    rows = list(_json_rows(text, path) if is_lines else _table_rows(text, path))
    if not rows:
        raise InputError(f"{path}: holds no cases")
    unknown = {name for _, row in rows for name in row if _plain(name) not in _FIELD_OF}
    cases, problems = [], []
    for number, row in rows:
        try:
            cases.append(_case(row, is_table=not is_lines))
        except InputError as error:
            problems.append(f"row {number}: {error.message}")
    if problems:
        more = len(problems) - PROBLEMS_SHOWN
        shown = [*problems[:PROBLEMS_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        raise InputError(f"{path}: rows that are no cases:\n  " + "\n  ".join(shown))
    kept = set() if is_lines else unknown
    return tuple(cases), tuple(sorted(kept))


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield number, msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.DecodeError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: {error}") from error


def _table_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    text = text.lstrip("\ufeff")
    first = text.split("\n", 1)[0]
    separator = max(_SEPARATORS, key=first.count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        names = reader.fieldnames or []
        if "question" not in {_FIELD_OF.get(_plain(name)) for name in names}:
            raise InputError(f"{path}: no column for the question; columns: {', '.join(names)}")
        for row in reader:
            values = {name: value for name, value in row.items() if isinstance(name, str) and value}
            if values:
                yield reader.line_num, dict(values)
    except csv.Error as error:
        raise InputError(f"{path}: not a table: {error}") from error


def _case(row: Mapping[str, object], *, is_table: bool) -> Case:
    """Return the case of a row; fields that are there under their own names stay as they are."""
    found: dict[str, object] = {} if is_table else dict(row)
    for name, value in row.items():
        field = _FIELD_OF.get(_plain(name))
        if field is not None and value is not None:
            found[field] = _read(field, value) if isinstance(value, str) else value
    question = found.get("question")
    if not isinstance(question, str) or not question.strip():
        raise InputError("no question")
    found.setdefault("id", content_id(question, length=10))
    found.setdefault("lang", detect_language(question))
    found["id"] = str(found["id"])
    gold = {name: found.pop(name) for name in _GOLD if name in found}
    if gold and "gold" not in found:
        found["gold"] = [gold]
    return case_of(found)


def _read(field: str, text: str) -> object:
    """Return a cell's value."""
    text = text.strip()
    if field in {"answers", "paraphrases"}:
        return [part.strip() for part in text.split("|") if part.strip()]
    if field == "key_facts":
        facts = text.replace("；", ";").replace("\n", ";").split(";")
        return [[form.strip() for form in fact.split("|") if form.strip()] for fact in facts if fact.strip()]
    if field == "page":
        if not text.isdecimal():
            raise InputError(f"page {text!r} is no number")
        return int(text)
    if field == "answerable":
        return _truth(text)
    if field == "lang":
        return {"english": "en", "chinese": "zh", "英文": "en", "中文": "zh", "英语": "en"}.get(
            text.lower(), text.lower()[:2]
        )
    return text


def _truth(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise InputError(f"answerable is yes or no, got {text!r}")


def _plain(name: str) -> str:
    return name.strip().lower()
