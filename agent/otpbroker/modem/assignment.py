"""Which configured modem is which of the devices: pure. The SIM decides before the stick, the stick before the
socket. A modem never sends by another SIM than the one its section names: price, sender and contract hang on it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from otpbroker.config.model import ModemSection
from otpbroker.errors import Unavailable
from otpbroker.modem.families import Kind
from otpbroker.modem.identity import Identity, names_sim, same_sim, same_stick

SIM_MOVED = "sim-moved"  # the SIM is in another stick than the configured one, and goes on sending from there
SIM_CHANGED = "sim-changed"  # the configured stick has another SIM: it is not used


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that could be a configured modem.

    `port` is where it answers, "" as long as none is known. `asked`: nothing more is to be learnt of it for now.
    """

    socket: str
    kind: Kind = Kind.MODEM
    port: str = ""
    identity: Identity = field(default_factory=Identity)
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Where a section's modem is, or why it is not there; `pending`: devices that are being asked may be it."""

    socket: str = ""
    notes: tuple[str, ...] = ()
    problem: Unavailable | None = None
    pending: bool = False


def assign(
    sections: Iterable[ModemSection], candidates: Sequence[Candidate], held: Mapping[str, str]
) -> dict[str, Match]:
    """A match for every section that names no port, by its id; no device is given twice.

    `held` is where modems run now, socket by section id: of sticks that nothing tells apart each keeps its own.
    """
    wanted = [section for section in sections if section.port is None]
    taken: dict[str, str] = {}
    found: dict[str, Match] = {}
    all_asked = all(each.asked for each in candidates)
    for fits, positive in _RULES:
        for section in wanted:
            if section.id in found or not (all_asked or positive(section)):
                continue
            free = [each for each in candidates if each.port and each.socket not in taken]
            fitting = [each for each in free if fits(section, each)]
            if fitting:
                chosen = min(fitting, key=lambda each: _distance(section, each, held))
                taken[chosen.socket] = section.id
                moved = same_stick(section, chosen.identity) is False
                found[section.id] = Match(chosen.socket, notes=(SIM_MOVED,) if moved else ())
    for section in wanted:
        if section.id not in found:
            found[section.id] = _missing(section, candidates, taken)
    return {section.id: found[section.id] for section in wanted}


def _by_sim(section: ModemSection, each: Candidate) -> bool:
    return same_sim(section, each.identity) is True


def _by_stick(section: ModemSection, each: Candidate) -> bool:
    """Its stick, unless another SIM is known to be in it."""
    return same_stick(section, each.identity) is True and same_sim(section, each.identity) is not False


def _by_stick_in_socket(section: ModemSection, each: Candidate) -> bool:
    """Sticks can share an IMEI: one that is in the socket of a section goes to that before it goes to others."""
    return section.usb == each.socket and _by_stick(section, each)


def _by_socket(section: ModemSection, each: Candidate) -> bool:
    """What is in its socket, unless it is known to be another stick or SIM."""
    known = (same_stick(section, each.identity), same_sim(section, each.identity))
    return section.usb == each.socket and False not in known


# Each rule goes over all sections before the next one does. Beside it: for which sections it holds although other
# devices are still being asked. A section that names its SIM gets a stick whose SIM nobody knows (it waits for its
# PIN, or there is none) only when no other device has that SIM.
_RULES: tuple[tuple[Callable[[ModemSection, Candidate], bool], Callable[[ModemSection], bool]], ...] = (
    (_by_sim, lambda _: True),
    (_by_stick_in_socket, lambda section: not names_sim(section)),
    (_by_stick, lambda section: not names_sim(section)),
    (_by_socket, lambda section: not names_sim(section) and not section.imei),
)


def _distance(section: ModemSection, each: Candidate, held: Mapping[str, str]) -> tuple[bool, bool]:
    """Of several that fit the socket decides, else where the modem runs now, else their order."""
    return section.usb != each.socket, held.get(section.id) != each.socket


def _missing(section: ModemSection, candidates: Sequence[Candidate], taken: Mapping[str, str]) -> Match:
    pending = any(not each.asked for each in candidates)
    stick = [each for each in candidates if same_stick(section, each.identity)]
    there = stick or [each for each in candidates if section.usb and each.socket == section.usb]
    for each in there:
        if each.socket in taken:
            detail = f"modem {taken[each.socket]} uses what is in USB socket {each.socket}"
            return Match(problem=_absent(detail, ""))
        if same_sim(section, each.identity) is False:
            other = _ending(each.identity.iccid or each.identity.imsi)
            problem = Unavailable(
                SIM_CHANGED,
                f"the modem in USB socket {each.socket} has another SIM, {other}",
                remedy="put the right SIM in, or choose the new one on the page Modems",
            )
            return Match(notes=(SIM_CHANGED,), problem=problem, pending=pending)
        if same_stick(section, each.identity) is False:
            other = _ending(each.identity.imei)
            problem = _absent(f"USB socket {each.socket} has another modem, IMEI {other}", "plug the right one in")
            return Match(problem=problem, pending=pending)
        if each.asked and each.kind not in _WHAT:
            detail = f"the modem in USB socket {each.socket} does not answer"
            return Match(problem=_absent(detail, "plug the modem in again"), pending=pending)
    others = [each for each in (there or candidates) if each.kind in _WHAT]
    details = [_looked_for(section), *(f"USB socket {each.socket} has {_WHAT[each.kind][0]}" for each in others)]
    remedy = _WHAT[others[0].kind][1] if others else "plug the modem in"
    return Match(problem=_absent("; ".join(details), remedy), pending=pending)


_WHAT = {
    Kind.HILINK: (
        "a stick in HiLink mode, a network card without a port for messages",
        "use another stick, or give it firmware with a serial port",
    ),
    Kind.STORAGE: (
        "a stick that shows itself as a drive",
        "plug it in again; if it stays a drive, usb_modeswitch does not know it",
    ),
}


def _absent(detail: str, remedy: str) -> Unavailable:
    return Unavailable("modem-absent", detail, remedy=remedy or None)


def _looked_for(section: ModemSection) -> str:
    if section.iccid or section.imsi:
        return f"no modem has the SIM {_ending(section.iccid or section.imsi or '')}"
    if section.imei:
        return f"no modem has the IMEI {_ending(section.imei)}"
    return f"no modem is in USB socket {section.usb}"


def _ending(number: str) -> str:
    """Enough to tell two of them apart, too little for anything else."""
    return f"...{number[-4:]}"
