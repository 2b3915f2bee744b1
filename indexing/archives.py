"""Zip archives: what is in them, within limits, and one member at a time unpacked into a file."""

from __future__ import annotations

import errno
import mmap
import re
import shutil
import stat
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType

import msgspec

from assistant.core.errors import FileRefused, ResourceError
from assistant.core.records import Record
from assistant.core.settings import IndexSettings
from indexing.charsets import chinese_encoding

_ENTRY_MAGIC = b"PK\x01\x02"
# An entry of a zip's list takes about 600 bytes here; so many are listed at the most.
_MOST_ENTRIES = 100_000
_COPY_BYTES = 1 << 20
_NAME_CHARACTERS = 40
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UTF8_NAME = 0x800
# LZMA and later ones take as much memory as the file says.
_READ_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}
# So little cannot hurt, whatever the ratio: a short file of blanks packs 1,000 times.
_HARMLESS_BYTES = 8 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


class Entry(Record, frozen=True, kw_only=True):
    """One member of an archive.

    Attributes:
        name: as the archive spells it.
        path: its path inside the archive, readable, with ``/``.
        size_bytes: unpacked, as the archive says; no more is ever read.
        refusal: why it is not read; empty if it can be.
    """

    name: str
    path: str
    size_bytes: int
    refusal: str = ""


class Budget(msgspec.Struct):
    """What may still be unpacked of one archive and all archives inside it."""

    members: int
    bytes: int

    @classmethod
    def of(cls, settings: IndexSettings) -> Budget:
        """Return the whole budget of one archive."""
        return cls(members=settings.max_archive_members, bytes=unpacked_mebibytes(settings) << 20)

    def take(self, path: Path | str, entry: Entry) -> None:
        """Take one member out of the budget.

        Raises:
            FileRefused: it is used up.
        """
        self.members -= 1
        self.bytes -= entry.size_bytes
        if self.members < 0:
            raise FileRefused(
                path, "is left out: its archive holds too many files ([index] max_archive_members)"
            )
        if self.bytes < 0:
            raise FileRefused(
                path, "is left out: its archive unpacks to too much ([index] max_file_mebibytes)"
            )


def unpacked_mebibytes(settings: IndexSettings) -> int:
    """Return to how much a packed file may unpack."""
    return 8 * settings.max_file_mebibytes


