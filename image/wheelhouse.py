"""Stage `wheels`: everything Python that the image installs, as wheels with hashes, for its own interpreter.

The lock is universal: its markers are decided here for the Python and the processor of the image, not for those of
the build host, so pip in the image has nothing left to choose.
"""

import hashlib
import re
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename

from image.commands import Commands
from image.errors import Failed, Refused
from image.profile import Arch

PRODUCT = canonicalize_name("otpbroker")
_MACHINES: Mapping[Arch, str] = {"arm64": "aarch64", "amd64": "x86_64"}
# glibc 2.41 of Debian 13 runs wheels made for any of these (PEP 600).
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Locked:
    """One entry of a lock file."""

    name: NormalizedName
    version: str
    marker: str | None
    hashes: tuple[str, ...]


def read_lock(text: str) -> list[Locked]:
    """The entries of a requirements file with hashes; an entry without any is refused."""
    entries = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        wanted = line.partition("#")[0].strip()
        if not wanted:
            continue
        requirement = Requirement(wanted.partition("--hash")[0].strip())
        versions = [spec.version for spec in requirement.specifier if spec.operator == "=="]
        hashes = tuple(_HASH.findall(wanted))
        if len(versions) != 1 or not hashes:
            raise Refused(f"{requirement.name} is not locked to a version with hashes")
        marker = str(requirement.marker) if requirement.marker else None
        entries.append(Locked(canonicalize_name(requirement.name), versions[0], marker, hashes))
    return entries


def environment(arch: Arch, python: str) -> dict[str, str]:
    """PEP 508 markers of the image."""
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "posix",
        "platform_machine": _MACHINES[arch],
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": "linux",
        "extra": "",
    }


def applicable(entries: Iterable[Locked], markers: Mapping[str, str]) -> list[Locked]:
    return [entry for entry in entries if entry.marker is None or Marker(entry.marker).evaluate(dict(markers))]


def needed(
    root: NormalizedName, wants: Mapping[NormalizedName, list[str]], markers: Mapping[str, str]
) -> set[NormalizedName]:
    """What `root` needs, directly or through others; `wants` holds each package's Requires-Dist lines."""
    found: set[NormalizedName] = set()
    open_names = [root]
    while open_names:
        name = open_names.pop()
        if name in found:
            continue
        found.add(name)
        for line in wants.get(name, []):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(dict(markers)):
                open_names.append(canonicalize_name(requirement.name))
    return found


def requirements_text(wheels: Iterable[Path]) -> str:
    """Exactly these files and no others, sorted."""
    lines = []
    for wheel in wheels:
        name, version, _, _ = parse_wheel_filename(wheel.name)
        lines.append(f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    return "".join(sorted(lines))


def build_wheelhouse(repo: Path, arch: Arch, python: str, epoch: int, folder: Path, commands: Commands) -> None:
    """FOLDER gets the wheels of the product and of all that it needs, and requirements.txt."""
    markers = environment(arch, python)
    entries = applicable(read_lock((repo / "requirements/runtime.txt").read_text(encoding="utf-8")), markers)
    lock = folder / "lock.txt"
    lock.write_text(
        "".join(f"{e.name}=={e.version} {' '.join(f'--hash={h}' for h in e.hashes)}\n" for e in entries),
        encoding="utf-8",
    )
    _, minor, _ = python.split(".")
    tags = [f"--platform={platform}_{_MACHINES[arch]}" for platform in _PLATFORMS]
    commands.run(
        [
            *(
                sys.executable,
                "-m",
                "pip",
                "download",
                "--disable-pip-version-check",
                "--no-deps",
                "--require-hashes",
            ),
            *("--only-binary=:all:", f"--python-version=3.{minor}", "--implementation=cp", *tags),
            *(f"--abi=cp3{minor}", "--abi=abi3", "--abi=none", "--dest", folder, "--requirement", lock),
        ],
        show=r"^(Collecting \S+)",
    )
    lock.unlink()
    _build_own_wheel(repo, epoch, folder, commands)
    wheels = {parse_wheel_filename(path.name)[0]: path for path in folder.glob("*.whl")}
    for name in wheels.keys() - needed(PRODUCT, {name: _requires(path) for name, path in wheels.items()}, markers):
        wheels.pop(name).unlink()  # the lock also holds what only builds
    missing = needed(PRODUCT, {name: _requires(path) for name, path in wheels.items()}, markers) - wheels.keys()
    if missing:
        raise Failed(f"the lock lacks {', '.join(sorted(missing))}", remedy="make lock")
    (folder / "requirements.txt").write_text(requirements_text(wheels.values()), encoding="utf-8")


def _build_own_wheel(repo: Path, epoch: int, folder: Path, commands: Commands) -> None:
    commands.run(
        [
            *(
                sys.executable,
                "-m",
                "pip",
                "wheel",
                "--disable-pip-version-check",
                "--no-deps",
                "--no-build-isolation",
            ),
            *("--wheel-dir", folder, repo),
        ],
        env={"SOURCE_DATE_EPOCH": str(epoch)},
    )


def _requires(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist", [])
