"""The page of what came in by SMS."""

import pytest
from site_device import Device, Visitor

from otpbroker.config.model import InboxSection
from otpbroker.errors import Unavailable
from otpbroker.messaging.command import SendSms


async def test_messages_are_shown_newest_first_with_their_text(device: Device, owner: Visitor) -> None:
    device.inbox.put("first")
    device.inbox.put("second …", sender="BANK", modem_id="m2", parts=2)
    page = (await owner.get("/inbox")).text
    assert page.index("second") < page.index("first")
    assert page.index("BANK") < page.index("+6281200001111")
    assert "Telkomsel" in page
    assert page.count("never came") == 1
    assert "5 minutes ago" in page


async def test_an_empty_inbox_says_so(owner: Visitor) -> None:
    assert "No message is here" in (await owner.get("/inbox")).text


async def test_a_long_list_is_turned_page_by_page(device: Device, owner: Visitor) -> None:
    for number in range(30):
        device.inbox.put(f"text-{number:02}-")
    first = (await owner.get("/inbox")).text
    assert ("text-29-" in first, "text-05-" in first, "text-04-" in first) == (True, True, False)
    older = first.partition("?before=")[2][:17]
    second = (await owner.get(f"/inbox?before={older}")).text
    assert ("text-05-" in second, "text-04-" in second, "?before=" in second) == (False, True, False)


async def test_what_others_write_is_never_markup(device: Device, owner: Visitor) -> None:
    received = device.inbox.put("<script>alert(1)</script>", sender="<b>BANK")
    for path in ("/inbox", f"/inbox/{received.id}"):
        page = (await owner.get(path)).text
        assert "<script>alert" not in page
        assert "<b>BANK" not in page
        assert "&lt;script&gt;alert(1)" in page


async def test_a_message_is_deleted(device: Device, owner: Visitor) -> None:
    received = device.inbox.put("Halo")
    await owner.get("/inbox")
    answer = await owner.post(f"/inbox/{received.id}/delete")
    assert (answer.status, answer.location) == (303, "/inbox")
    assert device.inbox.messages == {}
    assert (await owner.get(f"/inbox/{received.id}")).status == 404


async def test_a_message_is_answered_by_the_modem_that_received_it(device: Device, owner: Visitor) -> None:
    received = device.inbox.put("Halo", modem_id="m2")
    await owner.get(f"/inbox/{received.id}")
    answer = await owner.post(f"/inbox/{received.id}/reply", {"message": "Hai\r\nSiti", "id": "r1"})
    assert (answer.status, answer.location) == (303, "/sms/out-1")
    (command, origin) = device.dispatcher.submitted[-1]
    assert command == SendSms("+6281200001111", "Hai\nSiti", id="r1", modem_id="m2")
    assert (origin.source, origin.caller) == ("admin", "siti")


async def test_a_name_takes_no_reply(device: Device, owner: Visitor) -> None:
    received = device.inbox.put("Halo", sender="BANK")
    assert "takes no reply" in (await owner.get(f"/inbox/{received.id}")).text
    answer = await owner.post(f"/inbox/{received.id}/reply", {"message": "Hai"})
    assert (answer.status, device.dispatcher.submitted) == (422, [])


async def test_a_reply_that_can_not_be_sent_is_told_and_not_shown_again(device: Device, owner: Visitor) -> None:
    received = device.inbox.put("Halo")
    device.dispatcher.answer = Unavailable("modem-not-ready", "not ready")
    await owner.get(f"/inbox/{received.id}")
    answer = await owner.post(f"/inbox/{received.id}/reply", {"message": "secret words"})
    assert answer.status == 503
    assert "This modem is not ready" in answer.text
    assert "secret words" not in answer.text
    assert (await owner.post("/inbox/0/reply", {"message": "Hai"})).status == 404


@pytest.mark.parametrize("enabled", [True, False])
async def test_it_says_what_is_kept_and_that_nothing_is(device: Device, owner: Visitor, enabled: bool) -> None:
    settings = InboxSection(enabled=enabled, keep_days=9)
    device.store.config = device.store.config.model_copy(update={"inbox": settings})
    page = (await owner.get("/inbox")).text
    assert "kept for 9 days" in page
    assert ("switched off" in page) is not enabled


async def test_it_is_there_in_indonesian(device: Device, owner: Visitor) -> None:
    device.inbox.put("Halo")
    page = (await owner.get("/inbox?lang=id")).text
    assert "Kotak masuk" in page
    assert "Hapus" in page
