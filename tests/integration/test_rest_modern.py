"""`/api/v1` as an application server uses it."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from rest_server import PASSWORD, SENT, WAITING, ScriptedCore, ScriptedFeeders, client

from otpbroker.errors import Denied, Misconfigured, Rejected, Unavailable, UnknownOutcome
from otpbroker.messaging.command import RequestOtp, SendSms, VerifyOtp
from otpbroker.messaging.limits import LimitReached
from otpbroker.messaging.outcome import Arrival, Receipt, State, Verdict

TEXT = "canary-4711"
MESSAGE: dict[str, Any] = {"receiver": "+628126666666", "text": TEXT}


def check_problem(response: httpx2.Response, status: int, code: str, field: str | None = None) -> None:
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"urn:otpbroker:problem:{code}"
    assert (problem["status"], problem["code"], problem.get("field")) == (status, code, field)
    assert problem["title"]
    assert problem["detail"]
    assert TEXT not in response.text


async def test_a_message_is_accepted_and_can_be_followed() -> None:
    core = ScriptedCore(result=WAITING)
    async with client(core) as http:
        accepted = await http.post("/api/v1/messages", json=MESSAGE)
        core.known["shop", "q1"] = SENT
        followed = await http.get(accepted.headers["Location"])

    assert accepted.status_code == 202
    assert accepted.headers["Location"] == "/api/v1/messages/q1"
    assert (accepted.json()["state"], accepted.json()["final"]) == ("queued", False)
    assert followed.json() == {
        "id": "q1",
        "state": "sent",
        "final": True,
        "receiver": "62812XXXX66",
        "accepted_at": "2026-11-22T15:12:51Z",
        "expires_at": "2026-11-22T15:17:51Z",
        "changed_at": "2026-11-22T15:12:52.500000Z",
        "parts": 1,
        "length": 20,
        "encoding": "gsm7",
        "modem_id": "m1",
        "references": [17],
        "delivery": None,
        "duplicate": False,
        "error": None,
    }
    assert core.asked[-1] == (SendSms("+628126666666", TEXT, strict_id=True), core.asked[-1][1], None)


@pytest.mark.parametrize(
    ("receipt", "shown"),
    [
        (Receipt((Arrival.WAITING,)), {"state": "waiting", "parts_delivered": 0, "changed_at": None}),
        (
            Receipt((Arrival.DELIVERED, Arrival.RETRYING), 1795360400.0),
            {"state": "retrying", "parts_delivered": 1, "changed_at": "2026-11-22T15:13:20Z"},
        ),
    ],
)
async def test_what_the_network_reports_is_a_further_fact(receipt: Receipt, shown: dict[str, Any]) -> None:
    core = ScriptedCore()
    core.known["shop", "q1"] = replace(SENT, receipt=receipt)
    async with client(core) as http:
        message = (await http.get("/api/v1/messages/q1")).json()

    assert (message["state"], message["final"], message["delivery"]) == ("sent", True, shown)


@pytest.mark.parametrize("wanted", [True, False, None])
async def test_a_message_may_ask_for_delivery_reports(wanted: bool | None) -> None:
    core = ScriptedCore()
    async with client(core) as http:
        await http.post("/api/v1/messages", json=MESSAGE | {"status_report": wanted})

    assert core.messages[-1].status_report is wanted


async def test_prefer_wait_gives_the_final_outcome() -> None:
    core = ScriptedCore()
    async with client(core) as http:
        response = await http.post("/api/v1/messages", json=MESSAGE, headers={"Prefer": "wait=100"})

    assert (response.status_code, response.json()["state"]) == (201, "sent")
    assert response.headers["Preference-Applied"] == "wait=55"
    assert core.asked[-1][2] == 55


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (SENT, 201),
        (replace(SENT, duplicate=True), 200),
        (replace(SENT, state=State.FAILED, error="cms-38", detail="Network out of order"), 201),
        (replace(SENT, state=State.BLOCKED, error="blocked"), 201),
        (replace(WAITING, duplicate=True), 202),
        (WAITING, 202),
    ],
)
async def test_the_status_tells_new_repeated_and_open(outcome: Any, status: int) -> None:
    async with client(ScriptedCore(result=outcome)) as http:
        response = await http.post("/api/v1/messages", json=MESSAGE, headers={"Prefer": "wait=1"})
    assert response.status_code == status
    assert response.json()["state"] == outcome.state
    assert (response.json()["error"] or {}).get("code") == outcome.error


async def test_respond_async_is_what_happens_anyway() -> None:
    core = ScriptedCore(result=WAITING)
    async with client(core) as http:
        response = await http.post("/api/v1/messages", json=MESSAGE, headers={"Prefer": "respond-async"})
    assert (response.status_code, response.headers["Preference-Applied"]) == (202, "respond-async")
    assert core.asked[-1][2] is None


async def test_the_state_can_be_waited_for() -> None:
    core = ScriptedCore(known={("shop", "q1"): SENT})
    async with client(core) as http:
        response = await http.get("/api/v1/messages/q1", headers={"Prefer": "wait=9"})
    assert (response.status_code, core.waited) == (200, 9)
    assert response.headers["Preference-Applied"] == "wait=9"


async def test_a_message_of_another_caller_is_not_there() -> None:
    core = ScriptedCore(known={("shop", "q1"): SENT})
    async with client(core) as http:
        response = await http.get("/api/v1/messages/q1", auth=("other", "correct:horse:battery"))
        check_problem(response, 404, "not-found")
        check_problem(await http.get("/api/v1/messages/unknown"), 404, "not-found")


@pytest.mark.parametrize(
    ("body", "headers"),
    [({"id": "order-1"}, {}), ({}, {"Idempotency-Key": "order-1"}), ({}, {"Idempotency-Key": '"order-1"'})],
)
async def test_the_idempotency_key_by_body_or_header(body: dict[str, str], headers: dict[str, str]) -> None:
    core = ScriptedCore()
    async with client(core) as http:
        await http.post("/api/v1/messages", json=MESSAGE | body, headers=headers)
    assert core.messages[0].id == "order-1"
    assert core.messages[0].strict_id


async def test_two_different_idempotency_keys_are_refused() -> None:
    core = ScriptedCore()
    async with client(core) as http:
        response = await http.post("/api/v1/messages", json=MESSAGE | {"id": "a"}, headers={"Idempotency-Key": "b"})
        check_problem(response, 422, "invalid-request", "id")
        for key in ("", "a b", "x" * 129, '""'):
            response = await http.post("/api/v1/messages", json=MESSAGE, headers={"Idempotency-Key": key})
            check_problem(response, 422, "invalid-request", "Idempotency-Key")
    assert not core.messages


async def test_expiry_in_seconds_or_at_a_time() -> None:
    core = ScriptedCore()
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=2)
    async with client(core) as http:
        await http.post("/api/v1/messages", json=MESSAGE | {"expires_at": at.isoformat()})
        await http.post("/api/v1/messages", json=MESSAGE | {"expires_in": 120})
    first, second = core.messages
    assert first.expires_at == at.timestamp()
    assert second.expires_at == pytest.approx(at.timestamp(), abs=5)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"receiver": None}, "receiver"),
        ({"receiver": 628126666666}, "receiver"),
        ({"receiver": "0812\r\nAT+CFUN=0"}, "receiver"),  # weakness 12
        ({"receiver": "0812\x1a"}, "receiver"),
        ({"receiver": "0812\n"}, "receiver"),
        ({"text": ""}, "text"),
        ({"text": None}, "text"),
        ({"text": f"{TEXT}\x00"}, "text"),
        ({"text": TEXT * 1000}, "text"),
        ({"text": [TEXT]}, "text"),
        ({"mesage": TEXT}, "mesage"),
        ({"id": TEXT + " "}, "id"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": "60"}, "expires_in"),
        ({"expires_in": 10**30}, "expires_in"),
        ({"expires_at": "2026-11-22T15:12:51"}, "expires_at"),
        ({"expires_at": 1795360371}, "expires_at"),
        ({"expires_in": 60, "expires_at": "2030-01-01T00:00:00Z"}, None),
        ({"modem_id": "../m1"}, "modem_id"),
        ({"modem_id": "m9"}, "modem_id"),
    ],
)
async def test_a_wrong_field_is_named_and_its_value_is_not_repeated(change: dict[str, Any], field: str) -> None:
    core = ScriptedCore()
    async with client(core) as http:
        response = await http.post("/api/v1/messages", json=MESSAGE | change)
    check_problem(response, 422, "modem-unknown" if change == {"modem_id": "m9"} else "invalid-request", field)
    assert not core.messages


@pytest.mark.parametrize("body", ["", "{", f'{{"text":"{TEXT}",}}', '{"text":"\\ud800"}', "\xff"])
async def test_what_is_not_json_is_400(body: str) -> None:
    async with client(ScriptedCore()) as http:
        response = await http.post(
            "/api/v1/messages", content=body.encode("latin-1"), headers={"Content-Type": "application/json"}
        )
    check_problem(response, 400, "invalid-json")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_forms_of_web_pages_cannot_call(content_type: str) -> None:
    """Weakness 6: what a cross-site form can send is refused by its type."""
    core = ScriptedCore()
    async with client(core) as http:
        response = await http.post(
            "/api/v1/messages", content='{"receiver":"0812","text":"x"}', headers={"Content-Type": content_type}
        )
    check_problem(response, 415, "unsupported-media-type")
    assert not core.asked


async def test_a_modem_that_takes_nothing_from_the_api_cannot_be_named() -> None:
    """Weakness 24: a route around the flag is a bill from another SIM."""
    core = ScriptedCore()
    async with client(core) as http:
        response = await http.post("/api/v1/messages", json=MESSAGE | {"modem_id": "m2"})
        check_problem(response, 403, "modem-not-for-api", "modem_id")
        assert not core.messages
        assert (await http.post("/api/v1/messages", json=MESSAGE | {"modem_id": "m1"})).status_code == 201
    assert core.messages[0].modem_id == "m1"


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (Rejected("receiver-invalid", "has letters", field="receiver"), 422, False),
        (Rejected("id-reused", "other content", field="id"), 422, False),
        (Rejected("message-too-long", "needs 9 parts", field="message"), 422, False),
        (Rejected("expired", "its time had passed", field="expiration"), 422, False),
        (Rejected("otp-duplicate", "live", field="reference"), 409, False),
        (Denied("not-yours", "no"), 403, False),
        (Unavailable("no-modem", "No device connected"), 503, True),
        (LimitReached(parts=1, retry_after=3599.2), 503, True),
        (LimitReached(parts=9, retry_after=math.inf), 503, False),
        (Misconfigured("mail-not-configured", "no account"), 409, False),
        (UnknownOutcome("silent", "may have been sent"), 504, False),
    ],
)
async def test_errors_by_what_the_caller_can_do(error: Any, status: int, retry: bool) -> None:
    async with client(ScriptedCore(result=error)) as http:
        response = await http.post("/api/v1/messages", json=MESSAGE)
    names = {"message": "text", "expiration": "expires_at"}
    check_problem(response, status, error.code, names.get(error.field, error.field))
    assert ("Retry-After" in response.headers) is retry


async def test_a_reached_limit_tells_when_it_is_worth_another_try() -> None:
    async with client(ScriptedCore(result=LimitReached(parts=1, retry_after=3599.2))) as http:
        response = await http.post("/api/v1/messages", json=MESSAGE)
    check_problem(response, 503, "cap-reached")
    assert response.headers["Retry-After"] == "3600"


async def test_our_own_mistake_is_a_problem_too(caplog: pytest.LogCaptureFixture) -> None:
    async with client(ScriptedCore(result=RuntimeError(TEXT))) as http:
        check_problem(await http.post("/api/v1/messages", json=MESSAGE), 500, "internal")
    assert TEXT not in caplog.text


async def test_credentials_are_asked_for() -> None:
    async with client(ScriptedCore()) as http:
        for method, path in (
            ("POST", "/api/v1/messages"),
            ("GET", "/api/v1/messages/q1"),
            ("POST", "/api/v1/otp"),
            ("POST", "/api/v1/otp/r/verify"),
            ("GET", "/api/v1/blocklist"),
            ("GET", "/api/v1/blocklist/0812"),
            ("PUT", "/api/v1/blocklist/0812"),
            ("DELETE", "/api/v1/blocklist/0812"),
            ("GET", "/api/v1/modems"),
        ):
            response = await http.request(method, path, auth=("shop", "wrong"))
            check_problem(response, 401, "unauthenticated")
            assert response.headers["WWW-Authenticate"].startswith("Basic ")


async def test_too_many_failures_are_429_with_the_time_to_wait() -> None:
    """Weakness 6: no limit on log-ins."""
    async with client(ScriptedCore()) as http:
        for guess in range(10):
            assert (await http.get("/api/v1/modems", auth=("shop", f"guess {guess}"))).status_code == 401
        response = await http.get("/api/v1/modems", auth=("shop", "guess"))
    check_problem(response, 429, "too-many-attempts")
    assert 1 <= int(response.headers["Retry-After"]) <= 10


async def test_an_otp_is_requested_and_verified() -> None:
    core = ScriptedCore()
    async with client(core) as http:
        requested = await http.post(
            "/api/v1/otp",
            json={"receiver": "0812", "message": f"{TEXT} %s", "params": ["login"], "expires_in": 60},
            headers={"Prefer": "wait=5"},
        )
        reference = requested.json()["reference"]
        command = core.command
        verified = await http.post(
            f"/api/v1/otp/{reference}/verify", json={"receiver": "0812", "otp": "012345", "params": ["login"]}
        )

    assert requested.status_code == 201
    assert requested.headers["Location"] == "/api/v1/messages/q1"
    assert requested.json()["message"]["state"] == "sent"
    assert isinstance(command, RequestOtp)
    assert (command.template, command.params) == (f"{TEXT} %s", ("login", "", "", ""))
    assert len(reference) >= 16
    assert verified.json() == {"reference": reference, "verdict": "valid", "tries_left": 4}
    assert core.command == VerifyOtp("0812", reference, "012345", params=("login", "", "", ""))


@pytest.mark.parametrize("verdict", [Verdict.INVALID, Verdict.EXPIRED])
async def test_a_verdict_is_an_answer_not_an_error(verdict: Verdict) -> None:
    async with client(ScriptedCore(verdict=verdict)) as http:
        response = await http.post("/api/v1/otp/r1/verify", json={"receiver": "0812", "otp": "1"})
    assert (response.status_code, response.json()["verdict"]) == (200, verdict)


@pytest.mark.parametrize("message", ["no place", "%s and %s", "%d", "{0}", "% s"])
async def test_an_otp_message_has_one_place_for_the_code(message: str) -> None:
    """Weakness 16 and its neighbour: client text was a format string."""
    async with client(ScriptedCore()) as http:
        response = await http.post("/api/v1/otp", json={"receiver": "0812", "message": message})
    check_problem(response, 422, "invalid-request")


async def test_the_blocklist() -> None:
    core = ScriptedCore()
    async with client(core) as http:
        for number in ("+62 811-1", "0812 2222", "628133333"):
            assert (await http.put(f"/api/v1/blocklist/{number}")).status_code == 200
        page = (await http.get("/api/v1/blocklist?offset=1&limit=1")).json()
        assert page == {"count": 3, "offset": 1, "limit": 1, "receivers": ["628122222"]}
        assert (await http.get("/api/v1/blocklist/08122222")).json() == {"receiver": "628122222", "blocked": True}
        assert (await http.delete("/api/v1/blocklist/+628122222")).status_code == 204
        check_problem(await http.get("/api/v1/blocklist/08122222"), 404, "not-found")
        check_problem(await http.get("/api/v1/blocklist/nobody"), 422, "receiver-invalid", "receiver")
        check_problem(await http.put("/api/v1/blocklist/08x"), 422, "receiver-invalid", "receiver")
        assert (await http.delete("/api/v1/blocklist/08122222")).status_code == 204


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=", "offset=-1", "offset=1e3", "offset=²"]
)
async def test_a_page_has_bounds(query: str) -> None:
    async with client(ScriptedCore()) as http:
        response = await http.get(f"/api/v1/blocklist?{query}")
    check_problem(response, 422, "invalid-request", query.partition("=")[0])


async def test_modems_without_the_identities_of_their_sims() -> None:
    async with client(ScriptedCore()) as http:
        modems = (await http.get("/api/v1/modems")).json()["modems"]
    assert [(modem["id"], modem["state"], modem["signal_dbm"]) for modem in modems] == [
        ("m1", "ready", -71),
        ("m2", "recovering", None),
    ]
    assert not {"imei", "imsi", "iccid"} & set(modems[0])


async def test_one_modem_with_its_counts_and_its_health() -> None:
    async with client(ScriptedCore()) as http:
        well = (await http.get("/api/v1/modems/m1")).json()
        ill = await http.get("/api/v1/modems/m2")
        check_problem(await http.get("/api/v1/modems/m3"), 404, "not-found")
    assert (well["id"], well["state"], well["sent"], well["notes"]) == ("m1", "ready", 0, [])
    assert (well["health"]["step"], well["health"]["faults"], well["health"]["incidents"]) == (None, 0, [])
    assert ill.json()["notes"] == ["brownout"]
    assert ill.json()["health"] == {
        "step": "reopen",
        "since": "2026-11-22T15:12:51Z",
        "tries": 2,
        "faults": 2,
        "brownouts": 3,
        "resets": 1,
        "incidents": [
            {
                "at": "2026-11-22T15:12:40.500000Z",
                "fault": "silent",
                "steps": [{"step": "resync", "seconds": 8.0}],
                "cured_by": None,
                "seconds": None,
            },
            {
                "at": "2026-11-22T15:06:40Z",
                "fault": "deaf",
                "steps": [],
                "cured_by": "usb-reset",
                "seconds": 21.5,
            },
        ],
    }
    for number in ("490154203237518", "510101234567890", "8962100000000000017", "628111111111"):
        assert number not in ill.text + str(well)


async def test_unknown_paths_and_methods_are_problems() -> None:
    async with client(ScriptedCore()) as http:
        check_problem(await http.get("/api/v1/unknown"), 404, "not-found")
        response = await http.delete("/api/v1/modems")
        check_problem(response, 405, "method-not-allowed")
        assert "GET" in response.headers["Allow"]


async def test_nothing_is_kept_by_caches() -> None:
    async with client(ScriptedCore()) as http:
        response = await http.get("/api/v1/modems")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in response.headers


async def test_feeders_are_shown_and_controlled_with_the_right() -> None:
    feeders = ScriptedFeeders()
    async with client(ScriptedCore(), feeders=feeders) as http:
        shown = await http.get("/api/v1/feeders")
        stopped = await http.post("/api/v1/feeders/rabbit", json={"do": "stop"})
        nobody = await http.post("/api/v1/feeders/nobody", json={"do": "stop"})
        wrong = await http.post("/api/v1/feeders/rabbit", json={"do": "explode"})
    assert shown.json()["feeders"] == [
        {
            "id": "rabbit",
            "kind": "rabbitmq",
            "state": "connected",
            "detail": "",
            "since": "2026-11-22T15:12:51Z",
            "done": 3,
            "unknown": 0,
            "refused": 1,
            "returned": 0,
        }
    ]
    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopped")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "not-found")
    assert (wrong.status_code, wrong.json()["field"]) == (422, "do")
    assert feeders.done == [("rabbit", "stop")]


async def test_feeders_are_not_for_users_without_the_right() -> None:
    feeders = ScriptedFeeders()
    async with client(ScriptedCore(), feeders=feeders) as http:
        for answer in (
            await http.get("/api/v1/feeders", auth=("other", PASSWORD)),
            await http.post("/api/v1/feeders/rabbit", json={"do": "stop"}, auth=("other", PASSWORD)),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "right-missing")
    assert feeders.done == []
