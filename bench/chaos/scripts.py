"""Twenty ways and a few more in which one modem of three fails, and what has to be true of each."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.chaos.ledger import Entry, Verdict
from bench.chaos.site import Site, site
from otpbroker.modem.simulator import Phone, SimCard, SimulatedModem, identity_of

FAULTY = "modem-1"
_PIN = "4711"
_OWN_PREFIX = "62811"  # of the modem that will fail; the other two share all other numbers
_OTHER_PREFIX = "62812"
_AIR = (0.05, 0.15)
_PACE = 0.2  # seconds between messages
_AWAKE = 22.0  # seconds after its opening a modem that says that it starts has been reset, and nothing else
_BACK_LIMIT = 75.0  # seconds from the end of the fault to the next message: an answer may be owed for 60
_END_LIMIT = 60.0

_PROMPT = 5.0  # seconds: what is waited for a prompt
_ANSWER = 10.0  # the least that is waited for the answer to a PDU

Fault = Callable[[Site, SimulatedModem], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Script:
    """`fault` begins and ends the fault. `give_up`: seconds that the modem may keep a message from the others.

    `unknown`: how many messages may end so. `warm`: seconds of traffic before the fault, so that the usual air time
    is known then.
    """

    name: str
    fault: Fault
    give_up: float = 0.0
    unknown: int = 0
    warm: float = 2.0


def _knobs(seconds: float, **knobs: object) -> Fault:
    """These knobs for so long, then as before."""

    async def fault(_site: Site, modem: SimulatedModem) -> None:
        before = modem.behaviour.as_json()
        modem.change(**knobs)
        await asyncio.sleep(seconds)
        modem.change(**{name: before[name] for name in knobs})

    return fault


def _once(fate: str, **knobs: object) -> Fault:
    """One message meets this fate, with these knobs."""

    async def fault(at: Site, modem: SimulatedModem) -> None:
        before = modem.behaviour.as_json()
        modem.change(next_sends=(fate,), **knobs)
        await at.until(lambda: not modem.behaviour.next_sends, 20)
        await asyncio.sleep(2.0)
        modem.change(**{name: before[name] for name in knobs})

    return fault


async def _no_network(_site: Site, modem: SimulatedModem) -> None:
    for stat in (2, 3, 0):
        modem.change(registration=stat)
        await asyncio.sleep(2.0)
    modem.change(registration=1)


async def _pin(_site: Site, modem: SimulatedModem) -> None:
    modem.sim.locked = True
    modem.reseat()
    await asyncio.sleep(2.0)
    modem.reseat(told=False)
    await asyncio.sleep(2.0)


async def _puk(_site: Site, modem: SimulatedModem) -> None:
    modem.sim.locked, modem.sim.pin_left = True, 0
    modem.reseat()
    await asyncio.sleep(4.0)
    modem.sim.unblock(modem.sim.puk, _PIN)  # by hand, in a phone
    modem.reseat()


async def _broken_port(at: Site, modem: SimulatedModem) -> None:
    modem.fail()
    await asyncio.sleep(5.0)
    socket = at.usb.socket_of(modem)
    assert socket is not None
    at.usb.renumber([socket])


async def _late_ok(at: Site, modem: SimulatedModem) -> None:
    """The answer comes when it was given up, while another message is in the air that will be refused."""
    modem.change(next_sends=("late-ok", *["error"] * 3), late=_ANSWER + 2)
    await at.until(lambda: len(modem.behaviour.next_sends) < 4, 20)
    await asyncio.sleep(1.0)
    modem.change(air=3.0)
    await asyncio.sleep(_ANSWER + 4)
    modem.change(air=_AIR)


async def _slow(at: Site, modem: SimulatedModem) -> None:
    """One message takes 30 s in the air; whoever gave it up must not take its answer for another's."""
    cmgs = modem.counters.cmgs
    modem.change(air=30.0)
    await at.until(lambda: modem.counters.cmgs > cmgs, 20)
    modem.change(air=_AIR)
    await asyncio.sleep(30.0)


async def _resets(at: Site, modem: SimulatedModem) -> None:
    for fate in ("reset", "reset-first"):
        await _once(fate, air=0.5)(at, modem)


