"""The page Modems by HTTP: what is found is activated, what is configured is changed, and nothing else of it."""

from dataclasses import replace

import pytest
from pydantic import SecretStr
from site_device import Device, Visitor
from site_fakes import MODEMS

from otpbroker.config.model import ModemSection
from otpbroker.events import FoundModem, ModemState

FOUND = FoundModem(
    socket="1-1.2",
    kind="modem",
    port="/dev/ttyUSB2",
    family="quectel",
    manufacturer="Quectel",
    model="EC25",
    revision="EC25EFAR06A01M4G",
    imei="356938035643809",
    imsi="510101234567890",
    iccid="8962100000000000017",
    msisdn="+628111111111",
    operator="TELKOMSEL",
    smsc="+6281100000",
)
CONFIGURED = ModemSection(
    id="m1",
    name="Telkomsel",
    imei=FOUND.imei,
    iccid=FOUND.iccid,
    prefixes=("62811",),
    pin=SecretStr("4711"),
    baud_rate=9600,
    smsc="+62811000",
)
FORM = {"id": "shop-1", "name": "Shop", "prefixes": "62811, +62812 62813", "default": "on", "active": "on"}
WHO = {"imei": FOUND.imei, "iccid": FOUND.iccid}


@pytest.fixture
def with_modem(device: Device) -> Device:
    device.store.config = device.store.config.model_copy(update={"modems": (CONFIGURED,)})
    return device


