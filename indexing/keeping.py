"""Whether the file that a document is read from is kept, and that it is neither kept too long nor lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from assistant.core.errors import FileRefused
from assistant.core.home import Home
from assistant.core.settings import IndexSettings
from assistant.store.database import Database
from assistant.store.documents import Version
from assistant.store.originals import Originals, named_hashes
from indexing.archives import Unpacker
from indexing.personal_data import PersonalDataFilter
from indexing.snapshots import disk_errors
from indexing.sources import SourceFile


class Keeping:
    """Keeps the originals of one collection as ``[index] originals`` says.

    Where personal data is masked none is kept: it would stand there in full.

    Args:
        collection: name.
        home: data folder.
        database: the rows.
        settings: ``[index]``.
    """

    def __init__(self, collection: str, home: Home, database: Database, settings: IndexSettings) -> None:
        self._collection = collection
        self._folder = home.collection(collection)
        self._uploads = home.root / "uploads"
        self._database = database
        self._originals = Originals(self._folder)
        is_masked = PersonalDataFilter(settings, collection).policy == "mask"
        self._wanted = "none" if is_masked else settings.originals
        self._unpacker = Unpacker()

    def __enter__(self) -> Keeping:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unpacker.close()

    @contextmanager
    def storing(self, source: SourceFile) -> Iterator[Callable[[Iterable[Version]], None]]:
        """Keep a file whose version is stored in the block.

        Yields:
            to be called in the transaction that stores it, with the versions that end by it; where it is not,
            the file goes again.
        """
        is_stored = False

        def stored(ended: Iterable[Version]) -> None:
            nonlocal is_stored
            self._originals.mark(version.sha256 for version in ended)
            is_stored = True

        with self._originals.changing():
            self._keep(source)
            yield stored
            if is_stored:  # no need to look through all rows for it
                self._originals.unmark(source.sha256)
            self._settle()

    def keep_known(self, sources: Iterable[SourceFile]) -> None:
        """Keep files whose versions answer already, as those that were added before files were kept."""
        for source in sources:
            if self._is_wanted(source) and not self._originals.path(source.sha256).exists():
                with self._originals.changing():
                    self._keep(source)
        self.settle()

    def settle(self) -> None:
        """Remove the files of versions that are gone, where that was cut off."""
        if self._originals.is_marked():
            with self._originals.changing():
                self._settle()

    def sweep(self) -> None:
        """Remove every file that no version names, and all where none are to be kept."""
        with self._originals.changing(), self._database.read() as session:
            named = named_hashes(session, self._collection) if self._wanted != "none" else set()
            self._originals.sweep(named)

    def _is_wanted(self, source: SourceFile) -> bool:
        is_upload = source.path.is_relative_to(self._uploads)
        return self._wanted == "all" or (self._wanted == "uploads" and is_upload)

    def _keep(self, source: SourceFile) -> None:
        if self._wanted == "none":
            self._originals.discard(source.sha256)
        elif self._is_wanted(source):
            with (
                suppress(FileRefused, FileNotFoundError),  # it changed since it was read
                self._unpacker.unpack(source.path, source.members) as file,
                disk_errors(self._folder),
            ):
                self._originals.keep(file, source.sha256)

    def _settle(self) -> None:
        if self._originals.is_marked():
            with self._database.read() as session:
                self._originals.settle(session, self._collection)
