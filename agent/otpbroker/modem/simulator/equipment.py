"""The inside of a simulated modem: its identity, card, settings and message store, without any I/O."""

from dataclasses import dataclass, field
from datetime import datetime

from otpbroker.clock import Clock
from otpbroker.modem.simulator.behaviour import Behaviour, Counters
from otpbroker.modem.simulator.identity import Identity
from otpbroker.modem.simulator.message_store import SIM, MessageStore
from otpbroker.modem.simulator.replies import AtError, Cme, Cms
from otpbroker.modem.simulator.sim_card import SimCard

HOME, ROAMING = 1, 5


@dataclass(slots=True)
class Settings:
    """What the terminal has set; `ATZ`, `AT&F` and a restart bring these back."""

    echo: bool = True
    verbose: bool = True
    quiet: bool = False
    numbers: dict[str, int] = field(default_factory=dict)  # parameters such as +CMEE; absent: 0
    charset: str = "IRA"
    cnmi: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    operator_format: int = 0
    memories: tuple[str, str, str] = (SIM, SIM, SIM)  # of +CPMS: for reading, for writing, for what comes in

    def number(self, name: str) -> int:
        return self.numbers.get(name, 0)


@dataclass(slots=True)
class Equipment:
    """One modem's state; `behaviour` is looked up anew at each use, so it may be replaced at any time."""

    identity: Identity
    sim: SimCard
    behaviour: Behaviour
    clock: Clock
    counters: Counters = field(default_factory=Counters)
    settings: Settings = field(default_factory=Settings)
    store: MessageStore = field(default_factory=MessageStore)
    acknowledgement_due: bool = False  # +CNMA is awaited
    smsc: str | None = None  # set by AT+CSCA, None: the card's own
    radio_on: bool = True
    _reference: int = 255

    def restart(self) -> None:
        """Power-up: volatile settings are gone, the card asks for its PIN again; the store stays."""
        self.settings = Settings()
        self.radio_on = True
        self.sim.power_up()

    def swap_cards(self, other: "Equipment") -> None:
        """Exchange the cards: what belongs to a card goes with it."""
        mine, theirs = self.identity, other.identity
        self.identity, other.identity = mine.with_card_of(theirs), theirs.with_card_of(mine)
        self.sim, other.sim = other.sim, self.sim
        self.store, other.store = other.store, self.store
        self.smsc, other.smsc = other.smsc, self.smsc

    @property
    def registration(self) -> int:
        """<stat> of `+CREG`: none without radio or an unlocked card."""
        return self.behaviour.registration if self.radio_on and self.sim.ready else 0

    @property
    def service_centre(self) -> str:
        """The SMSC in force; empty: none."""
        if self.smsc is not None:
            return self.smsc
        return "" if self.behaviour.smsc_missing else self.identity.smsc

    def require_card(self) -> None:
        """Raise the `+CME ERROR` that stands for a card that is not ready."""
        match self.sim.state:
            case "SIM PIN":
                raise AtError(Cme.PIN_REQUIRED)
            case "SIM PUK":
                raise AtError(Cme.PUK_REQUIRED)

    def require_message_service(self) -> None:
        """Raise the `+CMS ERROR` that stands for a card, network or service centre that is not there."""
        try:
            self.require_card()
        except AtError as error:
            raise AtError(_AS_MESSAGE_ERROR[error.code]) from None
        if self.registration not in {HOME, ROAMING}:
            raise AtError(Cms.NO_NETWORK)
        if not self.service_centre:
            raise AtError(Cms.SMSC_UNKNOWN)

    def next_reference(self) -> int:
        """TP-MR of the next message: 0 to 255, round and round."""
        self._reference = (self._reference + 1) % 256
        return self._reference

    @property
    def message_service(self) -> int:
        """<service> of `+CSMS`; 1: what is shown directly has to be acknowledged."""
        return 1 if self.behaviour.phase_2_plus else self.settings.number("+CSMS")

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now()).astimezone()


_AS_MESSAGE_ERROR: dict[Cme | Cms, Cms] = {
    Cme.SIM_NOT_INSERTED: Cms.SIM_NOT_INSERTED,
    Cme.PIN_REQUIRED: Cms.PIN_REQUIRED,
    Cme.PUK_REQUIRED: Cms.PUK_REQUIRED,
    Cme.SIM_FAILURE: Cms.SIM_FAILURE,
}
