"""Personal data in documents: found, counted, and masked, kept or refused as the collection's policy says.

Applied between parsing and chunking, so that what is masked is never stored, embedded or cited. Values are
neither logged nor kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from assistant.core.errors import FileRefused
from assistant.core.ids import content_id
from assistant.core.language import Language, detect_language
from assistant.core.records import Element, ParsedDocument
from assistant.core.settings import IndexSettings, PersonalDataPolicy
from indexing.personal_forms import PersonalKind
from indexing.personal_patterns import Finding, find_personal_data, fold_forms

PATTERNS = 2  # raise it when the patterns change: files are then read anew
_LEAST_COMPARED = 7
_MASKS: Mapping[Language, Mapping[PersonalKind, str]] = {
    "en": {
        "phone": "[phone]",
        "email": "[e-mail]",
        "id_number": "[ID number]",
        "bank_card": "[bank card]",
        "iban": "[IBAN]",
        "plate": "[number plate]",
    },
    "zh": {
        "phone": "[电话]",
        "email": "[邮箱]",
        "id_number": "[身份证号]",
        "bank_card": "[银行卡号]",
        "iban": "[国际银行账号]",
        "plate": "[车牌号]",
    },
}


class PersonalDataFilter:
    """What a collection's policy does to personal data.

    Args:
        settings: ``[index]``.
        collection: name.
    """

    def __init__(self, settings: IndexSettings, collection: str) -> None:
        self.policy: PersonalDataPolicy = settings.pii_collections.get(collection, settings.pii)
        self._allowed = frozenset(compared_form(value) for value in settings.pii_allow)

    @property
    def recipe(self) -> str:
        """What of it shapes the chunks; files are read anew where it changes."""
        if self.policy == "keep":
            return ""
        return f"{self.policy}{PATTERNS}{content_id(*sorted(self._allowed), length=8)}"

    def apply(self, parsed: ParsedDocument, path: Path) -> tuple[ParsedDocument, dict[str, int]]:
        """Return the document as it is to be indexed, with a warning that counts, and the counts by kind.

        Raises:
            FileRefused: it holds personal data and the policy is ``refuse``; kinds and counts are told only.
        """
        counts = self._count(parsed)
        if not counts:
            return parsed, {}
        told = ", ".join(f"{kind} {count}" for kind, count in counts.items())
        if self.policy == "refuse":
            raise FileRefused(path, f'it holds personal data ({told}) and [index] pii is "refuse"')
        if self.policy == "mask":
            parsed = self._masked(parsed)
        verb = "masked" if self.policy == "mask" else "kept"
        warnings = (*parsed.warnings, f"personal data {verb}: {told}")
        return msgspec.structs.replace(parsed, warnings=warnings), counts

    def _count(self, parsed: ParsedDocument) -> dict[str, int]:
        texts = [element.text for element in parsed.elements]
        texts += [] if parsed.title in texts else [parsed.title]
        texts += [text for value in parsed.metadata.values() for text in _texts(value)]
        texts += parsed.warnings  # they name attachments, inner mails and sheets
        counts: Counter[str] = Counter(finding.kind for text in texts for finding in self._find(text))
        return dict(sorted(counts.items()))

    def _find(self, text: str) -> list[Finding]:
        found = find_personal_data(text)
        if not self._allowed:
            return found
        return [finding for finding in found if not self._is_allowed(text[finding.start : finding.end])]

    def _is_allowed(self, value: str) -> bool:
        form = compared_form(value)
        if "@" in form:
            return form in self._allowed or "@" + form.partition("@")[2] in self._allowed
        return any(_is_same_number(form, allowed) for allowed in self._allowed)

    def _masked(self, parsed: ParsedDocument) -> ParsedDocument:
        masks = _MASKS[detect_language("\n".join(element.text for element in parsed.elements))]

        def mask(text: str) -> str:
            return _replaced(text, self._find(text), masks)

        def mask_element(element: Element) -> Element:
            found = self._find(element.text)
            html = mask(element.html)
            for finding in found:  # a cell may stand too far from the word that gave it away
                html = html.replace(element.text[finding.start : finding.end], masks[finding.kind])
            return msgspec.structs.replace(element, text=_replaced(element.text, found, masks), html=html)

        return msgspec.structs.replace(
            parsed,
            title=mask(parsed.title),
            elements=tuple(mask_element(element) for element in parsed.elements),
            warnings=tuple(mask(warning) for warning in parsed.warnings),
            metadata={
                key: mask(value) if isinstance(value, str) else tuple(mask(text) for text in value)
                for key, value in parsed.metadata.items()
            },
        )


def mask_text(text: str, language: Language) -> str:
    """Return a text in which personal data is replaced by the name of its kind, in the language given."""
    return _replaced(text, find_personal_data(text), _MASKS[language])


def compared_form(value: str) -> str:
    """Return a number or address as it is compared: in lower case, a number without its separators."""
    folded = fold_forms(value).lower().strip()
    return folded if "@" in folded else "".join(character for character in folded if character.isalnum())


def _is_same_number(left: str, right: str) -> bool:
    """Return whether two numbers are one, with or without the country's and the long-distance prefix."""
    shorter, longer = sorted((left.lstrip("0"), right.lstrip("0")), key=len)
    return left == right or (len(shorter) >= _LEAST_COMPARED and longer.endswith(shorter))


def _replaced(text: str, found: Sequence[Finding], masks: Mapping[PersonalKind, str]) -> str:
    pieces: list[str] = []
    end = 0
    for finding in found:
        pieces += [text[end : finding.start], masks[finding.kind]]
        end = finding.end
    return "".join([*pieces, text[end:]])


def _texts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
