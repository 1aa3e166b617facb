"""`/api/v1/ussd` and the history of a modem, before a core that answers as it is told."""

import pytest
from rest_server import PASSWORD, USSD, ScriptedCore, client

from otpbroker.errors import OtpBrokerError, Rejected, Unavailable, UnknownOutcome
from otpbroker.messaging.command import EndUssd, ReplyUssd, RunUssd
from otpbroker.messaging.outcome import UssdReplied


async def test_a_code_its_reply_and_its_end() -> None:
    core = ScriptedCore()
    async with client(core) as http:
        answer = await http.post("/api/v1/ussd", json={"modem_id": "m1", "code": "*123#"})
        assert (answer.status_code, answer.json()) == (
            200,
            {
                "modem_id": "m1",
                "text": "1. Pulsa",
                "raw": USSD.raw,
                "replyable": True,
                "expires_at": "2026-11-22T15:18:25Z",
            },
        )
        assert answer.headers["Cache-Control"] == "no-store"
        assert core.command == RunUssd("m1", "*123#")
        assert "ussd" in core.asked[-1][1].rights
        core.ussd = UssdReplied("m1", "Rp 5", '+CUSD: 0,"Rp 5",15')
        answer = await http.post("/api/v1/ussd/m1/reply", json={"text": "1"})
        assert (answer.status_code, answer.json()["replyable"], answer.json()["expires_at"]) == (200, False, None)
        assert core.command == ReplyUssd("m1", "1")
        answer = await http.delete("/api/v1/ussd/m1")
        assert (answer.status_code, answer.content) == (204, b"")
        assert core.command == EndUssd("m1")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/ussd", {"modem_id": "m1", "code": "*1#"}),
        ("POST", "/api/v1/ussd/m1/reply", {"text": "1"}),
        ("DELETE", "/api/v1/ussd/m1", None),
        ("POST", "/api/v1/ussd", {"nonsense": 1}),
    ],
)
async def test_it_takes_the_right(method: str, path: str, body: object) -> None:
    core = ScriptedCore()
    async with client(core) as http:
        answer = await http.request(method, path, json=body, auth=("other", PASSWORD))
        assert (answer.status_code, answer.json()["code"]) == (403, "right-missing")
        assert "api.users" in answer.json()["remedy"]
        assert core.asked == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Rejected("ussd-not-supported", "no", field="code"), 422),
        (Rejected("ussd-no-session", "no", field="modem_id"), 409),
        (Unavailable("ussd-busy", "no", field="modem_id"), 503),
        (Unavailable("cme-30", "no"), 503),
        (UnknownOutcome("ussd-timeout", "no"), 504),
    ],
)
async def test_every_end_has_its_status(error: OtpBrokerError, status: int) -> None:
    async with client(ScriptedCore(ussd=error)) as http:
        for path, body in (
            ("/api/v1/ussd", {"modem_id": "m1", "code": "*1#"}),
            ("/api/v1/ussd/m1/reply", {"text": "1"}),
        ):
            answer = await http.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (status, error.code)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/v1/ussd", {"modem_id": "m1", "code": "*1#\r"}, "code"),
        ("/api/v1/ussd", {"modem_id": "m1", "code": '*1"#'}, "code"),
        ("/api/v1/ussd", {"modem_id": "m1", "code": ""}, "code"),
        ("/api/v1/ussd", {"modem_id": "m1", "code": "1" * 161}, "code"),
        ("/api/v1/ussd", {"modem_id": "../m1", "code": "*1#"}, "modem_id"),
        ("/api/v1/ussd", {"modem_id": "m1", "code": "*1#", "dcs": 15}, "dcs"),
        ("/api/v1/ussd/m1/reply", {"text": '1"'}, "text"),
        ("/api/v1/ussd/m1/reply", {"text": "1\x1a"}, "text"),
        ("/api/v1/ussd/m1/reply", {}, "text"),
    ],
)
async def test_what_is_wrong_is_named_and_never_gets_to_a_modem(path: str, body: object, field: str) -> None:
    core = ScriptedCore()
    async with client(core) as http:
        answer = await http.post(path, json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert core.asked == []


async def test_a_modem_that_is_not_there_is_a_field_or_a_path() -> None:
    async with client(ScriptedCore()) as http:
        answer = await http.post("/api/v1/ussd", json={"modem_id": "m9", "code": "*1#"})
        assert (answer.status_code, answer.json()["field"]) == (422, "modem_id")
        assert (await http.post("/api/v1/ussd/m9/reply", json={"text": "1"})).status_code == 404
        assert (await http.delete("/api/v1/ussd/m9")).status_code == 404


async def test_the_history_of_a_modem() -> None:
    core = ScriptedCore()
    async with client(core) as http:
        answer = await http.get("/api/v1/modems/m1/history")
        assert answer.status_code == 200
        assert answer.json()["modem_id"] == "m1"
        assert answer.json()["samples"][1:] == [
            {
                "at": "2026-11-22T15:12:52Z",
                "signal_dbm": -71,
                "registration": "home",
                "operator": "TELKOMSEL",
                "roaming": False,
            },
            {
                "at": "2026-11-22T15:13:52Z",
                "signal_dbm": -73,
                "registration": "roaming",
                "operator": "XL",
                "roaming": True,
            },
        ]
        assert core.waited == 86400
        await http.get("/api/v1/modems/m1/history?hours=2")
        assert core.waited == 7200
        assert (await http.get("/api/v1/modems/m2/history")).json() == {"modem_id": "m2", "samples": []}
        assert (await http.get("/api/v1/modems/m9/history")).status_code == 404
        assert (await http.get("/api/v1/modems/m1/history?hours=25")).status_code == 422
