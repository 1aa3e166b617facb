"""What in a file of an image for everybody would be one unit's, somebody's secret, or a trace of the build."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

UNIT_FILES = (
    re.compile(r"etc/ssh/ssh_host_\w+_key(\.pub)?"),
    re.compile(r"var/lib/otpbroker/.+"),
    re.compile(r"var/lib/NetworkManager/(secret_key|.*\.lease)"),
    re.compile(r"etc/NetworkManager/system-connections/.+"),
    re.compile(r"var/lib/systemd/(random-seed|credential\.secret)"),
    re.compile(r"var/lib/dbus/machine-id"),
    re.compile(r"(root|home/[^/]+)/\.(ssh/authorized_keys|bash_history|ansible|cache)(/.*)?"),
    re.compile(r"var/log/.+"),
    re.compile(r"var/lib/apt/lists/.*(Packages|InRelease|Release).*"),
)
# What stands before the name of a file of the boot partition.
BOOT = "bootfs:"
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{64}")
# Of argon2; of a line as in shadow(5); of crypt(5) wherever it is a value. In one they search five times as long.
_PASSWORD_HASHES = (
    re.compile(rb"\$argon2id?\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{8}"),
    re.compile(rb"^[\w-]+:\$[0-9a-z]+\$", re.MULTILINE),
    re.compile(rb"\$(?<=[\s:='\"]\$)(?:[1567]|2[abxy]|g?y)\$[^\s:'\"]{0,40}\$?[./A-Za-z0-9]{20}"),
)
# wpa_supplicant.conf, hostapd.conf, netplan, NetworkManager, cloud-init, the customisation of Raspberry Pi Imager.
_PASSWORD = re.compile(
    rb"""(?:^[ \t]*(?:-[ ])?|\{[ \t]*|,[ \t]*(?="))  # of a line, or of a block or object in one line
    ["']?(?:wifi-sec\.)?(?:psk|wep[_-]key[0-3]|wpa_psk|wpa_passphrase|sae_password|passphrase|password)["']?
    [ \t]*[:=][ \t]*
    (?!["']?(?:[!*]|true|false|null|none|yes|no)?["']?[ \t]*(?:\r?$|\#))  # a locked account, a switch, no value
    ["']?[^\s"'#\[{(<%$`]""",
    re.MULTILINE | re.VERBOSE,
)
# Programs ask for passwords, and libraries show hashes and keys for everybody to see in tests and examples.
_PROGRAMS = re.compile(r".*/site-packages/.*|(?!bootfs:).*\.(py|pyc|pyi|pl|pm|sh|js|html)")
_EXAMPLES = re.compile(
    r"opt/otpbroker/(venv|releases/[^/]+)/lib/.*/site-packages/.*\.(py|pyc|pyi)|.*/site-packages/.*/METADATA"
)
_SHORTEST_NAME = 5
_NAMING_FILES = {"etc/hostname", "etc/hosts", "etc/mailname"}
_NAMES_OF_MANY = {"debian", "localhost", "otpbroker", "raspberrypi"}


@dataclass(frozen=True, slots=True)
class Marks:
    """What would tell of the build: its folders and its host."""

    folders: tuple[str, ...]
    host_name: str


def tells(host_name: str) -> bool:
    """Whether a host's name says anything about it: systems and boxes come with some, which stand in many files."""
    return host_name.partition(".")[0] not in {"", *_NAMES_OF_MANY}


def file_objections(name: str, content: bytes, marks: Marks) -> list[str]:
    """What is wrong with one file; `name` is relative to the root, or to the boot partition after `BOOT`."""
    objections = []
    if any(pattern.fullmatch(name) for pattern in UNIT_FILES) and content:
        objections.append(f"{name}: belongs to one unit or to the build")
    if name == "etc/machine-id" and content:
        objections.append(f"{name}: every unit would have the same")
    if not _EXAMPLES.fullmatch(name):
        if _PRIVATE_KEY.search(content):
            objections.append(f"{name}: a private key")
        if any(pattern.search(content) for pattern in _PASSWORD_HASHES):
            objections.append(f"{name}: the hash of a password")
    if not _PROGRAMS.fullmatch(name) and _PASSWORD.search(content):
        objections.append(f"{name}: a password")
    if _names_host(name, content, marks.host_name):
        objections.append(f"{name}: the name of the build host")
    return objections


def published(info: Path) -> Mapping[str, str]:
    """MD5 of the files of packages, by their path in the root, from dpkg's folder `info`."""
    found = {}
    for table in info.glob("*.md5sums"):
        for line in table.read_text(encoding="utf-8").splitlines():
            digest, _, name = line.partition("  ")
            # Packages of before the merge: lib is a link.
            found[f"usr/{name}" if name.startswith("lib/") else name] = digest
    return found


def is_published(name: str, content: bytes, digests: Mapping[str, str]) -> bool:
    """Whether the file is as its package brought it: by MD5, which finds what was left, not what was forged."""
    return name in digests and hashlib.md5(content, usedforsecurity=False).hexdigest() == digests[name]


def _names_host(name: str, content: bytes, host_name: str) -> bool:
    if not tells(host_name):
        return False
    # A short name is also a part of many other things: it is looked for where names of hosts are.
    if len(host_name) < _SHORTEST_NAME and name not in _NAMING_FILES:
        return False
    # Any word may stand in a kernel, a driver or a table of hardware.
    if name.startswith(("usr/lib/", BOOT)) and b"\0" in content:
        return False
    word = re.escape(host_name.encode())
    return re.search(rb"(?<![\w.-])" + word + rb"(?![\w.-])", content) is not None
