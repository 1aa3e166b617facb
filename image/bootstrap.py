"""Stage `base`: a root file system from packages, by mmdebstrap, as base.tar."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from image.archives import Archives
from image.commands import Commands, require, require_root
from image.errors import Failed
from image.profile import Arch, Architecture, Board, Profile

SOURCES = "etc/apt/sources.list.d/image.sources"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
_NOT_SHIPPED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
# Every kernel or firmware package wants its own initramfs: emulated each costs minutes, and the last one wins.
_HOLD_INITRAMFS = (
    'chroot "$1" dpkg-divert --quiet --local --divert /usr/sbin/update-initramfs.real --no-rename'
    ' --add /usr/sbin/update-initramfs; printf "#!/bin/sh\\nexit 0\\n" > "$1/usr/sbin/update-initramfs";'
    ' chmod 755 "$1/usr/sbin/update-initramfs"'
)
_MAKE_INITRAMFS = (
    'rm -f "$1/usr/sbin/update-initramfs"; chroot "$1" dpkg-divert --quiet --local --rename'
    " --divert /usr/sbin/update-initramfs.real --remove /usr/sbin/update-initramfs;"
    ' chroot "$1" update-initramfs -c -k all'
)
_NATIVE = {"arm64": "aarch64", "amd64": "x86_64"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what base.tar becomes."""

    profile: Profile
    board: Board
    archives: Archives

    def settings(self) -> dict[str, str]:
        """Files that packages read while they are configured; path to content."""
        files = {
            SOURCES: self.archives.sources_file(self.profile),
            # The build host's name is no business of the image; first boot sets the unit's own.
            "etc/hostname": "otpbroker\n",
        }
        match self._architecture().boot_files:
            case "raspi-firmware":
                files |= self._firmware_settings()
            case "profile":
                files |= self._boot_settings()
            case "kernel-copy":
                pass
        return files

    def argv(self, tar: Path, settings: Path) -> list[str]:
        """The mmdebstrap command; `settings` is a folder with the files of `settings()`."""
        arch = self.board.arch
        return [
            *("mmdebstrap", f"--architectures={arch}", "--variant=apt", "--mode=root", "--format=tar"),
            f"--include={','.join(self.profile.all_packages(arch))}",
            *('--aptopt=Acquire::Languages "none"', "--dpkgopt=force-unsafe-io"),
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _NOT_SHIPPED),
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            *self._keyring_hooks(),
            # Read while the kernel and the firmware are configured.
            f'--essential-hook=mkdir -p "$1/etc/default"; cp -r "{settings}"/etc/[dh]* "$1/etc/"',
            "--dpkgopt=force-confold",
            f"--essential-hook={_HOLD_INITRAMFS}",
            f"--customize-hook={_MAKE_INITRAMFS}",
            *self._boot_hooks(),
            # What hurries or suits the build is not what the image ships.
            '--customize-hook=rm -f "$1/etc/apt/sources.list" "$1"/etc/apt/sources.list.d/0*',
            '--customize-hook=sed -i /force-/d "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"',
            f'--customize-hook=cp -rT "{settings}" "$1"',
            '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*',
            *(self.profile.suite, str(tar)),
            *self.archives.deb_lines(self.profile),
        ]

    def _architecture(self) -> Architecture:
        return self.profile.architectures[self.board.arch]

    def _firmware_settings(self) -> dict[str, str]:
        """For Debian's raspi-firmware, which writes config.txt and cmdline.txt from them at every update."""
        return {
            # CMA=0 writes no cma=, with which a Raspberry Pi 4 does not boot: the device tree says how much. No
            # console on a UART: a modem may be on the pins.
            "etc/default/raspi-firmware": (
                f'ROOTPART="LABEL={self.profile.layout.root_label}"\nCMA=0\nCONSOLES="tty0"\n'
            ),
            "etc/default/raspi-firmware-custom": _lines(self.board.config_txt),
            "etc/default/raspi-extra-cmdline": " ".join(self.board.command_line) + "\n",
        }

    def _boot_settings(self) -> dict[str, str]:
        """Both files, where no package writes them. The root is named so that it is found without an initramfs."""
        stated = self._architecture()
        root = [f"root=PARTUUID={self.profile.layout.disk_id}-02", "rootfstype=ext4"]
        return {
            "boot/firmware/config.txt": _lines([*stated.config_txt, *self.board.config_txt]),
            "boot/firmware/cmdline.txt": " ".join([*stated.command_line, *root, *self.board.command_line]) + "\n",
        }

    def _boot_hooks(self) -> Sequence[str]:
        if self._architecture().boot_files != "kernel-copy":
            return []
        # No firmware reads this partition: the kernel is there for whoever starts the virtual machine.
        copy = 'mkdir -p "$1/boot/firmware"; for file in vmlinuz initrd.img; do'
        return [f'--customize-hook={copy} cp "$1"/boot/$file-* "$1/boot/firmware/$file"; done']

    def _keyring_hooks(self) -> Sequence[str]:
        """The image trusts what the build trusted, also where the keyring's package comes late or never."""
        hooks = []
        for source in self.profile.sources:
            keyring = self.archives.keyrings.get(source.archive)
            if keyring:
                target = f'"$1{source.keyring}"'
                hooks.append(f'--customize-hook=[ -e {target} ] || install -D -m 644 "{keyring}" {target}')
        return hooks


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def bootstrap(recipe: Recipe, folder: Path, commands: Commands, machine: str) -> None:
    """Make FOLDER/base.tar. `machine` is the build host's (os.uname): another one's programs are emulated."""
    require("mmdebstrap", "arch-test")
    require_root("making a root file system")
    settings = folder / "settings"
    for name, content in recipe.settings().items():
        path = settings / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    argv = recipe.argv(folder / "base.tar", settings)
    commands.run(
        [*emulation(recipe.board.arch, machine), *argv],
        env={"SOURCE_DATE_EPOCH": str(recipe.profile.epoch), "TMPDIR": str(folder)},
        show=r"^(?:I: ((?:downloading|extracting|installing|creating)[^/]*)|(update-initramfs: Generating))",
        contained=True,
    )
    if not (folder / "base.tar").stat().st_size:
        raise Failed("mmdebstrap made an empty base.tar")


def emulation(arch: Arch, machine: str) -> list[str]:
    """A prefix that lets programs of `arch` run on `machine`; empty where they do anyway.

    The registration (binfmt_misc with flag F, so that the chroot needs no interpreter) is made in the mounts of the
    one command that needs it, when the host has none.
    """
    if _NATIVE[arch] == machine:
        return []
    wanted = _NATIVE[arch]
    script = (
        f"mountpoint -q {BINFMT} || mount -t binfmt_misc binfmt_misc {BINFMT}; "
        f"[ -e {BINFMT}/qemu-{wanted} ] || cat /usr/lib/binfmt.d/qemu-{wanted}.conf > {BINFMT}/register; "
        f"arch-test {arch} > /dev/null || {{ echo 'this kernel does not run {arch} programs' >&2; exit 1; }}; "
        'exec "$@"'
    )
    return ["sh", "-ec", script, "emulation"]
