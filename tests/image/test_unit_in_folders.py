"""Whatever a role does wrong in a unit of folders, the machine that runs the tests stays as it is."""

import os
from pathlib import Path

import pytest
from unit_in_folders import UnitInFolders, play

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")

BESIDE = ("/boot", "/etc", "/etc/ssh", "/home", "/proc/sys", "/root", "/sys", "/sys/fs/cgroup", "/usr/bin", "/var")
OWN = ("/etc/systemd/system", "/opt", "/run", "/var/lib")
RIGHTS = 0b1101_1011  # of linux/capability.h: chown, dac_override, fowner, fsetid, setgid, setuid


def test_nothing_beside_its_folders_can_be_changed(tmp_path: Path) -> None:
    """Asked, not tried."""
    unit = UnitInFolders.made("unit-1", tmp_path)
    ask = f"""
        set -eu
        cat > /run/rights < /proc/self/status
        for place in {" ".join(OWN)}; do test -w $place; done
        for place in {" ".join(BESIDE)}; do ! test -w $place || {{ echo $place; exit 1; }}; done
        readlink /proc/self/ns/pid > /run/processes
    """
    run = play([unit], [{"ansible.builtin.shell": ask}])
    assert run.code == 0, run.output
    status = dict(line.split(":\t", 1) for line in unit.path("/run/rights").read_text().splitlines())
    assert int(status["CapEff"], 16) & ~RIGHTS == 0
    assert int(status["CapPrm"], 16) & ~RIGHTS == 0
    assert unit.path("/run/processes").read_text().strip() != str(Path("/proc/self/ns/pid").readlink())
