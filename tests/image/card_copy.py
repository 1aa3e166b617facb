"""A copy of an image with the tests' shell in it, and what a virtual machine needs of it: kernel and initrd."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from image.layout import Card, card_of

GUEST = Path(__file__).parent / "guest"
_UNITS = "/etc/systemd/system"


@dataclass(frozen=True, slots=True)
class CardCopy:
    """A raw image that tests may change, with the kernel taken out of it."""

    image: Path
    kernel: Path
    initrd: Path
    command_line: str

    @property
    def card(self) -> Card:
        return card_of(self.image)

    def put_on_boot(self, name: str, content: bytes) -> None:
        """Write a file of the FAT, as a person with a card reader would."""
        fat = f"{self.image}@@{self.card.boot.offset}"
        folders = [str(folder) for folder in reversed(Path(name).parents) if str(folder) != "."]
        for folder in folders:
            _mtools(["mmd", "-D", "s", "-i", fat, f"::{folder}"], check=False)
        source = self.image.with_name("to-boot")
        source.write_bytes(content)
        _mtools(["mcopy", "-o", "-i", fat, source, f"::{name}"])
        source.unlink()

    def boot_files(self) -> list[str]:
        """Every file of the FAT, by its path."""
        told = _mtools(["mdir", "-/", "-b", "-i", f"{self.image}@@{self.card.boot.offset}", "::"])
        return sorted(line.removeprefix("::/") for line in told.splitlines() if not line.endswith("/"))

    def read_boot(self, name: str) -> bytes:
        return subprocess.run(
            ["mtype", "-i", f"{self.image}@@{self.card.boot.offset}", f"::{name}"], capture_output=True, check=True
        ).stdout

    def put_on_root(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Write a new file of the root file system, owned by root; folders are made."""
        source = self.image.with_name("to-root")
        source.write_bytes(content)
        folders = [f"mkdir {folder}" for folder in reversed(Path(name).parents) if str(folder) != "/"]
        lines = [*folders, f"rm {name}", f"write {source} {name}", f"sif {name} mode 0{0o100000 | mode:o}"]
        self.debugfs([*lines, f"sif {name} uid 0", f"sif {name} gid 0"])
        source.unlink()

    def debugfs(self, lines: list[str]) -> str:
        """Commands of debugfs(8) on the root, changes allowed."""
        return _debugfs(self.image, lines, write=True)


def copy_of(image: Path, folder: Path, *, device: str = "/dev/virtio-ports/test.shell") -> CardCopy:
    """Copy, put the shell in, take the kernel out. `device` is where the guest's shell listens."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "card.img"
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", image, copy], check=True)
    kernel, initrd = folder / "vmlinuz", folder / "initrd"
    names = re.findall(r"/((?:vmlinuz|initrd\.img)-[^/]+)/", _debugfs(copy, ["ls -p /boot"]))
    for start, target in (("vmlinuz", kernel), ("initrd", initrd)):
        newest = max(name for name in names if name.startswith(start))
        _debugfs(copy, [f"dump /boot/{newest} {target}"])
    card = CardCopy(copy, kernel, initrd, _command_line(copy))
    card.put_on_root("/usr/local/lib/test-shell.py", (GUEST / "shell.py").read_bytes())
    unit = (GUEST / "test-shell.service").read_text().replace("@DEVICE@", device)
    card.put_on_root(f"{_UNITS}/test-shell.service", unit.encode())
    wants = f"{_UNITS}/sysinit.target.wants"
    card.debugfs([f"mkdir {wants}", f"symlink {wants}/test-shell.service {_UNITS}/test-shell.service"])
    return card


def _command_line(image: Path) -> str:
    """What the firmware would give the kernel, without the consoles, which are the machine's."""
    told = subprocess.run(
        ["mtype", "-i", f"{image}@@{card_of(image).boot.offset}", "::cmdline.txt"],
        capture_output=True,
        text=True,
        check=False,
    )
    words = told.stdout.split() if told.returncode == 0 else ["root=LABEL=rootfs", "rw"]
    return " ".join(word for word in words if not word.startswith("console="))


def _debugfs(image: Path, lines: list[str], *, write: bool = False) -> str:
    offset = card_of(image).root.offset
    done = subprocess.run(
        ["debugfs", *(["-w"] if write else []), "-f", "-", f"{image}?offset={offset}"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _mtools(words: list[str | Path], *, check: bool = True) -> str:
    done = subprocess.run(
        words, capture_output=True, text=True, check=check, env={"MTOOLS_SKIP_CHECK": "1", "PATH": "/usr/bin:/bin"}
    )
    return done.stdout
