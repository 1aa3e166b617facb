"""Unlocking the SIM: each configured PIN is tried once, and never when the next wrong one could need the PUK."""

import asyncio
import hmac
import logging
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from otpbroker.config.model import ModemSection
from otpbroker.errors import Misconfigured
from otpbroker.files import replace_file
from otpbroker.modem.answers import value
from otpbroker.modem.at import AtConversation
from otpbroker.modem.dialect import Dialect
from otpbroker.modem.results import AtError, AtTimeout, quoted

log = logging.getLogger(__name__)

# A SIM allows three tries; below two a wrong one would block it (3GPP TS 11.11 section 11.3.1).
TRIES = 3
LEAST_TRIES = 2

_CME_STATES = {  # 27.007 section 9.2.1
    10: "SIM not inserted",
    11: "SIM PIN",
    12: "SIM PUK",
    13: "SIM failure",
    15: "SIM wrong",
    18: "SIM PUK2",
}


class Mark(StrEnum):
    """What is known of a secret."""

    REFUSED = "refused"  # a PIN that was given, and not accepted
    CHANGING = "changing"  # a PIN that was being changed for another one: it is right, or is not any more
    PUK = "puk"  # a PUK that was given, and not accepted


@dataclass(frozen=True, slots=True)
class _Try:
    iccid: str
    imei: str
    digest: bytes
    mark: Mark = Mark.REFUSED

    @classmethod
    def read(cls, line: str) -> Self:
        iccid, imei, digest, *mark = line.split(",")
        return cls(iccid, imei, bytes.fromhex(digest), *map(Mark, mark))

    def line(self) -> str:
        mark = "" if self.mark is Mark.REFUSED else f",{self.mark}"
        return f"{self.iccid},{self.imei},{self.digest.hex()}{mark}"

    def same_sim(self, iccid: str, imei: str) -> bool:
        """By the SIM's own identity where both sides know it, else by the modem it is in."""
        return self.iccid == iccid if self.iccid and iccid else self.imei == imei


class PinMemory:
    """Which PINs and PUKs were given to which SIM and not accepted, as keyed hashes; outlives the modems.

    With a `path` it outlives the process too: a modem that hides its tries left would otherwise lose one to a wrong
    PIN at every start.
    """

    def __init__(self, path: Path | None = None, key: bytes | None = None) -> None:
        """Blocks while it reads the file. The `key` must be the same whenever the file is."""
        self._path = path
        self._key = hmac.digest(key or secrets.token_bytes(32), b"pin", "sha256")
        self._tries: list[_Try] = []
        if path is not None and path.exists():
            self._tries = list(_read(path))

    def tried(self, pin: str, iccid: str, imei: str, mark: Mark = Mark.REFUSED) -> bool:
        digest = self._digest(pin)
        return any(each.digest == digest for each in self._of(iccid, imei, mark))

    def count(self, iccid: str, imei: str, mark: Mark = Mark.REFUSED) -> int:
        """How many different ones were, on this SIM."""
        return len({each.digest for each in self._of(iccid, imei, mark)})

    async def remember(self, pin: str, iccid: str, imei: str, mark: Mark = Mark.REFUSED) -> None:
        """From the return on it is known, whatever happens to the process."""
        if not self.tried(pin, iccid, imei, mark):
            self._tries.append(_Try(iccid, imei, self._digest(pin), mark))
            await self._write()

    async def forget(self, pin: str, iccid: str, imei: str, mark: Mark = Mark.REFUSED) -> None:
        """It was right after all."""
        digest = self._digest(pin)
        await self._drop([each for each in self._of(iccid, imei, mark) if each.digest == digest])

    async def forget_all(self, iccid: str, imei: str) -> None:
        """The SIM's PIN is known, and its tries are all there again."""
        await self._drop([each for each in self._tries if each.same_sim(iccid, imei)])

    def _of(self, iccid: str, imei: str, mark: Mark) -> list[_Try]:
        return [each for each in self._tries if each.mark is mark and each.same_sim(iccid, imei)]

    async def _drop(self, gone: list[_Try]) -> None:
        if gone:
            self._tries = [each for each in self._tries if each not in gone]
            await self._write()

    async def _write(self) -> None:
        if self._path is not None:
            text = "".join(f"{each.line()}\n" for each in self._tries)
            await asyncio.to_thread(replace_file, self._path, text)

    def _digest(self, pin: str) -> bytes:
        return hmac.digest(self._key, pin.encode(), "sha256")


def _read(path: Path) -> Iterator[_Try]:
    """What a file remembers; of a damaged one what can be read still counts."""
    for line in path.read_text("ascii", errors="replace").splitlines():
        try:
            yield _Try.read(line)
        except ValueError:
            log.warning("a line of %s is damaged: one refused PIN may be tried once more", path.name)


