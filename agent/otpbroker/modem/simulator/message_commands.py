"""Commands of 3GPP TS 27.005: short messages in PDU mode, and `+CMGS` in text mode."""

from otpbroker.modem.simulator.command_line import AtCommand, Kind
from otpbroker.modem.simulator.equipment import Equipment
from otpbroker.modem.simulator.general_commands import GENERAL, Handler, number, parameter
from otpbroker.modem.simulator.message_store import FOR_READING, FOR_RECEIVING
from otpbroker.modem.simulator.replies import Acknowledged, AtError, Cme, Cms, Lines, Prompt, Reply, RoomMade
from otpbroker.sms.submission import Sms

PDU_MODE, TEXT_MODE = 0, 1

_RECEIVED_UNREAD, _RECEIVED_READ, _ALL = 0, 1, 4
_MEMORIES = (FOR_READING, FOR_RECEIVING, FOR_RECEIVING)
_CNMI_HIGHEST = (3, 3, 3, 2, 1)


def execute(modem: Equipment, command: AtCommand) -> Reply:
    """Carry out one command; raises `AtError`."""
    modem.counters.count(command.name)
    handler = _HANDLERS.get(command.name)
    if handler is None:
        raise AtError(Cme.NOT_SUPPORTED)
    return handler(modem, command)


def _service_centre(modem: Equipment, command: AtCommand) -> Lines:
    match command.kind, command.values:
        case Kind.TEST, _:
            return ()
        case Kind.READ, _:
            number_type = 145 if modem.service_centre.startswith("+") else 129
            return (f'+CSCA: "{modem.service_centre}",{number_type}',)
        case Kind.SET, [centre, *_] if centre.removeprefix("+").isdecimal():
            modem.smsc = centre
            return ()
        case _:
            raise AtError(Cms.INVALID_PDU)


def _message_service(modem: Equipment, command: AtCommand) -> Lines:
    match command.kind:
        case Kind.TEST:
            return ("+CSMS: (0,1)",)
        case Kind.READ:
            return (f"+CSMS: {modem.message_service},1,1,1",)
    service = number(command.values, 0)
    if service > 1 or (modem.behaviour.phase_2_plus and not service):
        raise AtError(Cms.NOT_SUPPORTED)
    modem.settings.numbers["+CSMS"] = service
    return ("+CSMS: 1,1,1",)


def _preferred_store(modem: Equipment, command: AtCommand) -> Lines:
    def fill(name: str) -> str:
        return f"{modem.store.used(name)},{modem.store.total(name, modem.behaviour.store_capacity)}"

    now = modem.settings.memories
    match command.kind:
        case Kind.TEST:
            lists = (",".join(f'"{name}"' for name in names) for names in _MEMORIES)
            return ("+CPMS: ({}),({}),({})".format(*lists),)
        case Kind.READ:
            return ("+CPMS: " + ",".join(f'"{name}",{fill(name)}' for name in now),)
    wanted = (*command.values, "", "", "")[:3]
    if any(name and name not in known for name, known in zip(wanted, _MEMORIES, strict=True)):
        raise AtError(Cms.NOT_ALLOWED)
    first, second, third = (name or before for name, before in zip(wanted, now, strict=True))
    modem.settings.memories = first, second, third
    return ("+CPMS: " + ",".join(map(fill, modem.settings.memories)),)


def _indications(modem: Equipment, command: AtCommand) -> Lines:
    match command.kind:
        case Kind.TEST:
            return ("+CNMI: (0-3),(0-3),(0-3),(0-2),(0,1)",)
        case Kind.READ:
            return ("+CNMI: {},{},{},{},{}".format(*modem.settings.cnmi),)
    mode, incoming, broadcast, report, buffer = (number(command.values, at) for at in range(5))
    values = (mode, incoming, broadcast, report, buffer)
    if any(value > highest for value, highest in zip(values, _CNMI_HIGHEST, strict=True)):
        raise AtError(Cms.NOT_SUPPORTED)
    modem.settings.cnmi = values
    return ()


