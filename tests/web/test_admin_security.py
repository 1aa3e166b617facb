"""The holes of the predecessors (number in brackets) which the admin site must not have."""

import asyncio
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from site_device import Device, Visitor
from site_fakes import ADMINISTRATOR, PASSWORD, USERNAME

from otpbroker.events import MessageChanged, ModemState, PartChanged

ANYBODY = {"static", "login.show", "login.enter", "setup.show", "setup.create_first"}
ACCOUNT = {"username": "budi", "password": PASSWORD, "password_again": PASSWORD}

TEST_SMS = {"modem": "m1", "receiver": "08126666712", "message": "hello"}


class TestSessionCookie:
    """[2] Session ids were a hash of the clock, chosen by the client, in files with the password."""

    async def test_scripts_and_other_sites_do_not_get_it(self, visitor: Visitor) -> None:
        cookie = (await visitor.log_in()).cookie("otpbroker-session")
        assert cookie is not None
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
        assert "Secure" not in cookie

    async def test_over_tls_it_stays_there(self, visitor: Visitor) -> None:
        visitor.base = "https"
        cookie = (await visitor.log_in()).cookie("__Host-otpbroker-session")
        assert cookie is not None
        assert "Secure" in cookie

    async def test_a_session_id_of_the_visitors_choice_is_no_session(self, visitor: Visitor) -> None:
        answer = await visitor.get("/", Cookie="otpbroker-session=../../etc/passwd")
        assert (answer.status, answer.location) == (303, "/login")

    async def test_log_in_gives_a_new_id_and_ends_the_old_one(self, device: Device) -> None:
        visitor, other = device.client(), device.client()
        old = (await visitor.log_in()).cookie("otpbroker-session")
        assert old is not None
        old_id = old.partition(";")[0]
        assert (await other.get("/", Cookie=old_id)).status == 200
        fresh = await visitor.post("/login", {"username": USERNAME, "password": PASSWORD})
        assert fresh.status == 303
        assert old_id not in (fresh.cookie("otpbroker-session") or "")
        assert (await other.get("/", Cookie=old_id)).location == "/login"

    async def test_a_visitor_who_only_looks_leaves_nothing_behind(self, device: Device) -> None:
        for _ in range(50):
            await device.client().get("/login")
        assert device.sessions._sessions == {}


class TestClosedDoors:
    """[5] Endpoints without a log-in; [22] parameters that anybody may turn."""

    async def test_every_address_but_log_in_and_set_up_wants_a_session(
        self, device: Device, visitor: Visitor
    ) -> None:
        await visitor.get("/login")
        closed = 0
        for rule in device.app.url_map.iter_rules():
            if rule.endpoint in ANYBODY:
                continue
            path = re.sub("<[^>]+>", "x", rule.rule)
            if "GET" in rule.methods:
                answer = await visitor.get(path)
                assert (answer.status, answer.location) == (303, "/login"), path
            if "POST" in rule.methods:
                answer = await visitor.post(path)
                assert (answer.status, answer.location) == (303, "/login"), path
            closed += 1
        assert closed >= 5
        assert device.dispatcher.submitted == []

    @pytest.mark.parametrize("path", ["/api/reboot", "/broadcast-message", "/user/list", "/data/user/urses.json"])
    async def test_addresses_of_old_are_not_there(self, visitor: Visitor, owner: Visitor, path: str) -> None:
        assert (await visitor.get(path)).location == "/login"
        assert (await owner.get(path)).status == 404

    async def test_the_stream_is_refused_without_session(self, visitor: Visitor) -> None:
        assert (await visitor.get("/events", Accept="text/event-stream")).status == 401

    async def test_only_the_holder_of_the_code_makes_the_first_administrator(self, new_device: Device) -> None:
        visitor = new_device.client()
        new_device.setup_code.ensure()
        assert (await visitor.get("/")).location == "/setup"
        assert (await visitor.get("/login")).location == "/setup"
        page = await visitor.get("/setup")
        assert "username" not in page.text
        refused = await visitor.post("/setup", {"code": "AAAA-AAAA-AAAA", **ACCOUNT})
        assert refused.status == 403
        assert new_device.store.config.admin.administrators == ()

    async def test_the_code_works_once(self, new_device: Device) -> None:
        code = new_device.setup_code.ensure()
        first, second = new_device.client(), new_device.client()
        await first.get("/setup")
        await second.get("/setup")
        created, late = await asyncio.gather(
            first.post("/setup", {"code": code, **ACCOUNT}),
            second.post("/setup", {"code": code, **ACCOUNT, "username": "mallory"}),
        )
        assert sorted((created.status, late.status)) == [303, 403]
        assert len(new_device.store.config.admin.administrators) == 1
        assert (await second.get("/setup")).status == 404
        assert (await second.post("/setup", {"code": code, **ACCOUNT})).status == 404
        assert not new_device.setup_code.check(code)


