"""How a simulated modem misbehaves when it is told to, seen from its port."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace

import pytest

from otpbroker.modem.simulator import Fate, Phone, SimCard, SimulatedModem, Unplugged, identity_of
from otpbroker.sms.submit import encode_submit
from pty_terminal import FINAL, RECEIVER, Terminal

PDU = encode_submit(RECEIVER, "Kode 123456", reference=0, life=300)[0]


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
async def modem(phone: Phone) -> AsyncIterator[SimulatedModem]:
    modem = SimulatedModem(identity_of(1), phone)
    modem.plug()
    yield modem
    modem.close()


@pytest.fixture
async def terminal(modem: SimulatedModem) -> AsyncIterator[Terminal]:
    assert modem.path is not None
    with Terminal(modem.path) as terminal:
        await terminal.whole("ATE0")
        yield terminal


async def seconds_of(answer: Awaitable[object]) -> float:
    clock = asyncio.get_running_loop().time
    begin = clock()
    await answer
    return clock() - begin


async def taken(modem: SimulatedModem, octets: int) -> None:
    """Wait until the modem has taken so many octets more."""
    enough = modem.counters.octets_taken + octets
    async with asyncio.timeout(5):
        while modem.counters.octets_taken < enough:  # a counter tells nobody when it grows
            await asyncio.sleep(0)


async def test_answers_take_the_latency_and_messages_the_air_time(
    terminal: Terminal, modem: SimulatedModem
) -> None:
    modem.change(latency=0.05)
    assert await seconds_of(terminal.whole("AT")) >= 0.05
    modem.change(latency=0.0, air=0.05)
    assert await seconds_of(terminal.send("Kode")) >= 0.05
    modem.change(air=(0.03, 0.06))
    assert await seconds_of(terminal.send("Kode")) >= 0.03


async def test_what_is_typed_meanwhile_waits_its_turn(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(air=0.02)
    await terminal.submit(PDU)
    terminal.type(b"AT+CSQ\r")

    assert await terminal.until("OK\r\n") == b"\r\n+CMGS: 0\r\n\r\nOK\r\n"
    assert await terminal.until("OK\r\n") == b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n"


async def test_the_next_sends_have_their_fates_in_turn_then_all_is_well(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    modem.change(next_sends=["error", "sent", "error"], cms_error=500)

    assert [(await terminal.send(f"Kode {number}"))[0] for number in range(4)] == [
        "+CMS ERROR: 500",
        "+CMGS: 0",
        "+CMS ERROR: 500",
        "+CMGS: 1",
    ]
    assert [message.text for message in phone.messages] == ["Kode 1", "Kode 3"]
    assert modem.behaviour.next_sends == ()


async def test_every_send_may_fail_until_further_notice(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    modem.behaviour = replace(modem.behaviour, every_send=Fate.ERROR)
    for _ in range(3):
        assert await terminal.send("Kode") == ["+CMS ERROR: 38"]
    modem.behaviour = replace(modem.behaviour, every_send=Fate.SENT)

    assert (await terminal.send("Kode"))[-1] == "OK"
    assert phone.received == 1


async def test_some_receivers_are_refused(terminal: Terminal, modem: SimulatedModem, phone: Phone) -> None:
    modem.change(receiver_errors={"6281100000000": 28})

    assert await terminal.send("Kode", "6281100000000") == ["+CMS ERROR: 28"]
    assert (await terminal.send("Kode"))[-1] == "OK"
    assert [message.receiver for message in phone.messages] == [RECEIVER]


async def test_a_lost_ok_never_comes_though_the_phone_has_the_message(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    modem.change(next_sends=["lost-ok"])
    await terminal.submit(PDU)

    assert (await phone.wait_for(lambda _: True, within=5)).text == "Kode 123456"
    assert await terminal.whole("AT+CSQ") == "\r\n+CSQ: 20,99\r\n\r\nOK\r\n"


async def test_a_late_ok_comes_to_whoever_has_the_port_then(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    assert modem.path is not None
    modem.change(next_sends=["late-ok"], late=0.05)
    await terminal.submit(PDU)
    await phone.wait_for(lambda _: True, within=5)
    assert await terminal.whole("AT") == "\r\nOK\r\n"  # the modem works on meanwhile
    with Terminal(modem.path) as again:
        asyncio.get_running_loop().remove_reader(terminal._descriptor)

        assert await again.until("OK\r\n") == b"\r\n+CMGS: 0\r\n\r\nOK\r\n"


async def test_a_lost_prompt_leaves_the_modem_waiting_for_the_text(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    modem.change(next_sends=["lost-prompt"])
    terminal.type(b"AT+CMGS=20\rAT\r")  # the second line is taken for text
    terminal.type(b"\x1b")

    assert await terminal.until("OK\r\n") == b"\r\nOK\r\n"
    assert modem.counters.prompts == 0
    assert (await terminal.send("Kode"))[-1] == "OK"


async def test_a_reset_in_the_air_loses_the_message_and_every_setting(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    modem.change(next_sends=["reset"], air=0.02, boot=0.01)
    await terminal.submit(PDU)

    assert await terminal.until("SMS Ready\r\n") == b"\r\n+CPIN: READY\r\n\r\nSMS Ready\r\n"
    assert await terminal.whole("AT") == "AT\r\r\nOK\r\n"  # the echo is back
    assert phone.received == 0
    assert modem.counters.resets == 1


async def test_while_it_boots_it_is_deaf(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(boot=0.05)
    modem.reset()
    terminal.type(b"AT+CSQ\r")
    await taken(modem, len("AT+CSQ\r"))
    await terminal.until("SMS Ready\r\n")

    assert await terminal.whole("ATE0") == "ATE0\r\r\nOK\r\n"


async def test_a_restart_by_command_asks_for_the_pin_again(phone: Phone) -> None:
    modem = SimulatedModem(identity_of(1), phone, sim=SimCard(pin="4711", locked=True))
    modem.change(boot=0.0)
    with Terminal(modem.plug()) as terminal:
        await terminal.whole('ATE0;+CPIN="4711"')
        terminal.type(b"AT+CFUN=1,1\r")
        assert (await terminal.until("SMS Ready\r\n")).startswith(b"\r\nOK\r\n\r\n+CPIN: SIM PIN\r\n")
    modem.close()


async def test_unplugged_in_the_air_the_phone_has_the_message_and_the_port_is_gone(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    modem.change(next_sends=["unplug"])
    await terminal.submit(PDU)
    await terminal.hang_up()

    assert phone.received == 1
    assert modem.path is None


async def test_pulling_the_plug_loses_what_is_in_the_air(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    modem.change(air=0.05)
    await terminal.submit(PDU)
    await taken(modem, len(PDU) + 1)
    modem.unplug()
    await terminal.hang_up()
    with Terminal(modem.plug()) as again:
        assert await seconds_of(again.send("another")) >= 0.05  # by now the first one would have landed

    assert [message.text for message in phone.messages] == ["another"]


async def test_an_unplugged_modem_can_neither_be_reset_nor_reached(modem: SimulatedModem) -> None:
    modem.unplug()
    with pytest.raises(Unplugged):
        modem.reset()
    with pytest.raises(Unplugged):
        modem.deliver("+6281100000000", "Halo")


async def test_a_silent_modem_does_nothing_until_it_speaks_again(terminal: Terminal, modem: SimulatedModem) -> None:
    before = modem.counters.commands
    modem.change(silent=True)
    terminal.type(b"AT+CSQ\r")
    await taken(modem, len("AT+CSQ\r"))
    modem.change(silent=False)

    assert await terminal.whole("AT+CMGF?") == "\r\n+CMGF: 0\r\n\r\nOK\r\n"
    assert modem.counters.commands == before + 1


async def test_a_modem_falling_silent_in_the_air_still_sends(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    modem.change(air=0.02)
    await terminal.submit(PDU)
    await taken(modem, len(PDU) + 1)
    modem.change(silent=True)
    await phone.wait_for(lambda _: True, within=5)
    modem.change(silent=False)

    assert await terminal.whole("AT") == "\r\nOK\r\n"


async def test_noise_stands_before_answers_and_prompt(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(noise=16)
    terminal.type(b"AT\r")
    answer = await terminal.until("\r\nOK\r\n")
    assert len(answer) == 16 + len("\r\nOK\r\n")
    terminal.type(b"AT+CMGS=20\r")

    assert len(await terminal.until("\r\n> ")) == 16 + len("\r\n> ")


async def test_a_storm_rages_between_and_within_answers(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(storm=0.001)
    await terminal.until("^RSSI: 18\r\n")
    await terminal.until("^BOOT: 41285164,0,0,0,75\r\n")
    terminal.type(b"AT+CGSN\r")
    answer = (await terminal.until(FINAL)).decode()
    within = answer[answer.index("004401010000012") :].splitlines()
    assert len(within) >= 5  # IMEI, empty, unsolicited, empty, OK
    modem.change(storm=0.0)
    await terminal.whole("AT")

    assert await terminal.whole("AT") == "\r\nOK\r\n"


async def test_answers_come_in_pieces(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(split=5)
    terminal.pieces.clear()
    assert await terminal.whole("AT+CGSN") == "\r\n004401010000012\r\n\r\nOK\r\n"

    assert terminal.pieces[0] == b"\r\n004"
    assert len(terminal.pieces) > 1


async def test_the_echo_may_be_stuck(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(echo_stuck=True)

    assert await terminal.whole("ATE0") == "ATE0\r\r\nOK\r\n"
    assert await terminal.whole("AT") == "AT\r\r\nOK\r\n"


async def test_nobody_reading_costs_output_not_memory(modem: SimulatedModem) -> None:
    assert modem.path is not None
    with Terminal(modem.path) as terminal:
        asyncio.get_running_loop().remove_reader(terminal._descriptor)
        async with asyncio.timeout(10):
            while modem.counters.octets_dropped == 0:
                with contextlib.suppress(BlockingIOError):  # the modem has not read the last ones yet
                    terminal.type(b"ATI\r" * 200)
                await asyncio.sleep(0)

    assert modem._port is not None
    assert len(modem._port._output) <= 64 * 1024


async def test_two_runs_misbehave_alike(phone: Phone) -> None:
    noises = []
    for _ in range(2):
        modem = SimulatedModem(identity_of(1), phone)
        modem.change(noise=32)
        with Terminal(modem.plug()) as terminal:
            terminal.type(b"AT\r")
            noises.append(await terminal.until("\r\nOK\r\n"))
        modem.close()

    assert noises[0] == noises[1]
