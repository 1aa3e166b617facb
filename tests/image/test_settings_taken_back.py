"""What a roll-out has set, a later one takes back."""

import os
from pathlib import Path

import pytest
from unit_in_folders import UnitInFolders, play, role

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")

SERVERS = "/etc/systemd/timesyncd.conf.d/otpbroker.conf"
ALWAYS = "/etc/systemd/system/ssh.service.d/otpbroker-always.conf"
MODEMS = "/etc/systemd/system/otpbroker-modems.service"
MODEMS_OPEN = "/etc/systemd/system/otpbroker.service.d/simulated-modems.conf"
FOLDERS = [ALWAYS, MODEMS_OPEN]


@pytest.fixture
def unit(tmp_path: Path) -> UnitInFolders:
    made = UnitInFolders.made("unit-1", tmp_path)
    for path in FOLDERS:
        made.path(path).parent.mkdir(parents=True, exist_ok=True)
    return made


def rolled_out(unit: UnitInFolders, tasks: dict[str, object], **variables: object) -> list[str]:
    """What the unit's systemd was told; the run itself has to be a good one, and another one like it needless."""
    run = play([unit], [tasks], **variables)
    assert run.code == 0, run.output
    told = unit.told
    again = play([unit], [tasks], **variables)
    assert (again.code, again.changed) == (0, set()), again.output
    assert {*unit.told} <= {"daemon-reload"}
    return told


def test_time_servers(unit: UnitInFolders) -> None:
    tasks = role("base", "time_servers")
    rolled_out(unit, tasks, base_ntp_servers=["192.0.2.1", "time.example"])
    assert unit.path(SERVERS).read_text() == "[Time]\nNTP=192.0.2.1 time.example\n"
    told = rolled_out(unit, tasks, base_ntp_servers=[])
    assert not unit.path(SERVERS).exists()
    assert "restart systemd-timesyncd.service" in told


def test_a_time_server_that_is_none_is_not_written(unit: UnitInFolders) -> None:
    run = play([unit], [role("base", "time_servers")], base_ntp_servers=["192.0.2.1; reboot"])
    assert run.code != 0
    assert not unit.path(SERVERS).exists()


def test_ssh_whatever_config_yaml_says(unit: UnitInFolders) -> None:
    tasks = role("hardening", "ssh_always")
    rolled_out(unit, tasks, hardening_ssh_always=True)
    assert "ConditionPathExists=\n" in unit.path(ALWAYS).read_text()
    told = rolled_out(unit, tasks, hardening_ssh_always=False)
    assert not unit.path(ALWAYS).exists()
    assert told == ["daemon-reload", "try-restart ssh.service"]


def test_simulated_modems(unit: UnitInFolders) -> None:
    simulated, real = (role("otpbroker", name) for name in ("simulated_modems", "real_modems"))
    rolled_out(unit, simulated, otpbroker_simulated_modems=2)
    assert "--count 2 " in unit.path(MODEMS).read_text()
    told = rolled_out(unit, simulated, otpbroker_simulated_modems=3)
    assert [word for word in told if word.startswith("try-")] == [
        "try-restart otpbroker-modems.service",
        "try-restart otpbroker.service",
    ]
    told = rolled_out(unit, real, otpbroker_simulated_modems=0)
    assert not unit.path(MODEMS).exists()
    assert not unit.path(MODEMS_OPEN).exists()
    assert "stop otpbroker-modems.service" in told
    assert told[-1] == "try-restart otpbroker.service"
