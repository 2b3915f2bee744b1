from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

CONSOLE = resources.files("assistant.service").joinpath("console")
FILES = sorted(file.name for file in CONSOLE.iterdir())


@pytest.mark.parametrize("path", ["/", "/docs", "/console/console.js"])
async def test_pages_may_load_nothing_from_outside(client: AsyncTestClient[Any], path: str) -> None:
    reply = await client.get(path)
    rules = dict(rule.strip().split(" ", 1) for rule in reply.headers["content-security-policy"].split(";"))
    assert reply.status_code == 200
    assert rules["default-src"] == "'none'"
    assert {rules[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert rules["frame-ancestors"] == "'none'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_served_as_what_it_is(client: AsyncTestClient[Any], name: str) -> None:
    reply = await client.get(f"/console/{name}")
    kinds = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert reply.headers["content-type"].split(";")[0] == kinds[name.rsplit(".", maxsplit=1)[-1]]
    assert reply.content == CONSOLE.joinpath(name).read_bytes()
    again = await client.get(f"/console/{name}", headers={"If-None-Match": reply.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host_or_writes_html(name: str) -> None:
    text = CONSOLE.joinpath(name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//cdn|@import", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\son\w+=", text)


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapp.py", "__init__.py"])
async def test_other_files_are_not_served(client: AsyncTestClient[Any], name: str) -> None:
    assert (await client.get(f"/console/{name}")).status_code == 404


def test_both_languages_say_the_same_things() -> None:
    source = CONSOLE.joinpath("strings.js").read_text("utf-8")
    english, chinese = re.findall(r"^  (?:en|zh): \{\n(.*?)^  \},", source, re.MULTILINE | re.DOTALL)
    words = [dict(re.findall(r'^    (\w+): "(.*)",$', part, re.MULTILINE)) for part in (english, chinese)]
    assert len(words[0]) > 40
    assert words[0].keys() == words[1].keys()
    for key, said in words[0].items():
        assert set(re.findall(r"\{\w+\}", said)) == set(re.findall(r"\{\w+\}", words[1][key])), key


def test_every_word_that_the_page_wants_is_there_and_none_is_left_over() -> None:
    source = CONSOLE.joinpath("strings.js").read_text("utf-8")
    there = set(re.findall(r'^    (\w+): "', source, re.MULTILINE))
    page = "".join(CONSOLE.joinpath(name).read_text("utf-8") for name in FILES if name != "strings.js")
    wanted = set(re.findall(r'data-(?:say|title|placeholder|label)="(\w+)"', page))
    assert wanted <= there
    assert {word for word in there if not re.search(rf'"{word}"', page)} == set()
