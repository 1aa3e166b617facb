"""A roll-out that ends early: what was changed on a unit is in force there, or the next roll-out brings it."""

import os
from pathlib import Path

import pytest
import yaml
from unit_in_folders import REPO, Run, UnitInFolders, play, role

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")

HANDLERS = (
    "try-restart otpbroker.service",
    "try-reload-or-restart otpbroker-system.service",
    "try-reload-or-restart nftables.service",
    "reload NetworkManager.service",
    "restart systemd-timesyncd.service",
    "reload ssh.service",
)
SETTINGS = {"sms": {"life": 120}}
TAKEN_UP = [f"try-reload-or-restart {unit}.service" for unit in ("otpbroker-system", "otpbroker")]


@pytest.fixture
def units(tmp_path: Path) -> list[UnitInFolders]:
    return [UnitInFolders.made(name, tmp_path) for name in ("unit-1", "unit-2")]


def roll_out(units: list[UnitInFolders], ends_at: str = "nobody") -> Run:
    cut: dict[str, object] = {"ansible.builtin.fail": {}, "when": f"inventory_hostname == '{ends_at}'"}
    return play(units, [role("otpbroker", "settings"), cut], otpbroker_settings=SETTINGS, rollout=2)


def test_new_settings_are_taken_up_and_remembered_once(units: list[UnitInFolders]) -> None:
    run = roll_out(units)
    assert run.code == 0, run.output
    for unit in units:
        assert unit.told == TAKEN_UP
        assert "life: 120" in unit.path("/var/lib/otpbroker/config.yaml").read_text()
    assert roll_out(units).changed == set()
    assert [unit.told for unit in units] == [[], []]


def test_they_are_in_force_on_every_unit_when_another_unit_ends_the_roll_out(units: list[UnitInFolders]) -> None:
    assert roll_out(units, ends_at="unit-2").code != 0
    assert [unit.told for unit in units] == [TAKEN_UP, TAKEN_UP]


def test_what_did_not_come_into_force_is_rolled_out_again(units: list[UnitInFolders]) -> None:
    units[0].refuse(*TAKEN_UP)
    assert roll_out(units).code != 0
    assert units[0].told
    units[0].refuse()
    run = roll_out(units)
    assert run.code == 0, run.output
    assert units[0].told == TAKEN_UP
    assert roll_out(units).changed == set()


def test_what_was_written_before_everything_ended_is_rolled_out_again(units: list[UnitInFolders]) -> None:
    """As by a lost connection: nothing could be done after it."""
    roll_out(units)
    for unit in units:
        assert unit.told
        unit.path("/var/lib/otpbroker/rolled-out.sha256").unlink()
    run = roll_out(units)
    assert run.code == 0, run.output
    assert [unit.told for unit in units] == [TAKEN_UP, TAKEN_UP]


def test_whatever_was_changed_by_a_run_that_lost_its_unit_is_brought_into_force(units: list[UnitInFolders]) -> None:
    unit = units[0]
    take_over, catch_up, hand_over = (role("base", name) for name in ("take_over", "catch_up", "hand_over"))
    finished = [take_over, catch_up, {"ansible.builtin.meta": "flush_handlers"}, hand_over]
    unit.refuse("try-restart otpbroker-modems.service")  # as of a unit that is not there: its modems are real

    assert play([unit], [take_over]).changed == set(), "it ends here"
    run = play([unit], finished, handlers_of=("hardening", "network", "firewall", "otpbroker"))
    assert run.code == 0, run.output
    assert {*HANDLERS} <= {*unit.told}
    assert play([unit], finished).changed == set()
    assert unit.told == []


@pytest.mark.parametrize("is_one", [True, False])
def test_a_host_that_is_no_unit_yet_is_not_closed_by_a_run_that_fails(
    units: list[UnitInFolders], is_one: bool
) -> None:
    unit, load = units[0], "try-reload-or-restart nftables.service"
    if not is_one:
        unit.refuse("is-active --quiet otpbroker-system.service")
    changed = {"ansible.builtin.debug": {}, "changed_when": True, "notify": "Load the rules"}
    assert play([unit], [changed, {"ansible.builtin.fail": {}}], handlers_of=["firewall"]).code != 0
    assert unit.told == ([load] if is_one else [])

    run = play([unit], [role("first_boot", "running")])
    assert run.code == 0, run.output
    assert (load in unit.told) == (not is_one), "and what fills the sets is started after it"


def test_nothing_is_told_before_the_roles_have_installed_it() -> None:
    """A section's handlers run at its end; a first run that was cut off left services that are not there yet."""
    (site,) = yaml.safe_load((REPO / "ansible/site.yml").read_text())
    at_the_start = [task["ansible.builtin.include_role"] for task in site["pre_tasks"]]
    for included in at_the_start:
        tasks = REPO / "ansible/roles" / included["name"] / "tasks" / f"{included['tasks_from']}.yml"
        assert not any("notify" in task for task in yaml.safe_load(tasks.read_text())), tasks
    order = [task.get("ansible.builtin.include_role", {}).get("tasks_from") for task in site["post_tasks"]]
    assert order == ["catch_up", None, "hand_over", "health"]
    assert site["post_tasks"][1]["ansible.builtin.meta"] == "flush_handlers"
