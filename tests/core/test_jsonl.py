from __future__ import annotations

from pathlib import Path

import pytest

from assistant.core.errors import InputError
from assistant.core.jsonl import append_jsonl, read_finished_jsonl, read_jsonl, write_jsonl
from assistant.core.records import Message


def test_round_trip(tmp_path: Path) -> None:
    rows = [Message(role="user", content="你好"), Message(role="assistant", content="hi")]
    assert write_jsonl(tmp_path / "rows.jsonl", rows) == 2
    assert list(read_jsonl(tmp_path / "rows.jsonl", Message)) == rows
    assert [file.name for file in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    write_jsonl(file, [1, 2])
    with pytest.raises(TypeError):
        write_jsonl(file, [3, object()])
    assert list(read_jsonl(file, int)) == [1, 2]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("line", [b'{"role": "king", "content": ""}', b"{", b"\xff\xfe", b'{"role": "user"}'])
def test_a_bad_line_is_named(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(b'{"role":"user","content":"x"}\n\n' + line + b"\n")
    with pytest.raises(InputError, match=r"bad\.jsonl, line 3"):
        list(read_jsonl(file, Message))


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    append_jsonl(file, 1)
    append_jsonl(file, 2)
    with file.open("ab") as raw:
        raw.write(b"33")
    assert read_finished_jsonl(file, int) == [1, 2]
    append_jsonl(file, 4)
    assert read_finished_jsonl(file, int) == [1, 2, 4]
