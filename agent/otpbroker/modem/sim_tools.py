"""What a person does to a SIM by hand: PIN on, off, changed or given, PUK, service centre.

No try is ever the last one, and none is made that was not asked for. Each operation is carried to its end, the
configuration included, whether or not who asked for it still waits.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import SecretStr

from otpbroker.config.model import Config
from otpbroker.errors import Rejected, Unavailable, UnknownOutcome
from otpbroker.modem import answers
from otpbroker.modem.at import AtConversation
from otpbroker.modem.dialect import Dialect
from otpbroker.modem.modem import Modem
from otpbroker.modem.results import AtError, AtFailure, quoted
from otpbroker.modem.sim import PinMemory, sim_state, tries_left
from otpbroker.modem.sim_hand import SimHand, refused

log = logging.getLogger(__name__)

TURN_LIMIT = 15.0  # seconds for the message in the air to end

Result = TypeVar("Result")
Work = Callable[[AtConversation, Dialect], Awaitable[Result]]


class Store(Protocol):
    async def update(self, change: Callable[[Config], Config], *, by: str) -> Config: ...


@dataclass(frozen=True, slots=True)
class SimView:
    """What the SIM tells of its locks; None: the modem hides it."""

    state: str  # READY, SIM PIN, SIM PUK, SIM not inserted, ...
    pin_required: bool | None = None
    pin_left: int | None = None
    puk_left: int | None = None


class SimTools:
    """Every operation raises `Rejected` (wrong input or secret), `Unavailable` (not now, or the modem refused it),
    `UnknownOutcome` (the answer was lost), and those that configure what `Store.update` does. `by`: who did it.
    """

    def __init__(self, modems: Callable[[], Iterable[Modem]], store: Store, pins: PinMemory) -> None:
        self._modems = modems
        self._store = store
        self._pins = pins
        self._tasks: set[asyncio.Task[Any]] = set()

    async def look(self, modem_id: str) -> SimView:
        """Ask the SIM; costs no try."""
        return await self._finished(self._errand(self._modem(modem_id), _look))

    async def enter_pin(self, modem_id: str, pin: str, *, by: str) -> None:
        """Open a SIM that asks for its PIN; a right one becomes the configured one."""
        _check_pin(pin, "pin")
        hand = SimHand(self._modem(modem_id), self._pins)

        async def give(at: AtConversation, dialect: Dialect) -> None:
            await _require_state(at, "SIM PIN")
            await hand.give_pin(at, dialect, pin, f"AT+CPIN={quoted(pin)}", valid=pin)

        await self._finished(self._carry(hand, give, valid=pin, by=by))

    async def require_pin(self, modem_id: str, pin: str, *, on: bool, by: str) -> None:
        """Let the SIM ask for its PIN at each start, or not (27.007 section 7.4)."""
        _check_pin(pin, "pin")
        hand = SimHand(self._modem(modem_id), self._pins)

        async def switch(at: AtConversation, dialect: Dialect) -> None:
            await _require_state(at, "READY")
            if await _pin_required(at) is on:
                raise Rejected("pin-already", f"the SIM's PIN is {'on' if on else 'off'} already")
            await hand.give_pin(at, dialect, pin, f'AT+CLCK="SC",{int(on)},{quoted(pin)}', valid=pin)

        await self._finished(self._carry(hand, switch, valid=pin, by=by))

    async def change_pin(self, modem_id: str, old: str, new: str, *, by: str) -> None:
        """27.007 section 7.5; the new one becomes the configured one."""
        _check_pin(old, "pin")
        _check_pin(new, "new_pin")
        hand = SimHand(self._modem(modem_id), self._pins)

        async def change(at: AtConversation, dialect: Dialect) -> None:
            await _require_state(at, "READY")
            if await _pin_required(at) is False:
                raise Rejected(
                    "pin-off", "a SIM whose PIN is off does not let it be changed", remedy="switch it on"
                )
            await hand.give_pin(at, dialect, old, f'AT+CPWD="SC",{quoted(old)},{quoted(new)}', valid=new)

        await self._finished(self._carry(hand, change, valid=new, by=by))

    async def unblock(self, modem_id: str, puk: str, new: str, *, by: str) -> None:
        """Give the PUK, once, and set a new PIN; the same PUK is never given twice."""
        if not re.fullmatch(r"[0-9]{8}", puk):
            raise Rejected("puk-invalid", "a PUK has 8 digits", field="puk")
        _check_pin(new, "new_pin")
        hand = SimHand(self._modem(modem_id), self._pins)

        async def unblock(at: AtConversation, dialect: Dialect) -> None:
            await _require_state(at, "SIM PUK")
            await hand.give_puk(at, dialect, puk, new)

        await self._finished(self._carry(hand, unblock, valid=new, by=by))

    async def set_service_centre(self, modem_id: str, number: str, *, by: str) -> None:
        """Write it to the SIM (27.005 section 3.3.1) and the configuration."""
        if not re.fullmatch(r"\+?[0-9]{3,20}", number):
            raise Rejected("smsc-invalid", "a service centre is a number such as +62811000000", field="smsc")
        modem = self._modem(modem_id)

        async def write(at: AtConversation, _dialect: Dialect) -> None:
            kind = 145 if number.startswith("+") else 129  # 24.011 section 8.2.5.2: international, unknown
            try:
                await at.command(f"AT+CSCA={quoted(number)},{kind}")
            except AtError as error:
                raise refused(error) from None

        async def carry() -> None:
            await self._errand(modem, write)
            await self._configure(modem_id, by, smsc=number)

        await self._finished(carry())

    async def _carry(self, hand: SimHand, work: Work[None], *, valid: str, by: str) -> None:
        """The SIM first: what is configured is held in doubt until the configuration has followed."""
        await self._store.update(lambda config: config, by=by)  # one that can't be written must not lose the PIN
        await self._errand(hand.modem, work)
        await self._configure(hand.modem.config.id, by, pin=SecretStr(valid))
        await hand.settled()
        log.info("modem %s: %s changed the SIM's lock", hand.modem.config.id, by)

    async def _configure(self, modem_id: str, by: str, **changes: object) -> None:
        def change(config: Config) -> Config:
            modems = tuple(
                section.model_copy(update=changes) if section.id == modem_id else section
                for section in config.modems
            )
            return config.model_copy(update={"modems": modems})

        await self._store.update(change, by=by)

    async def _errand(self, modem: Modem, work: Work[Result]) -> Result:
        try:
            async with asyncio.timeout(TURN_LIMIT) as turn:

                async def begin(at: AtConversation, dialect: Dialect) -> Result:
                    turn.reschedule(None)
                    return await work(at, dialect)

                return await modem.sim_errand(begin)
        except TimeoutError:
            raise Unavailable("modem-busy", "the modem is busy with a message", field="modem_id") from None
        except AtFailure as failure:
            raise UnknownOutcome(
                "sim-unclear",
                f"the modem did not answer: {failure}",
                remedy="look at the SIM before you try anything else",
            ) from None

    async def _finished(self, operation: Coroutine[Any, Any, Result]) -> Result:
        """Half a change of a PIN is worse than none: who does not wait any longer does not stop it."""
        task = asyncio.create_task(operation)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    def _modem(self, modem_id: str) -> Modem:
        for modem in self._modems():
            if modem.config.id == modem_id:
                return modem
        raise Rejected("modem-unknown", "there is no modem with this id", field="modem_id")


async def _look(at: AtConversation, dialect: Dialect) -> SimView:
    state = await sim_state(at)
    match state:
        case "READY":
            return SimView(state, await _pin_required(at), await tries_left(at, dialect.pin_tries))
        case "SIM PIN":
            return SimView(state, pin_required=True, pin_left=await tries_left(at, dialect.pin_tries))
        case "SIM PUK":
            return SimView(state, pin_required=True, pin_left=0, puk_left=await tries_left(at, dialect.puk_tries))
    return SimView(state)


async def _pin_required(at: AtConversation) -> bool | None:
    try:
        status = answers.number(await at.command('AT+CLCK="SC",2'), "+CLCK:")
    except AtError:
        return None
    return None if status is None else bool(status)


async def _require_state(at: AtConversation, wanted: str) -> None:
    state = await sim_state(at)
    if state != wanted:
        raise Rejected(
            "sim-state", f"the SIM is not in the state for this: {state}", remedy="look at the SIM again"
        )


def _check_pin(pin: str, field: str) -> None:
    if not re.fullmatch(r"[0-9]{4,8}", pin):
        raise Rejected("pin-invalid", "a SIM PIN has 4 to 8 digits", field=field)
