from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.cli.doctor import check_extra, check_free, check_recognition
from assistant.core.settings import IndexSettings
from assistant.models.catalogue import CATALOGUE, profile_specs
from assistant.models.manifest import write_manifest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "数据"))
    return tmp_path / "数据"


def doctor(*flags: str) -> tuple[Result, dict[str, Any]]:
    arguments = [part for flag in flags for part in ("--set", flag)]
    result = CliRunner().invoke(root, [*arguments, "doctor", "--json"])
    findings = json.loads(result.stdout)["findings"]
    return result, {finding["name"]: finding for finding in findings}


def test_a_fresh_machine_lacks_models_and_is_told_the_command() -> None:
    result, found = doctor()
    assert result.exit_code == 1
    assert found["generator"]["state"] == found["embedder"]["state"] == "fail"
    assert found["generator"]["command"] == "deskmate models prepare"
    assert "qwen2.5-coder-0.5b-instruct' is not prepared" in found["generator"]["text"]
    assert found["versions"]["text"].startswith("python 3")
    assert found["data folder"]["state"] == "ok"
    assert (found["database"]["state"], found["database"]["command"]) == ("warn", "deskmate index add PATH")


def test_fakes_need_no_models() -> None:
    result, found = doctor("engine.kind=scripted", "embedder.model=hashing")
    assert result.exit_code == 0
    assert not {"generator", "embedder"} & set(found)


class OpenAIAlike(BaseHTTPRequestHandler):
    """Lists a model and knows no other route."""

    def do_GET(self) -> None:
        is_known = self.path == "/v1/models"
        self.send_response(200 if is_known else 404)
        self.end_headers()
        self.wfile.write(b'{"data": [{"id": "base"}]}' if is_known else b"{}")

    def log_message(self, *_: object) -> None:
        pass


def test_an_engine_behind_a_url_is_asked_what_it_is() -> None:
    flags = ("engine.kind=sglang", "embedder.model=hashing")
    result, found = doctor(*flags, "engine.url=http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "no engine answers at http://127.0.0.1:1" in found["engine"]["text"]
    with HTTPServer(("127.0.0.1", 0), OpenAIAlike) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        result, found = doctor(*flags, f"engine.url=http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert result.exit_code == 0
    assert found["engine"]["state"] == "warn"
    assert "adapters cannot be loaded" in found["engine"]["text"]


def test_a_person_reads_the_same(home: Path) -> None:
    result = CliRunner().invoke(root, ["doctor"])
    assert result.exit_code == 1
    assert "FAIL  generator: model 'qwen2.5-coder-0.5b-instruct' is not prepared" in result.stdout
    assert "      run: deskmate models prepare\n" in result.stdout
    assert str(home) in result.stdout


def test_a_broken_model_names_the_file(home: Path) -> None:
    for spec in profile_specs("default"):
        folder = home / "models" / spec.name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        write_manifest(CATALOGUE[spec.name], folder)
    _, found = doctor()
    assert "has no weights" in found["embedder"]["text"]


def test_a_hub_is_never_asked() -> None:
    _, found = doctor("models.allow_hub=true", "engine.base_model=Qwen/Qwen3-0.6B")
    assert found["generator"]["state"] == "warn"
    assert "hub" in found["generator"]["text"]


def test_a_busy_port_is_a_warning_with_another_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        _, found = doctor(f"service.port={port}")
    assert found["port"]["state"] == "warn"
    assert found["port"]["command"] == f"deskmate --set service.port={port + 1} serve"
    _, found = doctor("service.port=0")
    assert found["port"]["state"] == "ok"


def test_little_disk_or_memory_is_a_warning() -> None:
    assert check_free("disk", 6_000_000_000, 6_000_000_000).state == "ok"
    low = check_free("disk", 1_500_000_000, 6_000_000_000)
    assert low.state == "warn"
    assert low.text.startswith("1.5 GB free; ")


def test_a_data_folder_that_is_a_file_fails(home: Path) -> None:
    home.write_text("")
    result, found = doctor()
    assert result.exit_code == 1
    assert found["data folder"]["state"] == "fail"
    assert found["data folder"]["command"] == "export DESKMATE_HOME=FOLDER"


def test_database_and_collections_are_looked_at(home: Path) -> None:
    (home / "collections" / "泵").mkdir(parents=True)
    _, found = doctor()
    assert found["database"]["state"] == "fail", "collections without their database"
    database = home / "deskmate.sqlite3"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    _, found = doctor()
    assert found["database"]["state"] == "ok"
    assert found["collections"]["text"] == "泵"
    database.write_bytes(b"no database at all" * 100)
    _, found = doctor()
    assert "not a database" in found["database"]["text"]


def test_bad_settings_are_a_finding() -> None:
    result, found = doctor("service.port=many")
    assert result.exit_code == 1
    assert found["settings"]["command"] == "deskmate config check"


def test_an_extra_without_packages_is_known_by_metadata() -> None:
    assert check_extra("index", is_needed=True).state == "ok"
    assert "packages are installed" in check_extra("local", is_needed=True).text


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from assistant.cli.app import root; "
        "CliRunner().invoke(root, ['doctor']); CliRunner().invoke(root, ['models', 'list']); "
        "print({'torch', 'transformers', 'numpy', 'faiss'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_text_recognition_names_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_recognition(IndexSettings(ocr="off")).text == "switched off ([index] ocr)"
    nothing = check_recognition(IndexSettings())
    command = "apt-get install tesseract-ocr tesseract-ocr-chi-sim"
    assert (nothing.state, nothing.command) == ("warn", command)
    program = tmp_path / "tesseract"
    program.write_text("#!/bin/sh\necho eng\n")
    program.chmod(0o755)
    assert check_recognition(IndexSettings()).text.startswith("tesseract does not read chi_sim;")
    program.write_text("#!/bin/sh\necho chi_sim\necho eng\n")
    whole = check_recognition(IndexSettings())
    assert (whole.state, whole.text) == ("ok", "tesseract reads eng, chi_sim")
