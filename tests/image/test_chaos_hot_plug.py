"""USB modems are pulled out of the machine and put back, in other sockets or with other SIMs, while it sends."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from card_copy import CardCopy
from machine import Kind, Vm, booted
from test_first_boot import failed_units

from otpbroker.modem.simulator import Phone, SimulatedModem, identity_of

SEED = 20261126
SOCKETS = (1, 2, 3)  # of the machine's four
AIR = (0.2, 0.6)
BREATH = (2.0, 8.0)  # seconds between events
READY_LIMIT = 120.0  # seconds from a plug to the modem's being ready, in a machine that is emulated on a busy host
SEND_LIMIT = 400.0  # longer than a message lives
EVENT_LIMIT = 100.0  # seconds for an event and the messages around it, on average

# Runs in the machine: one message after the other until it may stop, then the last word on each.
TRAFFIC = """
import json, pathlib, time, urllib.error, urllib.request
head = {"Authorization": "Basic KEY", "Content-Type": "application/json"}
def ask(path, body=None, **more):
    asked = urllib.request.Request("http://127.0.0.1:8889/api/v1/messages" + path, body, head | more)
    return json.load(urllib.request.urlopen(asked, timeout=70))
sent, refused = {}, 0
while not pathlib.Path("/run/chaos-is-over").exists():
    number = len(sent) + refused
    body = {"receiver": f"62812{number:08d}", "text": f"Kode Anda {number:06d}"}
    try:
        sent[ask("", json.dumps(body).encode())["id"]] = body["text"]
    except urllib.error.HTTPError as answer:
        if answer.code not in (401, 503):  # the user is not loaded yet; no modem is ready
            raise
        refused += 1
    time.sleep(0.7)
ends, by = {}, {}
for name, text in sent.items():
    while not (known := ask("/" + name, Prefer="wait=50"))["final"]:
        pass
    ends[text], by[text] = known["state"], known["modem_id"]
