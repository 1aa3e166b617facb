"""The fleet on simulated modems: real ports, real time, every way a modem can fail."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from driven_fleet import InTheAir, driven, on

from otpbroker.events import ModemState
from otpbroker.modem.simulator import Fate, Phone, SimCard, SimulatedModem, identity_of
from otpbroker.sms.submission import Refused, Retry, Sent, Unknown
from otpbroker.sms.submit import encode_submit

RECEIVER = "6281234567890"
LONG = "Kode Anda 123456, jangan diberikan kepada siapa pun. " * 6


def pdus(text: str) -> tuple[str, ...]:
    return tuple(encode_submit(RECEIVER, text, reference=7, life=300))


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
async def modem(phone: Phone) -> AsyncIterator[SimulatedModem]:
    modem = SimulatedModem(identity_of(1), phone)
    yield modem
    modem.close()


async def test_a_text_arrives_in_one_part_or_several(modem: SimulatedModem, phone: Phone) -> None:
    path = modem.plug()
    async with driven(on(path)) as fleet:
        await fleet.ready("m")
        status = fleet["m"].status
        assert isinstance(await fleet.send("m", *pdus("Kode 123456")), Sent)
        result = await fleet.send("m", *pdus(LONG))
    assert isinstance(result, Sent)
    assert len(result.references) == len(pdus(LONG)) > 1
    assert [message.text for message in phone.messages] == ["Kode 123456", LONG]
    identity = modem.identity
    assert (status.imei, status.imsi, status.iccid) == (identity.imei, identity.imsi, identity.iccid)
    assert (status.operator, status.smsc, status.registration) == (identity.operator, identity.smsc, "home")
    assert modem.counters.cmgw == 0


@pytest.mark.parametrize(
    "knobs",
    [
        {"echo_stuck": True},
        {"split": 5, "split_gap": 0.0002},
        {"split": 1, "split_gap": 0.0},
        {"noise": 12},
        {"storm": 0.002},
        {"echo_stuck": True, "split": 5, "split_gap": 0.0002, "noise": 7, "storm": 0.005},
    ],
    ids="+".join,
)
async def test_a_nasty_line_spoils_no_message(
    modem: SimulatedModem, phone: Phone, knobs: dict[str, object]
) -> None:
    modem.change(**knobs)
    async with driven(on(modem.plug())) as fleet:
        await fleet.ready("m")
        for number in range(5):
            assert isinstance(await fleet.send("m", *pdus(f"Kode {number}")), Sent)
    assert [message.text for message in phone.messages] == [f"Kode {number}" for number in range(5)]
    assert modem.counters.cmgs == 5


@pytest.mark.parametrize("code", [38, 28, 500])
async def test_a_refusal_is_told_and_the_next_message_leaves(
    modem: SimulatedModem, phone: Phone, code: int
) -> None:
    modem.change(next_sends=[Fate.ERROR], cms_error=code)
    async with driven(on(modem.plug())) as fleet:
        await fleet.ready("m")
        assert await fleet.send("m", *pdus("Kode 1")) == Refused(
            f"cms-{code}", Retry.NEVER if code == 28 else Retry.LATER
        )
        assert isinstance(await fleet.send("m", *pdus("Kode 2")), Sent)
    assert [message.text for message in phone.messages] == ["Kode 2"]


async def test_a_lost_answer_is_unknown_and_the_modem_comes_back(modem: SimulatedModem, phone: Phone) -> None:
    modem.change(next_sends=[Fate.SENT, Fate.LOST_OK])
    async with driven(on(modem.plug())) as fleet:
        await fleet.ready("m")
        assert isinstance(await fleet.send("m", *pdus("Kode 0")), Sent)
        assert await fleet.send("m", *pdus("Kode 1")) == Unknown("no-answer")
        await fleet.ready("m")
        assert isinstance(await fleet.send("m", *pdus("Kode 2")), Sent)
        assert fleet["m"].status.unknown == 1
    assert [message.text for message in phone.messages] == ["Kode 0", "Kode 1", "Kode 2"]


async def test_a_lost_prompt_sends_nothing_and_the_modem_comes_back(modem: SimulatedModem, phone: Phone) -> None:
    modem.change(next_sends=[Fate.LOST_PROMPT])
    async with driven(on(modem.plug())) as fleet:
        await fleet.ready("m")
        assert await fleet.send("m", *pdus("Kode 1")) == Refused("no-prompt", Retry.LATER)
        await fleet.ready("m")
        assert isinstance(await fleet.send("m", *pdus("Kode 2")), Sent)
    assert [message.text for message in phone.messages] == ["Kode 2"]


async def test_unplugged_in_the_air_is_unknown_and_plugged_in_again_it_is_ready(
    modem: SimulatedModem, phone: Phone, tmp_path: Path
) -> None:
    modem.change(next_sends=[Fate.UNPLUG])
    async with driven(on(modem.plug(tmp_path / "ttyUSB0"))) as fleet:
        await fleet.ready("m")
        assert await fleet.send("m", *pdus("Kode 1")) == Unknown("link-lost")
        assert await fleet.send("m", *pdus("Kode 2")) == Refused("not-ready", Retry.LATER)
        modem.plug()
        await fleet.ready("m")
        assert isinstance(await fleet.send("m", *pdus("Kode 3")), Sent)
    assert [message.text for message in phone.messages] == ["Kode 1", "Kode 3"]


async def test_a_modem_that_restarts_in_the_air_gets_its_settings_again(
    modem: SimulatedModem, phone: Phone
) -> None:
    modem.change(next_sends=[Fate.SENT, Fate.RESET], air=0.05)
    async with driven(on(modem.plug())) as fleet:
        await fleet.ready("m")
        assert isinstance(await fleet.send("m", *pdus("Kode 0")), Sent)
        async with asyncio.timeout(2):  # far less than the patience for an answer
            assert await fleet.send("m", *pdus("Kode 1")) == Unknown("modem-restarted")
            await fleet.ready("m")
        assert isinstance(await fleet.send("m", *pdus("Kode 2")), Sent)
    assert [message.text for message in phone.messages] == ["Kode 0", "Kode 2"]


async def test_a_locked_sim_is_opened(phone: Phone) -> None:
    modem = SimulatedModem(identity_of(2), phone, sim=SimCard(pin="4711", locked=True))
    async with driven(on(modem.plug(), pin="4711")) as fleet:
        await fleet.ready("m")
        assert isinstance(await fleet.send("m", *pdus("Kode 1")), Sent)
    assert modem.counters.pin_tries == 1
    modem.close()


async def test_a_wrong_pin_costs_one_try_however_often_the_modem_is_plugged_in(
    phone: Phone, tmp_path: Path
) -> None:
    modem = SimulatedModem(identity_of(2), phone, sim=SimCard(pin="4711", locked=True))
    async with driven(on(modem.plug(tmp_path / "ttyUSB0"), pin="9999")) as fleet:
        for _ in range(3):
            await fleet.until(lambda: fleet["m"].status.state is ModemState.BLOCKED)
            modem.unplug()
            await fleet.until(lambda: fleet["m"].status.state is not ModemState.BLOCKED)
            modem.plug()
        await fleet.until(lambda: fleet["m"].status.state is ModemState.BLOCKED)
    assert (modem.counters.pin_tries, modem.sim.pin_left) == (1, 2)
    modem.close()


async def test_a_missing_service_centre_is_set(modem: SimulatedModem, phone: Phone) -> None:
    modem.change(smsc_missing=True)
    async with driven(on(modem.plug(), smsc="+62816124")) as fleet:
        await fleet.ready("m")
        assert isinstance(await fleet.send("m", *pdus("Kode 1")), Sent)


async def test_losing_and_finding_the_network_shows_at_once(modem: SimulatedModem) -> None:
    async with driven(on(modem.plug())) as fleet:
        await fleet.ready("m")
        modem.change(registration=2)
        await fleet.until(lambda: not fleet["m"].ready, 2)
        assert fleet["m"].status.registration == "searching"
        modem.change(registration=5)
        await fleet.until(lambda: fleet["m"].ready, 2)
        assert fleet["m"].status.registration == "roaming"


async def test_the_answer_that_a_dead_process_missed_is_heard(modem: SimulatedModem, phone: Phone) -> None:
    modem.change(air=0.3)
    path = modem.plug()
    predecessor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    (pdu,) = pdus("Kode 1")
    os.write(predecessor, b"AT+CMGS=%d\r" % (len(pdu) // 2 - 1))
    await asyncio.sleep(0.05)
    os.write(predecessor, pdu.encode() + b"\x1a")
    await asyncio.sleep(0.05)
    os.close(predecessor)
    in_the_air = InTheAir("m")
    async with driven(on(path), in_the_air=in_the_air) as fleet:
        await fleet.ready("m")
        assert [modem_id for modem_id, _ in in_the_air.answers] == ["m"]
        assert in_the_air.open == set()
        assert isinstance(await fleet.send("m", *pdus("Kode 2")), Sent)
    assert [message.text for message in phone.messages] == ["Kode 1", "Kode 2"]


async def test_a_silent_modem_holds_up_no_other(phone: Phone) -> None:
    modems = [SimulatedModem(identity_of(index), phone) for index in (1, 2)]
    async with driven(*(on(modem.plug(), modem.name) for modem in modems)) as fleet:
        first, second = (modem.name for modem in modems)
        await fleet.ready(first, second)
        modems[0].change(silent=True)
        hanging = asyncio.create_task(fleet.send(first, *pdus("Kode 1")))
        for number in range(20):
            assert isinstance(await fleet.send(second, *pdus(f"Kode {number}")), Sent)
        assert not hanging.done()
        result = await hanging  # there was no prompt, or it hung before that
        assert isinstance(result, Refused)
        assert result.retry is Retry.LATER
    for modem in modems:
        modem.close()
