"""From paths to the files that can be indexed, and a reason for each one that cannot."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from assistant.core.errors import FileRefused
from assistant.core.ids import file_sha256
from assistant.core.records import Record
from assistant.core.settings import IndexSettings
from indexing.archives import Budget, Entry, Unpacker, list_entries
from indexing.sniffing import sniff_kind

# Files that programs leave beside documents: Office's lock files, what file browsers write.
_LEFTOVERS = ("~$", ".")
_LEFTOVER_NAMES = {"thumbs.db", "desktop.ini", "__macosx"}


class SourceFile(Record, frozen=True, kw_only=True):
    """One file that can be indexed.

    Attributes:
        path: where it lies; a member of an archive: where the archive lies.
        members: name of the member as its archive spells it, before it those of archives around it.
        document: path relative to the folder that was added, with ``/``; a single file's name. A member's
            path inside its archive follows the archive's.
        sha256: hash of its bytes.
        size_bytes: its size.
        kind: what it is by its content, see `sniff_kind`.
    """

    path: Path
    members: tuple[str, ...] = ()
    document: str
    sha256: str
    size_bytes: int
    kind: str

    @property
    def place(self) -> Path:
        """Where a person finds it; a member's path goes on inside its archive."""
        return self.path.joinpath(*self.members) if self.members else self.path


def find_sources(
    paths: Sequence[Path], settings: IndexSettings
) -> tuple[list[SourceFile], list[FileRefused]]:
    """Find the files to index under the paths, in a stable order.

    Hidden files and what lies behind a link that leaves its folder are skipped. A file that two paths
    reach counts once. Two files of one relative name stay apart: the later gets its folder's name in front.
    Each file in an archive is one of its own; what cannot be read there stops none of the others.
    """
    sources: list[SourceFile] = []
    refused: list[FileRefused] = []
    seen: set[Path] = set()
    documents: set[str] = set()
    for root in paths:
        found = 0
        for path, relative in _walk(root, refused):
            found += 1
            if path.resolve() in seen:
                continue
            seen.add(path.resolve())
            try:
                kind = _check(path, settings, is_named=path == root)
                name = _free_name(relative, root, documents)
                documents.add(name)
                if kind == "zip":
                    archive = _Archive(path, name, settings)
                    sources.extend(archive.files())
                    refused.extend(archive.refused)
                else:
                    sources.append(_describe(path, name, kind))
            except FileRefused as refusal:
                refused.append(refusal)
            except OSError as error:
                refused.append(FileRefused(path, f"cannot be read: {error.strerror or error}"))
        if not found and root.is_dir():
            refused.append(FileRefused(root, "is a folder without files"))
    return sources, refused


def _walk(root: Path, refused: list[FileRefused]) -> Iterator[tuple[Path, str]]:
    """Yield each file with its path relative to the root."""
    if not root.exists():
        refused.append(FileRefused(root, "does not exist"))
        return
    if not root.is_dir():
        yield root, root.name
        return

    def refuse_folder(error: OSError) -> None:
        refused.append(FileRefused(error.filename or root, f"cannot be read: {error.strerror}"))

    base = root.resolve()
    for folder, subfolders, files in os.walk(root, onerror=refuse_folder):
        subfolders[:] = sorted(name for name in subfolders if not _is_leftover(name))
        for name in sorted(name for name in files if not _is_leftover(name)):
            path = Path(folder, name)
            if problem := _link_problem(path, base):
                refused.append(FileRefused(path, problem))
                continue
            yield path, path.relative_to(root).as_posix()


def _link_problem(path: Path, base: Path) -> str:
    """Return why a link is not followed; empty if it is, or the file is none."""
    if not path.is_symlink():
        return ""
    try:
        target = path.resolve(strict=True)
    except RuntimeError:  # a loop, until Python 3.12
        return "is a link that leads to itself"
    except OSError as error:
        is_loop = error.errno == errno.ELOOP
        return "is a link that leads to itself" if is_loop else f"cannot be read: {error.strerror or error}"
    return "" if target.is_relative_to(base) else "is a link that leaves the folder"


