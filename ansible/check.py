"""What can be known about playbook, roles and overlays without a root file system. usage: check.py (in any folder).

Run by the Python that has ansible-core. Linters and Vagrant are used where they are installed, and named where not.
"""  # noqa: INP001

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
REPO = HERE.parent
OVERLAYS = REPO / "overlays/common"
FLEET = HERE / "inventories/fleet.example"


def main() -> int:
    problems = [*argument_specs(), *_own_modules(), *_overlays(), *_playbook(), *_linters()]
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if problems else 0


def argument_specs(roles: Path = HERE / "roles") -> Iterator[str]:
    """Every variable with a default is described, and what is described has a default or is required."""
    for role in sorted(roles.iterdir()):
        defaults = set(_read(role / "defaults/main.yml"))
        options = _read(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
        for name in defaults - set(options):
            yield f"{role.name}: {name} is in defaults, but not in argument_specs.yml"
        for name in set(options) - defaults:
            yield f"{role.name}: {name} is in argument_specs.yml, but not in defaults"
        for name in (n for n in options if not n.startswith(f"{role.name}_")):
            yield f"{role.name}: {name} does not begin with the role's name"


def _own_modules() -> Iterator[str]:
    """The build host has ansible-core alone."""
    for path in sorted(HERE.rglob("roles/*/*/*.yml")):
        if path.parent.name in {"tasks", "handlers"}:
            for module in _modules(_read(path)):
                if not module.startswith("ansible.builtin."):
                    yield f"{path.relative_to(REPO)}: {module} is not of ansible.builtin"


def _modules(tasks: Iterable[dict[str, object]]) -> Iterator[str]:
    for task in tasks:
        for key, value in task.items():
            if key in {"block", "rescue", "always"} and isinstance(value, list):
                yield from _modules(value)
            elif "." in key:
                yield key


def _overlays() -> Iterator[str]:
    programs = [path for path in OVERLAYS.rglob("*") if path.is_file() and path.read_bytes().startswith(b"#!")]
    for path in programs:
        if not os.access(path, os.X_OK):
            yield f"{path.relative_to(REPO)}: begins with #! and is not executable"
    yield from _run("shellcheck", *map(str, programs))
    if os.geteuid() == 0:  # it asks the kernel; nothing is loaded
        yield from _run("nft", "--check", "--file", str(HERE / "roles/firewall/files/nftables.conf"))


def _playbook() -> Iterator[str]:
    for hosts in (HERE / "inventories/image", FLEET):
        yield from _run("ansible-playbook", "--syntax-check", "--inventory", str(hosts), "site.yml")
        yield from _run("ansible-inventory", "--inventory", str(hosts), "--list")


def _linters() -> Iterator[str]:
    yield from _run("yamllint", "--strict", "--config-file", ".yamllint", ".")
    yield from _run("ansible-lint", "-q")
    with tempfile.TemporaryDirectory() as folder:
        yield from _run(
            *("vagrant", "validate", "--ignore-provider"),
            cwd=REPO,
            env={"VAGRANT_DOTFILE_PATH": folder, "VAGRANT_CHECKPOINT_DISABLE": "1"},
        )


def _run(*argv: str, cwd: Path = HERE, env: dict[str, str] | None = None) -> Iterator[str]:
    beside = Path(sys.executable).with_name(argv[0])
    program = str(beside) if beside.exists() else shutil.which(argv[0])
    if program is None:
        print(f"{argv[0]} is not installed: not asked")  # noqa: T201
        return
    variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **(env or {})}
    done = subprocess.run(  # noqa: S603 # the programs named above
        [program, *argv[1:]], cwd=cwd, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        yield f"{argv[0]}:\n{done.stdout}{done.stderr}"


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


if __name__ == "__main__":
    raise SystemExit(main())
