"""SIM tools on a real port with the real store: the configuration follows, and no start costs a try."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from driven_fleet import DrivenFleet, InTheAir, driven

from otpbroker.config.model import Config, ModemSection
from otpbroker.config.store import Store
from otpbroker.errors import Rejected
from otpbroker.events import ModemState
from otpbroker.modem.sim_tools import SimTools, SimView
from otpbroker.modem.simulator import Phone, SimCard, SimulatedModem, identity_of
from otpbroker.sealing import Sealer
from otpbroker.sms.submission import Sent


@asynccontextmanager
async def plant(path: str, store: Store) -> AsyncIterator[tuple[DrivenFleet, SimTools]]:
    """A fleet that follows the store, as the agent lets it."""
    async with driven(*store.config.modems, in_the_air=InTheAir()) as fleet:
        changed = asyncio.Event()
        store.on_change(lambda _old, _new: changed.set())

        async def follow() -> None:
            while True:
                await changed.wait()
                changed.clear()
                await fleet.fleet.apply(store.config.modems)

        following = asyncio.create_task(follow())
        try:
            yield fleet, SimTools(lambda: fleet.fleet.senders, store, fleet.fleet._shared.pins)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def store_with(folder: Path, section: ModemSection) -> Store:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"modems": [section.model_dump(mode="json", exclude_defaults=True)]}))
    return Store(path, Sealer(bytes(32)))


@pytest.fixture
async def modem() -> AsyncIterator[SimulatedModem]:
    modem = SimulatedModem(identity_of(1), Phone(), sim=SimCard(pin="4711", puk="12345678"))
    modem.plug()
    yield modem
    modem.close()


async def power_cycle(modem: SimulatedModem, fleet: DrivenFleet) -> None:
    """Off the plug and on it again, on the same name."""
    modem.unplug()
    await fleet.until(lambda: fleet["m"].status.state is not ModemState.READY)
    modem.plug()


async def test_from_no_pin_to_a_changed_one_and_back_by_the_puk(modem: SimulatedModem, tmp_path: Path) -> None:
    link = tmp_path / "modem"
    modem.plug(link)
    store = store_with(tmp_path, ModemSection(id="m", port=str(link)))
    async with plant(str(link), store) as (fleet, tools):
        await fleet.ready("m")
        assert await tools.look("m") == SimView("READY", pin_required=False, pin_left=3)

        await tools.require_pin("m", "4711", on=True, by="siti")
        await tools_settle(fleet)
        await tools.change_pin("m", "4711", "86420", by="siti")
        await tools_settle(fleet)
        assert modem.sim.pin == "86420"
        text = (tmp_path / "config.yaml").read_text()
        assert "sealed:" in text
        assert "86420" not in text

        await power_cycle(modem, fleet)
        await fleet.ready("m")
        assert modem.sim.pin_left == 3
        assert isinstance(await fleet.send("m"), Sent)

        modem.sim.pin_left = 0  # somebody played with it in a phone
        await power_cycle(modem, fleet)
        await fleet.until(lambda: fleet["m"].status.state is ModemState.BLOCKED)
        assert (await tools.look("m")).puk_left == 10
        with pytest.raises(Rejected) as refusal:
            await tools.unblock("m", "00000000", "1111", by="siti")
        assert (refusal.value.code, modem.sim.puk_left) == ("puk-wrong", 9)
        await tools.unblock("m", "12345678", "1111", by="siti")
        await fleet.ready("m")
        await power_cycle(modem, fleet)
        await fleet.ready("m")
        assert (modem.sim.pin, modem.sim.pin_left) == ("1111", 3)

        await tools.set_service_centre("m", "+62811111111", by="siti")
        await tools_settle(fleet)
        assert fleet["m"].status.smsc == "+62811111111"
        assert Config.model_validate(store.config.model_dump()).modems[0].smsc == "+62811111111"


async def tools_settle(fleet: DrivenFleet) -> None:
    """The changed section is taken up, and the modem started with it."""
    await asyncio.sleep(0.3)
    await fleet.ready("m")
