"""A unit's own secrets: enough entropy, nothing in common, and what the unit keeps of them."""

import math
import re
from ipaddress import ip_address

import pytest

from otpbroker.codes import canonical
from otpbroker.config.document import dump_clear, parse, validate
from otpbroker.config.model import Config
from otpbroker.device.unit import Unit, new_unit, require_no_secrets, unit_config
from otpbroker.errors import Misconfigured, Rejected
from otpbroker.passwords import verify_password
from otpbroker.sealing import Sealer

SEALER = Sealer(bytes(32))
PASSPHRASE_SIGN = "[a-hjkmnp-z2-9]"


def base(text: str = "") -> Config:
    return validate(parse(text), SEALER)


def test_the_secrets_are_long_enough_and_easy_to_type() -> None:
    made = new_unit(base())
    assert re.fullmatch(r"OTP-Broker-[2-9A-HJ-NP-Z]{4}", made.ssid)
    assert re.fullmatch(rf"{PASSPHRASE_SIGN}{{4}}(-{PASSPHRASE_SIGN}{{4}}){{3}}", made.passphrase)
    assert re.fullmatch(r"[2-9A-HJ-NP-Z]{4}(-[2-9A-HJ-NP-Z]{4}){2}", made.setup_code)
    assert len(canonical(made.reset_code)) == 16
    assert 16 * math.log2(31) > 64


def test_no_two_units_share_anything() -> None:
    units = [new_unit(base()) for _ in range(300)]
    for secret in ("passphrase", "setup_code", "reset_code"):
        assert len({getattr(each, secret) for each in units}) == 300
    assert len(set("".join(each.passphrase for each in units))) == 31 + 1  # every sign, and the hyphen


def test_the_unit_keeps_the_codes_as_hashes_only() -> None:
    made = new_unit(base())
    config = unit_config(base(), made, "ID")
    text = dump_clear(config)
    assert made.passphrase in text
    assert made.setup_code not in text
    assert made.reset_code not in text
    assert verify_password(str(config.admin.setup_code), canonical(made.setup_code))
    assert verify_password(str(config.device.reset_code), canonical(made.reset_code))
    assert validate(parse(text), SEALER) == config


def test_its_secrets_do_not_show_in_a_log() -> None:
    made = new_unit(base())
    assert not any(secret in repr(made) for secret in (made.passphrase, made.setup_code, made.reset_code))


def test_it_listens_for_all_whom_the_firewall_lets_in() -> None:
    config = unit_config(base(), new_unit(base()), "ID")
    listeners = (config.admin.listen, config.api.http, config.api.https)
    assert [each.port for each in listeners] == [8888, 8889, 10443]
    assert all(ip_address(each.address).is_unspecified for each in listeners)
    assert config.firewall.ethernet == ()


def test_what_the_base_says_stays() -> None:
    shared = base(
        "api: {http: {enabled: false}}\nadmin: {listen: {address: 10.1.2.3, port: 80}}\n"
        "access_point: {country: MY, channel: 11, address: 10.1.2.3/24, dhcp_first: 10.1.2.9, dhcp_last: 10.1.2.99}"
    )
    made = new_unit(shared)
    config = unit_config(shared, made, None)
    assert made.setup_url == f"http://10.1.2.3:80/setup#{made.setup_code}"
    assert (config.access_point.country, config.access_point.channel) == ("MY", 11)
    assert not config.api.http.enabled
    assert config.admin.listen.address == "10.1.2.3"


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("admin: {listen: {port: 9000}}", 9000),
        ("admin: {listen: {enabled: true}}", 8888),
        ("admin: {listen: {address: 0.0.0.0}}", 8888),
        ("admin: {listen: {address: '::'}}", 8888),
        ("admin: {listen: {address: 192.168.0.11}}", 8888),
    ],
)
def test_the_page_of_the_brochure_is_served_when_the_base_says_part_of_where(text: str, port: int) -> None:
    made = new_unit(base(text))
    listen = unit_config(base(text), made, "ID").admin.listen
    assert made.admin_url == f"http://192.168.0.11:{port}"
    assert listen.port == port
    assert ip_address(listen.address).is_unspecified or listen.address == "192.168.0.11"


@pytest.mark.parametrize("listener", ["http", "https"])
def test_rest_that_the_base_keeps_to_the_unit_itself_stays_there(listener: str) -> None:
    shared = base(f"api: {{{listener}: {{address: 127.0.0.1}}}}")
    config = unit_config(shared, new_unit(shared), "ID")
    assert getattr(config.api, listener).address == "127.0.0.1"


@pytest.mark.parametrize(
    ("listen", "place"),
    [
        ("{enabled: false}", "enabled"),
        ("{port: 0}", "port"),
        ("{address: 127.0.0.1}", "address"),
        ("{address: '::1', port: 9000}", "address"),
        ("{address: 10.0.0.5}", "address"),
    ],
)
def test_a_setup_page_that_nobody_could_reach_is_refused(listen: str, place: str) -> None:
    shared = base(f"admin: {{listen: {listen}}}")
    with pytest.raises(Misconfigured) as error:
        unit_config(shared, new_unit(shared), "ID")
    assert error.value.field == f"admin.listen.{place}"
    assert error.value.remedy


def test_without_a_country_there_is_no_unit() -> None:
    with pytest.raises(Misconfigured) as error:
        unit_config(base(), new_unit(base()), None)
    assert (error.value.field, error.value.code) == ("access_point.country", "country-missing")
    assert "--country ID" in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["access_point: {passphrase: same for all}", "access_point: {ssid: Same}"],
)
def test_a_base_with_a_secret_for_all_units_is_refused(text: str) -> None:
    with pytest.raises(Rejected, match="every unit gets its own"):
        require_no_secrets(base(text))
    require_no_secrets(base("access_point: {country: ID}"))


def test_the_codes_of_one_unit_are_no_base_either() -> None:
    made = new_unit(base())
    with pytest.raises(Rejected) as error:
        require_no_secrets(unit_config(base(), made, "ID"))
    assert made.passphrase not in str(error.value)


def test_the_setup_address_is_the_access_points() -> None:
    made = Unit("a", "b", "ABCD-EFGH-JKLM", "c", "http://192.168.0.11:8888")
    assert made.setup_url == "http://192.168.0.11:8888/setup#ABCD-EFGH-JKLM"
