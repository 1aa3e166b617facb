"""Which USB devices are modems and where each family has its AT port: data, a further family is one more entry.

The numbers of interfaces are those that ModemManager's port hints, the Linux drivers and users' reports name; see
docs/modems.md. What is in no table is never opened on our own account.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from otpbroker.modem.usb import Tty, UsbDevice


class Kind(StrEnum):
    """What a device is to us."""

    MODEM = "modem"
    HILINK = "hilink"  # a modem that shows itself as a network card: no port for messages
    STORAGE = "storage"  # a modem that shows itself as a drive, with its own driver for another system on it
    ADAPTER = "adapter"  # a serial adapter, with whatever hangs on it
    UNKNOWN = "unknown"  # has a serial port, and may be anything


@dataclass(frozen=True, slots=True)
class Family:
    """One vendor's devices. Interface numbers are in the order in which they are asked.

    With `shifts` they count from the first interface that has a port: a network card in front of the ports moves
    them. A product that is not named is asked at `otherwise`, then at its other ports; with None it is no modem.
    """

    name: str
    vendor: str
    products: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    otherwise: tuple[int, ...] | None = ()
    shifts: bool = False
    first: tuple[str, ...] = ()  # commands before all others
    storage: frozenset[str] = frozenset()  # products that are a drive until they are switched
    hilink: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a device is, and its ports that may be asked, best first."""

    kind: Kind
    family: str = ""
    ports: tuple[Tty, ...] = ()
    first: tuple[str, ...] = ()


def _each(*layouts: tuple[tuple[int, ...], str]) -> dict[str, tuple[int, ...]]:
    """Products by their interfaces: one line for all that are alike."""
    return {product: interfaces for interfaces, products in layouts for product in products.split()}


_ZTE = _each(
    ((0, 1), "0003 0004 0005 0006 0007 0008 0009 000a"),
    ((0, 2), "0001 1515"),
    ((1, 3), "0015 0030 0054"),
    ((2, 0), "0064"),
    ((2, 1), "0016 0017 0018 0019 0117"),
    ((2, 4), "0002 0012 0024 0025 0055"),
    ((3, 1), "0021 0031 0037 0039 0042 0052 0057 0058 0061 0063 0066 0078 0082 0104 0106 0108 0122 0123"),
    ((3, 1), "1008 1010 1254 2002 2003"),
    ((3, 2), "0043"),
    ((4, 1), "0033 0091 0113 0118 0121 0124 0126 0128"),
    ((4, 2), "0048 0049"),
    ((5, 1), "0125"),
)

FAMILIES = (
    Family(
        "huawei",
        "12d1",
        # Only for interfaces whose protocol does not tell, see `_huawei`.
        products=_each(((2, 0), "1001"), ((1, 0), "1003"), ((3, 0, 2), "140c"), ((4, 0, 3), "1436 14ac")),
        otherwise=(2, 0),
        first=("AT^CURC=0",),  # silences the storms of ^RSSI and ^BOOT; never AT^GETPORTMODE: it crashes the MU609
        storage=frozenset({"1446", "1449", "14ad", "14ba", "14fe", "1505", "1520", "1521", "1f01", "1f1c"}),
        hilink=frozenset({"14db", "14dc"}),
    ),
    Family("zte", "19d2", products=_ZTE, storage=frozenset(["0053", "0083", "0154", "1225", "1420", "2000"])),
    Family(
        "quectel",
        "2c7c",
        products=_each(((2, 3), "0121 0125 0191 0195 0296 0306 0512 0800")),
        otherwise=(2, 3),
        shifts=True,
    ),
    Family("quectel", "05c6", products=_each(((2, 3), "9003 9215")), otherwise=None, shifts=True),
    Family(
        "simcom",
        "1e0e",
        products=_each(
            ((2, 3), "9001 9205"), ((2, 5), "9206"), ((2, 3, 1), "9011"), ((3, 1), "9100 9200"), ((2, 0, 1), "cefe")
        ),
        otherwise=(2, 3),
        shifts=True,
        storage=frozenset({"f000"}),
    ),
    # This vendor's GPS receivers look alike: only what is named is a modem.
    Family("u-blox", "1546", products=_each(((0, 2, 4), "1102 1107 110a"), ((6,), "1010")), otherwise=None),
    Family("cinterion", "1e2d", products=_each(((3, 2, 0), "0053"), ((0, 2), "0061 005b 005d 006f"))),
    Family(
        "telit",
        "1bc7",
        products=_each(
            ((0, 6), "0021"),
            ((0, 2), "1003 1006"),
            ((0, 3), "1004 1005"),
            ((3, 2), "1010"),
            ((1,), "1011"),
            ((4, 5), "1040 1050 1201"),
            ((5, 6), "1041 1051"),
            ((1, 2), "1101 110a"),
        ),
    ),
    Family("sierra", "1199", otherwise=(3,), storage=frozenset({"0fff"})),
    Family("longcheer", "1c9e"),
    Family("alcatel", "1bbb", storage=frozenset({"f000"})),
    Family("fibocom", "2cb7"),
    Family("meig", "2dee"),
)

