"""`/api/v1/inbox` as an application server uses it."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest
from rest_server import BANK, PASSWORD, SITI, WAITING, ScriptedCore, client

from otpbroker.errors import Unavailable
from otpbroker.messaging.command import SendSms

INBOX = "/api/v1/inbox"
REPLY = {"text": "Terima kasih"}


def check_problem(response: httpx2.Response, status: int, code: str, field: str | None = None) -> None:
    problem = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, problem["code"], problem.get("field")) == (status, code, field)
    assert "Halo" not in response.text


async def test_what_came_in_is_listed_with_its_text_in_order_of_arrival() -> None:
    async with client(ScriptedCore()) as http:
        response = await http.get(INBOX)

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json() == {
        "messages": [
            {
                "id": BANK.id,
                "modem_id": "m1",
                "sender": "BANK",
                "text": "Saldo Anda Rp 5.000 …",
                "sent_at": None,
                "received_at": "2026-11-22T15:11:40Z",
                "parts": 1,
                "total": 2,
                "complete": False,
            },
            {
                "id": SITI.id,
                "modem_id": "m1",
                "sender": "+6281200001111",
                "text": "Halo",
                "sent_at": "2026-11-22T15:12:50Z",
                "received_at": "2026-11-22T15:12:51Z",
                "parts": 1,
                "total": 1,
                "complete": True,
            },
        ],
        "more": False,
    }


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ({"limit": "1"}, [BANK.id], True),
        ({"limit": "1", "after": BANK.id}, [SITI.id], False),
        ({"after": SITI.id}, [], False),
        ({"modem_id": "m2"}, [], False),
        ({"modem_id": "m1", "after": ""}, [BANK.id, SITI.id], False),
    ],
)
async def test_pages_go_on_after_the_last_one_known(query: dict[str, str], ids: list[str], more: bool) -> None:
    async with client(ScriptedCore()) as http:
        page = (await http.get(INBOX, params=query)).json()

    assert ([message["id"] for message in page["messages"]], page["more"]) == (ids, more)


@pytest.mark.parametrize(("name", "value"), [("limit", "0"), ("limit", "101"), ("after", "../x"), ("after", "q1")])
async def test_a_query_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    async with client(ScriptedCore()) as http:
        check_problem(await http.get(INBOX, params={name: value}), 422, "invalid-request", name)


async def test_one_is_shown_and_deleted() -> None:
    async with client(ScriptedCore()) as http:
        shown = await http.get(f"{INBOX}/{SITI.id}")
        deleted = await http.delete(f"{INBOX}/{SITI.id}")
        gone = [await http.get(f"{INBOX}/{SITI.id}"), await http.delete(f"{INBOX}/{SITI.id}")]

    assert (shown.json()["text"], deleted.status_code, deleted.content) == ("Halo", 204, b"")
    for response in gone:
        check_problem(response, 404, "not-found")


async def test_a_reply_goes_to_the_sender_by_the_modem_that_received() -> None:
    core = ScriptedCore(result=WAITING)
    async with client(core) as http:
        answer = REPLY | {"id": "r-1", "status_report": True}
        response = await http.post(f"{INBOX}/{SITI.id}/reply", json=answer)

    assert (response.status_code, response.headers["Location"]) == (202, "/api/v1/messages/q1")
    assert core.messages == [
        SendSms("+6281200001111", "Terima kasih", id="r-1", modem_id="m1", status_report=True, strict_id=True)
    ]


async def test_a_reply_may_be_waited_for() -> None:
    core = ScriptedCore()
    async with client(core) as http:
        response = await http.post(f"{INBOX}/{SITI.id}/reply", json=REPLY, headers={"Prefer": "wait=9"})

    assert (response.status_code, core.asked[-1][2]) == (201, 9)


async def test_a_name_takes_no_reply() -> None:
    core = ScriptedCore()
    async with client(core) as http:
        check_problem(await http.post(f"{INBOX}/{BANK.id}/reply", json=REPLY), 422, "sender-no-number")

    assert core.messages == []


@pytest.mark.parametrize(
    ("modem_id", "status", "code"), [("m2", 403, "modem-not-for-api"), ("m9", 422, "modem-unknown")]
)
async def test_a_modem_that_takes_nothing_from_the_api_sends_no_reply(
    modem_id: str, status: int, code: str
) -> None:
    core = ScriptedCore()
    core.inbox.messages[SITI.id] = replace(SITI, modem_id=modem_id)
    async with client(core) as http:
        check_problem(await http.post(f"{INBOX}/{SITI.id}/reply", json=REPLY), status, code, "modem_id")


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "text"), ({"text": ""}, "text"), ({"text": "x", "receiver": "0812"}, "receiver"), ({"text": 1}, "text")],
)
async def test_a_reply_that_does_not_fit_is_refused(body: dict[str, Any], field: str) -> None:
    async with client(ScriptedCore()) as http:
        check_problem(await http.post(f"{INBOX}/{SITI.id}/reply", json=body), 422, "invalid-request", field)


async def test_a_reply_to_nothing_is_not_found_and_one_that_can_not_be_sent_is_told() -> None:
    core = ScriptedCore(result=Unavailable("modem-not-ready", "it is not ready", field="modem_id"))
    async with client(core) as http:
        check_problem(await http.post(f"{INBOX}/{'0' * 17}/reply", json=REPLY), 404, "not-found")
        check_problem(await http.post(f"{INBOX}/{SITI.id}/reply", json=REPLY), 503, "modem-not-ready", "modem_id")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", f"/{SITI.id}"), ("DELETE", f"/{SITI.id}"), ("POST", f"/{SITI.id}/reply"), ("GET", "/0")],
)
async def test_without_the_right_nothing_is_told_and_nothing_happens(method: str, path: str) -> None:
    core = ScriptedCore()
    async with client(core) as http:
        options: dict[str, Any] = {"json": REPLY} if method == "POST" else {}
        response = await http.request(method, INBOX + path, auth=("other", PASSWORD), **options)

    check_problem(response, 403, "right-missing")
    assert len(core.inbox.messages) == 2
    assert core.messages == []
