"""The page Modems in a real browser: a stick that was just plugged in is set up and sends."""

import re
from dataclasses import replace

from playwright.async_api import expect
from site_device import Device, Screen
from site_fakes import MODEMS
from test_browser import fits, log_in
from test_modems_page import FOUND

from otpbroker.events import FoundChanged, FoundModem, ModemChanged, ModemState


async def test_a_stick_is_plugged_in_and_activated(phone: Screen, device: Device, site_url: str) -> None:
    page = phone.page
    await log_in(page, site_url)
    await expect(page.locator("#live-state")).to_have_text("Live")
    device.plugged.found = (FOUND,)
    device.bus.publish(FoundChanged())
    await expect(page.locator("#found")).to_contain_text("A modem is plugged in and not set up yet: Quectel EC25")
    await page.locator("#found").get_by_role("link", name="Set it up").click()
    await expect(page.get_by_role("heading", name="Found, not configured")).to_be_visible()
    assert await fits(page)
    await page.get_by_role("link", name="Set it up").click()
    await expect(page.get_by_label("Identifier")).to_have_value("telkomsel-1")
    assert await fits(page)
    await page.get_by_label("Prefixes").fill("62811, 62812")
    await page.get_by_label("PIN").fill("1234")
    await page.get_by_role("button", name="Activate").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    (modem,) = device.store.config.modems
    assert (modem.id, modem.iccid, modem.imei) == ("telkomsel-1", FOUND.iccid, FOUND.imei)
    assert (modem.prefixes, modem.default, modem.send_from_api) == (("62811", "62812"), True, True)
    assert modem.pin is not None
    assert modem.pin.get_secret_value() == "1234"


async def test_the_lists_follow_what_is_plugged_in(desktop: Screen, device: Device, site_url: str) -> None:
    page = desktop.page
    await log_in(page, site_url)
    await page.get_by_role("link", name="Modems", exact=True).click()
    await expect(page.locator("#live-state")).to_have_text("Live")
    await expect(page.locator("#found-devices")).to_contain_text("Nothing else is plugged in.")
    await page.evaluate("window.sameDocument = true")
    device.plugged.found = (FoundModem("1-1.3", "hilink", "hilink", manufacturer="HUAWEI", model="Mobile"),)
    device.bus.publish(FoundChanged())
    await expect(page.locator("#found-devices")).to_contain_text("has no port for messages")
    await expect(page.get_by_role("link", name="Set it up")).to_have_count(0)
    detail = "the modem in USB socket 1-1.2 has another SIM, ...0017 (plug the right one in)"
    device.dispatcher.modems[0] = replace(
        MODEMS[0], state=ModemState.ABSENT, detail=detail, notes=("sim-changed",), usb=""
    )
    device.bus.publish(ModemChanged(device.dispatcher.modems[0]))
    row = page.locator("#configured tr").filter(has_text="Telkomsel")
    await expect(row).to_contain_text("Not connected")
    await expect(row).to_contain_text("Nothing is sent by that until you choose it.")
    assert await page.evaluate("window.sameDocument")


async def test_the_page_speaks_indonesian(phone: Screen, device: Device, site_url: str) -> None:
    drive = "USB socket 1-1.2 has a stick that shows itself as a drive"
    detail = f"no modem has the SIM ...0017; {drive} (plug the modem in)"
    device.dispatcher.modems[0] = replace(MODEMS[0], state=ModemState.ABSENT, detail=detail)
    device.plugged.found = (replace(FOUND, trouble="sim-locked"),)
    page = phone.page
    await log_in(page, site_url)
    await page.goto(f"{site_url}/modems?lang=id")
    await expect(page.get_by_role("heading", name="Ditemukan, belum diatur")).to_be_visible()
    await expect(page.locator("#configured")).to_contain_text(
        "tidak ada modem dengan SIM ...0017; soket USB 1-1.2 berisi modem yang tampil sebagai drive"
    )
    await expect(page.locator("#found-devices")).to_contain_text("SIM-nya meminta PIN.")
    await page.get_by_role("link", name=re.compile("^Atur$")).click()
    await expect(page.get_by_role("button", name="Aktifkan")).to_be_visible()
    assert await fits(page)
