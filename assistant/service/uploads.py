"""Files that came over the API and wait for their job, under names that cannot leave their folder."""

import re
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from assistant.core.errors import NotFoundError
from assistant.core.home import Home
from assistant.core.ids import random_id
from assistant.jobs.job_queue import JobQueue
from assistant.service.problems import RequestRefused

_LONGEST_NAME = 500
_LONGEST_PART = 200
# they turn what follows around: a name that ends with "gnp.exe" is shown with "exe.png" at its end
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NEEDED = {"queued", "running", "failed", "partly_failed", "cancelled"}  # the last three may be retried


class Uploads:
    """The folder of waiting files.

    Args:
        home: the data folder.
    """

    def __init__(self, home: Home) -> None:
        self.folder = home.root / "uploads"

    @contextmanager
    def receive(self) -> Iterator[Path]:
        """Give an empty folder; it is removed again where the block fails."""
        folder = self.folder / random_id("up")
        folder.mkdir(parents=True, mode=0o700)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def keep_for(self, folder: Path, job_id: str) -> None:
        """Note which job needs a folder; the note is never there in part, or a sweep takes the files."""
        made = self.folder / f"{folder.name}.note"
        made.write_text(job_id, "utf-8")
        made.replace(made.with_suffix(".job"))

    def sweep(self, queue: JobQueue) -> None:
        """Remove the files of jobs that need them no more."""
        for note in self.folder.glob("*.job"):
            try:
                job_id = note.read_text("utf-8")
            except FileNotFoundError:  # another request sweeps as well
                continue
            if not _is_needed(queue, job_id):
                shutil.rmtree(note.with_suffix(""), ignore_errors=True)
                note.unlink(missing_ok=True)

    def without_folder(self, text: str) -> str:
        """Return a text in which the names of waiting files are as they were given."""
        return re.sub(rf"{re.escape(str(self.folder))}/up-[0-9a-f]+/?", "", text)


def check_name(name: str) -> str:
    """Return a document's name in its one form.

    Raises:
        RequestRefused: it is no relative path, or could lead out of its folder.
    """
    text = unicodedata.normalize("NFC", name)
    parts = PurePosixPath(text).parts
    is_bad = (
        not parts
        or len(text.encode("utf-8", "surrogatepass")) > _LONGEST_NAME
        or text.startswith("/")
        or "\\" in text
        or any(
            part.startswith((".", "~$")) or len(part.encode("utf-8", "replace")) > _LONGEST_PART
            for part in parts
        )
        or any(unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} or sign in _TURNING for sign in text)
    )
    if is_bad:
        raise RequestRefused(
            f"{name[:80]!r} is no document name: a relative path with '/' and no hidden parts", "name"
        )
    return "/".join(parts)


def _is_needed(queue: JobQueue, job_id: str) -> bool:
    try:
        return queue.get(job_id).state in _NEEDED
    except NotFoundError:
        return False
