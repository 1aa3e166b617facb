"""Families of modems as data."""

import re

import pytest

from otpbroker.modem.dialect import DIALECTS, GENERIC, Dialect, dialect_of


@pytest.mark.parametrize(
    ("manufacturer", "model", "name"),
    [
        ("huawei", "E1750", "huawei"),
        ("HUAWEI TECHNOLOGIES CO., LTD", "E3372", "huawei"),
        ("ZTE CORPORATION", "MF190", "zte"),
        ("Quectel", "EC25", "quectel"),
        ("SIMCOM_Ltd", "SIMCOM_SIM800L", "simcom-2g"),
        ("SIMCOM INCORPORATED", "SIMCOM_SIM7600E", "simcom"),
        ("Cinterion", "EHS6", "cinterion"),
        ("WAVECOM MODEM", "MULTIBAND  900E  1800", "wavecom"),
        ("Telit", "LE910", "telit"),
        ("u-blox", "SARA-U270", "u-blox"),
        ("ACME", "M1", "generic"),
        ("", "", "generic"),
    ],
)
def test_the_family_follows_from_what_the_modem_says_of_itself(manufacturer: str, model: str, name: str) -> None:
    assert dialect_of(manufacturer, model).name == name


@pytest.mark.parametrize("dialect", [*DIALECTS, GENERIC], ids=lambda dialect: dialect.name)
def test_every_command_of_every_family_is_a_clean_command_line(dialect: Dialect) -> None:
    commands = (*dialect.start, *dialect.iccid, *dialect.notify, dialect.signal, *(c for c, _ in dialect.pin_tries))
    for command in commands:
        assert re.fullmatch(r"AT[ -~]+", command)
        assert command.count('"') % 2 == 0
        assert not re.match(r"AT\+C(MGW|MSS|PWD|LCK|PIN=)", command)
    for _, pattern in dialect.pin_tries:
        assert re.compile(pattern).groups == 1


@pytest.mark.parametrize(
    ("family", "answer", "left"),
    [
        ("huawei", "^CPIN: SIM PIN,3,10,2,10,3", "2"),
        ("huawei", "^CPIN: SIM PIN,,10,1,10,3", "1"),
        ("quectel", '+QPINC: "SC",3,10', "3"),
        ("simcom", "+SPIC: 2,10,0,10", "2"),
        ("cinterion", "^SPIC: 3", "3"),
        ("u-blox", "+UPINCNT: 3,3,10,10", "3"),
        ("telit", "#PCT: 1", "1"),
        ("generic", "+CPINR: SIM PIN,2,3", "2"),
    ],
)
def test_the_tries_left_are_found_in_each_familys_answer(family: str, answer: str, left: str) -> None:
    dialect = next(each for each in (*DIALECTS, GENERIC) if each.name == family)
    found = [match[1] for _, pattern in dialect.pin_tries if (match := re.match(pattern, answer))]
    assert found == [left]


def test_common_codes_belong_to_every_family() -> None:
    assert all("+CREG:" in each.known_codes and "RING" in each.known_codes for each in DIALECTS)
