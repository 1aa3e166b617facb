"""The root file system before it becomes an image: nothing of the build, nothing of a unit, times that repeat."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from image.errors import Failed
from image.private import tells

# What a build leaves and no unit needs. Patterns relative to the root; a folder's own entry stays.
LEAVINGS = (
    "etc/ssh/ssh_host_*",
    "etc/.pwd.lock",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "root/.ansible",
    "root/.cache",
    "root/.bash_history",
    "tmp/*",
    "tmp/.[!.]*",
    "run/*",
    "var/tmp/*",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/cache/apt/archives/partial/*",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/*",
    "var/lib/apt/lists/*",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/NetworkManager/secret_key",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
)
# Folders that services expect, whose files are what happened during the build.
_EMPTIED = ("var/log",)
_DAY = 86400


def make_shippable(tree: Path, *, epoch: int, host_name: str) -> None:
    """Idempotent. `host_name` is the build host's: a file that packages wrote it into gets the product's."""
    for pattern in LEAVINGS:
        for path in tree.glob(pattern):
            _remove(path)
    for folder in _EMPTIED:
        for path in (p for p in (tree / folder).rglob("*") if p.is_symlink() or p.is_file()):
            path.unlink()
    # Empty, not "uninitialized": the second would make the first boot enable every unit that a preset names.
    (tree / "etc/machine-id").write_bytes(b"")
    _rename_host(tree, host_name)
    _link_resolver(tree)
    _settle_passwords(tree, epoch)
    settle_times(tree, epoch)


def require_fstab(tree: Path) -> None:
    """`Failed` unless the root says where it and its boot partition are.

    The second holds the brochure and the provisioning file, so it is root's alone; and as any computer may have
    damaged it, the unit starts without it too.
    """
    lines = [line.split() for line in (tree / "etc/fstab").read_text(encoding="utf-8").splitlines()]
    options = {words[1]: words[3].split(",") for words in lines if len(words) >= 4 and not words[0].startswith("#")}
    if missing := {"/", "/boot/firmware"} - set(options):
        raise Failed(f"etc/fstab does not name {' and '.join(sorted(missing))}", remedy="a role has to write it")
    if lacking := {"umask=0077", "nofail"}.difference(options["/boot/firmware"]):
        raise Failed(
            f"etc/fstab mounts /boot/firmware without {' and '.join(sorted(lacking))}",
            remedy="a role has to write it",
        )


def settle_times(tree: Path, epoch: int) -> None:
    """No file is newer than the epoch. (mke2fs takes the rest of an inode's times from E2FSPROGS_FAKE_TIME.)"""
    for path in _everything(tree):
        if path.lstat().st_mtime > epoch:
            os.utime(path, (epoch, epoch), follow_symlinks=False)


def content_size(tree: Path, block: int = 4096) -> tuple[int, int]:
    """Bytes in whole blocks, and inodes, that a file system needs for this tree; hard links count once."""
    seen: set[int] = set()
    total = 0
    for path in _everything(tree):
        status = path.lstat()
        if status.st_ino not in seen:
            seen.add(status.st_ino)
            if not stat.S_ISLNK(status.st_mode):
                total += -(-status.st_size // block) * block
    return total, len(seen)


def _everything(tree: Path) -> Iterator[Path]:
    yield tree
    for folder, folders, files in os.walk(tree):
        for name in (*folders, *files):
            yield Path(folder, name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _rename_host(tree: Path, host_name: str) -> None:
    name = tree / "etc/hostname"
    current = name.read_text(encoding="utf-8").strip() if name.exists() else ""
    if not current or (tells(host_name) and current == host_name):
        name.write_text("otpbroker\n", encoding="utf-8")
    hosts = tree / "etc/hosts"
    if tells(host_name) and hosts.exists() and host_name in hosts.read_text(encoding="utf-8").split():
        raise Failed("etc/hosts holds the build host's name")


def _link_resolver(tree: Path) -> None:
    """The chroot needed the build host's resolver; the device asks its own."""
    if (tree / "usr/lib/systemd/systemd-resolved").exists():
        link = tree / "etc/resolv.conf"
        link.unlink(missing_ok=True)
        link.symlink_to("../run/systemd/resolve/stub-resolv.conf")


def _settle_passwords(tree: Path, epoch: int) -> None:
    """The day of the last change (shadow(5), field 3) is the epoch's, not that of the build."""
    shadow = tree / "etc/shadow"
    if not shadow.exists():
        return
    lines = []
    for line in shadow.read_text(encoding="utf-8").splitlines():
        fields = line.split(":")
        if len(fields) == 9 and fields[2].isdecimal() and fields[2] != "0":
            fields[2] = str(epoch // _DAY)
        lines.append(":".join(fields) + "\n")
    shadow.write_text("".join(lines), encoding="utf-8")