class TestForgery:
    """[6] No CSRF defence, no limit on log-ins, state changed by GET."""

    async def test_the_sites_own_form_passes(self, owner: Visitor) -> None:
        answer = await owner.post("/sms", TEST_SMS, Origin="http://localhost", Sec_Fetch_Site="same-origin")
        assert answer.status == 303

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Origin": "http://evil.example"},
            {"Origin": "http://localhost:9999"},
            {"Origin": "https://localhost"},
            {"Origin": "null"},
        ],
    )
    async def test_a_form_of_another_site_is_refused(
        self, device: Device, owner: Visitor, headers: dict[str, str]
    ) -> None:
        assert (await owner.post("/sms", TEST_SMS, **headers)).status == 403
        assert device.dispatcher.submitted == []

    @pytest.mark.parametrize("path", ["/sms", "/logout", "/login"])
    async def test_a_form_without_its_token_is_refused(self, device: Device, owner: Visitor, path: str) -> None:
        for token in ("", "0" * 64, "ü"):
            owner.token = token
            assert (await owner.post(path, TEST_SMS)).status == 400
        assert device.dispatcher.submitted == []
        assert (await owner.get("/")).status == 200

    async def test_the_token_of_one_visitor_is_worth_nothing_to_another(
        self, owner: Visitor, visitor: Visitor
    ) -> None:
        await visitor.get("/login")
        visitor.token = owner.token
        answer = await visitor.post("/login", {"username": USERNAME, "password": PASSWORD})
        assert answer.status == 400

    async def test_nothing_is_changed_by_get(self, device: Device, owner: Visitor) -> None:
        assert (await owner.get("/logout")).status == 405
        await owner.get("/sms?modem=m1&receiver=08126666712&message=hello")
        assert device.dispatcher.submitted == []
        assert (await owner.get("/")).status == 200

    async def test_guessing_is_slowed_down(self, device: Device, visitor: Visitor) -> None:
        await visitor.get("/login")
        statuses = [(await visitor.log_in(password=f"wrong {n}")).status for n in range(9)]
        assert statuses == [401] * 8 + [429]
        refused = await visitor.log_in()
        assert refused.status == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 16
        device.elapsed.seconds += 16
        assert (await visitor.log_in()).status == 303

    async def test_guessing_the_setup_code_is_slowed_down(self, new_device: Device) -> None:
        visitor = new_device.client()
        code = new_device.setup_code.ensure()
        await visitor.get("/setup")
        statuses = [(await visitor.post("/setup", {"code": f"WRNG-{n}"})).status for n in range(9)]
        assert statuses == [403] * 8 + [429]
        assert (await visitor.post("/setup", {"code": code})).status == 429

    async def test_the_answer_does_not_tell_which_names_there_are(self, device: Device) -> None:
        known, unknown = device.client(), device.client()
        wrong_password = await known.log_in(password="wrong words here")
        wrong_name = await unknown.log_in(username="mallory", password="wrong words here")
        assert wrong_password.status == wrong_name.status == 401
        hide = re.compile(r'value="[^"]*"')
        assert hide.sub("", wrong_password.text) == hide.sub("", wrong_name.text)


async def test_no_page_holds_a_stored_secret(device: Device, owner: Visitor) -> None:
    """[7] Account pages returned the stored passwords; [1] in plain text."""
    for path in ("/", "/sms", "/login"):
        text = (await owner.get(path)).text
        assert PASSWORD not in text
        assert "argon2" not in text
    assert PASSWORD not in device.store.config.model_dump_json()


async def test_a_wrong_log_in_shows_no_password_again(visitor: Visitor) -> None:
    answer = await visitor.log_in(password="almost the right one")
    assert "almost the right one" not in answer.text


async def test_what_modems_and_messages_say_is_never_markup(device: Device, owner: Visitor) -> None:
    """[9] Stored cross-site scripting by texts that others chose."""
    evil = '<img src=x onerror="alert(1)">%(x)s'
    device.dispatcher.modems[0] = replace(
        device.dispatcher.modems[0],
        name=evil,
        detail=evil,
        operator=evil,
        registration=evil,
        model=evil,
        prefixes=(evil,),
        state=ModemState.BLOCKED,
    )
    following = asyncio.create_task(device.monitor.run())
    await asyncio.sleep(0)
    device.bus.publish(MessageChanged("a", evil, evil, evil, evil, 1, time.time(), evil))
    device.bus.publish(PartChanged(evil, healthy=False, detail=evil))
    device.bus.close()
    await following
    page = (await owner.get("/")).text
    assert page.count("&lt;img") >= 10
    assert "<img" not in page
    for path in ("/sms", f"/sms?modem={evil}", f"/login?lang={evil}", f"/{evil}"):
        assert "<img" not in (await owner.get(path)).text