def _send(modem: Equipment, command: AtCommand) -> Reply:
    if command.kind is Kind.TEST:
        return ()
    modem.require_message_service()
    values = command.values
    if modem.settings.number("+CMGF") == TEXT_MODE:
        if not values or not values[0].removeprefix("+").isdecimal():
            raise AtError(Cms.INVALID_PDU)
        return Prompt(receiver=values[0])
    length = number(values, 0)
    if not 7 <= length <= 164:  # the shortest and the longest SMS-SUBMIT, 3GPP TS 23.040 section 9.2.2.2
        raise AtError(Cms.INVALID_PDU)
    return Prompt(length=length)


def _write(modem: Equipment, command: AtCommand) -> Lines:
    """Nothing is ever stored for sending: who tries is counted and refused."""
    if command.kind is Kind.TEST:
        return ()
    modem.counters.cmgw += 1
    raise AtError(Cms.NOT_ALLOWED)


def _list(modem: Equipment, command: AtCommand) -> Lines:
    if command.kind is Kind.TEST:
        return ("+CMGL: (0-4)",)
    if modem.settings.number("+CMGF") == TEXT_MODE:
        raise AtError(Cms.NOT_SUPPORTED)
    wanted = number(command.values, 0)
    lines: list[str] = []
    for index, entry in modem.store.entries(modem.settings.memories[0]):
        status = _RECEIVED_UNREAD if entry.unread else _RECEIVED_READ
        if wanted in {status, _ALL}:
            entry.unread = False
            lines += (f"+CMGL: {index},{status},,{Sms.tpdu_length(entry.pdu)}", entry.pdu)
    return tuple(lines)


def _read(modem: Equipment, command: AtCommand) -> Lines:
    if command.kind is Kind.TEST:
        return ()
    entry = modem.store.find(modem.settings.memories[0], number(command.values, 0))
    if entry is None:
        raise AtError(Cms.INVALID_INDEX)
    if modem.settings.number("+CMGF") == TEXT_MODE:
        raise AtError(Cms.NOT_SUPPORTED)
    status = _RECEIVED_UNREAD if entry.unread else _RECEIVED_READ
    entry.unread = False
    return f"+CMGR: {status},,{Sms.tpdu_length(entry.pdu)}", entry.pdu


def _delete(modem: Equipment, command: AtCommand) -> Reply:
    memory = modem.settings.memories[0]
    there = list(modem.store.entries(memory))
    if command.kind is Kind.TEST:
        return ("+CMGD: ({}),(0-4)".format(",".join(str(index) for index, _ in there)),)
    index, flag = number(command.values, 0), number(command.values, 1)
    if flag == 0 and not modem.store.remove(memory, index):
        raise AtError(Cms.INVALID_INDEX)
    for at, entry in there:
        if flag == 4 or (flag > 0 and not entry.unread):
            modem.store.remove(memory, at)
    return RoomMade()


def _acknowledge(modem: Equipment, command: AtCommand) -> Reply:
    """3GPP TS 27.005 section 4.7; without a PDU of the terminal's own."""
    if command.kind is Kind.TEST:
        return ("+CNMA: (0-2)",)
    if not modem.acknowledgement_due:
        raise AtError(Cms.NO_ACKNOWLEDGEMENT_EXPECTED)
    modem.counters.acknowledged += 1
    return Acknowledged(kept=number(command.values, 0) < 2)


_HANDLERS: dict[str, Handler] = GENERAL | {
    "+CMGF": parameter(TEXT_MODE),
    "+CMMS": parameter(2),
    "+CSDH": parameter(1),
    "+CSMP": lambda _modem, _command: (),
    "+CSCA": _service_centre,
    "+CSMS": _message_service,
    "+CPMS": _preferred_store,
    "+CNMI": _indications,
    "+CMGS": _send,
    "+CMGW": _write,
    "+CMSS": _write,
    "+CMGL": _list,
    "+CMGR": _read,
    "+CMGD": _delete,
    "+CNMA": _acknowledge,
}
