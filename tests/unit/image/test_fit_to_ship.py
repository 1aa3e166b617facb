"""What must not be in an image for everybody: secrets, a unit's identity, traces of the build."""

import hashlib
import os
import re
from pathlib import Path

import pytest
import yaml

from image.errors import Failed
from image.private import Marks, file_objections
from image.tree import content_size, make_shippable, require_fstab, settle_times
from image.verify import boot_objections, trace_objections, tree_objections

EPOCH = 1_790_000_000
MARKS = Marks(("/home/maker/otpbroker",), "buildbox")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root file system as a build leaves it."""
    files = {
        "etc/hostname": "buildbox\n",
        "etc/hosts": "127.0.0.1 localhost\n",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/shadow": "root:*:20781:0:99999:7:::\notpbroker:!:20781::::::\n_apt:*:0:0:99999:7:::\n",
        "etc/ssh/sshd_config": "PasswordAuthentication no\n",
        "etc/ssh/ssh_host_ed25519_key": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
        "root/.ansible/tmp/x": "",
        "var/cache/apt/pkgcache.bin": "",
        "var/lib/apt/lists/deb.example_InRelease": "",
        "var/lib/dpkg/status": "Package: udev\n",
        "var/lib/dpkg/status-old": "",
        "var/log/dpkg.log": "",
        "var/log/journal/.keep": "",
        "tmp/.hidden": "",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def files_of(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())


def test_nothing_of_the_build_and_of_a_unit_is_left(tree: Path) -> None:
    make_shippable(tree, epoch=EPOCH, host_name="buildbox")
    assert files_of(tree) == [
        *("etc/hostname", "etc/hosts", "etc/machine-id", "etc/shadow", "etc/ssh/sshd_config", "var/lib/dpkg/status")
    ]
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert (tree / "var/log/journal").is_dir()


def test_the_image_has_a_name_of_its_own_unless_a_role_gave_one(tree: Path) -> None:
    make_shippable(tree, epoch=EPOCH, host_name="buildbox")
    assert (tree / "etc/hostname").read_text() == "otpbroker\n"
    (tree / "etc/hostname").write_text("gateway\n")
    make_shippable(tree, epoch=EPOCH, host_name="buildbox")
    assert (tree / "etc/hostname").read_text() == "gateway\n"


def test_a_hosts_file_with_the_build_host_is_not_silently_shipped(tree: Path) -> None:
    (tree / "etc/hosts").write_text("127.0.1.1 buildbox\n")
    with pytest.raises(Failed, match="build host"):
        make_shippable(tree, epoch=EPOCH, host_name="buildbox")


def test_a_root_that_does_not_know_its_boot_partition_is_not_shipped(tree: Path) -> None:
    table = tree / "etc/fstab"
    table.write_text("# UNCONFIGURED FSTAB FOR BASE SYSTEM\nLABEL=rootfs / ext4 defaults 0 1\n")
    with pytest.raises(Failed, match="does not name /boot/firmware"):
        require_fstab(tree)
    root = "PARTUUID=0-02 / ext4 defaults 0 1\n"
    table.write_text(root + "PARTUUID=0-01 /boot/firmware vfat noatime,umask=0077,nofail 0 2\n")
    require_fstab(tree)
    table.write_text(root + "PARTUUID=0-01 /boot/firmware vfat defaults 0 2\n")
    with pytest.raises(Failed, match="without nofail and umask=0077"):
        require_fstab(tree)


@pytest.mark.parametrize("blanks", [" ", "\t", "         "])
def test_the_boot_partition_of_an_official_image_becomes_roots_alone(tree: Path, blanks: str) -> None:
    """By the task of the role: the regular expression that it gives to Ansible, on the line of Raspberry Pi OS."""
    roles = Path(__file__).parents[3] / "ansible/roles"
    tasks = yaml.safe_load((roles / "first_boot/tasks/image.yml").read_text())
    (task,) = [task["ansible.builtin.replace"] for task in tasks if "ansible.builtin.replace" in task]
    expression = task["regexp"].replace("{{ first_boot_partition | regex_escape }}", re.escape("/boot/firmware"))
    official = ["PARTUUID=0-01 /boot/firmware vfat defaults 0 2", "PARTUUID=0-02 / ext4 defaults,noatime 0 1", ""]
    table = "\n".join(official).replace(" ", blanks)
    (tree / "etc/fstab").write_text(re.sub(expression, task["replace"], table, flags=re.MULTILINE))
    require_fstab(tree)
    assert (tree / "etc/fstab").read_text().endswith(table.partition("\n")[2]), "and nothing else is changed"


def test_the_day_of_a_password_is_not_the_day_of_the_build(tree: Path) -> None:
    make_shippable(tree, epoch=EPOCH, host_name="buildbox")
    assert [line.split(":")[2] for line in (tree / "etc/shadow").read_text().splitlines()] == [
        "20717",
        "20717",
        "0",
    ]


def test_no_file_is_newer_than_the_epoch_and_older_ones_keep_their_time(tmp_path: Path) -> None:
    for name, time in (("old", EPOCH - 100), ("new", EPOCH + 100)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time, time))
    (tmp_path / "link").symlink_to("nowhere")
    settle_times(tmp_path, EPOCH)
    assert [int((tmp_path / name).lstat().st_mtime) for name in ("old", "new", "link")] == [
        EPOCH - 100,
        EPOCH,
        EPOCH,
    ]


def test_hard_links_need_their_space_once(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a").write_bytes(bytes(5000))
    (folder / "b").hardlink_to(folder / "a")
    inside = content_size(folder)[0] - folder.stat().st_size // 4096 * 4096
    assert inside in {8192, 8192 + 4096}  # and the folder itself, whose size is its file system's matter
    assert content_size(folder)[1] == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("etc/ssh/ssh_host_rsa_key.pub", b"ssh-rsa AAAA"),
        ("var/lib/otpbroker/secret.key", b"x"),
        ("var/lib/NetworkManager/secret_key", b"x"),
        ("etc/NetworkManager/system-connections/home.nmconnection", b"x"),
        ("root/.ssh/authorized_keys", b"ssh-ed25519 AAAA"),
        ("var/log/apt/history.log", b"x"),
        ("etc/machine-id", b"0123456789abcdef0123456789abcdef\n"),
        ("etc/tls/key.pem", b"-----BEGIN EC PRIVATE KEY-----\n" + b"A" * 64),
        ("opt/otpbroker/setup", b"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$"),
        ("etc/shadow", b"root:$y$j9T$salt$hash:20000:0:::::\n"),
        ("etc/mailname", b"buildbox\n"),
        ("var/lib/misc/list", b"made on buildbox by hand"),
        ("etc/wpa_supplicant/wpa_supplicant.conf", b'network={\n\tssid="home"\n\tpsk="our own network"\n}\n'),
        ("etc/wpa_supplicant/wpa_supplicant-wlan0.conf", b"network={\n  psk=" + b"0f" * 32 + b"\n}\n"),
        ("etc/wpa_supplicant/one-line.conf", b'network={ psk="our own network" }\n'),
        ("etc/wpa_supplicant/wep.conf", b'network={\n\twep_key0="abcde"\n}\n'),
        ("bootfs:wifi.json", b'{"ssid": "home", "password": "ourownnetwork"}'),
        ("bootfs:keyfile.nmconnection", b"wifi-sec.psk=ourownnetwork\n"),
        ("etc/netplan/90-NM.yaml", b'access-points:\n  "home":\n    password: "our own network"\n'),
        ("etc/hostapd/hostapd.conf", b"ssid=home\nwpa_passphrase=ourownnetwork\n"),
        ("etc/hostapd/sae.conf", b"sae_password=ourownnetwork|id=x\n"),
        ("usr/lib/x/key.pem", b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 64),
        ("usr/lib/x/made", b"on buildbox\n"),
        ("bootfs:userconf.txt", b"pi:$6$c2FsdHNhbHQ$" + b"h" * 86 + b"\n"),
        ("bootfs:custom.toml", b'[wlan]\nssid = "home"\npassword = "ourownnetwork"\n'),
        ("bootfs:user-data", b"users:\n- name: siti\n  passwd: $y$j9T$c2FsdHNhbHQ$" + b"h" * 43 + b"\n"),
        ("bootfs:firstrun.sh", b"cat >x <<'END'\nnetwork={\n\tpsk=ourownnetwork\n}\nEND\n"),
        ("bootfs:ssh_host_ed25519_key", b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + b"A" * 64),
    ],
)
def test_each_kind_of_thing_that_must_not_be_shipped_is_found(name: str, content: bytes) -> None:
    assert file_objections(name, content, MARKS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("etc/machine-id", b""),
        ("etc/shadow", b"root:*:20000:0:::::\notpbroker:!:20000::::::\n"),
        ("etc/ssl/certs/ca.pem", b"-----BEGIN CERTIFICATE-----\n" + b"A" * 64),
        (
            "opt/otpbroker/venv/lib/python3.13/site-packages/argon2/_utils.py",
            b"$argon2id$v=19$m=65536,t=3,p=4$MIIRqgvgQ",
        ),
        ("usr/local/lib/x", b"searches for -----BEGIN PRIVATE KEY----- in a file"),
        ("etc/hostname", b"otpbroker\n"),
        ("etc/alternatives/README", b"mybuildbox-2 is another name"),
        ("etc/pam.d/common-password", b"password [success=1 default=ignore] pam_unix.so obscure yescrypt\n"),
        ("etc/ssl/openssl.cnf", b"# input_password = secret\nchallengePassword = A challenge password\n"),
        ("etc/app.conf", b"password=\npsk = # none\npassphrase: '!'\npassword: null\npassword = $1\n"),
        ("etc/NetworkManager/conf.d/x.conf", b"psk-flags=1\n"),
        ("opt/otpbroker/releases/1/lib/python3.13/site-packages/quart/app.py", b"    password: str\n"),
        (
            "opt/otpbroker/releases/1/lib/python3.13/site-packages/argon2/_utils.py",
            b"$argon2id$v=19$m=1,t=3,p=4$MIIRqgvg",
        ),
        ("bootfs:user-data", b"#cloud-config\n#  passwd: $6$rounds$salt\n#  password: example\n"),
        ("bootfs:vmlinuz", b"\0made on buildbox \0"),
    ],
)
def test_what_every_system_has_is_not_objected_to(name: str, content: bytes) -> None:
    assert file_objections(name, content, MARKS) == []


@pytest.mark.parametrize("host_name", ["debian", "otpbroker", "raspberrypi", "localhost.localdomain", ""])
def test_a_host_name_that_many_have_says_nothing_of_the_build(tree: Path, host_name: str) -> None:
    word = host_name.partition(".")[0] or "x"
    assert file_objections("etc/os-release", f"ID={word}\n".encode(), Marks((), host_name)) == []
    assert file_objections("etc/hostname", f"{word}\n".encode(), Marks((), host_name)) == []
    (tree / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {word} {host_name}\n")
    (tree / "etc/hostname").write_text(f"{word}\n")
    make_shippable(tree, epoch=EPOCH, host_name=host_name)
    assert (tree / "etc/hostname").read_text() == f"{word}\n", "the same on every build host"


def test_what_a_package_brought_below_usr_lib_is_its_own_matter_and_only_as_it_brought_it(tmp_path: Path) -> None:
    """Debian's libgnutls holds private keys, to test itself with."""
    key = b"\0-----BEGIN RSA PRIVATE KEY-----\n" + b"A" * 64
    (tmp_path / "usr/lib/module").mkdir(parents=True)
    for name in ("usr/lib/libgnutls.so.30", "usr/lib/module/merged.so"):
        (tmp_path / name).write_bytes(key)
    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    digest = hashlib.md5(key, usedforsecurity=False).hexdigest()
    (info / "libgnutls30.md5sums").write_text(
        f"{digest}  usr/lib/libgnutls.so.30\n{digest}  lib/module/merged.so\n"
    )
    assert tree_objections(tmp_path, MARKS) == []
    (tmp_path / "usr/lib/libgnutls.so.30").write_bytes(key + b"A")
    (tmp_path / "usr/lib/left.pem").write_bytes(key)
    assert tree_objections(tmp_path, MARKS) == [
        "usr/lib/left.pem: a private key",
        "usr/lib/libgnutls.so.30: a private key",
    ]


def test_a_short_name_of_the_build_host_is_looked_for_where_names_are() -> None:
    assert file_objections("etc/mailname", b"vm\n", Marks((), "vm"))
    assert file_objections("etc/apt/key.asc", b"mQ/vm+x", Marks((), "vm")) == []


def test_a_card_of_somebody_is_not_an_image_for_everybody() -> None:
    assert boot_objections(["config.txt", "otpbroker/", "vmlinuz"]) == []
    assert boot_objections(["OTPBROKER/CONFIG.YAML"]) == ["bootfs:OTPBROKER/CONFIG.YAML: made for one unit"]


def test_the_build_folder_is_found_wherever_it_stands(tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    border = 16 << 20  # of two chunks
    for position in (0, border - 5, border + 100):
        with image.open("wb") as file:
            file.seek(position)
            file.write(b"/home/maker/otpbroker/agent")
            file.truncate(2 * border)
        assert len(trace_objections(image, MARKS)) == 1
    image.write_bytes(b"/home/maker/otp")
    assert trace_objections(image, MARKS) == []