async def test_scripts_and_styles_come_from_the_site_alone(visitor: Visitor, owner: Visitor) -> None:
    """[9] Whatever got into a page all the same would not run."""
    for answer in (await visitor.get("/login"), await owner.get("/"), await owner.get("/nowhere")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "https:" not in policy
        assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)|\son\w+=|\sstyle=|https?://(?!192)", answer.text)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Strict-Transport-Security" not in answer.headers
        assert "Server" not in answer.headers


async def test_tls_is_kept_once_it_was_used(visitor: Visitor) -> None:
    visitor.base = "https"
    assert "max-age" in (await visitor.get("/login")).headers["Strict-Transport-Security"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../admin.py",
        "/static/..%2fadmin.py",
        "/static/....//admin.py",
        "/static/%2e%2e/%2e%2e/passwords.py",
        "/static/..%5cadmin.py",
        "/static//etc/passwd",
        "/static/site.css%00.html",
        "/../data/user/urses.json",
        "/static/../templates/base.html",
    ],
)
async def test_static_files_lead_nowhere_else(visitor: Visitor, path: str) -> None:
    """[13] [14] `..` led out of the folder, without a log-in."""
    answer = await visitor.get(path)
    assert answer.status in {303, 404}
    assert "import" not in answer.text
    assert (await visitor.get("/static/site.css")).status == 200


@pytest.mark.parametrize("password", ["", " ", "            ", "short", "sitisitisiti", "password12345"])
async def test_no_empty_or_weak_password_is_taken(new_device: Device, password: str) -> None:
    """[18] A blank field stored the hash of nothing."""
    code = new_device.setup_code.ensure()
    visitor = new_device.client()
    await visitor.get("/setup")
    form = {"code": code, "username": "siti", "password": password, "password_again": password}
    answer = await visitor.post("/setup", form)
    assert answer.status == 422
    assert "Choose a stronger password" in answer.text
    assert new_device.store.config.admin.administrators == ()


async def test_a_blank_log_in_never_passes(visitor: Visitor) -> None:
    """[18]"""
    for username, password in ((USERNAME, ""), ("", ""), ("", PASSWORD)):
        assert (await visitor.log_in(username, password)).status == 401


async def test_the_code_is_kept_as_a_hash_for_the_owner_alone(new_device: Device) -> None:
    """[3] [4] Secrets in files and constants that every unit shares."""
    code = new_device.setup_code.ensure()
    (file,) = new_device.setup_code._path.parent.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert code.replace("-", "") not in file.read_text().replace("-", "")


async def test_a_huge_body_is_refused(owner: Visitor) -> None:
    """[20] Bodies without bound."""
    answer = await owner.post("/sms", {"message": "x" * 70_000})
    assert answer.status == 413


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.168.1.20:8888", 200),
        ("[fe80::1]:8888", 200),
        ("localhost:8888", 200),
        ("otpbroker", 200),
        ("otpbroker.local:8888", 200),
        ("rebinding.evil.example:8888", 421),
        ("192.168.1.20.evil.example", 421),
        ("", 421),
    ],
)
async def test_a_strangers_name_for_the_device_is_refused(visitor: Visitor, host: str, status: int) -> None:
    """[5] A page of the internet that points its name at the device would talk to it as the same origin."""
    assert (await visitor.get("/login", Host=host)).status == status


async def test_an_account_that_ends_takes_its_sessions_along(device: Device, owner: Visitor) -> None:
    """[2] Sessions outlived passwords and accounts."""
    device.store.change_administrator(blocked=True)
    assert (await owner.get("/")).location == "/login"
    device.store.change_administrator(blocked=False)
    assert (await owner.get("/")).location == "/login"


async def test_a_blocked_administrator_cannot_log_in(device: Device, visitor: Visitor) -> None:
    device.store.change_administrator(blocked=True)
    refused = await visitor.log_in()
    assert refused.status == 401
    assert "User name or password is wrong." in refused.text


async def test_the_text_of_a_test_sms_is_nowhere_on_the_site(
    device: Device, owner: Visitor, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """[17] Texts in logs and pages."""
    form = {"modem": "m1", "receiver": "08126666712", "message": "canary-4711", "id": "one"}
    with caplog.at_level("DEBUG"):
        answer = await owner.post("/sms", form)
        assert answer.location is not None
        pages = [answer.text, *[(await owner.get(path)).text for path in (answer.location, "/sms", "/")]]
    assert all("canary-4711" not in text for text in (*pages, caplog.text))
    command, origin = device.dispatcher.submitted[0]
    assert command.text == "canary-4711"
    assert origin.caller == ADMINISTRATOR.username


async def test_a_defect_tells_the_visitor_nothing(
    device: Device, owner: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    """[20] [7] Exceptions reached the client or dropped the connection."""
    device.dispatcher.modems = [None]  # type: ignore[list-item] # a defect
    answer = await owner.get("/")
    assert answer.status == 500
    assert "Traceback" not in answer.text
    assert "NoneType" not in answer.text
    assert "overview.show broke" in caplog.text
