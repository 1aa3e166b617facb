"""Who may log in by SSH, as the configuration describes it."""

import base64
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from otpbroker.config.section import Section

_KEY = re.compile(
    r"(?P<kind>ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" (?P<blob>[A-Za-z0-9+/]{16,8192}={0,2})(?: (?P<comment>.{1,200}))?"
)


def _public_key(value: str) -> str:
    """A line of `authorized_keys` without options: kind, key (RFC 4253, section 6.6, in base64), comment."""
    key = _KEY.fullmatch(value)
    if key is None or not value.isprintable():
        raise ValueError("must be one public key without options, as in a file id_ed25519.pub")
    try:
        octets = base64.b64decode(key["blob"], validate=True)
    except ValueError:
        octets = b""
    fields = _fields(octets)
    if len(fields) < 2 or fields[0] != key["kind"].encode():
        raise ValueError("is a damaged public key; copy the whole line of the .pub file")
    return value


def _fields(octets: bytes) -> list[bytes]:
    """The strings which a key is made of (RFC 4251, section 5), none if the last one is cut off."""
    fields: list[bytes] = []
    while octets:
        length = int.from_bytes(octets[:4], "big")
        if len(octets) < 4 + length:
            return []
        fields.append(octets[4 : 4 + length])
        octets = octets[4 + length :]
    return fields


PublicKey = Annotated[str, AfterValidator(_public_key)]


class SshSection(Section):
    """Log-in by SSH with keys alone; `firewall.ethernet` has to open its port too."""

    enabled: bool = False
    authorized_keys: tuple[PublicKey, ...] = Field((), max_length=64)
