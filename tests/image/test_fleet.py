"""A fleet of one, over SSH: the same roles find nothing to do on a unit from the image, and roll a change out.

The unit reaches no package archive, as one behind mobile internet may not: what is installed is asked for nowhere.
"""

import asyncio
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from card_copy import CardCopy, copy_of
from machine import SHELL_DEVICE, Kind, booted

from image.commands import Commands
from image.personalise import Wishes, personalise

REPO = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Whom Ansible lets in, and the card whose unit lets it in."""

    folder: Path
    card: CardCopy
    wheels: Path

    def inventory(self, settings: dict[str, object]) -> Path:
        host = {"ansible_host": "unit", "ansible_ssh_common_args": f"-F {self.folder / 'ssh_config'}"}
        variables = {
            "ansible_user": "root",
            "first_boot_country": "ID",  # as the image has it
            "otpbroker_wheelhouse": str(self.wheels),
            "otpbroker_settings": settings,
        }
        path = self.folder / "hosts.yml"
        path.write_text(yaml.safe_dump({"all": {"hosts": {"unit": host}, "vars": variables}}))
        return path

    def reach(self, port: int) -> None:
        """By a name, because the unit's own port is 22, wherever the machine's is."""
        (self.folder / "ssh_config").write_text(
            f"Host unit\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {self.folder / 'key'}\n"
            f"  UserKnownHostsFile {self.folder / 'known'}\n  StrictHostKeyChecking accept-new\n"
            "  ConnectTimeout 60\n"
        )

    async def play(self, settings: dict[str, object]) -> tuple[int, str]:
        """The exit code of ansible-playbook, and all that it told."""
        venv = REPO / os.environ.get("IMAGE_VENV", ".venv-image")
        process = await asyncio.create_subprocess_exec(
            *(venv / "bin/ansible-playbook", "--inventory", self.inventory(settings), "site.yml"),
            cwd=REPO / "ansible",
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 1200)
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def roll_out(self, settings: dict[str, object]) -> list[str]:
        """The tasks and handlers that changed something."""
        code, told = await self.play(settings)
        recap = re.search(r"ok=\d+ +changed=(\d+) +unreachable=0 +failed=0", told)
        assert code == 0, told[-6000:]
        assert recap is not None, told[-6000:]
        changed = [
            task.partition("]")[0]
            for task in re.split(r"\n(?:TASK|RUNNING HANDLER) \[", told)
            if re.search(r"^changed: ", task, re.MULTILINE)
        ]
        assert len(changed) == int(recap[1])
        return changed


@pytest.fixture
def fleet(image: Path, stages: Path, kind: Kind, in_ram: Path) -> Fleet:
    folder = in_ram / "fleet"
    folder.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    base = {
        "ssh": {"enabled": True, "authorized_keys": [(folder / "key.pub").read_text().strip()]},
        "firewall": {"ethernet": [{"port": 22, "protocol": "tcp"}]},
    }
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    personalise(1, folder / "units", Wishes("ID", folder / "base.yaml"), Commands(folder / "log"))
    card = copy_of(image, folder / "card", device=SHELL_DEVICE[kind])
    card.put_on_boot("otpbroker/config.yaml", (folder / "units/unit-001/config.yaml").read_bytes())
    return Fleet(folder, card, stages / "wheels/house")


@pytest.mark.timeout(3600)
async def test_a_change_is_rolled_out_once_and_a_unit_from_the_image_needs_none(fleet: Fleet, kind: Kind) -> None:
    if kind != "q35":
        pytest.skip("Ansible in a machine whose every instruction is translated takes too long")
    async with booted(fleet.card, kind=kind, forward=[22]) as vm:
        await vm.settled()
        fleet.reach(vm.port(22))

        assert await fleet.roll_out({}) == []

        agent = await vm.out("systemctl show -p MainPID --value otpbroker")
        settings: dict[str, object] = {"sms": {"life": 120}, "api": {"http": {"enabled": False}}}
        changed = await fleet.roll_out(settings)
        assert "otpbroker : Write config.yaml" in changed
        assert "otpbroker : Remember what was rolled out" in changed
        document = yaml.safe_load(await vm.out("cat /var/lib/otpbroker/config.yaml"))
        assert document["sms"]["life"] == 120
        assert document["access_point"]["passphrase"].startswith("sealed:"), "what was there stays"
        assert await vm.out("systemctl show -p MainPID --value otpbroker") == agent, "a reload is enough"
        await vm.until("! bash -c '< /dev/tcp/127.0.0.1/8889'")

        assert await fleet.roll_out(settings) == []

        off = {"enabled": False}
        only_pulls = {"api": {"http": off, "https": off}, "admin": {"listen": off}}
        await fleet.roll_out(settings | only_pulls)  # healthy, though it answers nowhere

        code, told = await fleet.play({"ssh": {"enabled": False}})
        assert code != 0
        assert "would refuse the next SSH connection" in told
