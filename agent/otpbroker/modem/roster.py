"""Which devices are plugged in, who they are, and which configured modem each of them is.

Devices are asked side by side, each once and at one port after the other, best first. A device that a configured
modem uses is left alone as soon as it is known for that; what nobody uses is asked for everything it tells.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from otpbroker.config.model import ModemSection
from otpbroker.errors import OtpBrokerError, Unavailable
from otpbroker.events import Bus, FoundChanged, FoundModem
from otpbroker.modem.assignment import Candidate, Match, assign
from otpbroker.modem.backoff import Backoff
from otpbroker.modem.families import Kind, Verdict, judge
from otpbroker.modem.identity import Identity, same_sim, same_stick
from otpbroker.modem.interview import Answers, Interview, trouble_with, trouble_with_sim
from otpbroker.modem.modem import Connect, Missing, Place
from otpbroker.modem.owed import OwedAnswers
from otpbroker.modem.shared import LateAnswers
from otpbroker.modem.status import MOMENTS
from otpbroker.modem.usb import PortSource, UsbDevice

log = logging.getLogger(__name__)

_AGAIN_LEAST, _AGAIN_MOST = 2.0, 60.0  # between rounds of questions to a modem that does not answer
_PLAIN_LINE = ModemSection(id="found", port="/")  # its parameters are what USB modems take, whatever they are
_OPENED_IF_NAMED = frozenset({Kind.ADAPTER, Kind.UNKNOWN})


@dataclass(slots=True, eq=False)
class _Record:
    """One device while it is plugged in; another one in the same socket gets another record."""

    device: UsbDevice
    verdict: Verdict
    port: str = ""  # where it answers
    answers: Answers = field(default_factory=Answers)
    identity: Identity = field(default_factory=Identity)
    asked: bool = False  # all ports were tried, or all was told
    complete: bool = False  # all was told
    trouble: str = ""
    asking: asyncio.Task[None] | None = None


class Roster:
    """Fits `modem.Ports`. `strayed` is called, synchronously, when a modem may have gone `astray`."""

    def __init__(
        self,
        ports: PortSource,
        connect: Connect,
        bus: Bus,
        late: LateAnswers,
        owed: OwedAnswers,
        strayed: Callable[[], None],
        late_window: float,
    ) -> None:
        self._ports = ports
        self._connect = connect
        self._bus = bus
        self._late = late
        self._owed = owed
        self._strayed = strayed
        self._late_window = late_window
        self._sections: tuple[ModemSection, ...] = ()
        self._records: dict[str, _Record] = {}
        self._matches: dict[str, Match] = {}
        self._held: dict[str, _Record | None] = {}  # by section id; None: a port of its own, off the bus
        self._refused: set[str] = set()  # whose modem was told by `confirm` to leave
        self._found: tuple[FoundModem, ...] = ()
        self._seen = False  # whether the devices were told once
        self._change = asyncio.Event()  # set, and replaced, at every change
        self._group: asyncio.TaskGroup | None = None

    @property
    def found(self) -> tuple[FoundModem, ...]:
        """The devices that could be modems and are none of the configured ones, in the order of their sockets."""
        return self._found

    async def run(self) -> None:
        """Follow the devices until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                self._reconsider()
                await self._ports.watch(self._plugged)
            finally:
                self._group = None
                self._seen = True  # what does not tell has no devices
                self._reconsider()

    def apply(self, sections: Iterable[ModemSection]) -> None:
        """These are the configured modems, inactive ones too."""
        self._sections = tuple(sections)
        self._reconsider()

    def ask_again(self) -> None:
        """Ask all devices anew that no configured modem uses and nobody is asking: a SIM was put in, say."""
        for record in self._records.values():
            if not self._used(record) and record.asking is None:
                self._records[record.device.socket] = _Record(record.device, record.verdict)
        self._reconsider()

    async def find(self, section: ModemSection, missing: Missing) -> Place:
        """See `modem.Ports`."""
        self.release(section.id)
        again = True
        while True:
            change = self._change
            if section.port is not None:
                record = self._by_path(section.port)
                if record is None or record.asking is None:
                    self._held[section.id] = record
                    return Place(section.port, record.device.socket if record else "")
                await change.wait()
                continue
            match = self._matches.get(section.id)
            record = self._records.get(match.socket) if match else None
            if match and record and record.asking is None and record not in self._held.values():
                self._held[section.id] = record
                return Place(record.port, record.device.socket, match.notes)
            if match and match.problem and not match.pending:
                missing(match.problem, match.notes)
            # Told once more when a modem that was just lost is none of the moment's troubles any more.
            try:
                async with asyncio.timeout(MOMENTS if again else None):
                    await change.wait()
                again = True
            except TimeoutError:
                again = False

    async def pause(self, section: ModemSection, seconds: float) -> bool:
        """See `modem.Ports`."""
        record = self._held.get(section.id)
        self.release(section.id)
        try:
            async with asyncio.timeout(seconds):
                while self._record_of(section) is record:
                    await self._change.wait()
        except TimeoutError:
            return False
        return True

    def confirm(self, section: ModemSection, identity: Identity) -> None:
        """See `shared.Confirm`."""
        record = self._held.get(section.id)
        if record is not None:
            known = record.identity.updated(identity)
            if known != record.identity:  # what is more to tell is asked when the modem has left
                record.identity = known
                record.asked = record.complete = False
            if section.port is None:
                self._refused.add(section.id)
                self._reconsider()
                match = self._matches.get(section.id, Match())
                if match.socket != record.device.socket:
                    raise match.problem or Unavailable("modem-absent", "its SIM is in another modem")
                self._refused.discard(section.id)
                return
        if same_sim(section, identity) is False or same_stick(section, identity) is False:
            raise Unavailable(
                "sim-changed",
                f"{section.port} has another modem or SIM than the configured one",
                remedy="correct the modem's iccid, imsi and imei, or plug the right one in",
            )

    def release(self, section_id: str) -> None:
        """Its modem holds no port any more."""
        self._refused.discard(section_id)
        if section_id in self._held:
            del self._held[section_id]
            self._reconsider()

    def astray(self, section_id: str) -> bool:
        """Whether its modem runs on a device that is there and is not its own any more."""
        record = self._held.get(section_id)
        match = self._matches.get(section_id)
        if record is None or match is None or section_id in self._refused:
            return False
        return self._records.get(record.device.socket) is record and match.socket != record.device.socket

    def _plugged(self, devices: tuple[UsbDevice, ...]) -> None:
        """All devices that there are now."""
        self._seen = True
        before, self._records = self._records, {}
        for device in devices:
            verdict = judge(device)
            if verdict is None:
                continue
            record = before.get(device.socket)
            if record is not None and self._same_plug(record, device):
                del before[device.socket]
                record.device, record.verdict = device, verdict
            else:
                record = _Record(device, verdict)
                log.info("USB socket %s: %s:%s, %s", device.socket, device.vendor, device.product, verdict.kind)
            self._records[device.socket] = record
        for gone in before.values():
            if gone.asking is not None:
                gone.asking.cancel()
        self._reconsider()

    def _same_plug(self, record: _Record, device: UsbDevice) -> bool:
        """Whether it was not replugged: the port that it answers on, or that a section names, stays as it was.

        Links, network cards, drives and other ports may come later. What answers nowhere is looked at anew then.
        """
        old = record.device
        if (old.vendor, old.product, old.serial) != (device.vendor, device.product, device.serial):
            return False
        paths = (record.port, *(section.port for section in self._sections if section.port))
        used = {(tty.path, tty.interface) for path in paths if (tty := old.tty(path))}
        now = {(tty.path, tty.interface) for tty in device.ttys}
        return used <= now if used else old.ttys == device.ttys

    def _reconsider(self) -> None:
        """Who is who now, who is to be asked, and everybody told."""
        candidates = [self._candidate(record) for record in self._records.values() if not self._claimed(record)]
        held = {section_id: record.device.socket for section_id, record in self._held.items() if record}
        self._matches = assign(self._sections, candidates, held)
        if not self._seen:
            self._matches = {
                section_id: replace(match, pending=True) for section_id, match in self._matches.items()
            }
        self._deliver_late()
        for record in self._records.values():
            if record.asking is not None and self._used(record):
                if record.asking is not asyncio.current_task():  # which stops by itself
                    record.asking.cancel()
            elif record.asking is None and self._worth_asking(record):
                self._begin(record)
        found = tuple(_told(record) for record in self._records.values() if self._to_be_shown(record))
        if found != self._found:
            self._found = found
            self._bus.publish(FoundChanged())
        self._changed()
        if any(self.astray(section_id) for section_id in self._held):
            self._strayed()

    def _candidate(self, record: _Record) -> Candidate:
        asked = record.asked or self._line(record) is None
        return Candidate(record.device.socket, record.verdict.kind, record.port, record.identity, asked)

    def _changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    def _begin(self, record: _Record) -> None:
        line = self._line(record)
        if self._group is not None and line is not None:
            name = f"interview {record.device.socket}"
            record.asking = self._group.create_task(self._ask(record, line), name=name)

    def _worth_asking(self, record: _Record) -> bool:
        if record.complete or self._used(record) or record in self._held.values():
            return False
        return self._line(record) is not None

    def _line(self, record: _Record) -> ModemSection | None:
        """The parameters to ask it with; None: it is not to be opened."""
        if not record.verdict.ports:
            return None
        if record.verdict.kind not in _OPENED_IF_NAMED:
            return _PLAIN_LINE
        return next((section for section in self._naming(record) if section.active), None)

    def _naming(self, record: _Record) -> Iterator[ModemSection]:
        """The sections that name its socket."""
        named = (section for section in self._sections if section.port is None)
        return (section for section in named if section.usb == record.device.socket)

    async def _ask(self, record: _Record, line: ModemSection) -> None:
        """Until somebody answered, the device is wanted by a configured modem, or it is gone (cancellation)."""
        backoff = Backoff(_AGAIN_LEAST, _AGAIN_MOST)
        try:
            while self._worth_asking(record):
                await self._ask_round(record, line)
                record.asked = True
                self._reconsider()
                if self._worth_asking(record):
                    await asyncio.sleep(backoff.next())
        except Exception:
            log.exception("asking the device in USB socket %s failed", record.device.socket)
            record.asked = record.complete = True
            record.trouble = "silent"
        finally:
            record.asking = None
            self._reconsider()

    async def _ask_round(self, record: _Record, line: ModemSection) -> None:
        """Every port once, until one answers."""
        trouble = ""
        for tty in record.verdict.ports:
            await asyncio.sleep(self._owed.seconds(tty.path))

            def tell(known: dict[str, Any], port: str = tty.path) -> bool:
                return self._told(record, port, Answers(**known))

            expected = any(self._late.expected(section.id) for section in self._sections)
            listen = self._late_window if expected else 0.0
            try:
                await Interview(self._connect, line, record.verdict.first, listen, tell).hold(tty.path)
            except OtpBrokerError as problem:
                log.debug("USB socket %s: %s", record.device.socket, problem)
                trouble = max(trouble, trouble_with(problem), key=_TELLING.index)
                continue
            record.complete = not self._used(record)
            return
        record.trouble = trouble

    def _told(self, record: _Record, port: str, answers: Answers) -> bool:
        """Whether there is more to ask."""
        record.port, record.answers, record.trouble = port, answers, ""
        record.identity = Identity(answers.imei, answers.iccid, answers.imsi)
        self._reconsider()
        return not self._used(record)

    def _deliver_late(self) -> None:
        """What answered before it was asked anything belongs to the modem that turned out to be there."""
        for section_id, match in self._matches.items():
            record = self._records.get(match.socket)
            if record is not None and record.answers.late:
                for reference in record.answers.late:
                    if self._late.expected(section_id):
                        self._late.arrived(section_id, reference, record.answers.imei)
                record.answers = replace(record.answers, late=())

    def _used(self, record: _Record) -> bool:
        """By a configured modem, whether it runs or not."""
        socket = record.device.socket
        return self._claimed(record) or any(match.socket == socket for match in self._matches.values())

    def _claimed(self, record: _Record) -> bool:
        """Whether a section names one of its ports by path."""
        return any(section.port and record.device.tty(section.port) for section in self._sections)

    def _by_path(self, path: str) -> _Record | None:
        return next((record for record in self._records.values() if record.device.tty(path)), None)

    def _record_of(self, section: ModemSection) -> _Record | None:
        if section.port is not None:
            return self._by_path(section.port)
        match = self._matches.get(section.id)
        return self._records.get(match.socket) if match else None

    def _to_be_shown(self, record: _Record) -> bool:
        if self._used(record):
            return False
        if record.verdict.kind in _OPENED_IF_NAMED:  # its section tells what is the matter with it
            return not any(self._naming(record))
        told = record.asked or bool(record.answers.sim) or not record.verdict.ports
        return told or record.verdict.kind is not Kind.MODEM


# The later, the more it says about why a device does not answer.
_TELLING = ("", "silent", "denied", "busy")


def _told(record: _Record) -> FoundModem:
    device, verdict, answers = record.device, record.verdict, record.answers
    trouble = record.trouble or trouble_with_sim(answers.sim)
    if not record.port:
        trouble = str(verdict.kind) if verdict.kind is not Kind.MODEM else trouble or "silent"
    return FoundModem(
        socket=device.socket,
        kind=str(verdict.kind),
        trouble=trouble,
        port=record.port,
        family=verdict.family,
        manufacturer=answers.manufacturer or device.maker,
        model=answers.model or device.model,
        revision=answers.revision,
        imei=answers.imei,
        imsi=answers.imsi,
        iccid=answers.iccid,
        msisdn=answers.msisdn,
        operator=answers.operator,
        smsc=answers.smsc,
    )