def list_zip(path: Path) -> list[zipfile.ZipInfo]:
    """Return the members of a zip file.

    Raises:
        FileRefused: it is damaged or lists too many members.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            if _count(raw, _ENTRY_MAGIC) > _MOST_ENTRIES:
                raise FileRefused(path, f"lists more than {_MOST_ENTRIES} parts, as no document does")
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except _DAMAGED as error:
        raise FileRefused(path, "is corrupt: its parts cannot be listed (cut off or damaged)") from error


def _count(raw: mmap.mmap, magic: bytes) -> int:
    count, place = 0, raw.find(magic)
    while place >= 0 and count <= _MOST_ENTRIES:
        count, place = count + 1, raw.find(magic, place + len(magic))
    return count


def check_document(path: Path, members: Sequence[zipfile.ZipInfo], settings: IndexSettings) -> None:
    """Refuse a zipped document that is encrypted or unpacks to too much.

    Raises:
        FileRefused: it is, with the limit.
    """
    if any(member.flag_bits & 1 for member in members):
        raise FileRefused(path, "is encrypted: its parts open with a password only")
    unpacked = sum(member.file_size for member in members)
    limit = unpacked_mebibytes(settings)
    if unpacked >> 20 > limit:
        raise FileRefused(path, f"unpacks to {unpacked >> 20} MiB; at most {limit} MiB are read")
    if problem := _ratio_problem(unpacked, sum(member.compress_size for member in members), settings):
        raise FileRefused(path, problem)


def _ratio_problem(unpacked: int, packed: int, settings: IndexSettings) -> str:
    ratio = unpacked / max(packed, 1)
    if unpacked <= _HARMLESS_BYTES or ratio <= settings.max_unpack_ratio:
        return ""
    return (
        f"unpacks to {ratio:.0f} times its size, as no document does; "
        f"at most {settings.max_unpack_ratio} times are read ([index] max_unpack_ratio)"
    )


def list_entries(path: Path, settings: IndexSettings) -> list[Entry]:
    """Return the files of an archive; of two with one name the last, as unpacking leaves it.

    Raises:
        FileRefused: it is damaged or lists too many members.
    """
    infos = {info.filename: info for info in list_zip(path) if not info.is_dir()}
    return [_entry(info, settings) for info in infos.values()]


def _entry(info: zipfile.ZipInfo, settings: IndexSettings) -> Entry:
    shown = _readable_name(info).replace("\\", "/")
    parts = [part for part in shown.split("/") if part not in {"", "."}]
    size = info.file_size
    if shown.startswith("/") or _DRIVE.match(shown) or ".." in parts or _CONTROL.search(shown) or not parts:
        refusal = "has a path that leads out of its archive"
    elif stat.S_ISLNK(info.external_attr >> 16):
        refusal = "is a link"
    elif info.flag_bits & 1:
        refusal = "is encrypted: it opens with a password only"
    elif info.compress_type not in _READ_METHODS:
        refusal = f"is packed by a method that is not read (number {info.compress_type}); pack it anew as zip"
    elif size > settings.max_file_mebibytes << 20:
        limit = settings.max_file_mebibytes
        refusal = f"is too large: {size / (1 << 20):.1f} MiB, at most {limit} ([index] max_file_mebibytes)"
    else:
        refusal = "" if size else "is empty"
        refusal = refusal or _ratio_problem(size, info.compress_size, settings)
    path = "/".join(_CONTROL.sub("", part) for part in parts if part != "..") or "file"
    return Entry(name=info.filename, path=path, size_bytes=size, refusal=refusal)


def _readable_name(info: zipfile.ZipInfo) -> str:
    """Return a name as its author wrote it: without the UTF-8 flag it may be in any encoding."""
    if info.flag_bits & _UTF8_NAME or info.filename.isascii():
        return info.filename
    try:
        raw = info.filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    for encoding in ("utf-8", chinese_encoding(raw)):
        try:
            return raw.decode(encoding) if encoding else info.filename
        except UnicodeDecodeError:
            continue
    return info.filename


class Unpacker:
    """Unpacks members of archives into files of a temporary folder; safe to use from several threads."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # made when first needed
        self._lock = threading.Lock()
        # Archives inside the archive at hand, each unpacked once.
        self._inner: dict[tuple[Path, tuple[str, ...]], Path] = {}

    def __enter__(self) -> Unpacker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete what is unpacked."""
        if self._folder is not None:
            self._folder.cleanup()
        self._folder = None
        self._inner.clear()

    def _new_folder(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="deskmate-")
        return Path(tempfile.mkdtemp(dir=self._folder.name))

    @contextmanager
    def unpack(self, path: Path, members: Sequence[str]) -> Iterator[Path]:
        """Yield a file with the content of a member, named like it; the file itself where there is none.

        Args:
            path: the archive.
            members: name of the member, before it those of the archives around it, outermost first.

        Raises:
            FileRefused: it is damaged or gone.
        """
        if not members:
            yield path
            return
        archive = self.archive(path, members[:-1])
        with self._lock:
            folder = self._new_folder()
        try:
            yield _extract(archive, members[-1], folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def archive(self, path: Path, members: Sequence[str]) -> Path:
        """Return the archive itself, or one inside it, unpacked and kept until another archive's turn.

        Raises:
            FileRefused: it is damaged or gone.
        """
        with self._lock:
            archive = path
            for count in range(1, len(members) + 1):
                key = (path, tuple(members[:count]))
                if key not in self._inner:
                    self._forget_others(path)
                    self._inner[key] = _extract(archive, members[count - 1], self._new_folder())
                archive = self._inner[key]
            return archive

    def _forget_others(self, path: Path) -> None:
        for key in [key for key in self._inner if key[0] != path]:
            self._inner.pop(key).unlink(missing_ok=True)


def _extract(archive: Path, member: str, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(archive) as opened:
            info = opened.getinfo(member)
            name = PurePosixPath(_CONTROL.sub("", _readable_name(info)).replace("\\", "/"))
            file = folder / f"{name.stem[:_NAME_CHARACTERS].strip('.') or 'file'}{name.suffix[:8]}"
            with opened.open(info) as packed, file.open("wb") as unpacked:
                while block := packed.read(_COPY_BYTES):
                    unpacked.write(block)
    except KeyError as error:
        raise FileRefused(archive, "is no longer in its archive") from error
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ResourceError(f"no space left in {folder.parent} to unpack archives") from error
        raise FileRefused(archive, "is damaged inside its archive") from error
    return file