class TestActivation:
    async def test_what_was_found_is_shown_with_all_that_it_told(self, device: Device, owner: Visitor) -> None:
        device.plugged.found = (FOUND,)
        page = (await owner.get("/modems")).text
        for told in ("Quectel EC25", FOUND.imei, FOUND.imsi, FOUND.iccid, FOUND.msisdn, "TELKOMSEL", FOUND.smsc):
            assert told in page
        assert "/modems/found/1-1.2" in page

    async def test_the_form_is_prefilled(self, device: Device, owner: Visitor) -> None:
        device.plugged.found = (FOUND,)
        page = (await owner.get("/modems/found/1-1.2")).text
        assert 'name="id" type="text" value="telkomsel-1"' in page
        assert 'name="name" type="text" value="TELKOMSEL"' in page
        assert 'name="default" checked' in page
        assert 'name="send_from_api" checked' in page

    async def test_it_becomes_a_modem_that_is_found_by_sim_and_stick(self, device: Device, owner: Visitor) -> None:
        device.plugged.found = (FOUND,)
        answer = await owner.post("/modems/found/1-1.2", FORM | WHO)
        assert (answer.status, answer.location) == (303, "/")
        (modem,) = device.store.config.modems
        assert modem == ModemSection(
            id="shop-1",
            name="Shop",
            iccid=FOUND.iccid,
            imei=FOUND.imei,
            prefixes=("62811", "62812", "62813"),
            default=True,
            send_from_api=False,
        )
        assert device.store.changed_by == ["siti"]

    async def test_a_locked_sim_that_hides_its_number_is_told_by_stick_and_socket(
        self, device: Device, owner: Visitor
    ) -> None:
        device.plugged.found = (replace(FOUND, iccid="", imsi="", trouble="sim-locked"),)
        await owner.post("/modems/found/1-1.2", FORM | {"imei": FOUND.imei, "iccid": "", "pin": "1234"})
        (modem,) = device.store.config.modems
        assert (modem.iccid, modem.imsi, modem.imei, modem.usb) == (None, None, FOUND.imei, "1-1.2")
        assert modem.pin == SecretStr("1234")

    async def test_a_sim_without_iccid_is_told_by_its_imsi(self, device: Device, owner: Visitor) -> None:
        device.plugged.found = (replace(FOUND, iccid=""),)
        await owner.post("/modems/found/1-1.2", FORM | {"imei": FOUND.imei, "iccid": ""})
        (modem,) = device.store.config.modems
        assert (modem.iccid, modem.imsi, modem.usb) == (None, FOUND.imsi, None)

    async def test_an_adapter_is_told_by_its_socket_alone(self, device: Device, owner: Visitor) -> None:
        device.plugged.found = (FoundModem("1-1.4", "adapter", "adapter", manufacturer="FTDI"),)
        assert "Go on only if it is a modem" in (await owner.get("/modems/found/1-1.4")).text
        await owner.post("/modems/found/1-1.4", FORM | {"imei": "", "iccid": ""})
        (modem,) = device.store.config.modems
        assert (modem.usb, modem.imei, modem.iccid, modem.port) == ("1-1.4", None, None, None)

    @pytest.mark.parametrize("trouble", ["hilink", "storage", "silent", "busy", "sim-absent", "sim-blocked"])
    async def test_what_can_not_be_used_has_a_remedy_and_no_form(
        self, device: Device, owner: Visitor, trouble: str
    ) -> None:
        kind = trouble if trouble in {"hilink", "storage"} else "modem"
        device.plugged.found = (replace(FOUND, kind=kind, trouble=trouble),)
        page = (await owner.get("/modems")).text
        assert 'class="notice mild"' in page
        assert "/modems/found/" not in page

    async def test_another_device_in_the_socket_is_not_taken_for_it(self, device: Device, owner: Visitor) -> None:
        device.plugged.found = (replace(FOUND, iccid="8962100000000000099"),)
        answer = await owner.post("/modems/found/1-1.2", FORM | WHO)
        assert answer.status == 400
        assert "has another SIM now" in answer.text
        device.plugged.found = ()
        assert (await owner.post("/modems/found/1-1.2", FORM | WHO)).status == 400
        assert device.store.config.modems == ()

    @pytest.mark.parametrize(
        ("field", "value", "said"),
        [
            ("id", "m1", "There is a modem with this name already."),
            ("id", "two words", "begin with a letter or digit"),
            ("id", "", "begin with a letter or digit"),
            ("prefixes", "62811, abc", "Write the beginnings of numbers"),
            ("pin", "12", "A PIN has 4 to 8 digits."),
            ("pin", "12345a", "A PIN has 4 to 8 digits."),
            ("name", "x" * 65, "Use at most 64 characters."),
        ],
    )
    async def test_mistakes_are_marked_and_nothing_is_written(
        self, with_modem: Device, owner: Visitor, field: str, value: str, said: str
    ) -> None:
        with_modem.plugged.found = (replace(FOUND, iccid="8962100000000000099", imei="490154203237518"),)
        who = {"imei": "490154203237518", "iccid": "8962100000000000099"}
        answer = await owner.post("/modems/found/1-1.2", FORM | who | {field: value})
        assert answer.status == 422
        assert said in answer.text
        assert with_modem.store.config.modems == (CONFIGURED,)

    async def test_the_id_that_is_proposed_is_free(self, with_modem: Device, owner: Visitor) -> None:
        taken = CONFIGURED.model_copy(update={"id": "telkomsel-1"})
        with_modem.store.config = with_modem.store.config.model_copy(update={"modems": (taken,)})
        with_modem.plugged.found = (FOUND,)
        assert 'value="telkomsel-2"' in (await owner.get("/modems/found/1-1.2")).text

    async def test_looking_again_asks_all_that_are_not_configured(self, device: Device, owner: Visitor) -> None:
        await owner.get("/modems")
        assert (await owner.post("/modems/ask-again")).location == "/modems"
        assert device.plugged.asked_again == 1

    async def test_the_overview_tells_of_a_modem_and_of_nothing_else(self, device: Device, owner: Visitor) -> None:
        device.plugged.found = (FOUND, FoundModem("1-1.4", "unknown", "unknown", manufacturer="Arduino"))
        page = (await owner.get("/")).text
        assert "A modem is plugged in and not set up yet:" in page
        assert "Arduino" not in page