def _is_leftover(name: str) -> bool:
    return name.startswith(_LEFTOVERS) or name.lower() in _LEFTOVER_NAMES


def _check(path: Path, settings: IndexSettings, *, is_named: bool) -> str:
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise FileRefused(path, "is no regular file")
    if not state.st_size:
        raise FileRefused(path, "is empty")
    limit = settings.max_file_mebibytes
    if state.st_size > limit << 20:
        size = state.st_size / (1 << 20)
        raise FileRefused(path, f"is too large: {size:.1f} MiB, at most {limit} ([index] max_file_mebibytes)")
    return sniff_kind(path, settings, is_named=is_named)


class _Archive:
    """One archive: its files, and those of the archives inside it, within one budget for all."""

    def __init__(self, path: Path, document: str, settings: IndexSettings) -> None:
        self._path = path
        self._document = document
        self._settings = settings
        self._budget = Budget.of(settings)
        self._pending: list[tuple[tuple[str, ...], str]] = [((), "")]
        self._seen: set[str] = set()
        self.refused: list[FileRefused] = []

    def files(self) -> list[SourceFile]:
        """Return what can be indexed; what cannot stands in ``refused``."""
        sources: list[SourceFile] = []
        with Unpacker() as unpacker:
            while self._pending:
                members, inside = self._pending.pop(0)
                try:
                    entries = list_entries(unpacker.archive(self._path, members), self._settings)
                except FileRefused as refusal:
                    self._refuse(inside, refusal)
                    continue
                for entry in entries:
                    if any(_is_leftover(part) for part in entry.path.split("/")):
                        continue
                    shown = f"{inside}{entry.path}"
                    try:
                        source = self._open(unpacker, (*members, entry.name), entry, shown)
                    except FileRefused as refusal:
                        self._refuse(shown, refusal)
                        continue
                    sources.extend([source] if source else [])
        if not sources and not self.refused:
            self._refuse("", FileRefused(self._path, "is an archive without files"))
        return sources

    def _refuse(self, shown: str, refusal: FileRefused) -> None:
        self.refused.append(FileRefused(self._path / shown, refusal.reason))

    def _open(
        self, unpacker: Unpacker, members: tuple[str, ...], entry: Entry, shown: str
    ) -> SourceFile | None:
        """Return one file, None where it is an archive itself, which then waits for its turn."""
        if entry.refusal:
            raise FileRefused(self._path, entry.refusal)
        if shown in self._seen:
            raise FileRefused(self._path, "has the name of another file of its archive")
        self._seen.add(shown)
        self._budget.take(self._path, entry)
        with unpacker.unpack(self._path, members) as file:
            kind = _check(file, self._settings, is_named=False)
            if kind != "zip":
                return _describe(file, f"{self._document}/{shown}", kind, self._path, members)
        if len(members) > self._settings.max_archive_depth:
            raise FileRefused(
                self._path,
                f"is an archive inside {len(members)} others; at most {self._settings.max_archive_depth}"
                " are read ([index] max_archive_depth)",
            )
        self._pending.append((members, f"{shown}/"))
        return None


def _describe(
    file: Path, document: str, kind: str, path: Path | None = None, members: tuple[str, ...] = ()
) -> SourceFile:
    return SourceFile(
        path=path or file,
        members=members,
        document=unicodedata.normalize("NFC", document),
        sha256=file_sha256(file),
        size_bytes=file.stat().st_size,
        kind=kind,
    )


def _free_name(relative: str, root: Path, taken: set[str]) -> str:
    """Return a document name that is not taken, putting folders of the root in front where it is."""
    # A name that is no valid UTF-8 cannot be stored; one accent must not be two names on two systems.
    name = unicodedata.normalize("NFC", os.fsencode(relative).decode("utf-8", "backslashreplace"))
    base = root.resolve()
    parents = [base, *base.parents] if root.is_dir() else list(base.parents)
    for parent in parents:
        if name not in taken:
            return name
        name = f"{parent.name or 'root'}/{name}"
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    return f"{name} ({number})" if name in taken else name
