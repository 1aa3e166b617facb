"""USSD for callers: who may, and whose session it is."""

import asyncio

import pytest

from core import Core, StartCore
from fakes import FakeSender, modem
from otpbroker.errors import Denied, Rejected, Unavailable
from otpbroker.messaging.command import EndUssd, Origin, ReplyUssd, RunUssd
from otpbroker.messaging.outcome import UssdEnded, UssdReplied
from otpbroker.sms.ussd import UssdAnswer

SHOP = Origin("rest", "shop", frozenset({"ussd"}))
OTHER = Origin("rest", "other", frozenset({"ussd"}))
NAMESAKE = Origin("admin", "shop", frozenset({"ussd"}))
MENU = UssdAnswer("1. Pulsa", '+CUSD: 1,"1. Pulsa",15', 45.0)
LAST = UssdAnswer("Rp 5", '+CUSD: 0,"Rp 5",15')


class Desk:
    def __init__(self, core: Core, sender: FakeSender) -> None:
        self.core = core
        self.sender = sender

    async def run(self, code: str, origin: Origin = SHOP, modem_id: str = "m1") -> UssdReplied:
        result = await self.core.dispatcher.submit(RunUssd(modem_id, code), origin)
        assert isinstance(result, UssdReplied)
        return result

    async def reply(self, text: str, origin: Origin = SHOP) -> UssdReplied:
        result = await self.core.dispatcher.submit(ReplyUssd("m1", text), origin)
        assert isinstance(result, UssdReplied)
        return result

    async def end(self, origin: Origin = SHOP) -> None:
        assert await self.core.dispatcher.submit(EndUssd("m1"), origin) == UssdEnded("m1")


@pytest.fixture
async def desk(start_core: StartCore) -> Desk:
    sender = FakeSender(modem("m1"))
    return Desk(await start_core(sender), sender)


async def test_an_answer_tells_until_when_the_network_waits(desk: Desk) -> None:
    desk.sender.ussd.answer(MENU, LAST)
    menu = await desk.run("*123#")
    assert menu == UssdReplied("m1", MENU.text, MENU.raw, desk.core.time.now() + 45)
    assert menu.replyable
    last = await desk.reply("1")
    assert (last.text, last.expires_at, last.replyable) == ("Rp 5", None, False)


async def test_without_the_right_nobody_asks_or_ends(desk: Desk) -> None:
    for command in (RunUssd("m1", "*888#"), ReplyUssd("m1", "1"), EndUssd("m1"), RunUssd("m9", "*888#")):
        with pytest.raises(Denied) as refusal:
            await desk.core.dispatcher.submit(command, Origin("rest", "shop", frozenset({"inbox"})))
        assert refusal.value.code == "right-missing"
    assert desk.sender.ussd.asked == []


async def test_a_modem_that_is_not_there(desk: Desk) -> None:
    with pytest.raises(Rejected) as refusal:
        await desk.run("*888#", modem_id="m9")
    assert (refusal.value.code, refusal.value.field) == ("modem-unknown", "modem_id")


@pytest.mark.parametrize("stranger", [OTHER, NAMESAKE], ids=["other", "namesake"])
async def test_a_session_is_its_openers_alone(desk: Desk, stranger: Origin) -> None:
    desk.sender.ussd.answer(MENU, LAST)
    await desk.run("*123#")
    with pytest.raises(Rejected) as refusal:
        await desk.reply("1", stranger)
    assert refusal.value.code == "ussd-no-session"
    with pytest.raises(Unavailable) as busy:
        await desk.run("*888#", stranger)
    assert busy.value.code == "ussd-busy"
    await desk.end(stranger)
    assert desk.sender.ussd.ended == 0
    assert (await desk.reply("1")).text == "Rp 5"


async def test_a_further_code_of_its_opener_ends_the_session(desk: Desk) -> None:
    desk.sender.ussd.answer(MENU, LAST)
    await desk.run("*123#")
    assert (await desk.run("*888#")).text == "Rp 5"
    assert (desk.sender.ussd.ended, desk.sender.ussd.asked) == (1, ["*123#", "*888#"])


async def test_a_code_of_digits_in_an_open_session_is_the_reply_as_the_older_clients_give_it(desk: Desk) -> None:
    desk.sender.ussd.answer(MENU, LAST)
    await desk.run("*123#")
    assert (await desk.run("1")).text == "Rp 5"
    assert desk.sender.ussd.ended == 0


async def test_a_second_code_does_not_cut_the_first_one_off(desk: Desk) -> None:
    desk.sender.ussd.answer(LAST)
    first = asyncio.create_task(desk.run("*888#"))
    await asyncio.sleep(0.5)
    with pytest.raises(Unavailable) as busy:
        await desk.run("*888#")
    assert busy.value.code == "ussd-busy"
    assert (await first).text == "Rp 5"


async def test_ending_what_is_not_open_is_no_error_and_a_reply_to_it_is(desk: Desk) -> None:
    await desk.end()
    with pytest.raises(Rejected):
        await desk.reply("1")
    desk.sender.ussd.answer(MENU)
    await desk.run("*123#")
    await desk.end()
    assert desk.sender.ussd.ended == 1
    with pytest.raises(Rejected):
        await desk.reply("1")


async def test_what_ended_by_itself_is_nobodys(desk: Desk) -> None:
    desk.sender.ussd.answer(MENU, LAST)
    await desk.run("*123#")
    await desk.sender.ussd.end()
    with pytest.raises(Rejected):
        await desk.reply("1")
    assert (await desk.run("*888#", OTHER)).text == "Rp 5"


def test_neither_code_nor_text_shows() -> None:
    shown = f"{RunUssd('m1', '*123*555#')} {ReplyUssd('m1', '4711')} {UssdReplied('m1', 'Rp 5', 'Rp 5')} {MENU}"
    for secret in ("555", "4711", "Rp 5", "Pulsa"):
        assert secret not in shown
