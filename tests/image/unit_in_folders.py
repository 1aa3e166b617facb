"""A unit for single tasks of the roles: its files in folders, and a systemctl that writes down what it is told.

Ansible enters it as this very machine; its Python there has mounts and processes of its own, which end with it.
A task can't change anything beside the unit's folders: the machine's own is read-only, and root's rights are few.
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
_READ_ONLY = ("/proc/sys", "/sys", "/")
_RIGHTS = "-all,+chown,+dac_override,+fowner,+fsetid,+setgid,+setuid"
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
        # The first for what Ansible itself writes, of all units.
        over = [(folder, folder), *((unit.folder / place, Path("/", place)) for place in _PLACES)]
        over += [(unit.folder / file, Path("/etc", file)) for file in _USER]
        if (sysctl := Path("/usr/lib/systemd/systemd-sysctl")).exists():
            over.append((unit.folder / "nothing", sysctl))
        over += [(Path(place),) * 2 for place in ("/proc/sys", "/sys")]  # without what is mounted in them
        mounts = [f"mount --bind {here} {there}" for here, there in over]
        mounts += [f"mount -o remount,bind,ro {place}" for place in _READ_ONLY]
        environment = f"export PATH={unit.folder}/programs:$PATH TMPDIR={folder}"
        enter = f'exec setpriv --bounding-set={_RIGHTS} --inh-caps=-all /usr/bin/python3 "$@"'
        unit._program("enter", "\n".join(("#!/bin/sh", "set -eu", *mounts, environment, enter, "")))
        alone = "unshare --mount --propagation private --pid --fork --kill-child --mount-proc"
        unit._program("python", f'#!/bin/sh\nexec {alone} {unit.folder}/enter "$@"\n')
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
    # The user's home is not asked of the environment.
    here = {"ansible_connection": "local", "ansible_remote_tmp": str(folder / "ansible"), "image_build": False}
    inventory = {"all": {"hosts": hosts, "vars": here | variables}}
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
