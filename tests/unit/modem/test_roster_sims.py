"""A modem is its SIM before its stick: it takes its route along, and nothing is sent by another one."""

import asyncio

from usb_house import Stick, UsbHouse, iccid, imsi, section

from otpbroker.events import ModemState
from otpbroker.modem.assignment import SIM_CHANGED, SIM_MOVED
from virtual_run import in_virtual_time


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
