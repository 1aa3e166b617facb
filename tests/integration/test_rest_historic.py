"""Application servers written for the older products keep working: paths, methods, codes, bodies."""

import json

import pytest
from rest_server import PASSWORD, SENT, WAITING, ScriptedCore, client, configuration

from otpbroker.errors import Misconfigured, Rejected, Unavailable
from otpbroker.messaging.command import Block, SendSms

SEND = '{"command":"send-sms","data":{"id":1,"msisdn":"08126666666","message":"OTP Anda adalah 1234"}}'
PATHS = (
    "/api/sms",
    "/api/mail",
    "/api/email",
    "/api/message",
    "/api/otp",
    "/api/block",
    "/api/blocking",
    "/api/unblock",
    "/api/unblocking",
    "/api/modem",
    "/api/ussd",
)


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_any_command_on_any_path_by_post_and_put(method: str) -> None:
    core = ScriptedCore()
    async with client(
        core, config=configuration(message_path="/my/own", block_path="/b", unblock_path="/u")
    ) as http:
        for path in (*PATHS, "/my/own", "/b", "/u", "/api/sms/"):
            response = await http.request(method, path, content=SEND)
            assert response.status_code == 200, path
            assert response.json()["response_code"] == "0000"
    assert {command.text for command in core.messages} == {"OTP Anda adalah 1234"}


async def test_the_response_of_a_sent_message() -> None:
    core = ScriptedCore()
    async with client(core) as http:
        response = await http.post("/api/sms", content=SEND)

    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Content-Length"] == str(len(response.content))
    assert response.text == json.dumps(response.json(), indent=4)
    assert response.json() == {
        "command": "send-sms",
        "response_code": "0000",
        "data": {"id": "q1", "modemID": "m1", "result": "+CMGS: 17", "references": [17]},
    }
    command, origin, wait = core.asked[-1]
    assert command == SendSms("08126666666", "OTP Anda adalah 1234", id="1")
    assert (origin.source, origin.caller, wait) == ("rest", "shop", 30)


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain; charset=x", "multipart/form-data", None]
)
async def test_the_content_type_does_not_matter(content_type: str | None) -> None:
    """OTP-Publisher sends JSON as a form."""
    core = ScriptedCore()
    async with client(core) as http:
        headers = {"Content-Type": content_type} if content_type else {}
        response = await http.post("/api/sms", content=SEND, headers=headers)
    assert response.json()["response_code"] == "0000"


async def test_content_length_counts_octets() -> None:
    async with client(ScriptedCore()) as http:
        response = await http.post("/api/sms", content='{"command":"echo","data":"é€😀"}')

    assert response.json() == {"command": "echo", "data": "é€😀"}
    assert "😀" in response.text
    assert int(response.headers["Content-Length"]) == len(response.content)


async def test_a_chunked_request_is_read() -> None:
    """The older products read it as empty."""
    core = ScriptedCore()

    async def pieces():  # type: ignore[no-untyped-def] # an async generator of bytes
        for start in range(0, len(SEND), 7):
            yield SEND[start : start + 7].encode()

    async with client(core) as http:
        response = await http.post("/api/sms", content=pieces())
    assert response.json()["response_code"] == "0000"


@pytest.mark.parametrize(
    "body", ["", "halo", '{"command":"send-fax","data":{}}', '{"command":"send-sms"}', '{"data":[]}', "[1,2]"]
)
async def test_what_cannot_be_understood_gets_200_with_a_code(body: str) -> None:
    """The older products answered `{}`, or closed the connection."""
    core = ScriptedCore()
    async with client(core) as http:
        response = await http.post("/api/sms", content=body)

    assert response.status_code == 200
    assert response.json()["response_code"] in {"1101", "1102"}
    assert not core.asked


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("no-modem", "No device connected", remedy="connect a modem"), "1101"),
        (Rejected("receiver-invalid", "has letters", field="receiver"), "1101"),
        (Misconfigured("x", "y"), "1101"),
    ],
)
async def test_a_failure_has_its_code_and_says_why(error: Exception, code: str) -> None:
    async with client(ScriptedCore(result=error)) as http:
        response = await http.post("/api/sms", content=SEND)

    assert response.status_code == 200
    assert response.json()["response_code"] == code
    assert response.json()["error"] == str(error)


