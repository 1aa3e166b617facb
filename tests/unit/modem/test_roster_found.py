"""What is plugged in and configured by nobody: shown with all it tells, and opened only if it is a modem."""

import asyncio

import pytest
from usb_house import Stick, UsbHouse, iccid, imsi, section

from otpbroker.events import ModemState
from virtual_run import in_virtual_time


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
