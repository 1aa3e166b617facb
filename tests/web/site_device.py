"""The admin site with fakes behind it, and those who look at it: by HTTP or in a browser's window."""

import asyncio
import re
import time
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Page
from quart import Quart
from quart.typing import TestClientProtocol
from site_fakes import (
    PASSWORD,
    USERNAME,
    FakeBalances,
    FakeDispatcher,
    FakeFeeders,
    FakeHistory,
    FakeInbox,
    FakePlugged,
    FakeSimTools,
    FakeStore,
)
from werkzeug.datastructures import Headers

from otpbroker.clock import Clock
from otpbroker.events import Bus
from otpbroker.feeder.key_ring import KeyRing
from otpbroker.sealing import Sealer
from otpbroker.web.admin import create_admin_app
from otpbroker.web.hashing import HashingThread
from otpbroker.web.live import Monitor
from otpbroker.web.sessions import Sessions
from otpbroker.web.setup_code import SetupCode


@dataclass(slots=True)
class Elapsed:
    """A clock that a test moves."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(slots=True)
class Device:
    """An admin site and everything around it that a test looks at or turns."""

    app: Quart
    store: FakeStore
    dispatcher: FakeDispatcher
    feeders: FakeFeeders
    inbox: FakeInbox
    plugged: FakePlugged
    bus: Bus
    monitor: Monitor
    sessions: Sessions
    setup_code: SetupCode
    sim_tools: FakeSimTools
    balances: FakeBalances
    history: FakeHistory
    elapsed: Elapsed
    closing: asyncio.Event

    def client(self) -> "Visitor":
        return Visitor(self.app.test_client())


@dataclass(slots=True)
class Answer:
    status: int
    headers: Headers
    text: str

    @property
    def location(self) -> str | None:
        return self.headers.get("Location")

    def cookie(self, name: str) -> str | None:
        """The whole `Set-Cookie` line of this name."""
        return next((line for line in self.headers.getlist("Set-Cookie") if line.startswith(f"{name}=")), None)


@dataclass(slots=True)
class Visitor:
    """A browser without a screen: keeps cookies, fills the form token of the page that it saw last."""

    client: TestClientProtocol
    token: str = ""
    base: str = "http"

    async def get(self, path: str, **headers: str) -> Answer:
        return await self._open("GET", path, headers)

    async def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
        """Header names are written with `_`."""
        return await self._open("POST", path, headers, {"form_token": self.token, **(form or {})})

    async def log_in(self, username: str = USERNAME, password: str = PASSWORD) -> Answer:
        await self.get("/login")
        answer = await self.post("/login", {"username": username, "password": password})
        if answer.status == 303:
            await self.get("/sms")  # a page with the token of the session
        return answer

    async def _open(
        self, method: str, path: str, headers: dict[str, str], form: dict[str, str] | None = None
    ) -> Answer:
        response = await self.client.open(
            path,
            method=method,
            form=form,
            scheme=self.base,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        text = (await response.get_data()).decode()
        if found := re.search(r'name="form_token" value="(\w+)"', text):
            self.token = found[1]
        return Answer(response.status_code, response.headers, text)


def make_device(state: Path, store: FakeStore) -> Device:
    elapsed, bus, closing = Elapsed(), Bus(), asyncio.Event()
    dispatcher, inbox, monitor = FakeDispatcher(), FakeInbox(), Monitor(bus)
    feeders, plugged = FakeFeeders(), FakePlugged()
    clock = Clock(monotonic=elapsed)
    sessions = Sessions(lambda: store.config.admin, clock)
    setup_code = SetupCode(state / "setup-code")
    sim_tools, balances, history = FakeSimTools(), FakeBalances(), FakeHistory()
    app = create_admin_app(
        store=store,
        dispatcher=dispatcher,
        feeders=feeders,
        feeder_keys=lambda: KeyRing(state / "feeder-keys", Sealer(bytes(32)), time.time),
        inbox=inbox,
        plugged=plugged,
        monitor=monitor,
        sessions=sessions,
        setup_code=setup_code,
        sim_tools=sim_tools,
        balances=balances,
        history=history,
        hashing=HashingThread(),
        api_urls=lambda: ("http://192.168.1.20:8889",),
        clock=clock,
        closing=closing,
    )
    return Device(
        app=app,
        store=store,
        dispatcher=dispatcher,
        feeders=feeders,
        inbox=inbox,
        plugged=plugged,
        bus=bus,
        monitor=monitor,
        sessions=sessions,
        setup_code=setup_code,
        sim_tools=sim_tools,
        balances=balances,
        history=history,
        elapsed=elapsed,
        closing=closing,
    )


@dataclass(slots=True)
class Screen:
    """One browser window; `complaints` are what its console said: script errors, CSP violations, missing files."""

    page: Page
    complaints: list[str]
