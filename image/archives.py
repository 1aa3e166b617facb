"""Where packages come from: addresses are told by the caller or read from the build host, never kept here."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from image.errors import Refused
from image.profile import Profile, Source

APT = Path("/etc/apt")
_ONE_LINE = re.compile(r"^deb\s+(?:\[[^]]*\]\s+)?(?P<address>\S+)\s+(?P<suite>\S+)\s", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Archives:
    """Addresses and, for archives whose keys the build host does not trust anyway, keyrings; by archive name."""

    addresses: Mapping[str, str]
    keyrings: Mapping[str, Path]

    def address(self, source: Source) -> str:
        try:
            return self.addresses[source.archive]
        except KeyError:
            raise Refused(
                f"the address of the archive {source.archive} is not known",
                remedy=f"--archive {source.archive}=ADDRESS",
            ) from None

    def deb_lines(self, profile: Profile) -> list[str]:
        """One-line entries for mmdebstrap, which checks them by the keyrings of the build host."""
        lines = []
        for source in profile.sources:
            keyring = self.keyrings.get(source.archive)
            trusted = f"[signed-by={keyring}] " if keyring else ""
            lines += [
                f"deb {trusted}{self.address(source)} {suite} {' '.join(source.components)}"
                for suite in source.suites
            ]
        return lines

    def sources_file(self, profile: Profile) -> str:
        """The image's own /etc/apt/sources.list.d/image.sources (deb822, sources.list(5))."""
        entries = [
            f"Types: deb\nURIs: {self.address(source)}\nSuites: {' '.join(source.suites)}\n"
            f"Components: {' '.join(source.components)}\nSigned-By: {source.keyring}\n"
            for source in profile.sources
        ]
        return "\n".join(entries)


def of_host(apt: Path = APT) -> dict[str, str]:
    """Debian's archives as the build host's own apt knows them; empty on a host that is not Debian."""
    found: dict[str, str] = {}
    for address, suite in _host_entries(apt):
        name = "debian-security" if suite.endswith("-security") else "debian"
        found.setdefault(name, address)
    return found


def pairs(words: Iterable[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` words of an option."""
    split = [word.partition("=") for word in words]
    for name, equals, value in split:
        if not (name and equals and value):
            raise Refused(f"{option} wants NAME=VALUE, not {name}{equals}{value}")
    return {name: value for name, _, value in split}


def _host_entries(apt: Path) -> Iterable[tuple[str, str]]:
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        for paragraph in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
            fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)$", paragraph, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and "debian-archive" in fields.get("Signed-By", ""):
                for suite in fields.get("Suites", "").split():
                    yield fields.get("URIs", "").split()[0], suite
    for path in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))):
        if path.is_file():
            for match in _ONE_LINE.finditer(path.read_text(encoding="utf-8")):
                if "debian" in match["address"]:
                    yield match["address"], match["suite"]