print(json.dumps({"ends": ends, "by": by, "refused": refused}))
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """The machine, and the modems beside it."""

    vm: Vm
    modems: Sequence[SimulatedModem]
    sockets: dict[str, int]  # that the modems are in, by their names

    async def plug(self, modem: SimulatedModem, socket: int) -> None:
        await self.vm.plug_modem(modem.plug(), modem.name, socket=socket)
        self.sockets[modem.name] = socket

    async def unplug(self, modem: SimulatedModem) -> int:
        """Which socket it was in."""
        await self.vm.unplug(modem.name)
        modem.unplug()
        return self.sockets.pop(modem.name)

    @property
    def there(self) -> list[SimulatedModem]:
        return [modem for modem in self.modems if modem.path is not None]

    @property
    def free(self) -> list[int]:
        return [socket for socket in SOCKETS if socket not in self.sockets.values()]

    @property
    def out(self) -> list[SimulatedModem]:
        return [modem for modem in self.modems if modem.path is None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    events: int = metafunc.config.getoption("--events")
    metafunc.parametrize("events", [pytest.param(events, marks=pytest.mark.timeout(1000 + events * EVENT_LIMIT))])


async def test_messages_end_truly_whatever_happens_to_the_modems(card: CardCopy, kind: Kind, events: int) -> None:
    if kind == "raspi3b":
        pytest.skip("its one USB serial port is the tests' shell")
    dice = random.Random(SEED)
    phone = Phone(limit=100_000)
    modems = [SimulatedModem(identity_of(index), phone) for index in range(1, len(SOCKETS) + 1)]
    for modem in modems:
        modem.change(air=AIR)
    numbers = {modem.name: modem.identity.msisdn for modem in modems}  # go with the SIMs, as the sections do
    async with booted(card, kind=kind) as vm:
        assert await vm.settled() == "running", await failed_units(vm)
        bench = Bench(vm, modems, {})
        key = await api_user(vm)
        for modem, socket in zip(modems, SOCKETS, strict=True):
            await bench.plug(modem, socket)
        await configure(vm, modems)
        async with traffic(vm, key, events) as told:
            await all_send(phone, modems)
            for number in range(events):
                print(f"event {number}: {await one_event(bench, phone, dice)}")
                await asyncio.sleep(dice.uniform(*BREATH))
            for modem in bench.out:
                await bench.plug(modem, bench.free[0])
            await all_send(phone, modems)  # each is found again, wherever it is now
        assert await failed_units(vm) == []
    for modem in modems:
        modem.close()
    judge(told, phone, numbers, events)


async def configure(vm: Vm, modems: Sequence[SimulatedModem]) -> None:
    """Tell the unit of its modems by their SIMs; adapters are opened only in sockets that are named as well."""
    names = await vm.until(
        f"cd /sys/bus/usb/devices && [ $(ls -d *:1.0/ttyUSB* | wc -l) = {len(modems)} ]"
        " && for port in *:1.0/ttyUSB*; do echo ${port%%:*}; done"
    )
    sections = (
        f"  - {{id: {modem.name}, usb: {socket}, iccid: '{modem.identity.iccid}'}}\n"
        for modem, socket in zip(modems, sorted(names.split()), strict=True)
    )
    await vm.run("cat >> /var/lib/otpbroker/config.yaml", text="modems:\n" + "".join(sections))
    await vm.run("otpbroker check-config && systemctl reload otpbroker")


async def one_event(bench: Bench, phone: Phone, dice: random.Random) -> str:
    """One modem that is well is left alone."""
    there, out = bench.there, bench.out
    what = dice.choice(["pull", "put", "again", "other order", "other SIMs"])
    if out and (what == "put" or len(there) == 1):
        modem, socket = dice.choice(out), dice.choice(bench.free)
        await bench.plug(modem, socket)
        return f"put {modem.name} into {socket}"
    if what.startswith("other") and len(there) < 3:
        what = "again"
    chosen = dice.sample(there, 2 if what.startswith("other") else 1)
    await one_sends(phone, [modem for modem in there if modem not in chosen])
    sockets = [await bench.unplug(modem) for modem in chosen]
    if what == "pull":
        return f"pull {chosen[0].name}"
    if what == "other SIMs":
        chosen[0].swap_cards(chosen[1])
    else:
        sockets.reverse()  # two exchange them
    for modem, socket in zip(chosen, sockets, strict=True):
        await bench.plug(modem, socket)
    return f"{what}: {', '.join(modem.name for modem in chosen)}"


async def one_sends(phone: Phone, modems: Sequence[SimulatedModem]) -> None:
    """Wait for a new message that came by one of these."""
    names = {modem.name for modem in modems}
    await phone.wait_for(lambda message: message.modem in names, within=READY_LIMIT, after=phone.revision)


async def all_send(phone: Phone, modems: Sequence[SimulatedModem]) -> None:
    for modem in modems:
        await one_sends(phone, [modem])


def judge(told: dict[str, Any], phone: Phone, numbers: dict[str, str], events: int) -> None:
    """`numbers`: from which number each configured modem sends."""
    ends: dict[str, str] = told["ends"]
    arrived = {message.text: message.copies for message in phone.messages}
    states = list(ends.values())
    print(f"{len(ends)} messages, {states.count('unknown')} unknown, {told['refused']} turned away")
    assert set(states) <= {"sent", "unknown"}, "a modem was there, but the message did not leave"
    assert {text: arrived.get(text, 0) for text, state in ends.items() if state == "sent"} == {
        text: 1 for text, state in ends.items() if state == "sent"
    }
    assert max(arrived.values()) == 1, "a message came twice"
    assert [message for message in phone.messages if message.sender != numbers[told["by"][message.text]]] == []
    assert states.count("unknown") <= 2 * events, "unknown is for what was in the air when its modem was pulled"
    assert states.count("sent") > 2 * events, "hardly anything was sent: the test proves nothing"


async def api_user(vm: Vm) -> str:
    """The credentials of an application server, as the Basic scheme wants them."""
    told = await vm.out(
        "password=$(otpbroker add-api-user shop --generate 2>/dev/null) && systemctl reload otpbroker"
        ' && printf "shop:%s" "$password" | base64 --wrap 0'
    )
    return told.strip()


@asynccontextmanager
async def traffic(vm: Vm, key: str, events: int) -> AsyncIterator[dict[str, Any]]:
    """Messages by REST within the block; what became of them is told at its end."""
    told: dict[str, Any] = {}
    limit = SEND_LIMIT + events * EVENT_LIMIT
    sending = asyncio.create_task(vm.run("python3 -", text=TRAFFIC.replace("KEY", key), seconds=limit))
    try:
        yield told
        await vm.run("touch /run/chaos-is-over")
        told |= json.loads((await asyncio.wait_for(sending, SEND_LIMIT + 10 * events)).output)
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
