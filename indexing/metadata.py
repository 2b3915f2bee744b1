"""What is known of a document beside its text: product, model, language, date, audience, tags and others.

It comes, the later the stronger, from rules on its path, from the document itself and from the request
that adds it. Tags add up; of any other key the strongest value holds. An empty value takes a key away.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from assistant.core.errors import InputError, SettingsError
from assistant.core.records import Metadata, MetadataValue

Rules = Sequence[tuple[str, Metadata]]
STANDARD_KEYS = ("product", "model", "language", "date", "audience", "tags")

_ALIASES = {
    "products": "product", "产品": "product", "models": "model", "型号": "model", "机型": "model",
    "lang": "language", "语言": "language", "日期": "date", "更新日期": "date", "lastmod": "date",
    "updated": "date", "受众": "audience", "读者": "audience", "tag": "tags", "keywords": "tags",
    "标签": "tags", "关键词": "tags",
}  # fmt: skip
_LANGUAGES = {
    "english": "en", "英文": "en", "英语": "en", "chinese": "zh", "中文": "zh", "汉语": "zh",
    "简体中文": "zh", "cn": "zh",
}  # fmt: skip
_KEY = re.compile(r"[^\W_][\w.-]{0,31}")
_DATE = re.compile(r"(\d{4})(?:\D{0,2}(\d{1,2})(?:\D{1,2}(\d{1,2}))?)?(?!\d)")
_COMPACT_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_BETWEEN_TAGS = re.compile(r"[,;，；、]")
_MOST_KEYS = 32
_MOST_VALUES = 32
_LONGEST = 200
_LANGUAGE_SHARE = 0.25
_MONTHS = 12
_DAYS = 31


def normalise_metadata(values: Mapping[str, object], origin: str = "") -> Metadata:
    """Return metadata in its one form: folded keys, language codes, ISO dates, tags apart.

    Args:
        values: texts, numbers or lists of them by key.
        origin: who gave them, for the error; where empty, what cannot be used is left out, because a
            document's own words are nobody's mistake here.

    Raises:
        InputError: a key or value cannot be used, and ``origin`` is given.
    """
    found: Metadata = {}
    for name, value in values.items():
        key = fold_key(name)
        words = _words(key, value)
        problem = _problem(key, value, words)
        if not problem:
            found[key] = words if key == "tags" or len(words) > 1 else "".join(words)
        elif origin:
            raise InputError(f"{origin}: {problem}")
        if len(found) == _MOST_KEYS:
            break
    return found


def fold_key(name: str) -> str:
    """Return a key in its one form: ``Lang`` and ``语言`` are ``language``."""
    key = unicodedata.normalize("NFKC", str(name)).strip().lower().replace(" ", "_")
    return _ALIASES.get(key, key)


def fold_value(key: str, value: str) -> str:
    """Return a value in its one form: language codes, ISO dates, full-width letters narrowed."""
    text = " ".join(unicodedata.normalize("NFKC", value).split())[:_LONGEST]
    if key == "language":
        code = text.lower()
        return _LANGUAGES.get(code) or re.split("[-_ ]", code)[0]
    return _iso_date(text) if key == "date" else text


def read_assignments(texts: Iterable[str], origin: str) -> dict[str, list[str]]:
    """Read ``KEY=VALUE`` texts; a key that comes twice has both values.

    Raises:
        InputError: one is no assignment.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, sign, value = unicodedata.normalize("NFKC", text).partition("=")
        if not sign or not name.strip():
            raise InputError(f"{origin}: {text!r} is not KEY=VALUE")
        found.setdefault(fold_key(name), []).append(value.strip())
    return found


def path_metadata(rules: Rules, document: str) -> Metadata:
    """Return what the rules whose ``path`` matches a document say, later ones last.

    Args:
        rules: as ``check_rules`` returned them.
        document: its path.
    """
    return merge_metadata([values for path, values in rules if fnmatch.fnmatchcase(document, path)])


def check_rules(rules: Sequence[Mapping[str, object]]) -> Rules:
    """Return the settings' rules as paths, of which ``*`` stands for any characters, and metadata.

    Raises:
        SettingsError: a rule has no path or a bad value.
    """
    checked: list[tuple[str, Metadata]] = []
    for rule in rules:
        path = rule.get("path")
        if not isinstance(path, str) or not path:
            raise SettingsError(f"[[index.metadata_rules]] {dict(rule)}: needs a path such as 'pumps/**'")
        try:
            values = {key: value for key, value in rule.items() if key != "path"}
            checked.append((path, normalise_metadata(values, "[[index.metadata_rules]]")))
        except InputError as error:
            raise SettingsError(error.message) from error
    return checked


def merge_metadata(layers: Sequence[Metadata]) -> Metadata:
    """Put layers together, the last the strongest."""
    merged: Metadata = {}
    for layer in layers:
        for key, value in layer.items():
            if not value:
                merged.pop(key, None)
            elif key == "tags":
                merged[key] = tuple(dict.fromkeys([*values_of(merged, key), *values_of(layer, key)]))
            else:
                merged[key] = value
    return merged


def values_of(metadata: Metadata, key: str) -> tuple[str, ...]:
    """Return the values of a key, none where it is absent."""
    value: MetadataValue = metadata.get(key, ())
    return (value,) if isinstance(value, str) else value


def main_languages(languages: Iterable[str]) -> Metadata:
    """Return the languages that at least a quarter of a document's chunks are in."""
    counted = Counter(languages)
    most = [name for name, count in counted.most_common() if count >= _LANGUAGE_SHARE * counted.total()]
    return normalise_metadata({"language": most}) if most else {}


def _words(key: str, value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    texts = [str(item) for item in items if isinstance(item, str | int | float)]
    if key == "tags":
        texts = [part for text in texts for part in _BETWEEN_TAGS.split(text)]
    folded = dict.fromkeys(fold_value(key, text) for text in texts)
    return tuple(word for word in folded if word)[:_MOST_VALUES]


def _problem(key: str, value: object, words: tuple[str, ...]) -> str:
    if not _KEY.fullmatch(key):
        return f"{key!r} is no key: letters, digits, '.', '_' and '-', 32 at most"
    if not words and value not in ("", [""], (), []):
        return f"{key} = {value!r} cannot be used" + (": a date is YYYY-MM-DD" if key == "date" else "")
    return ""


def _iso_date(text: str) -> str:
    """Return ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD`` of a date that begins with its year, else nothing."""
    match = _COMPACT_DATE.match(text) or _DATE.match(text)
    if not match:
        return ""
    year, month, day = (int(part) if part else None for part in match.groups())
    if not all((month is None or 1 <= month <= _MONTHS, day is None or 1 <= day <= _DAYS)):
        return ""
    return "-".join([f"{year:04d}", *(f"{part:02d}" for part in (month, day) if part is not None)])