async def _echo(_site: Site, modem: SimulatedModem) -> None:
    for _ in range(4):
        modem.forget()
        await asyncio.sleep(1.0)


SCRIPTS = (
    Script("silence", _knobs(14.0, silent=True), give_up=_ANSWER, unknown=1),
    Script("lost prompt", _once("lost-prompt"), give_up=_PROMPT),
    Script("lost OK", _once("lost-ok"), give_up=_ANSWER, unknown=1),
    Script("late OK", _late_ok, give_up=_ANSWER, unknown=1),
    Script("garbage", _knobs(8.0, garbage=0.02, noise=12), give_up=_PROMPT, unknown=3),
    Script("URC storm", _knobs(8.0, storm=0.005)),
    Script("CMS ERROR 38", _knobs(6.0, every_send="error", cms_error=38)),
    Script("CMS ERROR 500", _knobs(6.0, every_send="error", cms_error=500)),
    Script("CMS ERROR 512", _knobs(6.0, every_send="error", cms_error=512)),
    Script("CMS ERROR 515", _knobs(6.0, every_send="error", cms_error=515)),
    Script("CMS ERROR 330", _knobs(6.0, smsc_missing=True)),
    Script("CMS ERROR 322", _knobs(6.0, every_send="error", cms_error=322)),
    Script("PIN", _pin),
    Script("PUK", _puk),
    Script("no network", _no_network),
    Script("half-dead port", _knobs(14.0, every_send="ignored"), give_up=_PROMPT),
    Script("EIO", _broken_port, unknown=1),
    Script("slow 30 s", _slow, give_up=_ANSWER, unknown=1),
    Script("reset in the middle", _resets, give_up=_ANSWER, unknown=1, warm=_AWAKE),
    Script("echo comes back on", _echo),
    # Beyond the twenty
    Script("mute", _knobs(14.0, mute=True), give_up=_ANSWER, unknown=1),
    Script("slow answers", _knobs(20.0, latency=30.0), give_up=_PROMPT),
)


async def run(script: Script) -> Verdict:
    """One script from the first message to the last word."""
    phone = Phone(limit=1_000_000)
    modems = [SimulatedModem(identity_of(index), phone, sim=SimCard(pin=_PIN)) for index in (1, 2, 3)]
    faulty = modems[0]
    with tempfile.TemporaryDirectory(prefix="otpbroker-chaos-", dir="/dev/shm") as folder:
        async with site(Path(folder) / "site", modems, phone) as at:
            for number, modem in enumerate(modems, 1):
                modem.change(air=_AIR)
                at.usb.plug(modem, f"1-1.{number}")
            await at.fleet.apply(
                at.wiring.section(modem, pin=_PIN, default=modem is not faulty, prefixes=_prefixes(modem, faulty))
                for modem in modems
            )
            await at.ready(*modems)
            traffic = asyncio.create_task(_traffic(at))
            try:
                await asyncio.sleep(script.warm)
                await script.fault(at, faulty)
                await _sends_again(phone)
            finally:
                traffic.cancel()
                await asyncio.gather(traffic, return_exceptions=True)
            await at.finish(_END_LIMIT)
            return at.judge(script.name, touched=_touched, kept=_kept, give_up=script.give_up)


def _prefixes(modem: SimulatedModem, faulty: SimulatedModem) -> tuple[str, ...]:
    return (_OWN_PREFIX,) if modem is faulty else ()


async def _traffic(at: Site) -> None:
    while True:
        for prefix in (_OWN_PREFIX, _OTHER_PREFIX, _OTHER_PREFIX):
            await at.submit(prefix)
            await asyncio.sleep(_PACE)


async def _sends_again(phone: Phone) -> None:
    """Until the phone gets something from the modem that failed."""
    await phone.wait_for(lambda message: message.modem == FAULTY, within=_BACK_LIMIT, after=phone.revision)


def _touched(entry: Entry) -> bool:
    return entry.prefix == _OWN_PREFIX


def _kept(entry: Entry) -> float | None:
    """In its hands, or waiting for it until another one took it."""
    waited = entry.begun[0][0] - entry.accepted_at if entry.begun and FAULTY not in entry.had_by[:1] else None
    times = [seconds for seconds in (waited, entry.kept) if seconds is not None]
    return max(times, default=None) if _touched(entry) else None
