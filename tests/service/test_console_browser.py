"""The page in headless Chromium, driven over the WebDriver protocol that chromedriver speaks."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.core.settings_oidc import OidcRule, OidcSettings
from assistant.store.database import Database
from assistant.store.documents import Documents, NewVersion
from assistant.store.originals import Originals

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="no chromium and chromedriver here; on Debian: apt-get install chromium chromium-driver",
    ),
]
ENTER = "\ue007"
ESCAPE = "\ue00c"
NASTY = "<img src=x onerror=\"document.title='owned'\"> <b>E07</b> is hot [1]\n\nE07 means <MOTOR> is hot."


class Browser:
    """One window."""

    def __init__(
        self, driver: httpx.Client, language: str, width: int, downloads: Path | None = None
    ) -> None:
        options: dict[str, Any] = {
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            "prefs": {"intl.accept_languages": language, "download.default_directory": str(downloads or "")},
            "mobileEmulation": {"deviceMetrics": {"width": width, "height": 800, "pixelRatio": 1}},
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        reply = driver.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
        assert reply.status_code == 200, reply.text
        self._driver = driver
        self._session = reply.json()["value"]["sessionId"]

    def _do(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        reply = self._driver.request(method, f"/session/{self._session}{path}", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()["value"]

    def open(self, url: str) -> None:
        self._do("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        return self._do("POST", "/execute/sync", {"script": script, "args": []})

    def text(self, selector: str) -> str:
        return str(self.run(f"return document.querySelector({selector!r})?.innerText ?? ''"))

    def _element(self, selector: str) -> str:
        found = self._do("POST", "/element", {"using": "css selector", "value": selector})
        return str(next(iter(found.values())))

    def click(self, selector: str) -> None:
        self._do("POST", f"/element/{self._element(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._do("POST", f"/element/{self._element(selector)}/value", {"text": text})

    def wait(self, condition: str) -> None:
        deadline = time.monotonic() + 15
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < deadline, f"{condition}\n{self.text('body')}"
            time.sleep(0.02)

    def complaints(self) -> list[str]:
        return [row["message"] for row in self._do("POST", "/se/log", {"type": "browser"})]

    def close(self) -> None:
        self._do("DELETE", "")


@pytest.fixture(scope="module")
def driver() -> Iterator[httpx.Client]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                client.get("/status")
                break
            time.sleep(0.05)
        yield client
    process.terminate()
    process.wait(10)


@pytest.fixture
def open_page(
    driver: httpx.Client, serve_live: Callable[..., Any], tmp_path: Path
) -> Iterator[Callable[..., Browser]]:
    """Open the page of a new service and wait until it is ready."""
    with contextlib.ExitStack() as stack:

        def open_page(engine: Any, language: str = "en-US", width: int = 1200) -> Browser:
            server = serve_live(engine)
            browser = Browser(driver, language, width, tmp_path)
            stack.callback(browser.close)
            browser.open(server.url)
            browser.wait("document.querySelectorAll('#arm option').length === 5")
            return browser

        yield open_page


def test_ask_read_and_check_in_english(open_page: Callable[..., Browser], watched_engine: Any) -> None:
    engine = watched_engine()
    engine.gate.clear()
    page = open_page(engine)
    page.type("#question", "What does fault code E07 mean?" + ENTER)
    page.wait("document.querySelectorAll('.source').length === 3")
    assert page.text(".text") == ""  # the sources are there before the text is
    engine.gate.set()
    page.wait("document.querySelector('.made')")
    assert "hotter than 95 °C" in page.text(".text")
    assert page.run("return document.querySelectorAll('.source:not(.unused)').length") == 1
    page.click(".mark")
    page.wait("document.querySelector('.quote')")
    assert page.text(".quote") == "Fault code E07 means that the motor is hotter than 95 °C."
    assert page.text(".passage-text").startswith("Table of fault codes 🔧.")
    for fact in ("pumps/service-manual.pdf", "Faults › E07", "12", "2"):
        assert fact in page.text(".facts")
    page.type("#passage", ESCAPE)
    page.wait("document.querySelector('#passage').hidden")
    assert page.run("return document.activeElement.className").startswith("mark")
    page.click(".thumb.down")
    page.wait("document.querySelector('.thumb.down').ariaPressed === 'true'")
    page.type(".correcting input", "It means <b>95 °C</b>." + ENTER)
    page.wait("!document.querySelector('.correcting')")
    origin = page.run("return location.origin")
    kept = httpx.get(origin + "/v1/feedback").json()["data"]
    assert [(row["rating"], row["correction"]) for row in kept] == [
        (None, "It means <b>95 °C</b>."),
        ("down", ""),
    ]
    loaded = page.run("return performance.getEntriesByType('resource').map((item) => item.name)")
    assert loaded
    assert all(name.startswith(origin) for name in loaded)
    assert page.complaints() == []


def test_the_page_follows_the_browsers_language_and_is_narrow(
    open_page: Callable[..., Browser], watched_engine: Any
) -> None:
    page = open_page(watched_engine(), "zh-CN,zh", width=400)
    assert page.text("h1") == "客户想了解什么？"
    page.type("#question", "火星有多远？" + ENTER)
    page.wait("document.querySelector('.abstention')")
    assert "文档中没有这方面的内容" in page.text(".abstention")
    assert "转交" in page.text(".abstention button")
    page.click(".abstention button")
    page.wait("document.querySelector('.told')")
    noted = httpx.get(page.run("return location.origin") + "/v1/handovers").json()["data"]
    page.wait(f"document.querySelector('.told').textContent === '已登记：{noted[0]['id']}'")
    closest = page.run("return document.querySelectorAll('.source').length")
    page.run("document.querySelector('#language').click()")
    assert "The documents do not cover this" in page.text(".abstention")
    page.run("document.querySelector('#language').click()")
    page.click("#fresh")
    assert page.text("h1") == "客户想了解什么？"
    page.type("#question", "故障代码 E12 表示什么？" + ENTER)
    page.wait("document.querySelector('.made')")
    page.click(".mark")
    page.wait("document.querySelector('.quote')")
    assert "炉门开关没有闭合" in page.text(".quote")
    assert page.run("return document.documentElement.scrollWidth") <= 400
    page.run("document.querySelector('#language').click()")
    assert "Quote in its passage" in page.text("#passage")
    assert closest == 3
    assert page.complaints() == []


def test_a_kept_file_is_downloaded(
    open_page: Callable[..., Browser], watched_engine: Any, tmp_path: Path
) -> None:
    content = b"%PDF-1.7 " + bytes(range(256))
    name = "pumps/service-manual.pdf"
    database = Database(Home.from_environment().make().database_url)
    with database.write() as session:
        collection = Documents(session).make_collection("default").id
        for number in (1, 2):
            new = NewVersion(
                document=name, number=number, sha256="f" * 64, recipe="", size_bytes=len(content), title=name
            )
            Documents(session).save_version(collection, new)
    database.close()
    page = open_page(watched_engine())
    page.type("#question", "What does fault code E07 mean?" + ENTER)
    page.wait("document.querySelector('.made')")
    page.click(".mark")
    page.wait("document.querySelector('.quote')")
    assert page.run("return document.querySelector('[data-say=download]')") is None
    kept = Originals(Home.from_environment().collection("default")).path("f" * 64)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    page.click(".mark")
    page.wait("document.querySelector('[data-say=download]')")
    page.click("[data-say=download]")
    saved = tmp_path / "service-manual.pdf"
    deadline = time.monotonic() + 15
    while not saved.exists():
        assert time.monotonic() < deadline, list(tmp_path.iterdir())
        time.sleep(0.02)
    assert saved.read_bytes() == content
    assert page.complaints() == []


def test_text_from_outside_is_never_markup(open_page: Callable[..., Browser], watched_engine: Any) -> None:
    page = open_page(watched_engine([("E07", NASTY)]))
    page.type("#question", "<i>E07</i>?" + ENTER)
    page.wait("document.querySelector('.made')")
    assert "<MOTOR>" in page.text(".text")  # no HTML, so it is not taken out and shows as it stands
    assert "<img" not in page.text(".text")
    assert page.text(".question") == "<i>E07</i>?"
    assert page.run("return document.querySelectorAll('.turn img, .turn b, .turn i').length") == 0
    assert page.run("return document.title") == "Deskmate"


def test_stop_cancels_and_a_failure_is_told_in_words(
    open_page: Callable[..., Browser], watched_engine: Any
) -> None:
    engine = watched_engine(token_seconds=0.5)  # long enough to stop it, however busy the machine is
    page = open_page(engine)
    page.type("#question", "What does fault code E07 mean?" + ENTER)
    page.wait("document.querySelector('.text').textContent")
    page.click("#stop")
    page.wait("document.querySelector('.stopped')")
    assert engine.ended.wait(5)
    assert engine.ends == ["closed"]
    page.run("document.querySelector('#question').value = 'x'.repeat(4100)")
    page.type("#question", ENTER)
    page.wait("document.querySelector('.failure')")
    assert "The question cannot be used as it is." in page.text(".failure")
    assert "at most 4000" in page.text(".failure code")
    engine.close()
    page.type("#question", "What does fault code E07 mean?" + ENTER)
    page.wait("document.querySelectorAll('.failure').length === 2")
    assert "the engine is closed" in page.text(".turn:last-child .failure code")


def test_the_documentation_page_shows_every_operation(
    open_page: Callable[..., Browser], watched_engine: Any
) -> None:
    page = open_page(watched_engine())
    origin = page.run("return location.origin")
    paths = httpx.get(origin + "/openapi.json").json()["paths"]
    count = sum(len(methods) for methods in paths.values())
    page.open(origin + "/docs")
    page.wait(f"document.querySelectorAll('.operation').length === {count}")
    assert "/v1/chat/completions" in page.text("#contents")
    assert "text/event-stream" in page.text("#createChatCompletion")
    assert page.complaints() == []


def test_people_log_in_and_out(
    driver: httpx.Client, serve_live: Callable[..., Any], watched_engine: Any, provider: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    login = OidcSettings(
        issuer=provider.issuer,
        client_id="deskmate",
        redirect_url=f"http://127.0.0.1:{port}/login/callback",
        rules=(OidcRule(group="客服"),),
    )
    server = serve_live(watched_engine(), Settings(oidc=login), port)
    page = Browser(driver, "zh-CN,zh", 1200)
    page.open(server.url)
    page.wait("!document.querySelector('#login').hidden")
    assert page.text("#login") == "登录"
    page.click("#login")
    page.wait("document.querySelectorAll('#arm option').length === 5")
    assert page.run("return document.cookie") == ""  # no script sees the session
    page.type("#question", "故障代码 E12 是什么意思？" + ENTER)
    page.wait("document.querySelector('.made')")
    assert "炉门开关" in page.text(".text")
    provider.asked.clear()
    page.click("#leave")
    page.wait("location.pathname === '/logout'")
    page.open(server.url)
    page.wait("!document.querySelector('#login').hidden")
    page.close()
