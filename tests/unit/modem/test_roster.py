"""Modems are found again wherever they are plugged in: by SIM, by stick, by socket, never by ttyUSBn."""

import asyncio
import random

import pytest
from modem_desk import Late, message
from usb_house import Stick, UsbHouse, iccid, imsi, section

from otpbroker.events import ModemState
from otpbroker.modem.assignment import SIM_CHANGED, SIM_MOVED
from otpbroker.sms.submission import Sent
from virtual_run import in_virtual_time, now


@pytest.mark.parametrize("identity", ["iccid", "imsi", "imei", "usb"])
@in_virtual_time
async def test_a_modem_is_found_by_whatever_it_is_configured_by(identity: str) -> None:
    house = UsbHouse()
    port = house.plug("1-1.2", Stick(1))
    named = {"iccid": iccid(1), "imsi": imsi(1), "imei": Stick(1).imei, "usb": "1-1.2"}[identity]
    async with house.running(section("a", **{identity: named})):
        await house.ready("a")
        status = house["a"].status
        assert (status.port, status.usb, status.notes) == (port, "1-1.2", ())
        assert house.fleet.found == ()
    assert set(house.opened) == {port}, "diagnostics, GPS and the second port are left alone"


@in_virtual_time
async def test_replugged_it_sends_again_within_moments_whatever_its_number_is_now() -> None:
    house = UsbHouse()
    first = house.plug("1-1.2", Stick(1))
    other = Stick(2)
    async with house.running(section("a", iccid=iccid(1))):
        await house.ready("a")
        for _ in range(5):
            stick = house.wires[house["a"].status.port]
            house.unplug("1-1.2")
            await house.until(lambda: not house["a"].ready)
            await asyncio.sleep(1)
            house.plug("1-1.4", other)  # takes its numbers
            await asyncio.sleep(1)
            port = house.plug("1-1.2", stick)
            assert port != first
            assert await house.ready("a") < 1
            assert house["a"].status.port == port
            assert isinstance(await house["a"].send(message(), more=False), Sent)
            house.unplug("1-1.4")


@in_virtual_time
async def test_in_another_socket_it_is_the_same_modem() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1))
    async with house.running(section("a", imei=Stick(1).imei, usb="1-1.2")):
        await house.ready("a")
        port = house.move("1-1.2", to="1-1.4")
        await house.until(lambda: house["a"].status.usb == "1-1.4")
        await house.ready("a")
        assert (house["a"].status.port, house["a"].status.notes) == (port, ())


@in_virtual_time
async def test_two_sticks_of_one_model_without_serial_keep_apart() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1))
    house.plug("1-1.3", Stick(2))
    async with house.running(section("a", imei=Stick(1).imei), section("b", imei=Stick(2).imei)):
        await house.ready("a", "b")
        assert (house["a"].status.usb, house["b"].status.usb) == ("1-1.2", "1-1.3")
        first, second = house.wires[house["a"].status.port], house.wires[house["b"].status.port]
        house.unplug("1-1.2")
        house.unplug("1-1.3")
        await house.until(lambda: not house["a"].ready and not house["b"].ready)
        house.plug("1-1.2", second)
        house.plug("1-1.3", first)
        await house.ready("a", "b")
        assert (house["a"].status.usb, house["b"].status.usb) == ("1-1.3", "1-1.2")


@in_virtual_time
async def test_sticks_with_one_and_the_same_imei_are_told_apart_by_their_sockets() -> None:
    house = UsbHouse()
    twin = Stick(1).imei
    house.plug("1-1.3", Stick(1, sim=3))
    async with house.running(section("a", imei=twin, usb="1-1.2"), section("b", imei=twin, usb="1-1.3")):
        await house.ready("b")
        house.plug("1-1.2", Stick(1, sim=2))
        await house.ready("a", "b")
        assert (house["a"].status.iccid, house["b"].status.iccid) == (iccid(2), iccid(3))


