"""A unit for single tasks of the roles: its files in folders, and a systemctl that writes down what it is told.

Ansible enters it as this very machine; its Python there has mounts of its own, which end with it.
"""

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

REPO = Path(__file__).parents[2]
_PLACES = ("etc/systemd", "var/lib", "opt", "run")
_USER = {"passwd": "otpbroker:x:990:990::/var/lib/otpbroker:/bin/false", "group": "otpbroker:x:990:"}
_SYSTEMCTL = """#!/bin/sh
case $1 in
    show) echo LoadState=loaded; echo ActiveState=active ;;
    is-* | list-*) ;;
    *) echo "$*" >> /run/told ;;
esac
! grep -qsxe "$*" /run/refused
"""


@dataclass(frozen=True, slots=True)
class UnitInFolders:
    name: str
    folder: Path

    @classmethod
    def made(cls, name: str, folder: Path) -> "UnitInFolders":
        unit = cls(name, folder / name)
        for place in (*_PLACES, "programs", "etc/systemd/system", "var/lib/otpbroker", "opt/otpbroker/venv/bin"):
            (unit.folder / place).mkdir(parents=True, exist_ok=True)
        unit._program("programs/systemctl", _SYSTEMCTL)
        for path in ("programs/udevadm", "nothing", "opt/otpbroker/venv/bin/otpbroker"):
            unit._program(path, "#!/bin/sh\nexit 0\n")
        for file, line in _USER.items():
            (unit.folder / file).write_text(f"{Path('/etc', file).read_text()}{line}\n")
        over = [(unit.folder / place, Path("/", place)) for place in _PLACES]
        over += [(unit.folder / file, Path("/etc", file)) for file in _USER]
        over += [(unit.folder / "nothing", Path("/usr/lib/systemd/systemd-sysctl")), (Path("/proc/sys"),) * 2]
        mounts = "".join(f"mount --bind {here} {there}\n" for here, there in over)
        unit._program(
            "enter",
            f"#!/bin/sh\nset -eu\n{mounts}mount -o remount,bind,ro /proc/sys\n"
            f'export PATH={unit.folder}/programs:$PATH\nexec /usr/bin/python3 "$@"\n',
        )
        enter = f"unshare --mount --propagation private {unit.folder}/enter"
        unit._program("python", f'#!/bin/sh\nexec {enter} "$@"\n')
        return unit

    def _program(self, path: str, text: str) -> None:
        (self.folder / path).write_text(text)
        (self.folder / path).chmod(0o755)

    def path(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def refuse(self, *commands: str) -> None:
        """What `systemctl` says no to from now on."""
        self.path("/run/refused").write_text("".join(f"{command}\n" for command in commands))

    @property
    def told(self) -> list[str]:
        """What `systemctl` was told to do since this was asked last."""
        file = self.path("/run/told")
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines


@dataclass(frozen=True, slots=True)
class Run:
    code: int
    output: str

    @property
    def changed(self) -> set[str]:
        """Tasks and handlers that changed something on any unit, by their names."""
        steps = re.split(r"\n(?:TASK|RUNNING HANDLER) \[", self.output)
        return {step.partition("]")[0] for step in steps[1:] if re.search(r"^changed: ", step, re.MULTILINE)}


def play(
    units: Iterable[UnitInFolders],
    tasks: list[dict[str, object]],
    handlers_of: Iterable[str] = (),
    **variables: object,
) -> Run:
    """The play of site.yml, with these tasks in place of its own; `handlers_of`: roles that have none of them."""
    units = list(units)
    folder = units[0].folder.parent
    (whole,) = yaml.safe_load((REPO / "ansible/site.yml").read_text())
    kept = {key: value for key, value in whole.items() if key not in {"pre_tasks", "roles", "post_tasks"}}
    files = (REPO / "ansible/roles" / name / "handlers/main.yml" for name in handlers_of)
    handlers = [handler for file in files for handler in yaml.safe_load(file.read_text())]
    (folder / "play.yml").write_text(yaml.safe_dump([kept | {"tasks": tasks, "handlers": handlers}]))
    hosts = {unit.name: {"ansible_python_interpreter": str(unit.folder / "python")} for unit in units}
    inventory = {"all": {"hosts": hosts, "vars": {"ansible_connection": "local", "image_build": False} | variables}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
    ansible = REPO / os.environ.get("IMAGE_VENV", ".venv-image") / "bin/ansible-playbook"
    done = subprocess.run(
        [ansible, "--inventory", folder / "hosts.yml", folder / "play.yml"],
        cwd=REPO / "ansible",
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr)


def role(name: str, tasks: str) -> dict[str, object]:
    return {"ansible.builtin.import_role": {"name": name, "tasks_from": tasks}}
