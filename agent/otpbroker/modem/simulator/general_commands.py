"""Commands of V.250 and 3GPP TS 27.007: identity, card, network, supplementary services."""

from collections.abc import Callable

from otpbroker.modem.simulator.command_line import AtCommand, Kind
from otpbroker.modem.simulator.equipment import HOME, ROAMING, Equipment, Settings
from otpbroker.modem.simulator.replies import AtError, Cme, Lines, RadioOff, Reply, Restart, Ussd, UssdCancel
from otpbroker.modem.simulator.screens import take

Handler = Callable[[Equipment, AtCommand], Reply]

_CHARSETS = ("GSM", "IRA", "UCS2")


def _switch(setting: str) -> Handler:
    def handle(modem: Equipment, command: AtCommand) -> Lines:
        if command.argument not in {"", "0", "1"}:
            raise AtError(Cme.INVALID_PARAMETER)
        setattr(modem.settings, setting, command.argument == "1")
        return ()

    return handle


def _identity(field: str, prefix: str = "", *, card: bool = False) -> Handler:
    """A command that tells one field of the identity, however it is asked."""

    def handle(modem: Equipment, command: AtCommand) -> Lines:
        if command.kind is Kind.TEST:
            return ()
        if card:
            modem.require_card()
        return (f"{prefix}{getattr(modem.identity, field)}",)

    return handle


def parameter(highest: int) -> Callable[[Equipment, AtCommand], Lines]:
    """A command that keeps one number from 0 to `highest`."""

    def handle(modem: Equipment, command: AtCommand) -> Lines:
        name = command.name
        match command.kind:
            case Kind.TEST:
                return (f"{name}: (0-{highest})",)
            case Kind.READ:
                return (f"{name}: {modem.settings.number(name)}",)
        value = number(command.values, 0)
        if value > highest:
            raise AtError(Cme.INVALID_PARAMETER)
        modem.settings.numbers[name] = value
        return ()

    return handle


def number(values: tuple[str, ...], at: int, default: int = 0) -> int:
    """The numeric value at a place of an argument list; omitted: `default`."""
    if at >= len(values) or not values[at]:
        return default
    if not values[at].isdecimal() or len(values[at]) > 5:
        raise AtError(Cme.INVALID_PARAMETER)
    return int(values[at])


def _nothing(_modem: Equipment, _command: AtCommand) -> Lines:
    return ()


def _reset_settings(modem: Equipment, _command: AtCommand) -> Lines:
    modem.settings = Settings()
    return ()


def _information(modem: Equipment, _command: AtCommand) -> Lines:
    who = modem.identity
    return (
        f"Manufacturer: {who.manufacturer}",
        f"Model: {who.model}",
        f"Revision: {who.revision}",
        f"IMEI: {who.imei}",
    )


def _pin(modem: Equipment, command: AtCommand) -> Lines:
    sim = modem.sim
    match command.kind, command.values:
        case Kind.TEST, _:
            return ()
        case Kind.READ, _:
            return (f"+CPIN: {sim.state}",)
        case Kind.SET, (pin,) if pin.isdecimal():
            modem.counters.pin_tries += 1
            sim.verify(pin)
        case Kind.SET, (puk, pin) if puk.isdecimal() and pin.isdecimal():
            modem.counters.pin_tries += 1
            sim.unblock(puk, pin)
        case _:
            raise AtError(Cme.INVALID_PARAMETER)
    return ()


def _tries_left(modem: Equipment, command: AtCommand) -> Lines:
    """3GPP TS 27.007 section 8.65 and what two vendors had before it."""
    sim = modem.sim
    match command.name:
        case "^CPIN":
            return (f"^CPIN: {sim.state},{sim.pin_left},{sim.puk_left},{sim.pin_left},{sim.puk_left},3",)
        case "+SPIC":
            return (f"+SPIC: {sim.pin_left},{sim.puk_left},3,10",)
        case _:
            return f"+CPINR: SIM PIN,{sim.pin_left},3", f"+CPINR: SIM PUK,{sim.puk_left},10"


def _facility_lock(modem: Equipment, command: AtCommand) -> Lines:
    if command.kind is Kind.TEST:
        return ('+CLCK: ("SC")',)
    match command.values:
        case ["SC", "2", *_]:
            return (f"+CLCK: {int(modem.sim.locked)}",)
        case ["SC", "0" | "1" as mode, pin, *_]:
            modem.counters.pin_tries += 1
            modem.sim.require_pin(mode == "1", pin)
            return ()
        case _:
            raise AtError(Cme.INVALID_PARAMETER)


def _change_password(modem: Equipment, command: AtCommand) -> Lines:
    match command.values:
        case ["SC", old, new] if new.isdecimal():
            modem.counters.pin_tries += 1
            modem.sim.change_pin(old, new)
            return ()
        case _:
            raise AtError(Cme.INVALID_PARAMETER)


def _registration(modem: Equipment, command: AtCommand) -> Lines:
    if command.kind is not Kind.READ:
        return _REGISTRATION_REPORTS(modem, command)
    mode = modem.settings.number(command.name)
    place = ',"00C3","0A1B2C",7' if mode == 2 and modem.registration in {HOME, ROAMING} else ""
    return (f"{command.name}: {mode},{modem.registration}{place}",)


_REGISTRATION_REPORTS = parameter(2)


