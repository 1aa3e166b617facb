"""Who is asked who it is, in which order, how often, and who is never asked."""

import asyncio

from modem_desk import Late
from usb_house import Stick, UsbHouse, iccid, section

from otpbroker.events import ModemState
from virtual_run import in_virtual_time, now


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