class SimLock:
    """The lock of the SIM in one modem."""

    def __init__(
        self, conversation: AtConversation, dialect: Dialect, config: ModemSection, pins: PinMemory
    ) -> None:
        self._at = conversation
        self._dialect = dialect
        self._config = config
        self._pins = pins
        self._given = False

    async def state(self) -> str:
        """`READY`, `SIM PIN`, `SIM PUK`, `SIM not inserted`, ..., or `SIM busy` (27.007 section 8.3)."""
        state = await sim_state(self._at)
        return "SIM busy" if state == "SIM PIN" and self._given else state

    async def enter_pin(self, iccid: str, imei: str) -> bool:
        """Give the configured PIN, once; False: the SIM was too busy to look at it.

        Raises `Misconfigured` where hands are needed.
        """
        if self._config.pin is None:
            raise Misconfigured(
                "pin-missing", "the SIM asks for its PIN", remedy="set the modem's pin, or take the PIN off the SIM"
            )
        pin = self._config.pin.get_secret_value()
        if self._pins.tried(pin, iccid, imei, Mark.CHANGING):
            raise Misconfigured(
                "pin-in-doubt",
                "the SIM's PIN was being changed when the agent stopped: which one is right is not known",
                remedy="enter the PIN on the SIM page",
            )
        if self._pins.tried(pin, iccid, imei):
            raise _wrong_pin()
        left = await tries_left(self._at, self._dialect.pin_tries)
        if left is None and TRIES - (refused := self._pins.count(iccid, imei)) < LEAST_TRIES:
            raise Misconfigured(
                "pin-tries-hidden",
                f"{refused} PINs were refused, and this modem does not tell how many tries are left",
                remedy="put the SIM into a phone and switch its PIN off there",
            )
        if left is not None and left < LEAST_TRIES:
            raise Misconfigured(
                "pin-last-try",
                f"the SIM has {left} PIN tries left; the agent does not use the last one",
                remedy="unlock the SIM in a phone, then correct the modem's pin",
            )
        # Remembered before it is given: an answer that gets lost must not lead to a second try.
        await self._pins.remember(pin, iccid, imei)
        try:
            await self._at.command(f"AT+CPIN={quoted(pin)}")
        except AtError as error:
            if error.code == "cme-14":
                await self._pins.forget(pin, iccid, imei)
                return False
            raise _wrong_pin() from error
        except AtTimeout:
            await self._at.resync()
            if await self.state() == "SIM PIN":
                raise _wrong_pin() from None
        self._given = True
        return True

    async def opened(self, iccid: str, imei: str) -> None:
        """The SIM is open: whatever PIN was given was right, and all tries are there again."""
        if self._given:
            await self._pins.forget_all(iccid, imei)
        elif self._config.pin is not None:
            await self._pins.forget(self._config.pin.get_secret_value(), iccid, imei)


async def sim_state(at: AtConversation) -> str:
    """`READY`, `SIM PIN`, `SIM PUK`, `SIM not inserted`, ..., or `SIM busy` (27.007 section 8.3)."""
    try:
        return value(await at.command("AT+CPIN?"))
    except AtError as error:
        # 14 SIM busy, or whatever modems answer before they looked for a SIM.
        return _CME_STATES.get(error.number or 0, "SIM busy") if error.kind == "cme" else "SIM busy"


async def tries_left(at: AtConversation, questions: tuple[tuple[str, str], ...]) -> int | None:
    """What the first of a dialect's questions tells; None: the modem hides it."""
    for command, pattern in questions:
        try:
            lines = await at.command(command)
        except AtError:
            continue
        except AtTimeout:
            await at.resync()
            continue
        for line in lines:
            if found := re.match(pattern, line):
                return int(found[1])
    return None


def unusable(state: str) -> Misconfigured:
    """What to tell of a SIM that no PIN can open."""
    if "PUK" in state:
        return Misconfigured(
            "sim-puk", "the SIM asks for its PUK", remedy="unlock it in a phone with the PUK of its card"
        )
    if state == "SIM not inserted":
        return Misconfigured("sim-missing", "there is no SIM", remedy="put a SIM in and plug the modem in again")
    return Misconfigured("sim-blocked", f"the SIM is not usable: {state}", remedy="try the SIM in a phone")


def _wrong_pin() -> Misconfigured:
    return Misconfigured(
        "pin-refused",
        "the SIM did not take the configured PIN, which is not tried again",
        remedy="correct the modem's pin, or unlock the SIM in a phone",
    )
