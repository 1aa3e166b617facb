"""The admin site in a real browser: what an owner does, seen on the screen."""

import time
from dataclasses import replace

from playwright.async_api import Page, expect
from site_device import Device, Screen
from site_fakes import PASSWORD, USERNAME

from otpbroker.errors import Unavailable
from otpbroker.events import FeederChanged, FeederState, MessageChanged, ModemChanged, ModemState, PartChanged
from otpbroker.feeder.feeders import FeederStatus
from otpbroker.messaging.outcome import State
from otpbroker.sms.segment import measure
from otpbroker.web.setup_code import setup_url


async def log_in(page: Page, url: str) -> None:
    await page.goto(url)
    await page.get_by_label("User name").fill(USERNAME)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled sideways."""
    return await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_the_qr_code_leads_a_phone_to_its_administrator(
    phone: Screen, new_device: Device, new_site_url: str
) -> None:
    page = phone.page
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    code = new_device.setup_code.ensure()
    await page.goto(setup_url(new_site_url, code))
    await expect(page.get_by_role("heading", name="Create the administrator")).to_be_visible()
    assert await fits(page)
    await page.get_by_label("User name").fill("siti")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_label("Password again").fill(PASSWORD)
    await page.get_by_label("Name optional", exact=True).fill("Siti Rahma")
    await page.get_by_label("Phone").fill("0812 3456 789")
    await page.get_by_label("E-mail").fill("siti@example.com")
    await page.get_by_role("button", name="Create and log in").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert await fits(page)
    (administrator,) = new_device.store.config.admin.administrators
    assert (administrator.username, administrator.email) == ("siti", "siti@example.com")
    assert new_device.store.changed_by == ["siti"]
    assert not any(code in url for url in requested if "#" not in url)


async def test_a_wrong_setup_code_opens_nothing(phone: Screen, new_device: Device, new_site_url: str) -> None:
    new_device.setup_code.ensure()
    await phone.page.goto(new_site_url)
    await phone.page.get_by_label("Setup code").fill("AAAA-BBBB-CCCC")
    await phone.page.get_by_role("button", name="Continue").click()
    await expect(phone.page.get_by_text("This is not the device's setup code.")).to_be_visible()
    await expect(phone.page.get_by_label("User name")).to_have_count(0)
    phone.complaints[:] = [said for said in phone.complaints if "403" not in said]


async def test_what_happens_appears_without_a_reload(desktop: Screen, device: Device, site_url: str) -> None:
    page = desktop.page
    await log_in(page, site_url)
    await expect(page.locator("#live-state")).to_have_text("Live")
    await page.evaluate("window.sameDocument = true")
    await page.locator("#modem-m2 summary").click()

    device.dispatcher.modems[1] = lost = replace(
        device.dispatcher.modems[1], state=ModemState.BLOCKED, detail="The SIM wants its PIN: enter it."
    )
    device.bus.publish(ModemChanged(lost))
    card = page.locator("#modem-m2")
    await expect(card.locator(".chip")).to_have_text("Needs attention")
    await expect(card).to_contain_text("The SIM wants its PIN: enter it.")
    await expect(card.locator("details")).to_have_attribute("open", "")
    await expect(page.locator("#announcer")).to_have_text("XL: Needs attention")

    device.bus.publish(MessageChanged("a", "sent", "rest", "62812XXXXXX12", "m1", 1, time.time()))
    row = page.get_by_role("row").filter(has_text="62812XXXXXX12")
    await expect(row).to_contain_text("Sent")
    await expect(row).to_contain_text("Telkomsel")

    device.bus.publish(PartChanged("api", healthy=False, detail="port 8889 is taken"))
    await expect(page.locator("#problems")).to_contain_text("port 8889 is taken")
    device.bus.publish(PartChanged("api", healthy=True))
    await expect(page.locator("#problems p")).to_have_count(0)
    assert await page.evaluate("window.sameDocument")


async def test_a_feeder_is_seen_and_stopped(phone: Screen, device: Device, site_url: str) -> None:
    page = phone.page
    await log_in(page, site_url)
    refused = FeederStatus("shop", "rabbitmq", FeederState.REFUSED, "correct username and password", time.time())
    device.feeders.statuses = (refused, replace(refused, id="other", state=FeederState.STOPPED, detail=""))
    device.bus.publish(FeederChanged("shop", "rabbitmq", FeederState.REFUSED, "", time.time()))
    card = page.locator("#feeder-shop")
    await expect(card.locator(".chip")).to_have_text("Refused")
    await expect(card).to_contain_text("correct username and password")
    await expect(page.locator("#feeder-other").get_by_role("button")).to_have_text("Start")
    assert await fits(page)
    await card.get_by_role("button", name="Stop").click()
    await expect(page.locator("#live-state")).to_have_text("Live")
    assert device.feeders.acts == [("shop", "stop")]


async def test_a_page_of_an_ended_session_turns_to_the_log_in(
    desktop: Screen, device: Device, site_url: str
) -> None:
    await log_in(desktop.page, site_url)
    await expect(desktop.page.locator("#live-state")).to_have_text("Live")
    device.sessions.revoke(USERNAME)
    device.bus.publish(ModemChanged(device.dispatcher.modems[0]))
    await expect(desktop.page.get_by_role("heading", name="Log in")).to_be_visible()
    desktop.complaints[:] = [said for said in desktop.complaints if "401" not in said]


async def test_a_test_sms_shows_the_modems_own_word(phone: Screen, device: Device, site_url: str) -> None:
    page = phone.page
    await log_in(page, site_url)
    await page.locator("#modem-m2").get_by_role("link", name="Test SMS").click()
    await expect(page.get_by_label("Modem")).to_have_value("m2")
    await page.get_by_label("Receiver").fill("0812 6666 6712")
    await page.get_by_label("Message").fill("Hello {there}")
    await expect(page.locator("#message-size")).to_have_text("13 characters · 1 SMS · GSM-7")
    assert await fits(page)
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("heading", name="Sent")).to_be_visible()
    await expect(page.get_by_text("17", exact=True)).to_be_visible()
    assert "Hello" not in await page.content()
    command, origin = device.dispatcher.submitted[0]
    assert (command.text, command.modem_id, origin.source, origin.caller) == (
        "Hello {there}",
        "m2",
        "admin",
        USERNAME,
    )

    assert device.dispatcher.waited == [30]

    await page.reload()
    await expect(page.get_by_role("heading", name="Sent")).to_be_visible()
    assert len(device.dispatcher.submitted) == 1


async def test_an_unclear_end_and_a_refusal_are_told_as_such(
    desktop: Screen, device: Device, site_url: str
) -> None:
    page = desktop.page
    await log_in(page, site_url)

    async def send() -> None:
        await page.goto(f"{site_url}/sms")
        await page.get_by_label("Receiver").fill("08126666712")
        await page.get_by_label("Message").fill("secret words")
        await page.get_by_role("button", name="Send").click()

    device.dispatcher.answer = {"state": State.UNKNOWN, "error": "no-answer"}
    await send()
    await expect(page.get_by_role("heading", name="Unclear")).to_be_visible()
    await expect(page.get_by_text("may have been sent")).to_be_visible()
    device.dispatcher.answer = {"state": State.FAILED, "error": "cms-38", "detail": "the modem refused it"}
    await send()
    await expect(page.get_by_role("heading", name="Failed")).to_be_visible()
    await expect(page.get_by_text("+CMS ERROR 38")).to_be_visible()
    device.dispatcher.answer = Unavailable("modem-not-ready", "modem m1 is not ready")
    await send()
    await expect(page.get_by_role("alert")).to_have_text("This modem is not ready. See why on the overview.")
    assert "secret words" not in await page.content()
    desktop.complaints[:] = [said for said in desktop.complaints if "503" not in said]


async def test_the_counter_agrees_with_the_codec(desktop: Screen, site_url: str) -> None:
    await log_in(desktop.page, site_url)
    await desktop.page.goto(f"{site_url}/sms")
    for text in (
        "a" * 160,
        "a" * 161,
        "€" * 80,
        "a" * 152 + "€" * 5,
        "ñ" * 70,
        "字" * 70,
        "字" * 71,
        "x" + "😀" * 67,
    ):
        await desktop.page.get_by_label("Message").fill(text)
        alphabet = "GSM-7" if measure(text).encoding.value == "gsm7" else "Unicode"
        await expect(desktop.page.locator("#message-size")).to_have_text(
            f"{len(text)} characters · {measure(text).parts} SMS · {alphabet}"
        )


async def test_log_out_ends_the_session(desktop: Screen, site_url: str) -> None:
    await log_in(desktop.page, site_url)
    await desktop.page.get_by_role("button", name="Log out").click()
    await expect(desktop.page.get_by_role("heading", name="Log in")).to_be_visible()
    await desktop.page.goto(f"{site_url}/sms")
    await expect(desktop.page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_the_whole_site_speaks_indonesian(phone: Screen, site_url: str) -> None:
    page = phone.page
    await log_in(page, site_url)
    await page.get_by_role("link", name="ID", exact=True).click()
    await expect(page.get_by_role("heading", name="Ringkasan")).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("lang", "id")
    await expect(page.locator("#modem-m1 .chip")).to_have_text("Siap")
    await expect(page.locator("#modem-m1 time")).to_have_text("5 menit yang lalu")
    await page.get_by_role("link", name="Kirim SMS uji").click()
    await expect(page.get_by_role("heading", name="Kirim SMS uji")).to_be_visible()
    assert await fits(page)
    await page.get_by_role("link", name="Kotak masuk").click()
    await expect(page.get_by_role("heading", name="Kotak masuk")).to_be_visible()
    assert await fits(page)


async def test_a_message_is_read_answered_and_deleted(phone: Screen, site_url: str, device: Device) -> None:
    page = phone.page
    device.inbox.put("Apakah ini OTP saya? " + "https://" + "x" * 90)
    await log_in(page, site_url)
    await page.get_by_role("link", name="Inbox").click()
    assert await fits(page)
    await page.get_by_role("link", name="+6281200001111").click()
    await page.get_by_label("Reply").fill("Bukan")
    assert await fits(page)
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("heading", name="Sent")).to_be_visible()
    await page.get_by_role("link", name="Inbox").click()
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No message is here.")).to_be_visible()
