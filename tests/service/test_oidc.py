"""Login through a provider: what is taken, what is refused, what a session may."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from litestar.testing import AsyncTestClient

from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.core.settings_oidc import OidcRule, OidcSettings
from assistant.service.app import create_app
from assistant.service.oidc import LoginAttempt, Provider
from assistant.service.refusals import LoginRefused
from assistant.service.session_cookies import LOGIN, SESSION

pytest.importorskip("authlib", reason="the extra oidc is not installed")

CALLBACK = "http://127.0.0.1:8080/login/callback"
RULES = (
    OidcRule(group="管理员", role="admin"),
    OidcRule(group="客服", role="agent", collections=("default",)),
    OidcRule(group="everyone", role="owner"),  # comes too late for an agent: the first rule counts
)
Change = Callable[[dict[str, Any]], dict[str, Any]]


def settings(provider: Any, **values: Any) -> Settings:
    given = {
        "issuer": provider.issuer,
        "client_id": "deskmate",
        "redirect_url": CALLBACK,
        "rules": RULES,
    }
    return Settings(oidc=OidcSettings(**(given | values)))


@pytest.fixture
def serve(make_pipelines: Callable[..., Any]) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_client(chosen: Settings) -> AsyncIterator[AsyncTestClient[Any]]:
        app = create_app(chosen, pipelines=make_pipelines(settings=chosen))
        async with AsyncTestClient(app, base_url="http://127.0.0.1:8080") as client:
            while (await client.get("/readyz")).status_code != 200:
                pass
            yield client

    return open_client


def cookies(reply: httpx.Response) -> dict[str, str]:
    return dict(line.split(";")[0].split("=", 1) for line in reply.headers.get_list("set-cookie"))


async def begin(client: AsyncTestClient[Any]) -> tuple[str, dict[str, str]]:
    """Go to the provider and back; return the address and the cookie that the browser comes back with."""
    sent = await client.get("/login", follow_redirects=False)
    assert sent.status_code == 303, sent.text
    async with httpx.AsyncClient() as browser:
        back = (await browser.get(sent.headers["location"])).headers["location"]
    assert back.startswith(CALLBACK)
    return back, {"Cookie": f"{LOGIN}={cookies(sent)[LOGIN]}"}


async def log_in(client: AsyncTestClient[Any]) -> httpx.Response:
    back, cookie = await begin(client)
    return await client.get(back, headers=cookie, follow_redirects=False)


def session(reply: httpx.Response) -> dict[str, str]:
    assert reply.status_code == 303, reply.text
    return {"Cookie": f"{SESSION}={cookies(reply)[SESSION]}"}


async def test_a_login_gives_the_rights_of_the_first_rule(provider: Any, serve: Callable[..., Any]) -> None:
    async with serve(settings(provider)) as client:
        stranger = await client.get("/v1/models")
        done = await log_in(client)
        mine = session(done)
        shown = (await client.get("/v1/session", headers=mine)).json()
        listed = await client.get("/v1/models", headers=mine)
        csrf = mine | {"X-CSRF-Token": shown["csrf_token"]}
        ask = {"question": "故障代码 E12 是什么意思？"}
        answered = await client.post("/v1/answers", json=ask, headers=csrf)
        elsewhere = await client.post("/v1/answers", json=ask | {"collection": "plain"}, headers=csrf)
        owned = await client.post("/v1/collections", json={"name": "new"}, headers=csrf)
    assert (stranger.status_code, stranger.headers["link"]) == (401, '</login>; rel="login"')
    assert done.headers["location"] == "/"
    flags = next(line for line in done.headers.get_list("set-cookie") if line.startswith(SESSION))
    assert {"httponly", "secure", "samesite=strict", "path=/"} <= {
        part.strip().lower() for part in flags.split(";")
    }
    assert "domain" not in flags.lower()
    assert (shown["role"], shown["collections"], shown["name"]) == ("agent", ["default"], "Anna 安娜")
    assert (listed.status_code, answered.status_code) == (200, 201)
    assert (elsewhere.status_code, owned.status_code) == (404, 403)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"sub": "person-1", "groups": ["管理员"]}, 303),
        ({"sub": "person-1", "groups": ["others"]}, 403),
        ({"sub": "person-1"}, 403),
        ({"sub": "person-2", "groups": ["管理员"]}, 401),
        ({}, 401),
    ],
)
async def test_groups_that_the_token_lacks_are_asked_for(
    provider: Any, serve: Callable[..., Any], told: dict[str, Any], status: int
) -> None:
    provider.claims = lambda claims: {name: value for name, value in claims.items() if name != "groups"}
    provider.userinfo = told
    async with serve(settings(provider, rules=RULES[:2])) as client:
        done = await log_in(client)
        role = None
        if done.status_code == 303:
            role = (await client.get("/v1/session", headers=session(done))).json()["role"]
    assert (done.status_code, role) == (status, "admin" if status == 303 else None)


async def test_a_change_needs_the_token_that_only_the_page_can_read(
    provider: Any, serve: Callable[..., Any]
) -> None:
    ask = {"question": "What does E07 mean?"}
    async with serve(settings(provider)) as client:
        mine, other = session(await log_in(client)), session(await log_in(client))
        token = (await client.get("/v1/session", headers=mine)).json()["csrf_token"]
        foreign = (await client.get("/v1/session", headers=other)).json()["csrf_token"]
        replies = [
            await client.post("/v1/answers", json=ask, headers=mine | given)
            for given in ({}, {"X-CSRF-Token": foreign}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": token})
        ]
        crossing = await client.get("/v1/models", headers=mine | {"Sec-Fetch-Site": "cross-site"})
    assert [reply.status_code for reply in replies[:3]] == [403, 403, 403]
    assert replies[0].json()["type"] == "urn:deskmate:problem:csrf-token-missing"
    assert replies[3].is_success
    assert (crossing.status_code, token == foreign) == (403, False)


async def test_logging_out_ends_the_session_everywhere(provider: Any, serve: Callable[..., Any]) -> None:
    async with serve(settings(provider)) as client:
        mine = session(await log_in(client))
        token = (await client.get("/v1/session", headers=mine)).json()["csrf_token"]
        ended = await client.delete("/v1/session", headers=mine | {"X-CSRF-Token": token})
        after = await client.get("/v1/session", headers=mine)
    assert ended.json()["provider_logout_url"].startswith(f"{provider.issuer}/logout?client_id=deskmate")
    assert cookies(ended)[SESSION] in {"", '""'}
    assert (after.status_code, after.json()["detail"]) == (401, "the session has ended; log in again")


@pytest.mark.sqlite
async def test_a_session_is_kept_as_its_hash_and_ends_by_itself(
    provider: Any, serve: Callable[..., Any]
) -> None:
    async with serve(settings(provider)) as client:
        done = await log_in(client)
        mine, home = session(done), Home.from_environment()
        token = cookies(done)[SESSION].encode()
        assert (await client.get("/v1/session", headers=mine)).status_code == 200
        files = [file.read_bytes() for file in home.root.iterdir() if file.is_file()]
        assert not [content for content in files if token in content]
        with sqlite3.connect(home.database_url.removeprefix("sqlite:///")) as rows:
            rows.execute("UPDATE sessions SET expires = ?", (time.time() - 1,))
        rows.close()
        await asyncio.sleep(1.1)  # as long as a caller is remembered
        after = await client.get("/v1/session", headers=mine)
    assert after.status_code == 401


def old(claims: dict[str, Any]) -> dict[str, Any]:
    return claims | {"iat": int(time.time()) - 600, "exp": int(time.time()) - 120}


def skewed(claims: dict[str, Any]) -> dict[str, Any]:
    return claims | {"iat": int(time.time()) + 50, "exp": int(time.time()) - 50}


def without(name: str) -> Change:
    return lambda claims: {key: value for key, value in claims.items() if key != name}


def having(**values: Any) -> Change:
    return lambda claims: claims | values


BAD: dict[str, tuple[Change | str, str]] = {
    "expired": (old, "expired_token"),
    "issued in the future": (having(iat=2**33), "invalid_claim (iat)"),
    "not yet valid": (having(nbf=2**33), "invalid_claim (nbf)"),
    "of another issuer": (having(iss="https://evil.example"), "invalid_claim (iss)"),
    "for another audience": (having(aud="another"), "invalid_claim (aud)"),
    "for another party": (having(azp="another"), "azp"),
    "for several, for none of them in particular": (having(aud=["deskmate", "another"]), "azp"),
    "of another login": (having(nonce="x"), "invalid_claim (nonce)"),
    "without nonce": (without("nonce"), "missing_claim (nonce)"),
    "without issuer": (without("iss"), "missing_claim (iss)"),
    "without audience": (without("aud"), "missing_claim (aud)"),
    "without expiry": (without("exp"), "missing_claim (exp)"),
    "without time": (without("iat"), "missing_claim (iat)"),
    "of nobody": (without("sub"), "missing_claim (sub)"),
    "of a number": (having(sub=7), "sub"),
    "with groups that are none": (having(groups={"a": 1}), "no list of groups"),
    "signed by another key": ("signed_by_another", "bad_signature"),
    "signed by nobody": ("signed_by_nobody", "the ID token proves nothing"),
    "signed with the public key as a secret": ("signed_with_the_public_key", "the ID token proves nothing"),
}


async def test_a_bad_token_lets_nobody_in(provider: Any, serve: Callable[..., Any]) -> None:
    good = provider.claims, provider.sign
    wrong = {}
    async with serve(settings(provider)) as client:
        for name, (change, words) in BAD.items():
            provider.claims, provider.sign = good
            if isinstance(change, str):
                provider.sign = getattr(provider, change)
            else:
                provider.claims = change
            refused = await log_in(client)
            told = refused.json() if refused.status_code == 401 else {}
            is_right = told.get("type") == "urn:deskmate:problem:login-refused" and words in told["detail"]
            if not is_right or SESSION in cookies(refused):
                wrong[name] = (refused.status_code, refused.text)
        for token in ("", "x", "a.b.c", "e30.e30.", "泵.泵.泵"):
            provider.sign = lambda _claims, token=token: token
            refused = await log_in(client)
            if refused.status_code != 401:
                wrong[token] = (refused.status_code, refused.text)
        provider.claims, provider.sign = good
        assert (await log_in(client)).status_code == 303
    assert wrong == {}


async def test_a_clock_may_be_off_by_a_minute(provider: Any, serve: Callable[..., Any]) -> None:
    provider.claims = skewed
    async with serve(settings(provider)) as client:
        assert (await log_in(client)).status_code == 303
    async with serve(settings(provider, clock_skew_seconds=10)) as client:
        assert (await log_in(client)).status_code == 401


async def test_the_provider_may_change_its_key(provider: Any) -> None:
    from joserfc.jwk import RSAKey

    clock = {"now": time.time()}
    ours = Provider(settings(provider).oidc, "a password of the client", lambda: clock["now"])

    async def log_in_as_before() -> str:
        attempt = LoginAttempt("a secret of the browser")
        async with httpx.AsyncClient() as browser:
            back = (await browser.get(await ours.login_url(attempt))).headers["location"]
        return (await ours.person(parse_qs(urlsplit(back).query)["code"][0], attempt)).id

    before = await log_in_as_before()
    provider.keys = [RSAKey.generate_key(2048, {"kid": "two"})]
    with pytest.raises(LoginRefused):  # keys are not read anew at every stranger's wish
        await log_in_as_before()
    assert provider.asked.count("/jwks") == 1
    clock["now"] += 11.0
    assert await log_in_as_before() == before
    assert provider.asked.count("/jwks") == 2


async def test_an_answer_that_this_browser_did_not_ask_for(provider: Any, serve: Callable[..., Any]) -> None:
    async with serve(settings(provider)) as client:
        back, cookie = await begin(client)
        _, other = await begin(client)
        replies = {
            "no cookie": await client.get(back, follow_redirects=False),
            "another login's": await client.get(back, headers=other, follow_redirects=False),
            "no state": await client.get("/login/callback?code=x", headers=cookie, follow_redirects=False),
        }
        refused = await client.get(
            f"{CALLBACK}?error=access_denied&{back.split('?')[1].split('&', 1)[1]}", headers=cookie
        )
        good = await client.get(back, headers=cookie, follow_redirects=False)
        again = await client.get(back, headers=cookie, follow_redirects=False)
    assert {name: reply.status_code for name, reply in replies.items()} == dict.fromkeys(replies, 400)
    assert {reply.json()["type"] for reply in replies.values()} == {"urn:deskmate:problem:login-expired"}
    assert (refused.status_code, "access_denied" in refused.json()["detail"]) == (401, True)
    assert good.status_code == 303
    assert (again.status_code, again.json()["detail"]) == (
        401,
        "the provider refused the code: invalid_grant",
    )


async def test_who_has_no_group_here_may_not_come_in(provider: Any, serve: Callable[..., Any]) -> None:
    provider.groups = ["accounting"]
    async with serve(settings(provider)) as client:
        refused = await log_in(client)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:deskmate:problem:login-not-permitted")


async def test_a_provider_that_is_away_or_is_another(provider: Any, serve: Callable[..., Any]) -> None:
    provider.issuer_told = "https://evil.example"
    async with serve(settings(provider)) as client:
        other = await client.get("/login", follow_redirects=False)
        again = await client.get("/login", follow_redirects=False)
    assert again.json()["detail"] == other.json()["detail"]
    assert provider.asked == ["/.well-known/openid-configuration"]  # not at every stranger's wish
    async with serve(settings(provider, issuer="http://127.0.0.1:9")) as client:
        away = await client.get("/login", follow_redirects=False)
    assert (other.status_code, away.status_code) == (503, 503)
    assert {reply.json()["type"] for reply in (other, away)} == {"urn:deskmate:problem:login-unavailable"}


async def test_logins_are_audited_without_names(provider: Any, serve: Callable[..., Any]) -> None:
    provider.groups = ["管理员"]
    async with serve(settings(provider)) as client:
        mine = session(await log_in(client))
        provider.claims = old
        await log_in(client)
        shown = (await client.get("/v1/session", headers=mine)).json()
        entries = (await client.get("/v1/audit", headers=mine)).json()["data"]
    found = [(row["actor"], row["role"], row["status"]) for row in entries if row["action"] == "login"]
    assert found == [("unknown", "", 401), (shown["id"], "admin", 303)]
    assert "Anna" not in str(entries)


async def test_without_a_provider_there_is_no_login(serve: Callable[..., Any]) -> None:
    async with serve(Settings()) as client:
        missing = await client.get("/login", follow_redirects=False)
        shown = (await client.get("/v1/session", headers={"Cookie": f"{SESSION}=x"})).json()
        ended = await client.delete("/v1/session")
    assert (missing.status_code, shown["id"], shown["csrf_token"], ended.status_code) == (
        404,
        "local",
        None,
        409,
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"issuer": "http://login.corp.example"}, "no https URL"),
        ({"issuer": "https://"}, "no https URL"),
        ({"redirect_url": "http://desk.corp.example/login/callback"}, "no https URL"),
        ({"redirect_url": "https://desk.corp.example/"}, "does not end with"),
        ({"client_id": ""}, "client_id"),
        ({"rules": ()}, "nobody could log in"),
        ({"scopes": ("profile",)}, "openid"),
    ],
)
def test_a_login_set_up_in_part_is_refused(values: dict[str, Any], words: str) -> None:
    good = OidcSettings(
        issuer="https://login.corp.example", client_id="desk", redirect_url=CALLBACK, rules=RULES
    )
    Provider(good)
    with pytest.raises(InputError, match=words):
        Provider(msgspec.structs.replace(good, **values))
