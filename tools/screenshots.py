"""Takes the pictures of README and docs from a demo: `.venv/bin/python tools/screenshots.py` after `make test`."""

import asyncio
import json
import sys
from pathlib import Path

import httpx2
from playwright.async_api import async_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from demo_process import running_demo

FOLDER = Path(__file__).parent.parent / "docs" / "images"
PASSWORD = "a phrase for one picture"  # noqa: S105 # of a device that lives for a minute
MESSAGES = (
    ("081212345678", "Kode OTP Anda 482913. Berlaku 5 menit. Jangan berikan kepada siapa pun."),
    ("085712345678", "Kode OTP Anda 160274. Berlaku 5 menit. Jangan berikan kepada siapa pun."),
    ("081312345678", "Your code is 903517"),
)


async def main() -> None:
    async with running_demo("--air", "0.3") as demo, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1120, "height": 850})
        await page.goto(demo.facts["setup_url"])
        phone = await browser.new_page(viewport={"width": 390, "height": 690})
        await phone.goto(demo.facts["setup_url"])
        await phone.get_by_label("User name").fill("owner")
        await phone.screenshot(path=FOLDER / "setup.png")
        await page.get_by_label("User name").fill("owner")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_label("Password again").fill(PASSWORD)
        await page.get_by_role("button", name="Create and log in").click()
        async with httpx2.AsyncClient(auth=(demo.facts["api_user"], demo.facts["api_password"])) as client:
            for number, (receiver, text) in enumerate(MESSAGES):
                data = {"id": number, "msisdn": receiver, "message": text}
                body = json.dumps({"command": "send-sms", "data": data})
                await client.post(f"{demo.facts['api_url']}/api/sms", content=body)
        await page.get_by_text("62813XXXXXX78").wait_for()
        await page.screenshot(path=FOLDER / "dashboard.png")
        await phone.goto(demo.facts["phone_url"])
        await phone.get_by_text("903517").wait_for()
        await phone.screenshot(path=FOLDER / "phone.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
