from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from assistant.cli.app import root
from assistant.models.catalogue import CATALOGUE, profile_specs
from assistant.models.manifest import write_manifest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "数据"))
    return tmp_path / "数据"


def stand(folder: Path, name: str) -> None:
    """Put a prepared folder of that name, as small as can be."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    write_manifest(CATALOGUE[name], folder)


def test_list_shows_licence_provenance_size_and_hash(home: Path) -> None:
    stand(home / "models" / "multilingual-e5-small", "multilingual-e5-small")
    text = CliRunner().invoke(root, ["models", "list"]).stdout
    for spec in CATALOGUE.values():
        assert all(part in text for part in (spec.name, spec.licence, spec.provenance, spec.sha256))
    assert text.count("prepared    no") == len(CATALOGUE) - 1
    assert f"prepared    yes, {home / 'models' / 'multilingual-e5-small'}" in text


def test_list_as_json(home: Path) -> None:
    stand(home / "models" / "smollm2-135m-instruct", "smollm2-135m-instruct")
    rows = json.loads(CliRunner().invoke(root, ["models", "list", "--json"]).stdout)["models"]
    assert [row["name"] for row in rows] == list(CATALOGUE)
    assert {row["name"] for row in rows if row["is_prepared"]} == {"smollm2-135m-instruct"}
    assert rows[1]["size_bytes"] == CATALOGUE[rows[1]["name"]].size_bytes
    assert rows[1]["profiles"] == ["default"]


def test_prepare_skips_what_is_ready_and_prints_where(home: Path) -> None:
    for spec in profile_specs("test"):
        stand(home / "models" / spec.name, spec.name)
    result = CliRunner().invoke(root, ["models", "prepare", "--profile", "test", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["profile"] == "test"
    assert found["models"][0] == {
        "name": "multilingual-e5-small",
        "path": str(home / "models" / "multilingual-e5-small"),
    }


def test_an_unknown_profile_is_a_usage_error() -> None:
    result = CliRunner().invoke(root, ["models", "prepare", "--profile", "huge"])
    assert result.exit_code == 2
    assert "'default', 'large', 'test'" in result.stderr
