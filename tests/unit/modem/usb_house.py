"""A fleet on a USB whose sockets a test plugs scripted modems into."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from modem_desk import Late
from scripted_modem import ANSWERS, ScriptedModem

from otpbroker.config.model import ModemSection
from otpbroker.errors import Unavailable
from otpbroker.events import Bus, FoundModem, ModemState
from otpbroker.modem.fleet import Fleet
from otpbroker.modem.modem import Modem
from otpbroker.modem.usb import Tty, UsbDevice
from virtual_run import now

EC25 = "2c7c:0125"
AT_INTERFACE = 2  # of an EC25; its other ports are silent


class Stick(ScriptedModem):
    """A modem whose SIM can be taken out; only one may have its port open."""

    def __init__(self, number: int, sim: int | None = None, **answers: str | None) -> None:
        """Stick `number` with SIM number `sim`, by default the same; 0: none."""
        super().__init__(answers)
        self.imei = f"35693803564{number:03d}0"
        self.answers["AT+CGSN"] = f"{self.imei}\r\nOK"
        self.open = False
        self.sent_by: list[int] = []  # the SIM in it at each message
        self.put_in(number if sim is None else sim)

    def put_in(self, sim: int) -> None:
        """Exchange the SIM, without a word to whoever has the port open."""
        self.sim = sim
        for command in ("AT+CPIN?", "AT+CCID", "AT+CIMI", "AT+CNUM"):
            self.answers[command] = ANSWERS[command]
        if sim:
            self.answers["AT+CCID"] = f"+CCID: {iccid(sim)}\r\nOK"
            self.answers["AT+CIMI"] = f"{imsi(sim)}\r\nOK"
        else:
            self.answers["AT+CPIN?"] = "+CME ERROR: 10"
            self.answers["AT+CCID"] = self.answers["AT+CIMI"] = self.answers["AT+CNUM"] = "+CME ERROR: 10"

    def lock(self, *, hides_iccid: bool = False, pin: str = "1234") -> None:
        """Its SIM asks for the PIN, and is readable once it has it."""
        self.answers |= {"AT+CPIN?": "+CPIN: SIM PIN\r\nOK", "AT+CIMI": "+CME ERROR: 11"}
        readable = dict(self.answers)
        if hides_iccid:
            self.answers["AT+CCID"] = "+CME ERROR: 11"
        self.unlocked = readable | {"AT+CPIN?": "+CPIN: READY\r\nOK"}
        self.pin = f'AT+CPIN="{pin}"'

    def _line(self, line: str) -> None:
        if line == getattr(self, "pin", None):
            number = int(self.imei[11:14])
            self.answers = self.unlocked | {"AT+CIMI": f"{imsi(number)}\r\nOK", line: "OK"}
        super()._line(line)

    def accept(self, pdu: str) -> str:
        self.sent_by.append(self.sim)
        return super().accept(pdu)

    def start(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        assert not self.open
        self.open = True
        super().start(on_data, on_lost)

    async def close(self) -> None:
        await super().close()
        self.open = False


def iccid(sim: int) -> str:
    return f"896210000000000{sim:04d}"


def imsi(sim: int) -> str:
    return f"510101234567{sim:03d}"


class UsbHouse:
    """Fits `usb.PortSource`; `fleet` runs on it. `opened` are the ports in the order of opening."""

    def __init__(self, late: Late | None = None) -> None:
        self.bus = Bus()
        self.plugged: dict[str, UsbDevice] = {}
        self.wires: dict[str, Stick | None] = {}  # by port; None: open it and nobody answers
        self.opened: list[str] = []
        self.hangs: set[str] = set()  # ports whose opening does not return
        self._tell: Callable[[tuple[UsbDevice, ...]], None] | None = None
        self.fleet = Fleet(self.bus, lambda: 0.0, late or Late(), lambda: None, ports=self, connect=self._connect)

    async def watch(self, changed: Callable[[tuple[UsbDevice, ...]], None]) -> None:
        self._tell = changed
        self._told()
        await asyncio.Event().wait()

    def plug(
        self, socket: str, stick: Stick | None, ids: str = EC25, at: int = AT_INTERFACE, ports: int = 4
    ) -> str:
        """The path of its AT port; the lowest free numbers are given to its ports."""
        vendor, _, product = ids.partition(":")
        names = [f"/dev/ttyUSB{number}" for number in range(99) if f"/dev/ttyUSB{number}" not in self.wires]
        driver = "ftdi_sio" if vendor == "0403" else "option"
        ttys = tuple(Tty(names[each], each, 255, 0, 0, driver) for each in range(ports))
        self.plugged[socket] = UsbDevice(socket, vendor, product, "Maker", "Model", "", ttys, ())
        for tty in ttys:
            self.wires[tty.path] = stick if tty.interface == at else None
        self._told()
        return names[at] if ports else ""

    def unplug(self, socket: str) -> None:
        device = self.plugged.pop(socket)
        for tty in device.ttys:
            stick = self.wires.pop(tty.path)
            if stick is not None and stick.open:
                stick.hang_up()
        self._told()

    def move(self, socket: str, to: str) -> str:
        (stick,) = [self.wires[tty.path] for tty in self.plugged[socket].ttys if self.wires[tty.path]]
        self.unplug(socket)
        return self.plug(to, stick)

    def tell(self, socket: str, **changes: object) -> None:
        """Udev has more, or something else, to say of what is in the socket."""
        self.plugged[socket] = replace(self.plugged[socket], **changes)  # type: ignore[arg-type] # fields by name
        self._told()

    def __getitem__(self, modem_id: str) -> Modem:
        return next(sender for sender in self.fleet.senders if sender.config.id == modem_id)

    @property
    def found(self) -> dict[str, FoundModem]:
        return {found.socket: found for found in self.fleet.found}

    @asynccontextmanager
    async def running(self, *sections: ModemSection) -> AsyncIterator[None]:
        await self.fleet.apply(sections)
        task = asyncio.create_task(self.fleet.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, true: Callable[[], bool], seconds: float = 60) -> float:
        """How many seconds it took."""
        began = now()
        with self.bus.subscribe() as events:
            async with asyncio.timeout(seconds):
                if not true():
                    async for _ in events:
                        if true():
                            break
        return now() - began

    async def ready(self, *modem_ids: str) -> float:
        return await self.until(lambda: all(self[modem_id].ready for modem_id in modem_ids))

    async def absent(self, modem_id: str) -> None:
        """Wait until it is said why it is not there."""
        await self.until(
            lambda: self[modem_id].status.state is ModemState.ABSENT and bool(self[modem_id].status.detail)
        )

    async def _connect(self, port: str, _section: ModemSection) -> ScriptedModem:
        self.opened.append(port)
        if port in self.hangs:
            await asyncio.sleep(5.0)
            raise Unavailable("port-dead", f"{port} does not open")
        await asyncio.sleep(0.01)
        if port not in self.wires:
            raise Unavailable("port-absent", f"{port} is not there")
        stick = self.wires[port]
        if stick is None:
            return ScriptedModem({"AT": None})
        if stick.open:
            raise Unavailable("port-busy", f"{port} is used by another program")
        return stick

    def _told(self) -> None:
        if self._tell is not None:
            self._tell(tuple(self.plugged[socket] for socket in sorted(self.plugged)))


def section(modem_id: str, **identity: object) -> ModemSection:
    return ModemSection.model_validate({"id": modem_id, **identity})
