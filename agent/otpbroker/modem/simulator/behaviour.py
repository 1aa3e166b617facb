"""How a simulated modem misbehaves, and what it has counted."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from otpbroker.modem.simulator.screens import Form, Screen
from otpbroker.sms.ussd import Writing

Seconds = Annotated[float, Field(ge=0, le=3600)]
Statuses = Annotated[tuple[Annotated[int, Field(ge=0, le=255)], ...], Field(max_length=10)]
Count = Annotated[int, Field(ge=0, le=100_000)]


class Fate(StrEnum):
    """What becomes of one `+CMGS`."""

    SENT = "sent"  # the phone has it, the answer comes after the air time
    ERROR = "error"  # refused after the air time with `cms_error`; the phone never sees it
    LOST_OK = "lost-ok"  # the phone has it, the answer never comes
    LATE_OK = "late-ok"  # the phone has it, the answer comes `late` seconds after the air time
    LOST_PROMPT = "lost-prompt"  # waits for the PDU, but the prompt never comes
    RESET = "reset"  # the modem restarts in the middle of the air time; the phone never sees it
    UNPLUG = "unplug"  # the phone has it, then the port is gone before the answer
    IGNORED = "ignored"  # the command goes nowhere: no prompt, no answer, and no PDU is waited for
    RESET_FIRST = "reset-first"  # the modem restarts where the prompt should come


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The knobs of one modem; a new set may be given at any time and counts from the next octet on."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True)

    latency: Seconds = 0.0  # of every answer but that to a PDU
    air: Seconds | tuple[Seconds, Seconds] = 0.0  # from control-Z to the answer; a pair: drawn between
    next_sends: Annotated[tuple[Fate, ...], Field(max_length=10_000)] = ()
    every_send: Fate = Fate.SENT  # when `next_sends` is used up
    cms_error: Annotated[int, Field(ge=0, le=65535)] = 38
    receiver_errors: Annotated[dict[str, int], Field(max_length=1000)] = field(
        default_factory=dict
    )  # +CMS ERROR by receiver, digits only
    late: Seconds = 1.0
    silent: bool = False  # hangs: takes every octet, does nothing, says nothing
    mute: bool = False  # does everything, says nothing
    noise: Annotated[int, Field(ge=0, le=1024)] = 0  # octets of garbage before each answer
    storm: Seconds = 0.0  # seconds between unsolicited lines, which then stand in answers too; 0: none
    garbage: Seconds = 0.0  # seconds between bursts of random octets, line ends and `>` among them; 0: none
    split: Annotated[int, Field(ge=0, le=4096)] = 0  # octets per write; 0: whole answers
    split_gap: Seconds = 0.001  # between two such writes
    echo_stuck: bool = False  # ATE0 is answered OK and not obeyed
    registration: Annotated[int, Field(ge=0, le=10)] = 1  # <stat> of +CREG
    signal: Annotated[int, Field(ge=0, le=99)] = 20  # <rssi> of +CSQ
    smsc_missing: bool = False  # +CMS ERROR: 330 until AT+CSCA sets one
    boot: Seconds = 0.1  # deaf for so long after a reset
    boot_told: bool = True  # says "SMS Ready" and the state of its SIM when it has restarted
    status_report: Seconds | None = None  # delay of +CDS after delivery, if the SMS asks for it; None: never
    report_statuses: Statuses = (0,)  # TP-ST of the reports of one part, in their order
    report_gap: Seconds = 0.0  # between two of them
    receiver_statuses: Annotated[dict[str, Statuses], Field(max_length=1000)] = field(
        default_factory=dict
    )  # the same by receiver, digits only; (): none ever
    phase_2_plus: bool = False  # +CSMS is 1 and stays so: +CMT and +CDS have to be acknowledged
    acknowledge_within: Seconds = 17.0
    redelivery: Seconds = 60.0  # until what was refused or not acknowledged is brought again
    store_capacity: Annotated[int, Field(ge=1, le=255)] = 20  # of each memory
    ussd: Annotated[dict[str, str | Screen], Field(max_length=100)] = field(default_factory=dict)  # answer by code
    ussd_delay: Seconds = 0.0
    ussd_takes: Writing = Writing.PLAIN  # any other one is refused, or passed on as it stands
    ussd_gives: Form = Form.CHARSET
    ussd_patience: Seconds = 60.0  # that the network waits for a reply

    def changed(self, knobs: dict[str, object]) -> "Behaviour":
        """These knobs turned, the others as they are; raises `ValueError` that names each wrong one."""
        try:
            return _ADAPTER.validate_python({**asdict(self), **knobs})
        except ValidationError as error:
            wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise ValueError("; ".join(wrong)) from None

    def as_json(self) -> dict[str, object]:
        return asdict(self)


_ADAPTER = TypeAdapter(Behaviour)


@dataclass(slots=True)
class Counters:
    """What a modem has seen since it was made."""

    commands: int = 0
    cmgs: int = 0  # PDUs that came whole
    cmgw: int = 0  # tries to store a message in the SIM, all of them refused
    pin_tries: int = 0
    resets: int = 0
    prompts: int = 0
    acknowledged: int = 0  # +CNMA
    unacknowledged: int = 0  # no +CNMA came in time
    incoming: int = 0  # short messages and reports that the network has brought
    incoming_held: int = 0  # tries that found the store full
    ussd_cancelled: int = 0  # dialogues that the terminal ended
    ussd_clashes: int = 0  # messages that were to be sent in the middle of a dialogue
    octets_taken: int = 0  # input, also that of a silent modem
    octets_dropped: int = 0  # output that the terminal did not read in time
    by_name: dict[str, int] = field(default_factory=dict)  # commands by their name

    def count(self, name: str) -> None:
        self.commands += 1
        if name in self.by_name or len(self.by_name) < 1000:
            self.by_name[name] = self.by_name.get(name, 0) + 1
