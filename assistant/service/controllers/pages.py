"""The pages: the console at ``/``, the API's documentation at ``/docs``; nothing from outside."""

import functools
import hashlib
import mimetypes
from importlib import resources
from typing import Any

from litestar import Controller, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath

from assistant.service.etags import is_seen
from assistant.service.problems import AnyRequest

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


@functools.cache
def _read(name: str) -> tuple[bytes, str]:
    """Return a file of the console and its ETag."""
    content = resources.files("assistant.service").joinpath("console", name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'


@functools.cache
def _names() -> frozenset[str]:
    folder = resources.files("assistant.service").joinpath("console")
    return frozenset(file.name for file in folder.iterdir() if file.is_file())


class PagesController(Controller):
    """Files of the pages."""

    include_in_schema = False
    response_headers = PAGE_HEADERS

    @get("/", sync_to_thread=False)
    def console(self, request: AnyRequest) -> Response[bytes]:
        """Return the page where an agent asks."""
        return _file("index.html", request)

    @get("/console/{name:str}", sync_to_thread=False)
    def asset(self, name: FromPath[str], request: AnyRequest) -> Response[bytes]:
        """Return a script, style sheet or picture."""
        return _file(name, request)

    @get("/openapi.json", sync_to_thread=False)
    def openapi(self, request: AnyRequest) -> Response[bytes]:
        """Return the API's description."""
        schema = request.app.openapi_schema.to_schema()
        return Response(OpenAPIRenderPlugin.render_json(request, schema), media_type="application/json")


class DocsPage(OpenAPIRenderPlugin):
    """Renders the API's description with files that ship with the service."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page; it reads ``/openapi.json`` itself."""
        del request, openapi_schema
        return _read("docs.html")[0]


def _file(name: str, request: AnyRequest) -> Response[bytes]:
    if name not in _names():
        raise NotFoundException(f"no file {name[:64]!r}")
    content, etag = _read(name)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if is_seen(request, etag):
        return Response(b"", status_code=304, headers=headers)
    return Response(content, media_type=_media_type(name), headers=headers)


def _media_type(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
