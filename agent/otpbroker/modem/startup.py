"""From an open port to a modem that can send: each step of the conversation, and what it finds out."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

from otpbroker.config.model import ModemSection
from otpbroker.modem import answers
from otpbroker.modem.at import AtConversation
from otpbroker.modem.backoff import Backoff
from otpbroker.modem.dialect import GENERIC, Dialect, dialect_of
from otpbroker.modem.registration import Registration
from otpbroker.modem.results import AtError, AtTimeout, quoted
from otpbroker.modem.timeouts import QUIET
from otpbroker.sms.ussd import Writing, write

log = logging.getLogger(__name__)

_UNICODE = "UCS2"
_READABLE = ("IRA", "GSM")  # tried in turn
_FULL = 1  # <fun> of +CFUN: full functionality
_WAKE_LEAST, _WAKE_MOST = 2.0, 900.0  # seconds between AT+CFUN=1: a SIM may be busy, a search is not to begin anew
# Seconds between questions for the operator, who may tell its name late or never.
_NAME_LEAST, _NAME_MOST = 60.0, 900.0


class Startup:
    """The steps, in their order; `tell` takes the fields of the snapshot as they become known.

    Every step may raise `AtTimeout` or `LinkLost`. Commands that not every modem has are allowed to fail.
    """

    def __init__(
        self,
        conversation: AtConversation,
        config: ModemSection,
        registration: Registration,
        tell: Callable[..., Any],
    ) -> None:
        self._at = conversation
        self._config = config
        self._registration = registration
        self._tell = tell
        self.dialect: Dialect = GENERIC
        self.imei = ""
        self.keeps_link = False
        self._told_of_changes = False  # +CREG=1 is in force, unless the modem has restarted since
        self._iccid = ""
        self._centres: dict[str, str] = {}  # by ICCID: SIM900 forgets it (gammu issue 195)
        self._wakes = Backoff(_WAKE_LEAST, _WAKE_MOST)
        self._next_wake = 0.0  # on the loop's clock
        self._names = Backoff(_NAME_LEAST, _NAME_MOST)
        self._next_name = 0.0
        self._named_at = 0  # the registration's changes when the operator was read

    async def identify(self) -> None:
        """Echo off, errors as numbers, who made it."""
        await self.ask("ATE0")
        await self.ask("AT+CMEE=1")
        maker = await self.ask("AT+CGMI")
        if not maker:  # an OK without the answer may be an earlier command's
            await self._at.resync(QUIET)
            maker = await self.ask("AT+CGMI")
        manufacturer = answers.value(maker)
        model = answers.value(await self.ask("AT+CGMM"))
        revision = re.sub(r"^Revision: ?", "", answers.value(await self.ask("AT+CGMR")))
        self.imei = answers.digits(await self.ask("AT+CGSN"), 14)
        self.dialect = dialect_of(manufacturer, model)
        self._at.known_codes = self.dialect.known_codes
        self._tell(manufacturer=manufacturer, model=model, revision=revision, imei=self.imei)
        for command in self.dialect.start:
            await self.ask(command)
        await self._make_readable()

    async def _make_readable(self) -> None:
        """Strings in characters (27.007 section 5.5): a USSD session that was cut off leaves them hexadecimal."""
        if not await self._writes_units():
            return
        for charset in _READABLE:
            # Some take it in the character set that is in force, others as it is.
            for name in (write(charset, Writing.UCS2), charset):
                if await self._accepted(f"AT+CSCS={quoted(name)}") and not await self._writes_units():
                    return

    async def _writes_units(self) -> bool:
        charset = answers.value(await self.ask("AT+CSCS?")).upper()
        return charset in {_UNICODE, write(_UNICODE, Writing.UCS2)}

    async def clear_air(self, owed: float) -> None:
        """Leave the network and come back (27.007 section 8.2): what was in the air is over.

        A modem that stays is waited for when the answer to a message is `owed` for so many seconds (ADR 0011).
        Raises `AtError` when it does not come back.
        """
        until = asyncio.get_running_loop().time() + owed
        left: bool | None = True
        try:
            await self._at.command("AT+CFUN=4")
        except AtError:
            left = False
        except AtTimeout:  # it may have left all the same, or leave yet
            left = None
            await self._at.resync()
        if left is not False:
            await self._at.command("AT+CFUN=1")
        if not left and owed:
            await self._at.late_answer("+CMGS", until - asyncio.get_running_loop().time())
        await self._at.resync(QUIET)

    async def asleep(self) -> bool:
        """Whether it is off the network by command, and is to be told to come back now (27.007 section 8.2).

        Whoever sent it off may be gone: a process before this one, or a step of the ladder that was cut short. One
        that stays is told again, after longer and longer times.
        """
        answer = await self.ask("AT+CFUN?")
        level = answers.number(answer, "+CFUN:")
        now = asyncio.get_running_loop().time()
        if level == _FULL:
            self._wakes.reset()
        return level not in {None, _FULL} and now >= self._next_wake

    async def wake_radio(self) -> None:
        """Tell it to come back."""
        log.info("the modem with IMEI ...%s is in flight mode: told to come back", self.imei[-4:])
        self._next_wake = asyncio.get_running_loop().time() + self._wakes.next()
        await self.ask("AT+CFUN=1")

    async def read_iccid(self) -> str:
        """The SIM's own number, readable before the PIN on most modems; "" if not."""
        for command in self.dialect.iccid:
            if iccid := answers.digits(await self.ask(command), 18):
                self._tell(iccid=iccid)
                break
        else:
            iccid = ""
        self._iccid = iccid
        return iccid

    async def read_sim(self) -> None:
        imsi = answers.digits(await self.ask("AT+CIMI"), 14)
        self._tell(imsi=imsi, msisdn=answers.own_number(await self.ask("AT+CNUM")))

    async def watch_registration(self) -> None:
        """Changes are told from here on, and the state of now is read."""
        self._told_of_changes = await self._accepted("AT+CREG=1")
        await self.ask("AT+CEREG=1")
        await self.read_registration()

    async def read_registration(self) -> None:
        for command in ("AT+CREG?", "AT+CEREG?"):
            for line in await self.ask(command):
                self._registration.note(line)
        self._tell(registration=self._registration.word)

    async def lost_settings(self) -> bool:
        """Whether the modem has certainly restarted: it does not know any more what it was set to."""
        if not self._told_of_changes:
            return False
        answer = await self.ask("AT+CREG?")
        return bool(answer) and answers.fields(answer[0])[:1] == ("0",)

    async def heartbeat(self) -> None:
        """Signal and registration anew. Raises `AtTimeout` at the first question that is not answered."""
        for command in (self.dialect.signal, "AT+CREG?", "AT+CEREG?"):
            try:
                lines = await self._at.command(command)
            except AtError:
                continue
            for line in lines:
                if not self._registration.note(line):
                    self._tell(signal_dbm=answers.signal_dbm(line))
        self._tell(registration=self._registration.word)

    async def prepare(self) -> str:
        """PDU mode, service centre; returns what an administrator should know, or "". Raises `AtError`."""
        await self._at.command("AT+CMGF=0")
        detail = await self._service_centre()
        self.keeps_link = self.dialect.keeps_link and bool(await self.ask("AT+CMMS?"))
        return detail

    async def read_signal(self) -> None:
        for line in await self.ask(self.dialect.signal):
            self._tell(signal_dbm=answers.signal_dbm(line))

    async def read_operator(self) -> None:
        self._named_at = self._registration.changes
        name = answers.operator(await self.ask("AT+COPS?"))
        self._tell(operator=name)
        pause = _NAME_MOST if name else self._names.next()
        self._next_name = asyncio.get_running_loop().time() + pause

    def operator_is_due(self) -> bool:
        """Whether it is to be read again: the network may be another one, or it was last read long ago."""
        changed = self._registration.changes != self._named_at
        if changed:
            self._names.reset()
        return changed or asyncio.get_running_loop().time() >= self._next_name

    async def _service_centre(self) -> str:
        line = await self.ask("AT+CSCA?")
        known = answers.fields(line[0])[0] if line and answers.fields(line[0]) else ""
        wanted = self._config.smsc or (known or self._centres.get(self._iccid, ""))
        if wanted and wanted != known:
            kind = 145 if wanted.startswith("+") else 129  # 24.011 section 8.2.5.2: international, unknown
            if await self._accepted(f"AT+CSCA={quoted(wanted)},{kind}"):
                known = wanted
        if known and self._iccid:
            self._centres[self._iccid] = known
        self._tell(smsc=known)
        return "" if known else "the SIM has no SMS service centre: set the modem's smsc"

    async def ask(self, command: str) -> tuple[str, ...]:
        """The answer, or nothing from a modem that does not know the command."""
        try:
            return await self._at.command(command)
        except AtError:
            return ()
        except AtTimeout:
            await self._at.resync()
            return ()

    async def _accepted(self, command: str) -> bool:
        try:
            await self._at.command(command)
        except AtError:
            return False
        except AtTimeout:
            await self._at.resync()
            return False
        return True
