"""The glossary of a collection: what customers say and what the documents call it.

Terms are proposed from tickets and dialogues (``deskmate glossary mine``) and count once the owner has
approved them. They lie in one file of the collection's folder, so that searching needs no database.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from assistant.core.errors import InputError
from assistant.core.ids import content_id
from assistant.core.jsonl import write_json
from assistant.core.language import Language, detect_language
from assistant.core.records import Record
from indexing.analysis import fold

logger = logging.getLogger(__name__)

GLOSSARY = "glossary.json"
_LOCK = ".glossary"
# of a common noun in jieba's own dictionary, so that the word is not cut
_JIEBA_WEIGHT = 1000
TermState = Literal["proposed", "approved", "rejected"]


class Term(Record, frozen=True, kw_only=True):
    """A word of customers and its meaning in the documents' words.

    Attributes:
        said: what customers say: "趴窝".
        meant: what the documents say: "停机".
        language: of both.
        state: only approved terms are used.
        score: of the proposal, higher is surer; 1 for a term that a person wrote.
        sources: where it was seen, such as "R-1031".
    """

    said: str
    meant: str
    language: Language
    state: TermState = "proposed"
    score: float = 1.0
    sources: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Short name for the command line."""
        return content_id(self.language, self.said, self.meant, length=8)


def read_glossary(folder: Path) -> tuple[Term, ...]:
    """Return all terms of a collection, proposed and rejected ones included.

    Args:
        folder: of the collection.

    Raises:
        InputError: the file is no glossary.
    """
    path = folder / GLOSSARY
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Term, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: no glossary: {error}") from error


def write_glossary(folder: Path, terms: Iterable[Term]) -> None:
    """Write all terms of a collection, each once, in a stable order."""
    by_id = {term.id: term for term in terms}
    ordered = sorted(by_id.values(), key=lambda term: (term.language, -term.score, term.said, term.meant))
    write_json(folder / GLOSSARY, ordered)


@contextmanager
def edit_glossary(folder: Path) -> Iterator[dict[str, Term]]:
    """Give the terms by id, to be changed in place; they are written when the block ends without an error.

    Others who edit wait meanwhile: a change is never lost between reading and writing.

    Raises:
        InputError: the file is no glossary.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        terms = {term.id: term for term in read_glossary(folder)}
        yield terms
        write_glossary(folder, terms.values())


def own_term(said: str, meant: str) -> Term:
    """Return an approved term that a person wrote.

    Raises:
        InputError: a side is empty.
    """
    if not said.strip() or not meant.strip():
        raise InputError("a term needs both sides: what is said and what is meant")
    return Term(said=said.strip(), meant=meant.strip(), language=detect_language(said), state="approved")


def approved_terms(folder: Path) -> tuple[Term, ...]:
    """Return the terms that the owner has approved."""
    return tuple(term for term in read_glossary(folder) if term.state == "approved")


class ServedGlossary:
    """The approved terms of a collection, read again when the file changes.

    Args:
        folder: of the collection.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: tuple[int, tuple[Term, ...]] = (0, ())

    @property
    def terms(self) -> tuple[Term, ...]:
        """The approved terms; none where the file is missing or damaged, which mining tells of."""
        try:
            changed = (self._folder / GLOSSARY).stat().st_mtime_ns
            if changed != self._read[0]:
                self._read = (changed, approved_terms(self._folder))
        except FileNotFoundError:
            self._read = (0, ())
        except InputError as error:
            logger.warning("the glossary is not used: %s", error)
            self._read = (changed, ())
        return self._read[1]


def expand(text: str, terms: Sequence[Term]) -> str:
    """Return a query with the documents' words for what it says put behind it."""
    language = detect_language(text)
    folded = fold(text)
    added = [
        term.meant
        for term in terms
        if term.language == language and holds(folded, fold(term.said)) and fold(term.meant) not in folded
    ]
    return " ".join([text, *dict.fromkeys(added)]) if added else text


def jieba_lines(terms: Iterable[Term]) -> list[str]:
    """Return the Chinese words of terms as lines of a dictionary for jieba: word, weight, kind."""
    words = {word for term in terms if term.language == "zh" for word in (term.said, term.meant)}
    return [f"{word} {_JIEBA_WEIGHT} n" for word in sorted(words) if " " not in word]


def holds(text: str, said: str) -> bool:
    """Return whether a folded text holds a folded term: Chinese anywhere, Latin words as whole ones."""
    start = text.find(said)
    while start >= 0:
        end = start + len(said)
        before, after = text[start - 1 : start], text[end : end + 1]
        if not _joins(before, said[0]) and not _joins(said[-1], after):
            return True
        start = text.find(said, start + 1)
    return False


def _joins(left: str, right: str) -> bool:
    return bool(left and right) and all(c.isascii() and c.isalnum() for c in (left, right))
