"""The page of a modem's SIM: what is done by hand, told in words, and no secret shown again."""

import re
import time
from dataclasses import replace

import pytest
from playwright.async_api import expect
from site_device import Device, Screen, Visitor
from site_fakes import USERNAME
from test_browser import fits, log_in

from otpbroker.errors import Misconfigured, OtpBrokerError, Rejected, Unavailable, UnknownOutcome
from otpbroker.events import ModemState
from otpbroker.messaging.command import EndUssd, ReplyUssd, RunUssd
from otpbroker.messaging.outcome import UssdReplied
from otpbroker.modem.history import KEPT, Sample
from otpbroker.modem.sim_tools import SimView

SECRETS = {"pin": "7531", "new_pin": "86420", "new_pin_again": "86420", "puk": "97531864"}


class TestLocks:
    @pytest.mark.parametrize(
        ("act", "done"),
        [
            ("enter", ("enter", "m1", "7531", USERNAME)),
            ("on", ("on", "m1", "7531", USERNAME)),
            ("off", ("off", "m1", "7531", USERNAME)),
            ("change", ("change", "m1", "7531", "86420", USERNAME)),
            ("unblock", ("unblock", "m1", "97531864", "86420", USERNAME)),
        ],
    )
    async def test_what_is_done_is_told_after_a_redirect(
        self, device: Device, owner: Visitor, act: str, done: tuple[object, ...]
    ) -> None:
        answer = await owner.post(f"/sim/m1/{act}", SECRETS)
        assert (answer.status, answer.location) == (303, f"/sim/m1?done={act}")
        assert device.sim_tools.done == [done]
        page = await owner.get(answer.location or "")
        assert page.status == 200
        assert 'class="notice good"' in page.text

    @pytest.mark.parametrize(
        ("error", "status", "words"),
        [
            (Rejected("pin-wrong", "x", field="pin"), 422, "The SIM did not take this PIN."),
            (Rejected("sim-last-try", "x"), 422, "Only one try is left"),
            (Unavailable("modem-busy", "x"), 503, "The modem is busy with a message."),
            (UnknownOutcome("sim-unclear", "x"), 504, "Ask the SIM before you try anything else."),
            (Misconfigured("config-has-mistakes", "x"), 409, "nothing was changed"),
            (Unavailable("cme-3", "x"), 503, "+CME ERROR 3"),
        ],
    )
    async def test_what_failed_is_told_with_the_tries_left_and_without_the_secrets(
        self, device: Device, owner: Visitor, error: OtpBrokerError, status: int, words: str
    ) -> None:
        device.sim_tools.error = error
        device.sim_tools.view = SimView("READY", pin_required=True, pin_left=2)
        answer = await owner.post("/sim/m1/change", SECRETS)
        assert answer.status == status
        assert words in answer.text
        assert re.search(r"PIN tries left</dt><dd>2<", answer.text)
        for secret in SECRETS.values():
            assert secret not in answer.text

    async def test_a_modem_that_cannot_tell_the_tries_is_no_further_problem(
        self, device: Device, owner: Visitor
    ) -> None:
        device.sim_tools.error = Rejected("pin-wrong", "x")
        device.sim_tools.view = Unavailable("modem-not-ready", "x")
        answer = await owner.post("/sim/m1/on", SECRETS)
        assert (answer.status, "did not take this PIN" in answer.text) == (422, True)

    async def test_new_pins_that_differ_never_get_to_the_sim(self, device: Device, owner: Visitor) -> None:
        for act in ("change", "unblock"):
            answer = await owner.post(f"/sim/m1/{act}", SECRETS | {"new_pin_again": "86421"})
            assert (answer.status, "The two new PINs differ." in answer.text) == (422, True)
        assert device.sim_tools.done == []

    async def test_asking_the_sim(self, device: Device, owner: Visitor) -> None:
        device.sim_tools.view = SimView("SIM PUK", pin_required=True, pin_left=0, puk_left=7)
        answer = await owner.post("/sim/m1/look")
        assert answer.status == 200
        assert "it asks for its PUK" in answer.text
        assert re.search(r"PUK tries left</dt><dd>7<", answer.text)
        assert device.sim_tools.done == []

    async def test_looking_at_the_page_asks_the_sim_nothing(self, device: Device, owner: Visitor) -> None:
        device.sim_tools.view = Unavailable("modem-not-ready", "x")
        assert (await owner.get("/sim/m1")).status == 200
        for act in ("enter", "on", "off", "change", "unblock", "smsc", "ussd", "reply", "end", "balance", "look"):
            assert (await owner.get(f"/sim/m1/{act}?pin=1234")).status == 405
        assert device.sim_tools.done == []
        assert device.dispatcher.submitted == []

    async def test_the_service_centre(self, device: Device, owner: Visitor) -> None:
        await owner.post("/sim/m1/smsc", {"smsc": " +62811000000 "})
        assert device.sim_tools.done == [("smsc", "m1", "+62811000000", USERNAME)]