async def test_a_wait_that_ends_first_says_queued() -> None:
    async with client(ScriptedCore(result=WAITING)) as http:
        response = await http.post("/api/sms", content=SEND)
    assert (response.json()["response_code"], response.json()["data"]) == ("1111", {"id": "q1"})


async def test_several_commands_in_one_body() -> None:
    core = ScriptedCore()
    body = """{"command":"send-message","channel":"sms","data":[
        {"receiver":"0812","message":"a"},
        {"command":"block-msisdn","data":{"msisdn":"0813",}},
        {"receiver":""}
    ]}"""
    async with client(core) as http:
        answer = (await http.post("/api/message", content=body)).json()

    assert [result["response_code"] for result in answer["data"]["results"]] == ["0000", "0000", "1102"]
    assert answer["response_code"] == "1102"
    assert core.command == Block("0813")


async def test_other_methods_get_405_without_body_after_the_credentials() -> None:
    async with client(ScriptedCore()) as http:
        for method in ("GET", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"):
            response = await http.request(method, "/api/sms")
            assert (response.status_code, response.content) == (405, b""), method
            assert set(response.headers["Allow"].split(", ")) == {"POST", "PUT"}
            response = await http.request(method, "/api/sms", auth=("shop", "wrong"))
            assert (response.status_code, response.content) == (401, b""), method


@pytest.mark.parametrize("credentials", [None, ("shop", "wrong"), ("nobody", PASSWORD), ("other2", "")])
async def test_401_has_no_body_but_a_challenge(credentials: tuple[str, str] | None) -> None:
    """Weakness 21: 401 without challenge. Credentials come before the body: a bad body is not looked at."""
    core = ScriptedCore()
    async with client(core) as http:
        http.auth = None
        response = await http.post("/api/sms", content="no json", auth=credentials)

    assert (response.status_code, response.content) == (401, b"")
    assert response.headers["WWW-Authenticate"] == 'Basic realm="otpbroker", charset="UTF-8"'
    assert response.headers["Content-Length"] == "0"
    assert not core.asked


@pytest.mark.parametrize("path", ["/", "/api", "/api/message/sub", "/api/messageXYZ", "/api/SMS", "//api/sms"])
async def test_other_paths_are_404(path: str) -> None:
    """The older products matched prefixes; nobody is known to rely on it."""
    async with client(ScriptedCore()) as http:
        response = await http.post(path, content=SEND)
    assert response.status_code == 404


async def test_the_ping_needs_no_credentials_and_tells_nothing() -> None:
    async with client(ScriptedCore()) as http:
        for path in ("/ping", "/ping/", "/api/v1/ping"):
            response = await http.get(path, auth=None)
            assert (response.status_code, response.text) == (200, "OK")
            assert response.headers["Content-Type"] == "text/plain"


async def test_pages_of_other_sites_cannot_use_remembered_credentials() -> None:
    """Weakness 6: no CSRF defence. A browser that knows the credentials would send them with any form."""
    core = ScriptedCore()
    async with client(core) as http:
        for site in ("cross-site", "same-site"):
            response = await http.post("/api/sms", content=SEND, headers={"Sec-Fetch-Site": site})
            assert response.status_code == 403
    assert not core.asked


async def test_our_own_mistake_is_told_without_the_message(caplog: pytest.LogCaptureFixture) -> None:
    """Weaknesses 17 and 20: texts in logs; an exception that closes the connection without an answer."""
    core = ScriptedCore(result=ValueError("OTP Anda adalah 1234"))
    async with client(core) as http:
        response = await http.post("/api/sms", content=SEND)
        core.result = SENT
        assert (await http.post("/api/sms", content=SEND)).json()["response_code"] == "0000"

    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "ValueError" in caplog.text
    assert "1234" not in caplog.text + response.text
