"""The page with the key that application servers encrypt to."""

import html
import json
import re
from pathlib import Path

import pytest
from site_device import Device, Visitor, make_device
from site_fakes import ADMINISTRATOR, FakeStore

from otpbroker.config.feeder_websocket import WebsocketFeeder


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return make_device(tmp_path, FakeStore(ADMINISTRATOR))


def shown(text: str) -> dict[str, str]:
    """The public key on the page."""
    found = re.search(r"<textarea[^>]*>(.*?)</textarea>", text, re.DOTALL)
    assert found is not None
    return dict(json.loads(html.unescape(found[1])))


async def visitor(device: Device) -> Visitor:
    browser = device.client()
    await browser.log_in()
    return browser


async def test_it_shows_the_public_half_with_fingerprint_and_code(device: Device) -> None:
    browser = await visitor(device)
    page = await browser.get("/feeder-key")
    key = shown(page.text)
    assert set(key) == {"kty", "crv", "x", "y", "use", "alg", "kid"}
    assert f"<code>{key['kid']}</code>" in page.text
    assert '<svg class="key-code"' in page.text
    assert shown((await browser.get("/feeder-key")).text) == key, "made once"


async def test_a_new_key_replaces_it_and_the_old_one_is_told_with_its_end(device: Device) -> None:
    browser = await visitor(device)
    old = shown((await browser.get("/feeder-key")).text)
    answer = await browser.post("/feeder-key")
    assert answer.status == 303
    page = await browser.get("/feeder-key")
    assert shown(page.text)["kid"] != old["kid"]
    assert old["kid"] in page.text
    assert "opens messages until" in page.text


async def test_it_tells_which_feeders_take_nothing_else(device: Device) -> None:
    section = {"id": "shop", "kind": "websocket", "url": "wss://broker.example.com/ws", "sealed_only": True}
    feeders = (WebsocketFeeder.model_validate(section),)
    device.store.config = device.store.config.model_copy(update={"feeders": feeders})
    page = await (await visitor(device)).get("/feeder-key")
    assert "<dd>shop</dd>" in page.text


async def test_it_is_for_administrators_alone_and_in_their_language(device: Device) -> None:
    stranger = device.client()
    assert (await stranger.get("/feeder-key")).status == 303
    assert (await stranger.post("/feeder-key")).status in {303, 400}
    browser = await visitor(device)
    assert "Sidik jari" in (await browser.get("/feeder-key?lang=id")).text