@in_virtual_time
async def test_sims_that_change_places_take_their_routes_along() -> None:
    house = UsbHouse()
    first, second = Stick(1), Stick(2)
    house.plug("1-1.2", first)
    house.plug("1-1.3", second)
    sections = (section("a", iccid=iccid(1), imei=first.imei), section("b", iccid=iccid(2), imei=second.imei))
    async with house.running(*sections):
        await house.ready("a", "b")
        house.unplug("1-1.2")
        house.unplug("1-1.3")
        await house.until(lambda: not house["a"].ready and not house["b"].ready)
        first.put_in(2)
        second.put_in(1)
        house.plug("1-1.2", first)
        house.plug("1-1.3", second)
        await house.ready("a", "b")
        assert (house["a"].status.iccid, house["a"].status.imei) == (iccid(1), second.imei)
        assert (house["b"].status.iccid, house["b"].status.imei) == (iccid(2), first.imei)
        assert house["a"].status.notes == house["b"].status.notes == (SIM_MOVED,)


@in_virtual_time
async def test_a_note_on_a_place_goes_with_its_reason() -> None:
    house = UsbHouse()
    stick = Stick(2, sim=1)
    house.plug("1-1.2", stick)
    wanted = section("a", iccid=iccid(1), imei=Stick(1).imei)
    async with house.running(wanted):
        await house.ready("a")
        assert house["a"].status.notes == (SIM_MOVED,)
        await house.fleet.apply([section("a", iccid=iccid(1), imei=stick.imei)])
        await house.ready("a")
        assert house["a"].status.notes == ()


@in_virtual_time
async def test_nothing_is_sent_by_another_sim_than_the_configured_one() -> None:
    house = UsbHouse()
    stick = Stick(1, sim=9)
    house.plug("1-1.2", stick)
    async with house.running(section("a", iccid=iccid(1), imei=stick.imei)):
        await house.absent("a")
        await asyncio.sleep(300)
        status = house["a"].status
        assert (status.state, status.notes) == (ModemState.ABSENT, (SIM_CHANGED,))
        assert status.detail.startswith("the modem in USB socket 1-1.2 has another SIM, ...0009")
        assert (house.found["1-1.2"].iccid, house.found["1-1.2"].trouble) == (iccid(9), "")
        assert stick.pdus == []
        await house.fleet.apply([section("a", iccid=iccid(9), imei=stick.imei)])
        await house.ready("a")
        assert house["a"].status.notes == ()
        assert house.found == {}


@in_virtual_time
async def test_a_sim_exchanged_without_unplugging_is_noticed_before_the_next_message() -> None:
    house = UsbHouse()
    stick = Stick(1)
    port = house.plug("1-1.2", stick)
    async with house.running(section("a", iccid=iccid(1), imei=stick.imei)):
        await house.ready("a")
        stick.put_in(9)
        stick.say("\r\n+CPIN: NOT READY\r\n")
        await house.until(lambda: house["a"].status.notes == (SIM_CHANGED,))
        assert not house["a"].ready
        await house.until(lambda: "1-1.2" in house.found)
        assert (house.found["1-1.2"].iccid, house.found["1-1.2"].imsi) == (iccid(9), imsi(9))
        assert house.opened == [port] * 3, "asked, used, and asked again when it was given back"
        house.unplug("1-1.2")
        stick.put_in(1)
        house.plug("1-1.2", stick)
        await house.ready("a")
        assert house["a"].status.notes == ()


@in_virtual_time
async def test_the_pin_is_not_given_to_another_sim() -> None:
    house = UsbHouse()
    stick = Stick(1, sim=9)
    stick.lock()
    house.plug("1-1.2", stick)
    async with house.running(section("a", iccid=iccid(1), imei=stick.imei, pin="1234")):
        await house.until(lambda: house["a"].status.notes == (SIM_CHANGED,))
        await asyncio.sleep(300)
    assert not [line for line in stick.lines if line.startswith("AT+CPIN=")]


@in_virtual_time
async def test_the_pin_is_not_given_to_a_sim_that_was_put_in_without_unplugging() -> None:
    house = UsbHouse()
    stick = Stick(1)
    house.plug("1-1.2", stick)
    async with house.running(section("a", iccid=iccid(1), imei=stick.imei, pin="1234")):
        await house.ready("a")
        stick.put_in(9)
        stick.lock()
        stick.say("\r\n+CPIN: SIM PIN\r\n")
        await house.until(lambda: house["a"].status.notes == (SIM_CHANGED,))
        await asyncio.sleep(300)
    assert not [line for line in stick.lines if line.startswith("AT+CPIN=")]


