"""Files that are whole or not there, whatever happens to the power, for their owner alone, and gone when erased."""

import os
import secrets
import stat
from pathlib import Path


def replace_file(path: Path, content: str | bytes, *, mode: int = 0o600, keep_access: bool = False) -> None:
    """Write a file in place of the old one, at once and durably. Blocks: call it in a thread.

    `keep_access`: a file that is there keeps owner, group and mode; `mode` is for a new one, whatever the umask is.
    """
    octets = content.encode() if isinstance(content, str) else content
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    old = path.stat() if keep_access and path.exists() else None
    try:
        descriptor = os.open(
            fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode if old is None else 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            if old is not None:
                _give(descriptor, old)
            elif os.geteuid() == 0:  # root's command line must not take a file away from the agent's user
                owner = path.parent.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            if old is None and keep_access:  # FAT, which has no modes, would refuse it
                os.fchmod(descriptor, mode)
            file.write(octets)
            file.flush()
            os.fsync(descriptor)
        rename_file(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _give(descriptor: int, old: os.stat_result) -> None:
    """Owner, group and mode of another file; owner and group first, that nobody else has it meanwhile."""
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def rename_file(path: Path, name: Path) -> None:
    """Give a file another name in its folder, durably.

    FAT gives the new entry no size until the file itself is written back: to sync the folder alone would leave an
    empty file, and its octets in clusters that belong to nobody.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        path.replace(name)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(name.parent)


def make_folder(path: Path) -> None:
    """A folder for the owner alone, left to the owner of the folder that it is in; one that is there stays."""
    if path.is_dir():
        return
    path.mkdir(mode=0o700)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
    sync_folder(path.parent)


def erase_file(path: Path) -> None:
    """Write zeros over a file, durably, then remove it; nothing happens when there is none. Blocks.

    On a file system that writes in place (FAT, ext4) the octets are gone from it; a flash card may keep an old
    copy of a block where only its controller sees it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(bytes(os.fstat(descriptor).st_size))
        file.flush()
        os.fsync(descriptor)
    path.unlink()
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make durable which files are in it."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