def _operator(modem: Equipment, command: AtCommand) -> Lines:
    who = modem.identity
    registered = modem.registration in {HOME, ROAMING}
    match command.kind:
        case Kind.TEST:
            return (f'+COPS: (2,"{who.operator}","{who.operator}","{who.network}",7),,(0-4),(0-2)',)
        case Kind.READ if not registered:
            return ("+COPS: 0",)
        case Kind.READ:
            form = modem.settings.operator_format
            name = who.network if form == 2 else who.operator
            return (f'+COPS: 0,{form},"{name}",7',)
    if number(command.values, 0) == 3:
        modem.settings.operator_format = number(command.values, 1)
    return ()


def _signal(modem: Equipment, command: AtCommand) -> Lines:
    if command.kind is Kind.TEST:
        return ("+CSQ: (0-31,99),(0-7,99)",)
    return (f"+CSQ: {modem.behaviour.signal if modem.radio_on else 99},99",)


def _own_number(modem: Equipment, _command: AtCommand) -> Lines:
    modem.require_card()
    return (f'+CNUM: "","+{modem.identity.msisdn}",145',)


def _character_set(modem: Equipment, command: AtCommand) -> Lines:
    match command.kind:
        case Kind.TEST:
            return ("+CSCS: ({})".format(",".join(f'"{name}"' for name in _CHARSETS)),)
        case Kind.READ:
            return (f'+CSCS: "{modem.settings.charset}"',)
    if not command.values or command.values[0] not in _CHARSETS:
        raise AtError(Cme.INVALID_PARAMETER)
    modem.settings.charset = command.values[0]
    return ()


def _functionality(modem: Equipment, command: AtCommand) -> Reply:
    match command.kind, command.values:
        case Kind.TEST, _:
            return ("+CFUN: (0,1,4),(0,1)",)
        case Kind.READ, _:
            return (f"+CFUN: {int(modem.radio_on)}",)
        case Kind.SET, ["1", "1"]:
            return Restart()
        case Kind.SET, ["0" | "1" | "4" as level, *_]:
            modem.radio_on = level == "1"
            return () if modem.radio_on else RadioOff()
        case _:
            raise AtError(Cme.INVALID_PARAMETER)


def _activity(_modem: Equipment, command: AtCommand) -> Lines:
    return ("+CPAS: (0,3,4)",) if command.kind is Kind.TEST else ("+CPAS: 0",)


def _clock(modem: Equipment, command: AtCommand) -> Lines:
    if command.kind is not Kind.READ:
        return ()
    now = modem.now()
    offset = now.utcoffset()
    quarters = 0 if offset is None else int(offset.total_seconds()) // 900
    return (f'+CCLK: "{now:%y/%m/%d,%H:%M:%S}{quarters:+03d}"',)


def _ussd(modem: Equipment, command: AtCommand) -> Reply:
    match command.kind, command.values:
        case Kind.TEST, _:
            return ("+CUSD: (0-2)",)
        case Kind.READ, _:
            return (f"+CUSD: {modem.settings.number('+CUSD')}",)
        case Kind.SET, ["1" | "0" as report, code, *_] if code:
            modem.require_card()
            if modem.registration not in {HOME, ROAMING}:
                raise AtError(Cme.NO_NETWORK)
            modem.settings.numbers["+CUSD"] = int(report)
            try:
                return Ussd(take(code, modem.behaviour.ussd_takes, modem.settings.charset))
            except ValueError:
                raise AtError(Cme.INVALID_PARAMETER) from None
        case Kind.SET, ["2"]:
            return UssdCancel()
        case Kind.SET, values if number(values, 0) <= 1:
            modem.settings.numbers["+CUSD"] = number(values, 0)
            return ()
        case _:
            raise AtError(Cme.INVALID_PARAMETER)


# Taken and without effect on a pty.
_ACCEPTED = ("H", "X", "&C", "&D", "&K", "&W", "S0", "S3", "S4", "S5", "+IPR", "+IFC")

GENERAL: dict[str, Handler] = dict.fromkeys(_ACCEPTED, _nothing) | {
    "E": _switch("echo"),
    "V": _switch("verbose"),
    "Q": _switch("quiet"),
    "Z": _reset_settings,
    "&F": _reset_settings,
    "I": _information,
    "+CMEE": parameter(2),
    "+CGMI": _identity("manufacturer"),
    "+GMI": _identity("manufacturer"),
    "+CGMM": _identity("model"),
    "+GMM": _identity("model"),
    "+CGMR": _identity("revision"),
    "+GMR": _identity("revision"),
    "+CGSN": _identity("imei"),
    "+GSN": _identity("imei"),
    "+CIMI": _identity("imsi", card=True),
    "+CCID": _identity("iccid", "+CCID: ", card=True),
    "+ICCID": _identity("iccid", "+ICCID: ", card=True),
    "^ICCID": _identity("iccid", "^ICCID: ", card=True),
    "+QCCID": _identity("iccid", "+QCCID: ", card=True),
    "+CNUM": _own_number,
    "+CPIN": _pin,
    "+CPINR": _tries_left,
    "^CPIN": _tries_left,
    "+SPIC": _tries_left,
    "+CLCK": _facility_lock,
    "+CPWD": _change_password,
    "+CREG": _registration,
    "+CGREG": _registration,
    "+CEREG": _registration,
    "+COPS": _operator,
    "+CSQ": _signal,
    "+CSCS": _character_set,
    "+CFUN": _functionality,
    "+CPAS": _activity,
    "+CCLK": _clock,
    "+CUSD": _ussd,
    "+GCAP": lambda _modem, _command: ("+GCAP: +CGSM",),
    "+CBC": lambda _modem, _command: ("+CBC: 0,100",),
    "+CGATT": lambda modem, _command: (f"+CGATT: {int(modem.registration in {HOME, ROAMING})}",),
}
