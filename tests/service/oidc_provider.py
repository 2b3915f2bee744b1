"""A small identity provider on a real port, whose tokens are really signed, well or badly."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT, PASSWORD, ACCESS = "deskmate", "a password of the client", "a token for userinfo"
Claims = dict[str, Any]


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@functools.cache
def make_key(name: str) -> Any:
    """Return a key; making one takes a while."""
    from joserfc.jwk import RSAKey

    del name
    return RSAKey.generate_key(2048, {"kid": "one"})


class FakeProvider:
    """Vouches for one person; ``claims`` changes what its tokens say, ``sign`` how they are signed."""

    def __init__(self) -> None:
        self.keys = [make_key("its own")]
        self.other_key = make_key("another's")
        self.groups: object = ["客服", "everyone"]
        self.claims: Callable[[Claims], Claims] = lambda claims: claims
        self.sign: Callable[[Claims], str] = self.signed
        self.userinfo: Claims = {}
        self.issuer_told: str | None = None
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                outer.asked.append(parts.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                if parts.path == "/.well-known/openid-configuration":
                    self._answer(200, outer.discovery())
                elif parts.path == "/jwks":
                    self._answer(200, {"keys": [key.as_dict(private=False) for key in outer.keys]})
                elif parts.path == "/userinfo":
                    knows = self.headers.get("authorization") == f"Bearer {ACCESS}"
                    self._answer(*((200, outer.userinfo) if knows else (401, {})))
                elif parts.path == "/authorize":
                    self.send_response(302)
                    self.send_header("Location", outer.authorize(query))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self._answer(404, {})

            def do_POST(self) -> None:
                outer.asked.append(self.path)
                text = self.rfile.read(int(self.headers["content-length"])).decode()
                given = {name: values[0] for name, values in parse_qs(text).items()}
                self._answer(*outer.exchange(given, self.headers.get("authorization", "")))

            def _answer(self, status: int, body: object) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def discovery(self) -> dict[str, str]:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
        found = {name: f"{self.issuer}/{path}" for name, path in names.items()}
        return found | {
            "issuer": self.issuer_told or self.issuer,
            "end_session_endpoint": f"{self.issuer}/logout",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Let the person log in; return where the browser goes."""
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(8)
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def exchange(self, given: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Return tokens for a code, once, to who knows the client's password and the code's verifier."""
        wanted = "Basic " + base64.b64encode(f"{CLIENT}:{PASSWORD}".encode()).decode()
        query = self._codes.pop(given.get("code", ""), None)
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if authorization != wanted:
            return 401, {"error": "invalid_client"}
        if query is None or query["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "person-1",
            "name": "Anna 安娜",
            "iat": now,
            "exp": now + 300,
            "nonce": query["nonce"],
            "groups": self.groups,
        }
        token = self.sign(self.claims(claims))
        return 200, {"access_token": ACCESS, "token_type": "Bearer", "id_token": token}

    def signed(self, claims: Claims) -> str:
        from joserfc import jwt

        return jwt.encode({"alg": "RS256", "kid": self.keys[-1].kid}, claims, self.keys[-1])

    def signed_by_another(self, claims: Claims) -> str:
        from joserfc import jwt

        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.other_key)

    def signed_by_nobody(self, claims: Claims) -> str:
        return f"{_encoded({'alg': 'none', 'kid': 'one'})}.{_encoded(claims)}."

    def signed_with_the_public_key(self, claims: Claims) -> str:
        """Use the provider's public key as the secret of an HMAC, which a careless verifier takes."""
        import hmac

        head = f"{_encoded({'alg': 'HS256', 'kid': 'one'})}.{_encoded(claims)}"
        secret = self.keys[0].as_pem(private=False)
        made = hmac.new(secret, head.encode(), hashlib.sha256).digest()
        return f"{head}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