class TestChange:
    async def test_what_the_form_does_not_show_stays(self, with_modem: Device, owner: Visitor) -> None:
        answer = await owner.post("/modem/m1", {"name": "New", "prefixes": "62817", "send_from_api": "on"})
        assert (answer.status, answer.location) == (303, "/modems")
        (modem,) = with_modem.store.config.modems
        changes = {"name": "New", "prefixes": ("62817",), "active": False}
        assert modem == CONFIGURED.model_copy(update=changes)

    async def test_the_pin_is_never_shown_and_kept_until_another_is_entered(
        self, with_modem: Device, owner: Visitor
    ) -> None:
        page = (await owner.get("/modem/m1")).text
        assert "4711" not in page
        assert "A PIN is set." in page
        await owner.post("/modem/m1", {"pin": ""})
        assert with_modem.store.config.modems[0].pin == SecretStr("4711")
        await owner.post("/modem/m1", {"pin": "0815"})
        assert with_modem.store.config.modems[0].pin == SecretStr("0815")
        await owner.post("/modem/m1", {"forget_pin": "on"})
        assert with_modem.store.config.modems[0].pin is None

    async def test_it_can_be_removed(self, with_modem: Device, owner: Visitor) -> None:
        await owner.get("/modem/m1")
        assert (await owner.post("/modem/m1/remove")).location == "/modems"
        assert with_modem.store.config.modems == ()

    @pytest.mark.parametrize("path", ["/modem/m9", "/modem/m9/remove", "/modem/m9/adopt"])
    async def test_a_modem_that_is_not_configured_is_not_there(
        self, with_modem: Device, owner: Visitor, path: str
    ) -> None:
        assert (await owner.post(path, {"name": "x"})).status == 404
        assert with_modem.store.config.modems == (CONFIGURED,)

    async def test_a_sim_that_moved_is_told_and_may_stay_where_it_is(
        self, with_modem: Device, owner: Visitor
    ) -> None:
        status = replace(MODEMS[0], id="m1", imei="490154203237518", notes=("sim-moved",))
        with_modem.dispatcher.modems = [status]
        for path in ("/", "/modems", "/modem/m1"):
            assert "Its SIM is in another modem than before" in (await owner.get(path)).text
        await owner.post("/modem/m1/adopt")
        (modem,) = with_modem.store.config.modems
        assert (modem.imei, modem.iccid) == ("490154203237518", FOUND.iccid)

    async def test_a_new_sim_is_used_when_it_was_chosen(self, with_modem: Device, owner: Visitor) -> None:
        status = replace(MODEMS[0], id="m1", state=ModemState.ABSENT, notes=("sim-changed",))
        with_modem.dispatcher.modems = [status]
        assert "/modem/m1/adopt" not in (await owner.get("/modem/m1")).text, "it is not plugged in any more"
        with_modem.plugged.found = (replace(FOUND, iccid="8962100000000000099"),)
        assert "/modem/m1/adopt" in (await owner.get("/modem/m1")).text
        await owner.post("/modem/m1/adopt")
        (modem,) = with_modem.store.config.modems
        assert (modem.imei, modem.iccid) == (FOUND.imei, "8962100000000000099")

    async def test_without_a_note_there_is_nothing_to_keep(self, with_modem: Device, owner: Visitor) -> None:
        await owner.get("/modem/m1")
        assert (await owner.post("/modem/m1/adopt")).status == 400
        assert with_modem.store.config.modems == (CONFIGURED,)


async def test_nothing_that_a_device_says_is_markup(device: Device, owner: Visitor) -> None:
    evil = '<img src=x onerror="alert(1)">'
    device.plugged.found = (replace(FOUND, manufacturer=evil, model=evil, operator=evil, imei=evil, smsc=evil),)
    for path in ("/", "/modems", "/modems/found/1-1.2"):
        text = (await owner.get(path)).text
        assert "&lt;img" in text
        assert "<img" not in text


@pytest.mark.parametrize("path", ["/modems", "/modems/found/1-1.2", "/modem/m1"])
async def test_only_administrators_see_it(visitor: Visitor, path: str) -> None:
    assert (await visitor.get(path)).location == "/login"


@pytest.mark.parametrize(
    "path", ["/modems/found/1-1.2", "/modem/m1", "/modem/m1/adopt", "/modem/m1/remove", "/modems/ask-again"]
)
async def test_a_form_of_another_site_changes_nothing(with_modem: Device, owner: Visitor, path: str) -> None:
    with_modem.plugged.found = (FOUND,)
    answer = await owner.post(path, FORM | WHO, Sec_Fetch_Site="cross-site")
    assert answer.status == 403
    owner.token = "0" * 64
    assert (await owner.post(path, FORM | WHO)).status == 400
    assert with_modem.store.config.modems == (CONFIGURED,)