@in_virtual_time
async def test_a_locked_sim_that_hides_its_number_is_looked_for_in_its_stick() -> None:
    house = UsbHouse()
    stick = Stick(1)
    stick.lock(hides_iccid=True)
    house.plug("1-1.2", stick)
    house.plug("1-1.3", Stick(2))
    async with house.running(section("a", iccid=iccid(1), imei=stick.imei, pin="1234")):
        await house.ready("a")
        assert house["a"].status.usb == "1-1.2"
    assert stick.lines.count('AT+CPIN="1234"') == 1


@in_virtual_time
async def test_a_stick_without_its_sim_says_so_until_the_sim_is_found_in_another_one() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1, sim=0))
    async with house.running(section("a", iccid=iccid(1), imei=Stick(1).imei)):
        await house.until(lambda: house["a"].status.state is ModemState.BLOCKED)
        assert house["a"].status.detail.startswith("there is no SIM")
        await asyncio.sleep(300)
        house.plug("1-1.3", Stick(2, sim=1))
        assert await house.ready("a") < 1
        assert (house["a"].status.usb, house["a"].status.notes) == ("1-1.3", (SIM_MOVED,))
        await house.until(lambda: "1-1.2" in house.found)
        assert house.found["1-1.2"].trouble == "sim-absent"


@in_virtual_time
async def test_what_nobody_has_configured_is_found_with_all_it_tells() -> None:
    house = UsbHouse()
    stick = Stick(1)
    port = house.plug("1-1.2", stick)
    async with house.running():
        assert await house.until(lambda: "1-1.2" in house.found and bool(house.found["1-1.2"].operator)) < 1
        found = house.found["1-1.2"]
        assert (found.kind, found.trouble, found.port, found.family) == ("modem", "", port, "quectel")
        assert (found.manufacturer, found.model, found.revision) == ("ACME", "M1", "1.0")
        assert (found.imei, found.imsi, found.iccid) == (stick.imei, imsi(1), iccid(1))
        assert (found.msisdn, found.operator, found.smsc) == ("+628111111111", "XL", "+62816124")
        assert not stick.open
        house.unplug("1-1.2")
        assert house.found == {}
    assert not [line for line in stick.lines if line.startswith(("AT+CPIN=", "AT+CFUN=", "AT+CNMI", "AT+CMG"))]


@in_virtual_time
async def test_activated_it_starts_and_is_none_of_the_found_any_more() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1))
    async with house.running():
        await house.until(lambda: "1-1.2" in house.found)
        found = house.found["1-1.2"]
        await house.fleet.apply([section("new", imei=found.imei, iccid=found.iccid)])
        assert house.found == {}
        assert await house.ready("new") < 1
        await house.fleet.apply([])
        await house.until(lambda: "1-1.2" in house.found)


@in_virtual_time
async def test_a_modem_that_is_switched_off_is_configured_all_the_same() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1))
    async with house.running(section("a", imei=Stick(1).imei, active=False)):
        await asyncio.sleep(60)
        assert house.found == {}
        assert house["a"].status.state is ModemState.INACTIVE


@pytest.mark.parametrize(
    ("stick", "trouble"),
    [(Stick(1, sim=0), "sim-absent"), (Stick(2, **{"AT+CPIN?": "+CPIN: SIM PUK\r\nOK"}), "sim-blocked")],
)
@in_virtual_time
async def test_what_stands_in_the_way_of_a_found_modem_is_told(stick: Stick, trouble: str) -> None:
    if trouble == "sim-blocked":
        stick.answers["AT+CPIN?"] = "+CPIN: SIM PUK\r\nOK"
    house = UsbHouse()
    house.plug("1-1.2", stick)
    async with house.running():
        await house.until(lambda: "1-1.2" in house.found)
        assert (house.found["1-1.2"].trouble, house.found["1-1.2"].imei) == (trouble, stick.imei)


