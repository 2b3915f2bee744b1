"""``deskmate serve``: the service with its page."""

from __future__ import annotations

import contextlib
import errno
import shlex
import socket

import click
import msgspec

from assistant.cli.context import Context, pass_context
from assistant.core.errors import InputError, NotFoundError, ResourceError
from assistant.core.settings import ServiceSettings
from assistant.service.app import create_app
from assistant.service.home_pipelines import HomePipelines
from assistant.service.logs import set_up_logs
from assistant.service.running import TellingServer, server_config

_PORTS_TRIED = 50


@click.command()
@click.option("--host", help="Address to listen on; anything but loopback needs an API key.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for any free one.")
@click.option("--collection", help="The collection that unnamed requests use.")
@pass_context
def serve(context: Context, host: str | None, port: int | None, collection: str | None) -> None:
    """Serve the page and the API until Ctrl-C."""
    given = {"host": host, "port": port, "collection": collection}
    service = msgspec.structs.replace(
        context.settings.service, **{name: value for name, value in given.items() if value is not None}
    )
    settings = msgspec.structs.replace(context.settings, service=service)
    source = HomePipelines(context.home, settings)
    app = create_app(settings, pipelines=source)
    _check_collection(source, service.collection)
    with contextlib.closing(_listen(service)) as listening:
        set_up_logs()
        url = _url(service.host, listening)
        told = f"Deskmate answers at {url} (API: {url}/docs); Ctrl-C stops it"
        # uvicorn has closed everything when it hands Ctrl-C on
        with contextlib.suppress(KeyboardInterrupt):
            TellingServer(server_config(app), told).run(sockets=[listening])
    click.echo("stopped")


def _check_collection(source: HomePipelines, collection: str) -> None:
    names = source.collections()
    if collection in names:
        return
    if names:
        there = ", ".join(names)
        raise NotFoundError(
            f"no collection {collection!r}; there is {there}",
            next_command=f"deskmate serve --collection {shlex.quote(names[0])}",
        )
    raise NotFoundError(
        f"no index for collection {collection!r}",
        next_command=f"deskmate index add PATH --collection {shlex.quote(collection)}",
    )


def _listen(service: ServiceSettings) -> socket.socket:
    """Take the port.

    Raises:
        ResourceError: it is busy, or may not be taken.
        InputError: the host is no address of this machine.
    """
    host, port = service.host, service.port
    try:
        return _bind(host, port)
    except socket.gaierror as error:
        raise InputError(f"host {host!r} is not known: {error.strerror}") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ResourceError(
                f"port {port} on {host} is busy",
                next_command=f"deskmate serve --port {_free_port(host, port)}",
            ) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"host {host!r} is no address of this machine") from error
        raise ResourceError(f"port {port} on {host} cannot be taken: {error.strerror}") from error


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    return listening


def _free_port(host: str, busy: int) -> int:
    for port in range(busy + 1, min(busy + _PORTS_TRIED, 65535) + 1):
        with contextlib.suppress(OSError), contextlib.closing(_bind(host, port)):
            return port
    return 0


def _url(host: str, listening: socket.socket) -> str:
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"http://{name}:{listening.getsockname()[1]}"
