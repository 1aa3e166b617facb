"""Messages sealed to this device: JWE in compact serialisation (RFC 7516), ECDH-ES with A256GCM and nothing else.

Within one is the same JSON that would otherwise be sent in clear.
"""

import base64
import binascii
import json
from collections.abc import Callable

from joserfc import jwe
from joserfc.errors import JoseError

from otpbroker.errors import Misconfigured, Rejected
from otpbroker.feeder.key_ring import DeviceKey
from otpbroker.feeder.sealed_form import compact, unsupported

_ALGORITHM = "ECDH-ES"  # RFC 7518, section 4.6: direct key agreement, so there is no encrypted key
_ENCRYPTION = "A256GCM"
_LONGEST_HEADER = 1024
_SIZES = (0, 12, 16)  # octets: no encrypted key, a 96-bit nonce, a 128-bit tag
# No `zip`: a small body can't become a large one. No `crit`: nothing unknown is claimed to be understood.
_HEADER = frozenset({"alg", "enc", "epk", "kid", "typ", "cty", "apu", "apv"})
_REGISTRY = jwe.JWERegistry(algorithms=[_ALGORITHM, _ENCRYPTION])
# What the library raises at hostile input beside its own errors.
_REFUSALS = (JoseError, ValueError, TypeError, KeyError, AssertionError)


class Unsealer:
    """Opens sealed messages with the keys that `keys` gives, the current one first."""

    def __init__(self, keys: Callable[[], tuple[DeviceKey, ...]]) -> None:
        self._keys = keys

    def __call__(self, body: bytes) -> tuple[bytes, bool]:
        """The clear octets, and whether they were sealed; a body that is not sealed comes back as it is.

        Raises `Rejected` for a sealed one that this device can't or won't open.
        """
        sealed = compact(body)
        if sealed is None:
            return body, False
        kid = _checked(sealed)
        try:
            keys = self._keys()
        except Misconfigured as error:
            raise Rejected("sealed-no-key", error.detail, remedy=error.remedy) from None
        candidates = [key for key in keys if kid in {None, key.kid}]
        if not candidates:
            raise Rejected(
                "sealed-key-unknown",
                "it is sealed to a key that this device does not have (any more)",
                remedy="seal it to the key that otpbroker feeder-key shows",
            )
        for key in candidates:
            try:
                opened = jwe.decrypt_compact(sealed, key.pair, registry=_REGISTRY).plaintext
            except _REFUSALS:
                continue
            if opened is not None:
                return opened, True
        raise Rejected("sealed-broken", "it was changed on its way, or is sealed to another key")


def _checked(sealed: str) -> str | None:
    """The key id that the header names. Raises `Rejected` unless everything is as we want it."""
    try:
        parts = [_decoded(part) for part in sealed.split(".")]
        right_sizes = (len(parts[1]), len(parts[2]), len(parts[4])) == _SIZES
        header = json.loads(parts[0]) if right_sizes and len(parts[0]) <= _LONGEST_HEADER else None
    except (ValueError, RecursionError):
        raise unsupported() from None
    if not isinstance(header, dict) or not set(header) <= _HEADER:
        raise unsupported()
    epk = header.get("epk")
    right_key = isinstance(epk, dict) and epk.get("kty") == "EC" and epk.get("crv") == "P-256" and "d" not in epk
    if header.get("alg") != _ALGORITHM or header.get("enc") != _ENCRYPTION or not right_key:
        raise unsupported()
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise unsupported()
    return kid


def _decoded(part: str) -> bytes:
    """base64url without padding, in its one canonical form: unused bits would let a copy look different."""
    try:
        octets = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError from None
    if base64.urlsafe_b64encode(octets).rstrip(b"=").decode() != part:
        raise ValueError
    return octets
