"""`config.yaml`: strict, section by section, secrets sealed, errors that name the place and never the value."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from otpbroker.config.document import Problem, dump, parse, salvage, validate
from otpbroker.config.model import Config, ModemSection
from otpbroker.errors import Misconfigured
from otpbroker.sealing import Sealer

SEALER = Sealer(bytes(32))
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43


def places(text: str, last_good: Config | None = None) -> list[str]:
    _, problems = salvage(parse(text), SEALER, last_good)
    return [problem.place for problem in problems]


def test_an_empty_document_is_every_default() -> None:
    assert validate(parse(""), SEALER) == Config()


def with_rabbit(setting: str) -> str:
    """A document with a RabbitMQ feeder that has this setting, or this host."""
    host = "" if setting.startswith("host") else "host: broker, "
    return f"feeders: [{{id: a, kind: rabbitmq, {host}username: device, password: hare and tortoise, {setting}}}]"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("frobnicate: {}", "frobnicate"),
        ("sms: {frobnicate: 1}", "sms.frobnicate"),
        ("sms: {life: 5}", "sms.life"),
        ("sms: {life: soon}", "sms.life"),
        ("version: 2", "version"),
        ("device: {country_code: '062'}", "device.country_code"),
        ("device: {language: fr}", "device.language"),
        ('device: {name: "a\\r\\nssid=x"}', "device.name"),
        ("device: {name: 'sealed:x'}", "device"),
        ("modems: {id: a}", "modems"),
        ("modems: [{id: a}]", "modems.0"),
        ("modems: [{id: 'a b', port: /dev/ttyUSB0}]", "modems.0.id"),
        ("modems: [{id: a, port: ttyUSB0}]", "modems.0.port"),
        ("modems: [{id: a, port: /dev/x, parity: X}]", "modems.0.parity"),
        ("modems: [{id: a, port: /dev/x, prefixes: [08a]}]", "modems.0.prefixes.0"),
        ("modems: [{id: a, port: /dev/x, pin: '12'}]", "modems.0.pin"),
        ("modems: [{id: a, usb: '1-1.2:1.0'}]", "modems.0.usb"),
        ("modems: [{id: a, port: /dev/x, smsc: 'x'}]", "modems.0.smsc"),
        ("modems: [{id: a, iccid: '8962'}]", "modems.0.iccid"),
        ("modems: [{id: a, imsi: '51010123456789X'}]", "modems.0.imsi"),
        ("modems: [{id: a, port: /dev/x, limits: {per_day: -1}}]", "modems.0.limits.per_day"),
        ("modems: [{id: a, port: /dev/x, limits: {per_week: 7}}]", "modems.0.limits.per_week"),
        ("modems: [{id: a, port: /dev/x, limits: {pause: .nan}}]", "modems.0.limits.pause"),
        ("modems: [{id: a, port: /dev/x, tariff: {}}]", "modems.0.tariff.price"),
        ("modems: [{id: a, port: /dev/x, tariff: {price: Rp 350}}]", "modems.0.tariff.price"),
        ("modems: [{id: a, port: /dev/x, tariff: {price: true}}]", "modems.0.tariff.price"),
        ("modems: [{id: a, port: /dev/x, tariff: {price: .inf}}]", "modems.0.tariff.price"),
        ("modems: [{id: a, port: /dev/x, tariff: {price: -1}}]", "modems.0.tariff.price"),
        ("modems: [{id: a, port: /dev/x, tariff: {price: 0.00001}}]", "modems.0.tariff.price"),
        (
            "modems: [{id: a, port: /dev/x, tariff: {price: 1, prices: [{prefixes: ['0871', 08a], price: 1}]}}]",
            "modems.0.tariff.prices.0.prefixes.1",
        ),
        (
            "modems: [{id: a, port: /dev/x, tariff: {price: 1, promo: {after: 5, price: 1, per: week}}}]",
            "modems.0.tariff.promo.per",
        ),
        ("sms: {routing: fastest}", "sms.routing"),
        ("api: {http: {address: everywhere}}", "api.http.address"),
        ("api: {http: {port: 70000}}", "api.http.port"),
        ("api: {message_path: ../etc}", "api.message_path"),
        ("api: {message_path: /api/../etc}", "api.message_path"),
        ("api: {message_path: /api/<x>}", "api.message_path"),
        ("api: {block_path: /api/a b}", "api.block_path"),
        ("api: {block_path: /api/%2e}", "api.block_path"),
        ("api: {unblock_path: /}", "api.unblock_path"),
        ("api: {unblock_path: /api/v1/messages}", "api.unblock_path"),
        ("api: {users: [{username: shop, password: secret}]}", "api.users.0.password"),
        ("admin: {session_idle: 1}", "admin.session_idle"),
        ("feeders: {id: a}", "feeders"),
        ("feeders: [{id: a}]", "feeders.0.kind"),
        ("feeders: [{id: a, kind: rabbitmq, username: u, password: p}]", "feeders.0.host"),
        ("feeders: [{id: a, kind: rabbitmq, host: h}]", "feeders.0"),
        ("feeders: [{id: a, kind: rabbitmq, host: h, username: u}]", "feeders.0"),
        (with_rabbit("host: 'amqp://h'"), "feeders.0.host"),
        (with_rabbit("host: broker..example.com"), "feeders.0.host"),
        ("feeders: [{id: a, kind: websocket, url: 'ws://broker..example.com/ws'}]", "feeders.0.url"),
        (f"feeders: [{{id: a, kind: websocket, url: 'ws://{'x' * 64}.example.com/ws'}}]", "feeders.0.url"),
        (with_rabbit("heartbeat: 1"), "feeders.0.heartbeat"),
        (with_rabbit("queue: ''"), "feeders.0.queue"),
        (with_rabbit("queue_type: quorum"), "feeders.0"),
        (with_rabbit("tls: {ca: ca.pem}"), "feeders.0.tls.ca"),
        (with_rabbit("tls: {ca: /ca.pem}"), "feeders.0"),
        (with_rabbit("unknown: dead-letter"), "feeders.0"),
        (with_rabbit("rights: [inbox]"), "feeders.0.rights.0"),
    ],
)
def test_a_mistake_is_told_by_its_place(text: str, place: str) -> None:
    assert places(text) == [place]


def test_a_number_that_should_be_text_is_told_to_be_put_in_quotes() -> None:
    """YAML reads 0123 as octal: a PIN or country code that lost its zero must not pass."""
    for text in ("device: {country_code: 62}", "modems: [{id: a, port: /dev/x, prefixes: [0711]}]"):
        _, (problem,) = salvage(parse(text), SEALER, None)
        assert problem.remedy == "put it in quotes"


@pytest.mark.parametrize(
    "host", ["broker", "broker.example.com.", "b" * 63 + ".example.com", "10.0.0.1", "fd00::1"]
)
def test_a_feeders_host_is_whatever_can_be_resolved(host: str) -> None:
    rabbit = with_rabbit(f"host: '{host}'").removesuffix("]")
    address = f"[{host}]" if ":" in host else host
    websocket = f"{{id: b, kind: websocket, url: 'ws://{address}:9000/ws'}}"
    assert len(validate(parse(f"{rabbit}, {websocket}]"), SEALER).feeders) == 2


def test_every_mistake_is_told_at_once() -> None:
    text = "sms: {life: 1}\nmodems: [{id: a, port: x}]\nnonsense: 1\n"
    assert set(places(text)) == {"sms.life", "modems.0.port", "nonsense"}


@pytest.mark.parametrize(
    "text", ["api: {users: [{username: shop, password: hunter2}]}", "modems: [{id: a, port: /dev/x, pin: hunter2}]"]
)
def test_a_value_at_fault_is_never_repeated(text: str) -> None:
    with pytest.raises(Misconfigured) as error:
        validate(parse(text), SEALER)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "line 2, column 1: a is there twice"),
        ("sms: {life: 10, life: 20}", "life is there twice"),
        ("a: [", "line"),
        ("- 1\n- 2", "must be a mapping"),
        ("1: 2", "must be a mapping"),
        ("a: &x [1]\nb: *x", "aliases are not understood"),
        ("a: &x [*x]", "aliases are not understood"),
        ("a: !!python/object/apply:os.system [x]", "line 1"),
        ("a:\n  b: 2024-13-45", "line 2, column 6: the value is not understood"),
        ("a: " + "1" * 5000, "line 1, column 4: the value is not understood"),
        ("a: !!bool x", "the value is not understood"),
        ("a: !!int x", "the value is not understood: quote it if it is text"),
        ("a: !!timestamp x", "the value is not understood"),
        ("a: !!float ''", "the value is not understood"),
        ("? [1]\n: 2", "line 1, column 3: a key must be a name"),
    ],
)
def test_what_is_no_document_is_told_with_its_place(text: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "modems: [{id: a, port: /dev/x}, {id: a, port: /dev/y}]",
        "modems: [{id: a, port: /dev/x, tariff: {price: 1, prices: [{prefixes: ['08', '08'], price: 1}]}}]",
        "modems: [{id: a, port: /dev/x}, {id: b, port: /dev/x}]",
        "modems: [{id: a, iccid: '8962100000000000017'}, {id: b, iccid: '8962100000000000017', usb: 1-1.2}]",
        "modems: [{id: a, imsi: '510101234567890'}, {id: b, imsi: '510101234567890'}]",
        "modems: [{id: a, imei: '490154203237518'}, {id: b, imei: '490154203237518'}]",
        "modems: [{id: a, usb: 1-1.2}, {id: b, usb: 1-1.2}]",
        f"api: {{users: [{{username: u, password: '{HASH}'}}, {{username: u, password: '{HASH}'}}]}}",
    ],
)
def test_two_of_one_name_are_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="is there twice"):
        validate(parse(text), SEALER)


@pytest.mark.parametrize(
    ("written", "price", "dumped"),
    [
        ("350", "350", "350"),
        ("350.00", "350", "350"),
        ("0.1", "0.1", "'0.1'"),  # a float in YAML, and exact all the same
        ("'0.0790'", "0.079", "'0.079'"),
        ("0", "0", "0"),
        ("1e3", "1000", "1000"),
        ("1000000", "1000000", "1000000"),
    ],
)
def test_money_is_exact_and_is_written_in_one_way(written: str, price: str, dumped: str) -> None:
    config = validate(parse(f"modems: [{{id: a, port: /dev/x, tariff: {{price: {written}}}}}]"), SEALER)
    tariff = config.modems[0].tariff
    assert tariff is not None
    assert str(tariff.price) == price
    assert f"price: {dumped}\n" in dump(config, SEALER)
    assert validate(parse(dump(config, SEALER)), SEALER) == config


class TestSalvage:
    LAST_GOOD = validate(
        parse("sms: {life: 77}\ndevice: {name: Old}\nmodems: [{id: a, port: /dev/a}, {id: b, port: /dev/b}]"),
        SEALER,
    )

    def test_a_broken_section_keeps_its_last_good_value_and_leaves_the_others(self) -> None:
        config, problems = salvage(parse("sms: {life: x}\ndevice: {name: New}"), SEALER, self.LAST_GOOD)
        assert config.sms.life == 77
        assert config.device.name == "New"
        assert [problem.place for problem in problems] == ["sms.life"]

    def test_a_broken_modem_keeps_its_last_good_entry_and_leaves_the_others(self) -> None:
        text = "modems: [{id: a, port: wrong}, {id: b, port: /dev/new}, {id: c, port: wrong}]"
        config, problems = salvage(parse(text), SEALER, self.LAST_GOOD)
        assert [(modem.id, modem.port) for modem in config.modems] == [("a", "/dev/a"), ("b", "/dev/new")]
        assert [problem.place for problem in problems] == ["modems.0.port", "modems.2.port"]

    def test_of_two_modems_on_one_port_or_with_one_id_the_first_counts(self) -> None:
        text = "modems: [{id: x, port: /dev/x}, {id: y, port: /dev/x}, {id: x, port: /dev/z}]\nsms: {life: 99}"
        config, problems = salvage(parse(text), SEALER, self.LAST_GOOD)
        assert [(modem.id, modem.port) for modem in config.modems] == [("x", "/dev/x")]
        assert config.sms.life == 99
        assert [problem.place for problem in problems] == ["modems.1", "modems.2"]

    def test_two_users_of_one_name_cost_their_section_alone(self) -> None:
        user = f"{{username: u, password: '{HASH}'}}"
        text = f"api: {{users: [{user}, {user}]}}\nadmin: {{administrators: [{user}]}}\nsms: {{life: 99}}"
        config, problems = salvage(parse(text), SEALER, None)
        assert [admin.username for admin in config.admin.administrators] == ["u"]
        assert config.sms.life == 99
        assert [problem.place for problem in problems] == ["api.users"]

    def test_without_a_last_good_value_the_default_counts(self) -> None:
        config, _ = salvage(parse("sms: {life: x}"), SEALER, None)
        assert config.sms.life == Config().sms.life


class TestSecrets:
    CONFIG = Config(modems=(ModemSection(id="a", port="/dev/x", pin="4711"),))  # type: ignore[arg-type] # as of YAML

    def test_a_pin_is_sealed_on_disk_and_reads_back(self) -> None:
        text = dump(self.CONFIG, SEALER)
        assert "4711" not in text
        again = validate(parse(text), SEALER)
        assert again.modems[0].pin is not None
        assert again.modems[0].pin.get_secret_value() == "4711"
        assert again == self.CONFIG

    def test_a_pin_shows_nowhere_else(self) -> None:
        assert "4711" not in repr(self.CONFIG)
        assert "4711" not in str(self.CONFIG)
        assert "4711" not in self.CONFIG.model_dump_json()

    def test_another_devices_secret_is_a_problem_with_a_remedy(self) -> None:
        text = dump(self.CONFIG, Sealer(bytes([1]) * 32))
        _, problems = salvage(parse(text), SEALER, None)
        wanted = Problem("modems.0", "config.yaml was sealed with another key", "enter the secret anew")
        assert problems == (wanted,)

    @pytest.mark.parametrize("sealed", ["", "???", "AAAA", "é", "A" * 80])
    def test_a_damaged_secret_is_a_problem(self, sealed: str) -> None:
        assert places(f"modems: [{{id: a, port: /dev/x, pin: 'sealed:{sealed}'}}]") == ["modems.0"]

    def test_a_damaged_secret_of_one_modem_leaves_the_others(self) -> None:
        text = "modems: [{id: a, port: /dev/x, pin: 'sealed:???'}, {id: b, port: /dev/y}]"
        config, _ = salvage(parse(text), SEALER, None)
        assert [modem.id for modem in config.modems] == ["b"]


def test_only_what_differs_from_the_defaults_is_written() -> None:
    text = dump(Config(), SEALER)
    assert yaml.safe_load(text) == {"version": 1}


@given(
    life=st.integers(10, 7 * 86400),
    name=st.text(min_size=1, max_size=64).filter(str.isprintable),
    prefixes=st.lists(st.from_regex(r"\A[0-9]{1,15}\Z"), max_size=4),
    default=st.booleans(),
)
def test_what_is_written_reads_back(life: int, name: str, prefixes: list[str], default: bool) -> None:
    document = {
        "sms": {"life": life},
        "device": {"name": name},
        "modems": [{"id": "m", "port": "/dev/x", "prefixes": prefixes, "default": default}],
    }
    config = validate(document, SEALER)
    assert validate(parse(dump(config, SEALER)), SEALER) == config


@pytest.mark.parametrize("identity", ["iccid: '8962100000000000017'", "imsi: '510101234567890'", "usb: 1-1.2"])
def test_a_modem_may_be_named_by_anything_that_finds_it(identity: str) -> None:
    (modem,) = validate(parse(f"modems: [{{id: a, {identity}}}]"), SEALER).modems
    assert modem.port is None


def test_sticks_may_share_an_imei_where_sim_or_socket_tells_them_apart() -> None:
    imei = "imei: '490154203237518'"
    others = ("usb: 1-1.2", "usb: 1-1.3", "imsi: '510101234567890'")
    modems = ", ".join(f"{{id: m{number}, {imei}, {other}}}" for number, other in enumerate(others))
    assert len(validate(parse(f"modems: [{modems}]"), SEALER).modems) == 3


RABBIT = "{id: %s, kind: rabbitmq, host: broker, username: device, password: hare and tortoise}"


def test_a_broken_feeder_does_not_take_the_others_along() -> None:
    good = validate(parse(f"feeders: [{RABBIT % 'a'}, {RABBIT % 'b'}]"), SEALER)
    changed = f"feeders: [{RABBIT % 'a'}, {{id: b, kind: rabbitmq}}, {{id: c}}, {RABBIT % 'a'}]"
    config, problems = salvage(parse(changed), SEALER, good)
    assert config.feeders == good.feeders
    assert problems[0].place.startswith("feeders.1")
    assert problems[-1] == Problem("feeders.3", "its id is there twice", "change or remove one")


def test_a_feeders_secrets_are_sealed_and_come_back() -> None:
    key = "-----BEGIN PRIVATE KEY-----\\nsecret\\n-----END PRIVATE KEY-----"
    config = validate(parse(with_rabbit(f'tls: {{enabled: true, certificate: /c.pem, key: "{key}"}}')), SEALER)
    text = dump(config, SEALER)
    assert "hare and tortoise" not in text
    assert "secret" not in text
    assert "hare and tortoise" not in repr(config)
    again = validate(parse(text), SEALER)
    assert again == config
    (feeder,) = again.feeders
    assert feeder.password is not None
    assert feeder.password.get_secret_value() == "hare and tortoise"
    assert (feeder.broker_port, feeder.queue, feeder.durable) == (5671, "sms", False)


@pytest.mark.parametrize("text", ["[" * 5000, "a: " + "{a: " * 5000, "a: " + "[" * 300 + "]" * 300])
def test_a_document_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured) as error:
        validate(parse(text), SEALER)
    assert error.value.code in {"config-not-yaml", "config-invalid"}


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("admin: {listen: {address: 0.0.0.0}}", "0.0.0.0", 8888),  # noqa: S104
        ("admin: {listen: {port: 9000}}", "127.0.0.1", 9000),
        ("admin: {listen: {port: 0}}", "127.0.0.1", 0),
        ("admin: {listen: {enabled: false}}", "127.0.0.1", 8888),
        ("admin: {listen: {address: 127.0.0.1}}", "127.0.0.1", 8888),
    ],
)
def test_a_listener_in_part_is_the_usual_one_otherwise_and_stays_as_it_was_said(
    text: str, address: str, port: int
) -> None:
    for document in (text, dump(validate(parse(text), SEALER), SEALER)):
        listen = validate(parse(document), SEALER).admin.listen
        assert (listen.address, listen.port) == (address, port)
        assert ("address" in listen.model_fields_set) == ("address" in text)
