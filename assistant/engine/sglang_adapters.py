"""Which adapters a server holds and which it should: loaded before use, checked, drained, loaded again.

Measured of SGLang 0.5.23: an unknown model silently gets the base model, an unload is no revocation, and more
adapters in one round than it has slots have stopped a server. So nothing is sent for a name that was not
looked up here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from assistant.core.errors import EngineBusy, EngineError, InputError, ModelError, NotFoundError
from assistant.engine.sglang_servers import SglangServers

_ROOM_SECONDS = 30.0

Check = Callable[[Path], None]
Canary = Callable[[str, Path, str, str], object]


class SglangAdapters:
    """The adapters of one server or of all behind a router. Safe to use from several threads.

    Args:
        servers: that hold them.
        limit: adapters that stay loaded.
        check: called with an adapter's folder before it is loaded; raises ``ModelError`` to refuse it.
        canary: called with name, folder, model and URL of a server after each load; raises ``ModelError``
            to block it.
        drain_seconds: longest wait for running requests before an unload.
    """

    def __init__(
        self, servers: SglangServers, limit: int, check: Check, canary: Canary, drain_seconds: float
    ) -> None:
        self._servers = servers
        self._limit = limit
        self._check = check
        self._canary = canary
        self._drain_seconds = drain_seconds
        self._changing = threading.RLock()  # one load or unload at a time
        self._idle = threading.Condition()
        self._running: dict[str, int] = {}
        self._wanted: OrderedDict[str, str] = OrderedDict()  # least recently used first
        self._held: dict[str, str] = {}
        self._served = ""
        self._blocked: dict[str, str] = {}
        self._is_known = False

    def forget(self) -> None:
        """Take nothing for granted: the server may be another process than before."""
        self._is_known = False

    def names(self) -> tuple[str, ...]:
        """Return the names of the adapters that the server holds."""
        with self._changing:
            self._refresh()
            return tuple(self._held)

    def load(self, name: str, folder: str) -> None:
        """Let the server hold an adapter from now on, also after it was started again.

        Raises:
            InputError: the name is none.
            ModelError: the server refuses the adapter, its canary fails, or the name is taken.
            EngineUnavailable: the server cannot be reached; it gets the adapter when it can.
        """
        if not name or ":" in name:
            raise InputError(f"{name!r} is no adapter name: it must not be empty or hold ':'")
        self._check(Path(folder))
        with self._changing:
            is_new = name not in self._wanted
            if self._wanted.setdefault(name, folder) != folder:
                raise ModelError(f"adapter name {name!r} stands for {self._wanted[name]} already")
            self._blocked.pop(name, None)
            try:
                self._refresh_if_needed()
                self._make_present(name)
            except ModelError:
                if is_new:
                    del self._wanted[name]
                    self._blocked.pop(name, None)
                raise

    def folder(self, name: str) -> Path:
        """Return where a wanted adapter lies.

        Raises:
            NotFoundError: it was never loaded from here.
        """
        if name not in self._wanted:
            raise NotFoundError(f"adapter {name!r} is not loaded")
        return Path(self._wanted[name])

    def unload(self, name: str) -> None:
        """Let running requests of an adapter end, then take it from the server.

        Raises:
            EngineError: its requests do not end in time, or the server refuses.
        """
        with self._changing:
            self._wanted.pop(name, None)
            self._blocked.pop(name, None)
            self._take_away(name)

    def model(self, adapter: str | None) -> str:
        """Return what selects base model or adapter; a wanted adapter that is missing is loaded first.

        Raises:
            NotFoundError: the adapter is not wanted and the server does not hold it.
            ModelError: it failed its canary.
        """
        if not self._is_known or (adapter is not None and adapter not in self._held):
            with self._changing:
                self._refresh_if_needed()
                if adapter in self._blocked:
                    raise ModelError(self._blocked[adapter])
                if adapter is not None:
                    self._make_present(adapter)
        return self._servers.kind.model(self._served, adapter)

    @contextmanager
    def use(self, adapter: str | None) -> Generator[str, None, None]:
        """Give what selects an adapter, which is not taken away until the end of the block."""
        model = self._enter(adapter)
        try:
            yield model
        finally:
            with self._idle:
                self._running[adapter or ""] -= 1
                self._idle.notify_all()

    def _enter(self, adapter: str | None) -> str:
        """Count a request in; where its adapter is missing, none is taken away until it is counted."""
        if (model := self._count_in(adapter)) is None:
            with self._changing:
                self.model(adapter)
                model = self._count_in(adapter)
        if model is None:
            raise EngineError(f"adapter {adapter!r} was taken away")
        return model

    def _count_in(self, adapter: str | None) -> str | None:
        name = adapter or ""
        with self._idle:
            if not self._is_known or (adapter is not None and adapter not in self._held):
                return None
            self._running[name] = self._running.get(name, 0) + 1
            if name in self._wanted:
                self._wanted.move_to_end(name)
            return self._servers.kind.model(self._served, adapter)

    def _make_present(self, name: str) -> None:
        if name in self._held:
            if self._held[name] and self._wanted.get(name, self._held[name]) != self._held[name]:
                raise ModelError(f"adapter name {name!r} stands for {self._held[name]} already")
            return
        if name not in self._wanted:
            self._refresh()
            if name not in self._held:
                known = ", ".join(self._held) or "none"
                raise NotFoundError(f"adapter {name!r} is not loaded; loaded: {known}")
            return
        self._check(Path(self._wanted[name]))  # its files may have been deleted since: then it is revoked
        self._make_room()
        self._servers.load(name, self._wanted[name])
        try:
            model = self._servers.kind.model(self._served, name)
            for url in self._servers.live:
                self._canary(name, Path(self._wanted[name]), model, url)
        except ModelError as error:
            self._blocked[name] = str(error)
            self._servers.unload(
                name
            )  # without draining: the request that waits for it may be the caller's own
            raise
        self._held[name] = self._wanted[name]

    def _make_room(self) -> None:
        """Take away the least recently used adapters that nobody asks now; they come back when asked for.

        Raises:
            EngineBusy: all of them answer for longer than a new request can wait.
        """

        def idle() -> list[str]:
            return [name for name in self._wanted if name in self._held and not self._running.get(name)]

        while len(self._held) >= self._limit:
            with self._idle:
                if not self._idle.wait_for(idle, _ROOM_SECONDS):
                    raise EngineBusy(f"all {self._limit} loaded adapters are in use; try later")
                name = idle()[0]
            self._take_away(name)

    def _take_away(self, name: str) -> None:
        with self._idle:
            self._held.pop(name, None)  # from here on new requests wait
            is_idle = self._idle.wait_for(lambda: not self._running.get(name), self._drain_seconds)
        if not is_idle:
            self.forget()
            raise EngineError(f"adapter {name!r} still answers after {self._drain_seconds:.0f} s")
        self._servers.unload(name)

    def _refresh_if_needed(self) -> None:
        if not self._is_known:
            self._refresh()

    def _refresh(self) -> None:
        holding = self._servers.ask()
        self._served, self._held, self._is_known = holding.served, holding.adapters, True