# Drivers of adapters: what hangs on the other side may be a modem as well as a machine.
_ADAPTER_DRIVERS = frozenset(
    {"ark3116", "belkin", "belkin_sa", "ch341", "ch343", "cp210x", "cypress_m8", "f81232", "f81534", "ftdi_sio"}
    | {"io_ti", "keyspan", "mct_u232", "mos7720", "mos7840", "mxuport", "oti6858", "pl2303", "quatech2", "spcp8x5"}
    | {"ti_usb_3410_5052", "xr_serial"}
)


def judge(device: UsbDevice) -> Verdict | None:
    """What the device is; None: it has nothing to do with modems."""
    family = _family_of(device)
    if device.ttys:
        if family is not None:
            return Verdict(Kind.MODEM, family.name, _ports(family, device), family.first)
        adapter = any(tty.driver in _ADAPTER_DRIVERS for tty in device.ttys)
        return Verdict(Kind.ADAPTER if adapter else Kind.UNKNOWN, "", device.ttys)
    if family is None:
        return None
    if device.product in family.storage or device.other == ("block",):
        return Verdict(Kind.STORAGE, family.name)
    if device.product in family.hilink or "net" in device.other:
        return Verdict(Kind.HILINK, family.name)
    return None


def _family_of(device: UsbDevice) -> Family | None:
    return next(
        (
            family
            for family in FAMILIES
            if family.vendor == device.vendor
            and (family.otherwise is not None or device.product in family.products)
        ),
        None,
    )


def _ports(family: Family, device: UsbDevice) -> tuple[Tty, ...]:
    if family.name == "huawei" and (told := _huawei(device)):
        return told
    numbers = [tty.interface for tty in device.ttys if tty.interface is not None]
    shift = min(numbers) if family.shifts and numbers else 0
    by_number = {number - shift: tty for number, tty in zip(numbers, device.ttys, strict=False)}
    wanted = family.products.get(device.product)
    listed = wanted if wanted is not None else family.otherwise or ()
    ports = [by_number[number] for number in listed if number in by_number]
    if wanted is None or not ports:
        ports += [tty for tty in device.ttys if tty not in ports and _kind(tty) != _QUALCOMM_DIAGNOSTICS]
        ports.sort(key=lambda tty: _kind(tty) != _QUALCOMM_COMMANDS)
    return tuple(ports)


# What newer modems with a Qualcomm chip say of their interfaces, whoever made them.
_QUALCOMM_DIAGNOSTICS = (0xFF, 0xFF, 0x30)
_QUALCOMM_COMMANDS = (0xFF, 0xFF, 0x40)


def _kind(tty: Tty) -> tuple[int | None, int | None, int | None]:
    return tty.interface_class, tty.interface_subclass, tty.interface_protocol


def _huawei(device: UsbDevice) -> tuple[Tty, ...]:
    """Huawei numbers interfaces as it likes, but ff/01..03/xx says what they are: the last digit 2 is the port for
    commands (`PC UI`), 1 or the whole 10 the modem, which takes commands too; others are diagnostics, GPS, sound.
    """
    commands: list[Tty] = []
    modems: list[Tty] = []
    for tty in device.ttys:
        protocol = tty.interface_protocol
        if tty.interface_class != 0xFF or tty.interface_subclass not in {1, 2, 3} or protocol is None:
            continue
        if protocol & 0x0F == 0x02:
            commands.append(tty)
        elif protocol & 0x0F == 0x01 or protocol == 0x10:
            modems.append(tty)
    return (*commands, *modems)
