"""What a modem tells is readable, also after a USSD session that had its strings in 16-bit units was cut off."""

import asyncio
from contextlib import suppress

import pytest
from modem_desk import Desk
from scripted_modem import ScriptedModem

from otpbroker.errors import UnknownOutcome
from otpbroker.sms.ussd import Writing, write
from virtual_run import in_virtual_time

UNITS, PLAIN = "in the set in force", "as it is"


def units(text: str) -> str:
    return write(text, Writing.UCS2)


class Charsets(ScriptedModem):
    """Strings are in the character set of +CSCS, whose names it takes and tells in one way; it has the `sets`."""

    def __init__(self, charset: str, names: str = PLAIN, sets: tuple[str, ...] = ("IRA", "GSM", "UCS2")) -> None:
        super().__init__()
        self.names, self.sets = names, sets
        self.charset = charset

    def _told(self, text: str) -> str:
        return units(text) if self.charset == "UCS2" else text

    def _name(self, charset: str) -> str:
        return self._told(charset) if self.names == UNITS else charset

    def _line(self, line: str) -> None:
        chosen = next((each for each in self.sets if line == f'AT+CSCS="{self._name(each)}"'), None)
        self.charset = chosen or self.charset
        self.answers |= {
            "AT+CSCS?": f'+CSCS: "{self._name(self.charset)}"\r\nOK',
            "AT+COPS?": f'+COPS: 0,0,"{self._told("XL")}",7\r\nOK',
            "AT+CSCA?": f'+CSCA: "{self._told("+62816124")}",145\r\nOK',
            "AT+CNUM": f'+CNUM: "","{self._told("+628111111111")}",145\r\nOK',
        }
        if line.startswith("AT+CSCS="):
            self.answers[line] = "OK" if chosen else "+CME ERROR: 3"
        elif line.startswith("AT+CUSD=1"):
            self.answers[line] = "OK" if self.charset == "UCS2" else "ERROR"
        super()._line(line)


@pytest.mark.parametrize("names", [PLAIN, UNITS])
@pytest.mark.parametrize("sets", [("IRA", "GSM", "UCS2"), ("GSM", "UCS2")])
@in_virtual_time
async def test_a_modem_that_was_left_with_units_tells_text(names: str, sets: tuple[str, ...]) -> None:
    wire = Charsets("UCS2", names, sets)
    async with Desk(wire).ready() as modem:
        assert wire.charset == sets[0]
        status = modem.status
        assert (status.operator, status.smsc, status.msisdn) == ("XL", "+62816124", "+628111111111")


@in_virtual_time
async def test_a_ussd_session_that_is_cut_off_leaves_nothing_behind() -> None:
    wire = Charsets("IRA")
    desk = Desk(wire)
    async with desk.ready() as modem:
        asking = asyncio.create_task(modem.ussd.run("*123#"))
        await asyncio.sleep(1)
        assert wire.charset == "UCS2"
        wire.hang_up()
        with suppress(UnknownOutcome):
            await asking
        await desk.until(lambda: modem.ready)
        assert (wire.charset, modem.status.operator) == ("IRA", "XL")


@pytest.mark.parametrize("charset", ["IRA", "GSM", "8859-1"])
@in_virtual_time
async def test_any_other_set_is_left_as_it_is(charset: str) -> None:
    wire = Charsets(charset, sets=("IRA", "GSM", "8859-1"))
    async with Desk(wire).ready():
        assert wire.charset == charset
        assert not [line for line in wire.lines if line.startswith("AT+CSCS=")]


@in_virtual_time
async def test_a_modem_that_knows_no_other_set_becomes_ready_all_the_same() -> None:
    wire = Charsets("UCS2", sets=("UCS2",))
    async with Desk(wire).ready():
        assert wire.charset == "UCS2"