@in_virtual_time
async def test_a_locked_stick_is_found_and_keeps_its_tries() -> None:
    house = UsbHouse()
    stick = Stick(1)
    stick.lock()
    house.plug("1-1.2", stick)
    async with house.running():
        await house.until(lambda: "1-1.2" in house.found)
        found = house.found["1-1.2"]
        assert (found.trouble, found.iccid, found.imsi) == ("sim-locked", iccid(1), "")
    assert not [line for line in stick.lines if line.startswith("AT+CPIN=")]


@in_virtual_time
async def test_the_operator_of_a_modem_that_was_just_plugged_in_is_waited_for() -> None:
    house = UsbHouse()
    stick = Stick(1)
    stick.answers |= {"AT+COPS?": "+COPS: 0\r\nOK", "AT+CREG?": "+CREG: 1,2\r\nOK"}
    house.plug("1-1.2", stick)
    async with house.running():
        await house.until(lambda: "1-1.2" in house.found)
        assert house.found["1-1.2"].operator == ""
        await asyncio.sleep(8)
        stick.answers["AT+COPS?"] = '+COPS: 0,0,"XL",7\r\nOK'
        stick.say("\r\n+CREG: 1\r\n")
        assert await house.until(lambda: house.found["1-1.2"].operator == "XL") < 0.1


@in_virtual_time
async def test_a_modem_is_given_to_who_wants_it_while_it_is_still_being_asked() -> None:
    house = UsbHouse()
    stick = Stick(1)
    stick.answers |= {"AT+COPS?": "+COPS: 0\r\nOK", "AT+CREG?": "+CREG: 1,2\r\nOK"}
    house.plug("1-1.2", stick)
    async with house.running():
        await house.until(lambda: "1-1.2" in house.found)
        await asyncio.sleep(2)
        stick.answers["AT+CREG?"] = "+CREG: 1,1\r\nOK"
        assert stick.open
        await house.fleet.apply([section("a", iccid=iccid(1))])
        assert await house.ready("a") < 0.5


@in_virtual_time
async def test_a_sim_that_was_put_in_is_seen_when_all_are_asked_again() -> None:
    house = UsbHouse()
    stick = Stick(1, sim=0)
    house.plug("1-1.2", stick)
    async with house.running():
        await house.until(lambda: "1-1.2" in house.found)
        await asyncio.sleep(1)
        stick.put_in(7)
        house.fleet.ask_again()
        await house.until(lambda: "1-1.2" in house.found and house.found["1-1.2"].iccid == iccid(7))
        assert house.found["1-1.2"].trouble == ""


@in_virtual_time
async def test_a_sim_that_is_still_being_read_is_waited_for() -> None:
    house = UsbHouse()
    stick = Stick(1)
    readable = dict(stick.answers)
    stick.answers |= {"AT+CPIN?": "+CME ERROR: 14", "AT+CCID": "+CME ERROR: 14", "AT+CIMI": "+CME ERROR: 14"}
    house.plug("1-1.2", stick)
    async with house.running(section("a", iccid=iccid(1))):
        await asyncio.sleep(7)
        stick.answers = readable
        stick.say("\r\n+CPIN: READY\r\n")
        assert await house.ready("a") < 0.5


@in_virtual_time
async def test_a_modem_whose_sim_is_never_ready_is_given_to_its_stick() -> None:
    house = UsbHouse()
    stick = Stick(1, **{"AT+CPIN?": "+CME ERROR: 14"})
    stick.answers |= {"AT+CPIN?": "+CME ERROR: 14", "AT+CCID": "ERROR"}
    house.plug("1-1.2", stick)
    async with house.running(section("a", iccid=iccid(1), imei=stick.imei)):
        await house.until(lambda: house["a"].status.detail == "the SIM is not ready yet")
        assert house["a"].status.usb == "1-1.2"


@in_virtual_time
async def test_a_modem_that_falls_silent_while_it_is_asked_is_asked_again() -> None:
    house = UsbHouse()
    stick = Stick(1, **{"AT+CPIN?": None, "AT": "OK"})
    stick.answers |= {"AT+CPIN?": None}
    house.plug("1-1.2", stick)
    async with house.running(section("a", iccid=iccid(1))):
        await asyncio.sleep(5)
        stick.answers["AT"] = None
        await asyncio.sleep(60)
        assert house.opened.count("/dev/ttyUSB2") > 2
        stick.answers |= {"AT": "OK", "AT+CPIN?": "+CPIN: READY\r\nOK"}
        await house.ready("a")


