import json
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
