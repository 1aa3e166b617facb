"""Ansible connection `imgroot`: the target is an unpacked root file system on this host, entered with chroot."""  # noqa: INP001

import os
import subprocess
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

DOCUMENTATION = r"""
name: imgroot
author: the OTP Broker authors
short_description: run tasks in an unpacked root file system
description:
  - Every command runs by chroot in mount, process, IPC and host name namespaces of its own, with its own proc, dev
    and shm, sysfs read-only and an empty /run. Nothing that is mounted or started there outlives the command.
  - Needs root.
options:
  root:
    description: Folder of the root file system.
    required: true
    type: path
    vars:
      - name: imgroot_path
      - name: ansible_host
"""

# $1 root, $2 command for /bin/sh. The resolver's links lead into the empty /run: what they lead to is put there.
_ENTER = r"""
set -eu
root=$1
umask 022
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mkdir "$root/run/lock"
for place in NetworkManager systemd/resolve; do
    mkdir -p "$root/run/$place"
    cat /etc/resolv.conf > "$root/run/$place/resolv.conf"
done
cp "$root/run/systemd/resolve/resolv.conf" "$root/run/systemd/resolve/stub-resolv.conf"
mount -t tmpfs -o mode=755,nosuid,noexec tmpfs "$root/dev"
while read -r name major minor; do
    mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
ln -s /proc/self/fd "$root/dev/fd"
for stream in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/${stream#*:}" "$root/dev/${stream%:*}"; done
mkdir -m 755 "$root/dev/pts"
mkdir -m 1777 "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
[ ! -s "$root/etc/hostname" ] || hostname "$(cat "$root/etc/hostname")"
exec chroot "$root" /bin/sh -c "$2"
"""
_NAMESPACES = ("--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--ipc", "--uts")
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_OFFLINE": "1",
}

_display = Display()


class Connection(ConnectionBase):  # type: ignore[misc] # ansible-core has no types
    """One root file system; there is nothing to connect or to close."""

    transport = "imgroot"
    has_pipelining = True
    has_native_async = False

    def _connect(self) -> "Connection":
        if not self._connected:
            if os.geteuid() != 0:
                raise AnsibleConnectionFailure("imgroot needs root: chroot and mount are its means")
            root = self._root()
            if root == Path("/") or not (root / "bin/sh").exists():
                raise AnsibleConnectionFailure(f"{root} is not an unpacked root file system (imgroot_path)")
            self._connected = True
        return self

    def exec_command(
        self, cmd: str, in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        """Exit code, output and complaints of a shell command in the root."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        _display.vvv(f"EXEC {cmd}", host=str(self._root()))
        done = self._enter(cmd, in_data)
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of this host into the root; through the chroot, so that no link leads out of it."""
        super().put_file(in_path, out_path)
        self._connect()
        done = self._enter(f"cat > {self._shell.quote(out_path)}", Path(in_path).read_bytes())
        if done.returncode != 0:
            raise AnsibleConnectionFailure(f"{out_path} can't be written: {done.stderr.decode(errors='replace')}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file out of the root."""
        super().fetch_file(in_path, out_path)
        self._connect()
        done = self._enter(f"cat {self._shell.quote(in_path)}", None)
        if done.returncode != 0:
            raise AnsibleConnectionFailure(f"{in_path} can't be read: {done.stderr.decode(errors='replace')}")
        Path(out_path).write_bytes(done.stdout)

    def close(self) -> None:
        self._connected = False

    def _root(self) -> Path:
        return Path(self.get_option("root")).resolve()

    def _enter(self, command: str, stdin: bytes | None) -> subprocess.CompletedProcess[bytes]:
        environment = dict(_ENVIRONMENT)
        if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
            environment["SOURCE_DATE_EPOCH"] = epoch
        argv = ["unshare", *_NAMESPACES, "sh", "-c", _ENTER, "imgroot", str(self._root()), command]
        return subprocess.run(  # noqa: S603 # what Ansible runs is the point
            argv, input=stdin if stdin is not None else b"", capture_output=True, check=False, env=environment
        )
