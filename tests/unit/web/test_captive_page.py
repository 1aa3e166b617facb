"""What a phone gets that asks over the unit's own network whether it leads to the internet."""

import pytest
from quart import Quart

from otpbroker.clock import Clock
from otpbroker.config.access_point import AccessPointSection
from otpbroker.config.model import AdminSection, Config
from otpbroker.device.captive import CHECKED_HOSTS
from otpbroker.web.cookies import FormTokens
from otpbroker.web.guard import Guard
from otpbroker.web.sessions import Sessions

ENABLED = AccessPointSection.model_validate(
    {"enabled": True, "ssid": "Net", "passphrase": "abcd-2345", "country": "ID"}
)
ACCESS_POINT = ("192.168.0.11", 8888)


class Store:
    """A configuration that stays as it is."""

    def __init__(self, section: AccessPointSection) -> None:
        self.config = Config(access_point=section)

    async def update(self, *_: object, **__: object) -> Config:
        raise NotImplementedError


async def ask(
    host: str,
    server: tuple[str, int] | None = ACCESS_POINT,
    *,
    method: str = "GET",
    scheme: str = "http",
    section: AccessPointSection = ENABLED,
) -> tuple[int, str | None]:
    app = Quart(__name__)
    store = Store(section)
    app.before_request(Guard(store, Sessions(AdminSection, Clock()), FormTokens(), ()).admit)
    scope = {"server": server} if server else {}
    response = await app.test_client().open(
        "/generate_204", method=method, scheme=scheme, headers={"Host": host}, scope_base=scope
    )
    return response.status_code, response.headers.get("Location")


@pytest.mark.parametrize("host", [*CHECKED_HOSTS, "captive.apple.com:80", "CAPTIVE.apple.com."])
async def test_the_checks_of_phones_lead_to_the_page(host: str) -> None:
    assert await ask(host) == (302, "http://192.168.0.11:8888/")


@pytest.mark.parametrize(
    "host", ["rebinding.evil.example", "apple.com", "captive.apple.com.evil.example", "x.captive.apple.com"]
)
async def test_any_other_strange_name_is_refused(host: str) -> None:
    assert await ask(host) == (421, None)


@pytest.mark.parametrize("server", [("192.168.1.20", 8888), ("127.0.0.1", 8888), None])
async def test_on_another_network_the_checks_are_strangers(server: tuple[str, int] | None) -> None:
    assert await ask("captive.apple.com", server) == (421, None)


async def test_only_what_a_check_does_is_answered() -> None:
    assert await ask("captive.apple.com", method="POST") == (421, None)
    assert await ask("captive.apple.com", scheme="https") == (421, None)


async def test_without_an_access_point_there_are_no_checks() -> None:
    assert await ask("captive.apple.com", section=AccessPointSection()) == (421, None)
