"""The whole way in a real browser on a phone's screen: setup code, administrator, test SMS, REST, phone."""

import json
from pathlib import Path

import httpx2
from playwright.async_api import Browser, ConsoleMessage, expect

from demo_process import running_demo

PASSWORD = "empat kuda hijau berlari"


async def test_from_the_printed_address_to_an_sms_on_the_phone(browser: Browser) -> None:
    async with running_demo("--air", "0.2") as demo:
        context = await browser.new_context(viewport={"width": 390, "height": 844})
        complaints: list[str] = []

        def listen(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                complaints.append(message.text)

        context.on("console", listen)
        page = await context.new_page()
        await page.goto(demo.facts["setup_url"])
        await page.get_by_label("User name").fill("pemilik")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_label("Password again").fill(PASSWORD)
        await page.get_by_role("button", name="Create and log in").click()
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        await expect(page.get_by_text("Telkomsel SIM").first).to_be_visible()

        # By an application, seen live on the page that is open.
        body = {"command": "send-sms", "data": {"id": 1, "msisdn": "0812 1234 5678", "message": "OTP Anda 4711"}}
        auth = (demo.facts["api_user"], demo.facts["api_password"])
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
            answer = await client.post(f"{demo.facts['api_url']}/api/sms", content=json.dumps(body), auth=auth)
        assert answer.json()["response_code"] == "0000"
        await expect(page.get_by_text("62812XXXXXX78")).to_be_visible()

        # By hand, through a chosen modem.
        await page.get_by_role("link", name="Send a test SMS").click()
        await page.get_by_label("Modem").select_option("modem-2")
        await page.get_by_label("Receiver").fill("081298765432")
        await page.get_by_label("Message").fill("Halo dari halaman admin")
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_text("Sent").first).to_be_visible()
        assert "Halo dari halaman admin" not in await page.content()

        phone = await context.new_page()
        await phone.goto(demo.facts["phone_url"])
        await expect(phone.get_by_text("OTP Anda 4711")).to_be_visible()
        await expect(phone.get_by_text("Halo dari halaman admin")).to_be_visible()

        # The code is spent, and the setup page is gone for good.
        other = await browser.new_context()
        stranger = await other.new_page()
        await stranger.goto(demo.facts["setup_url"])
        await expect(stranger.get_by_role("heading", name="There is no such page")).to_be_visible()
        assert not (Path(demo.facts["state"]) / "setup-code").exists()
        assert complaints == []
        await context.close()
        await other.close()