@in_virtual_time
async def test_huawei_is_silenced_before_anything_else_is_asked() -> None:
    house = UsbHouse()
    stick = Stick(1)
    house.plug("1-1.2", stick, ids="12d1:1001")
    async with house.running():
        await house.until(lambda: "1-1.2" in house.found)
    assert stick.lines[:3] == ["AT", "AT^CURC=0", "ATE0"]
    assert not [line for line in stick.lines if "GETPORTMODE" in line]


@in_virtual_time
async def test_an_adapter_of_a_modem_that_is_switched_off_is_left_alone() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1), ids="0403:6001", at=0, ports=1)
    async with house.running(section("a", usb="1-1.2", active=False)):
        await asyncio.sleep(60)
        assert house.found == {}
    assert house.opened == []


@in_virtual_time
async def test_what_may_be_anything_is_shown_and_not_opened() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1), ids="0403:6001", at=0, ports=1)
    house.plug("1-1.3", Stick(2), ids="2341:0043", at=0, ports=1)
    async with house.running(section("b", imei=Stick(1).imei)):
        await house.absent("b")
        await asyncio.sleep(300)
        assert [(found.socket, found.kind, found.trouble) for found in house.fleet.found] == [
            ("1-1.2", "adapter", "adapter"),
            ("1-1.3", "unknown", "unknown"),
        ]
    assert house.opened == []


@in_virtual_time
async def test_an_adapter_is_opened_when_a_modem_names_its_socket() -> None:
    house = UsbHouse()
    port = house.plug("1-1.2", Stick(1), ids="0403:6001", at=0, ports=1)
    async with house.running(section("a", usb="1-1.2")):
        await house.ready("a")
        assert house["a"].status.port == port
        assert house.found == {}


@pytest.mark.parametrize(
    ("ids", "said"),
    [("12d1:14dc", "HiLink mode"), ("12d1:1f01", "shows itself as a drive")],
)
@in_virtual_time
async def test_a_stick_in_another_mode_is_told_of(ids: str, said: str) -> None:
    house = UsbHouse()
    house.plug("1-1.2", None, ids=ids, ports=0)
    async with house.running(section("a", iccid=iccid(1)), section("b", usb="1-1.2")):
        await house.until(lambda: said in house["a"].status.detail and said in house["b"].status.detail)
        assert house["a"].status.state is ModemState.ABSENT
        assert house.found["1-1.2"].trouble in {"hilink", "storage"}
    assert house.opened == []


@in_virtual_time
async def test_what_is_looked_for_is_said_once_all_were_asked() -> None:
    house = UsbHouse()
    house.plug("1-1.2", None)
    async with house.running(
        section("a", iccid=iccid(1)), section("b", imei=Stick(1).imei), section("c", usb="1-1.9")
    ):
        await asyncio.sleep(1)
        assert {house[each].status.state for each in "abc"} == {ModemState.STARTING}
        await asyncio.sleep(10)
        assert house["a"].status.detail == "no modem has the SIM ...0001 (plug the modem in)"
        assert house["b"].status.detail == "no modem has the IMEI ...0010 (plug the modem in)"
        assert house["c"].status.detail == "no modem is in USB socket 1-1.9 (plug the modem in)"
        assert house["c"].status.state is ModemState.ABSENT


@in_virtual_time
async def test_another_modem_in_the_right_socket_is_not_the_one() -> None:
    house = UsbHouse()
    stick = Stick(2)
    house.plug("1-1.2", stick)
    async with house.running(section("a", usb="1-1.2", imei=Stick(1).imei)):
        await house.absent("a")
        assert house["a"].status.detail.startswith(f"USB socket 1-1.2 has another modem, IMEI ...{stick.imei[-4:]}")


