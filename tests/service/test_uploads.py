import json
import threading
from pathlib import Path

from assistant.core.home import Home
from assistant.service.uploads import Uploads


def test_texts_about_waiting_files_do_not_show_their_folder(tmp_path: Path) -> None:
    uploads = Uploads(Home(tmp_path))
    with uploads.receive() as folder:
        shown = uploads.without_folder(
            json.dumps({"path": f"{folder}/手册/a.pdf", "folder": str(folder), "other": "/a/b"})
        )
    assert json.loads(shown) == {"path": "手册/a.pdf", "folder": "", "other": "/a/b"}


def test_a_note_is_never_there_in_part(tmp_path: Path) -> None:
    """A sweep at the same moment would take the files of an unknown job, which was acknowledged."""
    uploads = Uploads(Home(tmp_path).make())
    seen: set[str] = set()
    stopping = threading.Event()

    def look() -> None:
        while not stopping.is_set():
            seen.update(note.read_text("utf-8") for note in uploads.folder.glob("*.job"))

    looking = threading.Thread(target=look)
    with uploads.receive() as folder:
        looking.start()
        for _ in range(3000):
            uploads.keep_for(folder, "job-1")
        stopping.set()
        looking.join()
    assert seen == {"job-1"}
