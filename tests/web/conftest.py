"""The admin site in memory for its HTTP, served by the real server for the browser."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright
from site_device import Device, Screen, Visitor, make_device
from site_fakes import ADMINISTRATOR, FakeStore

from otpbroker.config.model import Listener
from otpbroker.web.server import Server

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture
async def device(tmp_path: Path) -> Device:
    """A device with one administrator."""
    return make_device(tmp_path, FakeStore(ADMINISTRATOR))


@pytest.fixture
async def new_device(tmp_path: Path) -> Device:
    """A device that nobody has set up."""
    return make_device(tmp_path, FakeStore())


@pytest.fixture
async def visitor(device: Device) -> Visitor:
    return device.client()


@pytest.fixture
async def owner(device: Device) -> Visitor:
    """A visitor who is logged in."""
    visitor = device.client()
    assert (await visitor.log_in()).status == 303
    return visitor


async def _serve(device: Device, browser: Browser) -> AsyncIterator[str]:
    server = Server(device.app, Listener(), field="admin.listen")
    url = server.bind().url
    async with asyncio.TaskGroup() as group:
        following = group.create_task(device.monitor.run())
        serving = group.create_task(server.serve(device.closing))
        yield url
        for context in browser.contexts:  # before the server: an open page would complain that it is gone
            await context.close()
        device.closing.set()
        await serving
        following.cancel()


@pytest.fixture
async def site_url(device: Device, browser: Browser) -> AsyncIterator[str]:
    async for url in _serve(device, browser):
        yield url


@pytest.fixture
async def new_site_url(new_device: Device, browser: Browser) -> AsyncIterator[str]:
    async for url in _serve(new_device, browser):
        yield url


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


async def open_screen(browser: Browser, width: int, height: int, **options: object) -> Screen:
    context: BrowserContext = await browser.new_context(
        viewport={"width": width, "height": height}, locale="en-GB", **options
    )
    context.set_default_timeout(10_000)
    screen = Screen(await context.new_page(), [])
    screen.page.on(
        "console",
        lambda said: screen.complaints.append(said.text) if said.type in {"error", "warning"} else None,
    )
    screen.page.on("pageerror", lambda error: screen.complaints.append(str(error)))
    return screen


@pytest.fixture
async def phone(browser: Browser) -> AsyncIterator[Screen]:
    """A small phone's window."""
    screen = await open_screen(browser, 360, 740, is_mobile=True, has_touch=True)
    yield screen
    await screen.page.context.close()
    assert screen.complaints == []


@pytest.fixture
async def desktop(browser: Browser) -> AsyncIterator[Screen]:
    screen = await open_screen(browser, 1280, 800)
    yield screen
    await screen.page.context.close()
    assert screen.complaints == []