@in_virtual_time
async def test_the_sim_decides_before_the_stick_whichever_is_configured_first() -> None:
    house = UsbHouse()
    stick = Stick(1, sim=5)
    house.plug("1-1.2", stick)
    async with house.running(section("by-stick", imei=stick.imei)):
        await house.ready("by-stick")
        await house.fleet.apply([section("by-stick", imei=stick.imei), section("by-sim", iccid=iccid(5))])
        await house.ready("by-sim")
        assert not house["by-stick"].ready
        assert house["by-stick"].status.detail.startswith("modem by-sim uses what is in USB socket 1-1.2")


@in_virtual_time
async def test_a_hanging_stick_holds_up_nobody() -> None:
    house = UsbHouse()
    house.plug("1-1.1", None)
    dead = house.plug("1-1.2", None)
    house.hangs.add(dead)
    house.plug("1-1.3", Stick(3))
    house.plug("1-1.4", Stick(4))
    async with house.running(section("c", iccid=iccid(3)), section("d", imei=Stick(4).imei)):
        assert await house.ready("c", "d") < 1


@in_virtual_time
async def test_a_modem_that_does_not_answer_is_asked_again_less_and_less_often() -> None:
    house = UsbHouse()
    port = house.plug("1-1.2", None)
    async with house.running():
        await asyncio.sleep(3600)
        assert house.found["1-1.2"].trouble == "silent"
        assert 40 < house.opened.count(port) < 75
        house.wires[port] = stick = Stick(1)  # awake at last
        await house.until(lambda: house.found["1-1.2"].imei == stick.imei, seconds=80)


@in_virtual_time
async def test_unplugged_while_it_is_asked_it_is_forgotten() -> None:
    house = UsbHouse()
    stick = Stick(1, **{"AT+CGMM": None})
    house.plug("1-1.2", stick)
    async with house.running():
        await asyncio.sleep(1)
        assert stick.open
        house.unplug("1-1.2")
        await asyncio.sleep(1)
        assert not stick.open
        assert house.found == {}
        stick.answers["AT+CGMM"] = "M1\r\nOK"
        house.plug("1-1.3", stick)
        await house.until(lambda: "1-1.3" in house.found)


@in_virtual_time
async def test_ports_that_run_are_never_asked() -> None:
    house = UsbHouse()
    port = house.plug("1-1.2", Stick(1))
    async with house.running(section("a", imei=Stick(1).imei), section("b", iccid=iccid(2))):
        await house.ready("a")
        before = house.opened.count(port)
        house.plug("1-1.3", Stick(3))
        house.fleet.ask_again()
        await asyncio.sleep(300)
        assert house["a"].ready
        assert house.opened.count(port) == before
        assert all(other not in house.opened for other in ("/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyUSB3"))


@in_virtual_time
async def test_a_stick_whose_port_is_configured_by_its_path_is_not_asked() -> None:
    house = UsbHouse()
    port = house.plug("1-1.2", Stick(1))
    async with house.running(section("a", port=port)):
        await house.ready("a")
        assert house.opened == [port]
        assert house["a"].status.usb == "1-1.2"
        assert house.found == {}


@in_virtual_time
async def test_a_path_is_opened_as_soon_as_it_is_there() -> None:
    house = UsbHouse()
    async with house.running(section("a", port="/dev/ttyUSB2")):
        await house.absent("a")
        await asyncio.sleep(100)
        house.plug("1-1.2", Stick(1))
        assert await house.ready("a") < 1


@in_virtual_time
async def test_a_configured_path_with_another_sim_sends_nothing() -> None:
    house = UsbHouse()
    stick = Stick(1, sim=9)
    port = house.plug("1-1.2", stick)
    async with house.running(section("a", port=port, iccid=iccid(1))):
        await house.absent("a")
        assert house["a"].status.detail.startswith(f"{port} has another modem or SIM than the configured one")
        await asyncio.sleep(100)
        assert not house["a"].ready
        stick.put_in(1)
        await house.ready("a")


@in_virtual_time
async def test_a_lost_modem_that_is_still_there_is_opened_again() -> None:
    house = UsbHouse()
    port = house.plug("1-1.2", Stick(1))
    async with house.running(section("a", imei=Stick(1).imei)):
        await house.ready("a")
        stick = house.wires[port]
        assert stick is not None
        stick.hang_up()
        await house.until(lambda: not house["a"].ready)
        assert 0.3 < await house.ready("a") < 2


