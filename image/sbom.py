"""The bill of materials (CycloneDX 1.6, JSON): Debian packages by dpkg's status, Python's by the wheelhouse."""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from image.profile import Profile

Component = dict[str, object]
_NAMESPACE = uuid.UUID("6f747062-726f-5b65-a0d3-7362306d0000")


def bill(profile: Profile, version: str, epoch: int, components: list[Component]) -> str:
    """The same components give the same document, its serial number included."""
    ordered = sorted(components, key=lambda component: str(component["bom-ref"]))
    content = json.dumps([profile.name, version, epoch, ordered], sort_keys=True)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "operating-system",
                "bom-ref": "otpbroker-image",
                "name": "otpbroker-image",
                "version": version,
                "description": profile.summary,
            },
        },
        "components": ordered,
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def debian_components(tree: Path, profile: Profile) -> list[Component]:
    """What dpkg says is installed in a root file system."""
    status = (tree / "var/lib/dpkg/status").read_text(encoding="utf-8")
    return [
        _debian(fields, profile) for fields in paragraphs(status) if fields.get("Status") == "install ok installed"
    ]


def python_components(requirements: str) -> list[Component]:
    """The entries of the wheelhouse's requirements.txt."""
    found = re.findall(r"^([\w.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", requirements, re.MULTILINE)
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{version}",
            "purl": f"pkg:pypi/{name}@{version}",
            "name": name,
            "version": version,
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }
        for name, version, digest in found
    ]


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Of a Debian control file (deb822(5)), first lines of the fields only."""
    for paragraph in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): *(.*)$", paragraph, re.MULTILINE))
        if fields:
            yield fields


def _debian(fields: dict[str, str], profile: Profile) -> Component:
    name, version, arch = fields["Package"], fields["Version"], fields["Architecture"]
    distribution = quote(f"debian-{profile.suite}")
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={arch}&distro={distribution}"
    component: Component = {"type": "library", "bom-ref": purl, "purl": purl, "name": name, "version": version}
    if maintainer := fields.get("Maintainer"):
        component["supplier"] = {"name": maintainer.partition(" <")[0]}
    return component
