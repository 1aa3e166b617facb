"""The key that application servers encrypt messages to: shown for them, and replaced."""

import asyncio
import json

from quart import Blueprint, redirect, render_template, url_for
from quart.typing import ResponseReturnValue

from otpbroker.device.qr_code import QrCode
from otpbroker.web.language import gettext_noop as _
from otpbroker.web.site import FeederKey, Navigation, Site

NAVIGATION = Navigation(_("Encryption"), "feeder_key.show", position=60)


def create(site: Site) -> Blueprint:
    page = Blueprint("feeder_key", __name__)

    @page.get("/feeder-key")
    async def show() -> ResponseReturnValue:
        keys = await asyncio.to_thread(_keys, site)
        jwk = json.dumps(keys[0].public, separators=(",", ":"))
        sealed_only = [feeder.id for feeder in site.store.config.feeders if feeder.sealed_only]
        return await render_template(
            "feeder_key.html", current=keys[0], old=keys[1:], jwk=jwk, qr=QrCode(jwk), sealed_only=sealed_only
        )

    @page.post("/feeder-key")
    async def rotate() -> ResponseReturnValue:
        await asyncio.to_thread(lambda: site.feeder_keys().rotate())
        return redirect(url_for("feeder_key.show"), 303)

    return page


def _keys(site: Site) -> list[FeederKey]:
    ring = site.feeder_keys()
    ring.ensure()
    return list(ring.usable())
