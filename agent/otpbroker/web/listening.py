"""A listener that follows its section of the configuration."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from quart import Quart

from otpbroker.config.model import Config, Listener
from otpbroker.config.store import Store
from otpbroker.errors import Misconfigured
from otpbroker.web.server import Bound, Limits, Server
from otpbroker.web.tls import TlsFiles

_log = logging.getLogger(__name__)


class Listening:
    """One listener: a change of address or port makes a new server, one of the paths a new application.

    Requests under way are answered all the same: they have `patience` seconds on the server that is given up.
    """

    def __init__(
        self,
        app: Callable[[], Quart],
        store: Store,
        field: str,
        choose: Callable[[Config], Listener],
        tls: TlsFiles | None = None,
        *,
        limits: Limits,
        patience: float | None = None,
    ) -> None:
        """`app` is asked anew when the configured paths change; `field` and `choose` name the section."""
        self._app = app
        self._field = field
        self._choose = choose
        self._store = store
        self._tls = tls
        self._limits = limits
        self._patience = patience
        self._changed = asyncio.Event()
        self._server: Server | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self.bound: Bound | None = None
        store.on_change(self._follow)

    def bind(self) -> None:
        """Take the port now, so that it is known; one that can't be had is tried again by `run`."""
        listener = self._choose(self._store.config)
        if not listener.enabled:
            return
        server = self._made(listener)
        with suppress(Misconfigured):  # `run` meets it again, and tells of it
            self.bound = server.bind()
            self._server = server

    async def run(self) -> None:
        """Serve, anew after each change of the section, until cancelled; a port that can't be had raises."""
        try:
            while True:
                listener = self._choose(self._store.config)
                if self._server is None and listener.enabled:
                    self._changed.clear()
                    server = self._made(listener)
                    self.bound = server.bind()
                    self._server = server
                if self._server is None:
                    await self._changed.wait()
                else:
                    await self._serve(self._server)
                self._changed.clear()
        except asyncio.CancelledError:
            for server_task in self._ending:
                server_task.cancel()
            await asyncio.gather(*self._ending, return_exceptions=True)
            raise

    async def _serve(self, server: Server) -> None:
        """Until the section changes; then what is under way goes on beside the next server."""
        closing = asyncio.Event()
        serving = asyncio.create_task(server.serve(closing))
        changed = asyncio.create_task(self._changed.wait())
        self._ending.add(serving)
        serving.add_done_callback(self._ended)
        try:
            await asyncio.wait({serving, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            self._server = self.bound = None
        if serving.done():
            serving.result()
            return
        closing.set()
        free = asyncio.create_task(server.port_given_back())
        try:
            await asyncio.wait({serving, free}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            free.cancel()

    def _ended(self, serving: asyncio.Task[None]) -> None:
        self._ending.discard(serving)
        if not serving.cancelled() and (error := serving.exception()) is not None:
            _log.warning("%s: %s", self._field, error)

    def _made(self, listener: Listener) -> Server:
        return Server(
            self._app(),
            listener,
            field=self._field,
            tls=self._tls,
            limits=self._limits,
            patience=self._patience,
        )

    def _follow(self, old: Config, new: Config) -> None:
        if self._choose(old) != self._choose(new):
            self._changed.set()
        elif self._server is not None and _paths(old) != _paths(new):
            self._server.use(self._app())


def _paths(config: Config) -> tuple[str, ...]:
    return (config.api.message_path, config.api.block_path, config.api.unblock_path)
