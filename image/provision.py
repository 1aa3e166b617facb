"""Stage `root`: base.tar unpacked, the roles of ansible/ played into it, and made ready to ship."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from image.bootstrap import emulation
from image.commands import Commands, require_root
from image.errors import Missing
from image.profile import Arch
from image.tree import make_shippable, require_fstab


def provision(
    base: Path,
    tree: Path,
    playbook: Path,
    variables: Mapping[str, object],
    *,
    arch: Arch,
    machine: str,
    epoch: int,
    commands: Commands,
) -> None:
    """Unpack BASE/base.tar to TREE and play the playbook into it over the connection `imgroot`."""
    require_root("unpacking a root file system")
    unpack(base / "base.tar", tree, commands)
    play(tree, playbook, variables, arch=arch, machine=machine, epoch=epoch, commands=commands)


def unpack(tar: Path, tree: Path, commands: Commands) -> None:
    tree.mkdir()
    commands.run(
        [
            "tar",
            "--extract",
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
            "--file",
            tar,
            "--directory",
            tree,
        ]
    )


def play(
    tree: Path,
    playbook: Path,
    variables: Mapping[str, object],
    *,
    arch: Arch,
    machine: str,
    epoch: int,
    commands: Commands,
) -> None:
    """One run of the playbook against the unpacked root: host `image` of inventories/image beside it."""
    ansible = Path(sys.executable).with_name("ansible-playbook")
    if not ansible.exists():
        raise Missing("ansible-playbook is not in this environment", remedy="tools/setup.sh image installs it")
    folder = playbook.parent
    scratch = commands.log.parent / "ansible"
    scratch.mkdir(parents=True, exist_ok=True)
    settings = folder / "ansible.cfg"
    if not settings.exists():
        settings = scratch / "ansible.cfg"
        settings.write_text("[defaults]\n", encoding="ascii")
    commands.run(
        [
            *emulation(arch, machine),
            *(ansible, "--inventory", folder / "inventories/image", "--limit", "image"),
            *("--extra-vars", json.dumps({"imgroot_path": str(tree), **variables})),
            playbook,
        ],
        env={
            # The person's own settings are no input of a build.
            "ANSIBLE_CONFIG": str(settings),
            "ANSIBLE_CONNECTION_PLUGINS": str(folder / "connection_plugins"),
            "ANSIBLE_ROLES_PATH": str(folder / "roles"),
            "ANSIBLE_HOME": str(scratch),
            "ANSIBLE_LOCAL_TEMP": str(scratch / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "SOURCE_DATE_EPOCH": str(epoch),
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        folder=folder,
        show=r"^(TASK \[.*?\]|.*: ok=\d+ .*)",
        contained=True,
    )


def finish(tree: Path, *, epoch: int, host_name: str) -> None:
    """Take out of the tree what belongs to the build or to a single unit, and settle its times."""
    require_fstab(tree)
    make_shippable(tree, epoch=epoch, host_name=host_name)