@in_virtual_time
async def test_an_unplugged_modem_is_hoped_for_a_while_and_then_absent() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1))
    async with house.running(section("a", imei=Stick(1).imei)):
        await house.ready("a")
        house.unplug("1-1.2")
        await house.until(lambda: not house["a"].ready)
        await asyncio.sleep(1)
        assert house["a"].recovering
        await asyncio.sleep(30)
        status = house["a"].status
        assert (status.state, status.usb, status.port) == (ModemState.ABSENT, "", "")
        assert not house["a"].recovering


@in_virtual_time
async def test_a_predecessors_answer_is_heard_before_anybody_is_asked() -> None:
    late = Late("a")
    house = UsbHouse(late)
    stick = Stick(1)
    stick.imei = "356938035643809"
    stick.answers["AT+CGSN"] = f"{stick.imei}\r\nOK"
    port = house.plug("1-1.2", stick)
    async with house.running(section("a", imei=stick.imei)):
        await asyncio.sleep(0.3)
        assert (house.opened, stick.lines) == ([port], [])
        stick.say("\r\n+CMGS: 7\r\n\r\nOK\r\n")
        await house.ready("a")
    assert late.told[0] == 7


@in_virtual_time
async def test_nobody_is_asked_while_the_fleet_stops() -> None:
    house = UsbHouse()
    port = house.plug("1-1.2", Stick(1))
    async with house.running(section("a", imei=Stick(1).imei)):
        await house.ready("a")
        before = house.opened.count(port)
        began = now()
        await house.fleet.stop()
        await asyncio.sleep(10)
        assert house.opened.count(port) == before
        assert now() - began < 11


@pytest.mark.parametrize("seed", range(8))
@in_virtual_time
async def test_after_any_plugging_each_message_leaves_by_the_sim_that_its_modem_names(seed: int) -> None:
    """Sticks come, go, move and exchange their SIMs at any moment; PINs and hidden numbers among them."""
    dice = random.Random(seed)
    house = UsbHouse()
    sticks = [Stick(number) for number in range(1, 7)]
    sections = [
        section("a", iccid=iccid(1), imei=sticks[0].imei),
        section("b", iccid=iccid(2)),
        section("c", imsi=imsi(3), usb="1-1.3"),
        section("d", iccid=iccid(4), imsi=imsi(4), imei=sticks[3].imei, usb="1-1.4"),
    ]
    sockets = [f"1-1.{number}" for number in range(1, 7)]
    sims = {stick: number for number, stick in enumerate(sticks, 1)}
    where: dict[Stick, str] = {}
    async with house.running(*sections):
        for _ in range(200):
            stick = dice.choice(sticks)
            if stick in where:
                house.unplug(where.pop(stick))
                if dice.random() < 0.3:
                    other = dice.choice([each for each in sticks if each not in where])
                    sims[stick], sims[other] = sims[other], sims[stick]
                    for each in (stick, other):
                        each.put_in(sims[each])
            else:
                where[stick] = dice.choice([socket for socket in sockets if socket not in where.values()])
                house.plug(where[stick], stick)
            await asyncio.sleep(dice.choice([0.0, 0.01, 0.1, 0.5, 2.0, 8.0]))
            for number, sender in enumerate(house.fleet.senders, 1):
                if sender.ready:
                    before = {each: len(each.sent_by) for each in sticks}
                    await sender.send(message(), more=False)
                    assert {sim for each in sticks for sim in each.sent_by[before[each] :]} <= {number}
        await asyncio.sleep(30)
        for number, wanted in enumerate(sections, 1):
            (holder,) = [stick for stick in sticks if sims[stick] == number]
            assert house[wanted.id].ready == (holder in where), house[wanted.id].status
            if holder in where:
                assert house[wanted.id].status.usb == where[holder]
        configured = {where[stick] for stick in where if sims[stick] <= len(sections)}
        assert house.found.keys() == set(where.values()) - configured
    assert sum(len(stick.sent_by) for stick in sticks) > 50