class TestUssd:
    async def test_a_menu_and_its_reply_and_its_end(self, device: Device, owner: Visitor) -> None:
        answer = await owner.post("/sim/m1/ussd", {"code": " *123# "})
        assert (answer.status, "1. Pulsa" in answer.text) == (200, True)
        assert 'action="/sim/m1/reply"' in answer.text
        device.dispatcher.ussd = UssdReplied("m1", "Rp 5", "")
        answer = await owner.post("/sim/m1/reply", {"reply": "1"})
        assert "Rp 5" in answer.text
        assert 'action="/sim/m1/reply"' not in answer.text
        assert (await owner.post("/sim/m1/end")).location == "/sim/m1?done=end"
        commands = [command for command, _ in device.dispatcher.submitted]
        assert commands == [RunUssd("m1", "*123#"), ReplyUssd("m1", "1"), EndUssd("m1")]
        for _, origin in device.dispatcher.submitted:
            assert (origin.source, origin.caller, origin.rights) == ("admin", USERNAME, {"ussd"})

    @pytest.mark.parametrize(
        ("error", "status", "words"),
        [
            (Rejected("ussd-code-invalid", "x", field="code"), 422, "A code has digits"),
            (Rejected("ussd-no-session", "x"), 422, "The session is over."),
            (Unavailable("ussd-terminated", "x"), 503, "ended the session without an answer"),
            (UnknownOutcome("ussd-timeout", "x"), 504, "may have been carried out"),
        ],
    )
    async def test_every_end(
        self, device: Device, owner: Visitor, error: OtpBrokerError, status: int, words: str
    ) -> None:
        device.dispatcher.ussd = error
        answer = await owner.post("/sim/m1/ussd", {"code": "*1#"})
        assert (answer.status, words in answer.text) == (status, True)

    async def test_what_the_network_says_is_never_markup(self, device: Device, owner: Visitor) -> None:
        device.dispatcher.ussd = UssdReplied("m1", "<script>alert(1)</script>", "")
        answer = await owner.post("/sim/m1/ussd", {"code": "*1#"})
        assert "<script>alert" not in answer.text
        assert "&lt;script&gt;alert" in answer.text


class TestBalance:
    async def test_is_asked_for_by_hand(self, device: Device, owner: Visitor) -> None:
        assert (await owner.post("/sim/m1/balance")).location == "/sim/m1?done=balance"
        assert device.balances.asked == ["m1"]
        device.balances.error = Misconfigured("balance-not-found", "x")
        answer = await owner.post("/sim/m1/balance")
        assert (answer.status, "holds no amount" in answer.text) == (409, True)

    async def test_is_shown_with_its_age_and_a_warning(self, device: Device, owner: Visitor) -> None:
        device.dispatcher.modems[0] = replace(
            device.dispatcher.modems[0], balance="4500", balance_at=1.0, notes=("low-balance",)
        )
        page = (await owner.get("/sim/m1")).text
        assert "<strong>4500</strong>" in page
        assert ">low<" in page


async def test_the_signal_of_the_last_day_is_drawn(device: Device, owner: Visitor) -> None:
    assert "No signal was measured" in (await owner.get("/sim/m1")).text
    now = time.time()
    device.history.samples = (
        Sample(now - KEPT, -71, "home", "XL"),
        Sample(now - KEPT / 2, -91, "roaming", "TRI"),
    )
    page = (await owner.get("/sim/m1")).text
    assert "from -91 to -71 dBm" in page
    assert re.search(r'<path d="M0 [\d.]+H3\d\d', page)
    assert 'class="roaming"' in page


async def test_modems_and_acts_that_are_not_there(owner: Visitor) -> None:
    for path in ("/sim/m9", "/sim"):
        assert (await owner.get(path)).status == 404
    for path in ("/sim/m9/look", "/sim/m1/format", "/sim/m9/ussd"):
        assert (await owner.post(path)).status == 404


async def test_a_message_that_is_no_message_is_not_shown(owner: Visitor) -> None:
    assert "notice good" not in (await owner.get("/sim/m1?done=<script>")).text


async def test_it_speaks_indonesian(device: Device, owner: Visitor) -> None:
    page = (await owner.get("/sim/m1?lang=id")).text
    for words in ("Tanya SIM", "Buka blokir dengan PUK", "Pulsa", "Kode dapat memakai pulsa SIM."):
        assert words in page
    device.sim_tools.error = Rejected("puk-refused-before", "x")
    assert "SIM pernah menolak sebuah PUK" in (await owner.post("/sim/m1/unblock", SECRETS)).text


async def test_on_a_phone(phone: Screen, device: Device, site_url: str) -> None:
    device.history.samples = (Sample(0.0, -71, "home", "XL"), Sample(time.time() - 3600, -91, "roaming", "TRI"))
    device.dispatcher.modems[0] = replace(
        device.dispatcher.modems[0], state=ModemState.BLOCKED, detail="the SIM asks for its PUK"
    )
    page = phone.page
    await log_in(page, site_url)
    await page.goto(f"{site_url}/sim/m1")
    await expect(page.get_by_role("heading", name="Telkomsel")).to_be_visible()
    await expect(page.locator("svg.chart path")).to_be_visible()
    assert await fits(page)
    await page.get_by_label("Code").fill("*123#")
    await page.get_by_role("button", name="Run").click()
    await expect(page.get_by_text("1. Pulsa")).to_be_visible()
    await page.get_by_label("Your reply").fill("1")
    await page.get_by_role("button", name="Reply").click()
    await page.get_by_text("Unblock with the PUK").first.click()
    await page.get_by_label("PUK", exact=True).fill("12345678")
    await page.locator("#new_pin-unblock").fill("4321")
    await page.locator("#new_pin_again-unblock").fill("4321")
    await page.get_by_role("button", name="Unblock with the PUK").click()
    await expect(page.get_by_text("The SIM is open again, with its new PIN.")).to_be_visible()
    assert device.sim_tools.done == [("unblock", "m1", "12345678", "4321", USERNAME)]
    assert await fits(page)
