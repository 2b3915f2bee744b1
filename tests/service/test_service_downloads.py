"""Documents downloaded as they came: byte for byte, in parts, by those who may read them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.service.app import create_app
from assistant.service.downloads import disposition
from assistant.store.database import Database
from assistant.store.documents import Documents, NewVersion
from assistant.store.keys import Keys, NewKey
from assistant.store.originals import Originals

FIRST = b"%PDF-1.7 <script>alert(1)</script> " + bytes(range(256)) * 5000
SECOND = b"second version"
NAME = '手册/泵 "Q7" 说明书.pdf'


def keep(home: Home, name: str, contents: list[bytes], **metadata: tuple[str, ...]) -> None:
    database, originals = Database(home.database_url), Originals(home.collection("default"))
    with originals.changing(), database.write() as session:
        documents = Documents(session)
        collection = documents.make_collection("default")
        for number, content in enumerate(contents, 1):
            sha256 = hashlib.sha256(content).hexdigest()
            source = home.root / "new"
            source.write_bytes(content)
            assert originals.keep(source, sha256)
            new = NewVersion(
                document=name,
                number=number,
                sha256=sha256,
                recipe="",
                size_bytes=len(content),
                title=name,
                metadata=metadata,
            )
            documents.save_version(collection.id, new)
    database.close()


@pytest.fixture
def home() -> Home:
    return Home.from_environment().make()


@pytest.fixture
async def client(home: Home) -> AsyncIterator[AsyncTestClient[Any]]:
    keep(home, NAME, [FIRST, SECOND])
    async with AsyncTestClient(create_app(Settings(), home=home), base_url="http://127.0.0.1:8080") as opened:
        yield opened


async def place(client: AsyncTestClient[Any], **headers: str) -> str:
    listed = (await client.get("/v1/documents", headers=headers)).json()["data"]
    return f"/v1/documents/{listed[0]['id']}/download"


async def test_every_kept_version_comes_back_as_it_was(client: AsyncTestClient[Any]) -> None:
    path = await place(client)
    now = await client.get(path)
    before = await client.get(path, params={"version": 1})
    none = await client.get(path, params={"version": 3})
    assert (now.content, before.content, none.status_code) == (SECOND, FIRST, 404)
    assert before.headers["content-length"] == str(len(FIRST))
    assert before.headers["etag"] == f'"{hashlib.sha256(FIRST).hexdigest()}"'


async def test_a_browser_opens_nothing_of_it(client: AsyncTestClient[Any]) -> None:
    headers = (await client.get(await place(client), params={"version": 1})).headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert headers["content-disposition"] == (
        'attachment; filename="_ _Q7_ ___.pdf"; '
        "filename*=UTF-8''%E6%B3%B5%20%22Q7%22%20%E8%AF%B4%E6%98%8E%E4%B9%A6.pdf"
    )


@pytest.mark.parametrize(
    ("document", "plain"),
    [
        ("a/b/manual (2).md", "manual (2).md"),
        ("烤炉.md", "__.md"),
        ("..", "file"),
        ('x"; filename="evil.exe', "x__ filename__evil.exe"),
        ("a\r\nSet-Cookie: b", "a__Set-Cookie_ b"),
    ],
)
def test_names_cannot_leave_their_header(document: str, plain: str) -> None:
    header = disposition(document)
    assert header.isascii()
    assert header.startswith(f'attachment; filename="{plain}"; filename*=')
    assert header.count('"') == 2
    assert not set("\r\n") & set(header)


PARTS: list[tuple[str, int, int, int]] = [
    ("bytes=0-0", 206, 0, 1),
    ("bytes=1048570-", 206, 1_048_570, len(FIRST)),
    ("bytes=-7", 206, len(FIRST) - 7, len(FIRST)),
    ("BYTES= 5-99999999999", 206, 5, len(FIRST)),
    (f"bytes=-{len(FIRST) + 9}", 206, 0, len(FIRST)),
    ("bytes=9-3", 200, 0, len(FIRST)),
    ("bytes=0-1,3-4", 200, 0, len(FIRST)),
    ("bytes=-", 200, 0, len(FIRST)),
    ("lines=0-1", 200, 0, len(FIRST)),
    (f"bytes={'9' * 40}-", 200, 0, len(FIRST)),
]


async def test_a_part_of_it(client: AsyncTestClient[Any]) -> None:
    path = await place(client)
    for asked, status, start, end in PARTS:
        reply = await client.get(path, params={"version": 1}, headers={"Range": asked})
        expected = f"bytes {start}-{end - 1}/{len(FIRST)}" if status == 206 else None
        assert (asked, reply.status_code, reply.headers.get("content-range")) == (asked, status, expected)
        assert reply.content == FIRST[start:end]


async def test_a_part_behind_its_end_and_of_another_file(client: AsyncTestClient[Any]) -> None:
    path = await place(client)
    behind = await client.get(path, headers={"Range": "bytes=14-"})
    other = await client.get(path, headers={"Range": "bytes=1-", "If-Range": '"another"'})
    same = await client.get(path, headers={"Range": "bytes=1-", "If-Range": other.headers["etag"]})
    seen = await client.get(path, headers={"If-None-Match": other.headers["etag"]})
    assert (behind.status_code, behind.headers["content-range"]) == (416, "bytes */14")
    assert behind.json()["type"] == "urn:deskmate:problem:range-not-satisfiable"
    assert (other.status_code, same.status_code, same.content) == (200, 206, SECOND[1:])
    assert (seen.status_code, seen.content) == (304, b"")


async def test_deleting_takes_the_files_and_what_another_document_has_stays(
    client: AsyncTestClient[Any], home: Home
) -> None:
    keep(home, "twin.pdf", [SECOND])
    rows = {row["name"]: row["id"] for row in (await client.get("/v1/documents")).json()["data"]}
    assert (await client.delete(f"/v1/documents/{rows[NAME]}")).status_code == 204
    gone = await client.get(f"/v1/documents/{rows[NAME]}/download", params={"version": 1})
    left = await client.get(f"/v1/documents/{rows['twin.pdf']}/download")
    originals = Originals(home.collection("default"))
    assert (gone.status_code, left.content) == (404, SECOND)
    assert not originals.path(hashlib.sha256(FIRST).hexdigest()).exists()


async def test_a_document_whose_file_is_not_kept_names_its_text(
    client: AsyncTestClient[Any], home: Home
) -> None:
    path = await place(client)
    Originals(home.collection("default")).discard(hashlib.sha256(SECOND).hexdigest())
    reply = await client.get(path)
    assert reply.status_code == 404
    assert f"{path.removesuffix('/download')}/text" in reply.json()["detail"]


async def test_who_may_not_read_a_document_gets_no_file_of_it(
    client: AsyncTestClient[Any], home: Home
) -> None:
    keep(home, "blue.pdf", [b"blue then", b"blue now"], customer=("blue",))
    database, secrets = Database(home.database_url), {}
    with database.write() as session:
        for customer in ("blue", "green"):
            key = NewKey(name=customer, role="agent", filters={"customer": (customer,)})
            secrets[customer] = Keys(session).create(key)[1]
        elsewhere = NewKey(name="elsewhere", role="agent", collections=("other",))
        secrets["elsewhere"] = Keys(session).create(elsewhere)[1]
    database.close()
    path = await place(client, Authorization=f"Bearer {secrets['blue']}")
    seen = {}
    for who, secret in secrets.items():
        for version in (1, 2):
            headers = {"Authorization": f"Bearer {secret}"}
            reply = await client.get(path, params={"version": version}, headers=headers)
            seen[who, version] = reply.content if reply.status_code == 200 else reply.status_code
    assert seen == {
        ("blue", 1): b"blue then",
        ("blue", 2): b"blue now",
        ("green", 1): 404,
        ("green", 2): 404,
        ("elsewhere", 1): 404,
        ("elsewhere", 2): 404,
    }
