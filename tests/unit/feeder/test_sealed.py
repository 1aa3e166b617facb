"""What is sealed to the device opens there alone, whole and unchanged; everything else is refused."""

import base64
import json
import os
import struct
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey

from otpbroker.errors import Misconfigured, Rejected
from otpbroker.feeder.key_ring import DeviceKey
from otpbroker.feeder.sealed import Unsealer
from otpbroker.feeder.sealed_form import identity

COMMAND = b'{"command":"send-sms","data":{"msisdn":"08126666666","message":"OTP Anda adalah 1234"}}'
KEY, OLD = (DeviceKey(ECKey.generate_key("P-256", auto_kid=False), 0.0) for _ in range(2))
unseal = Unsealer(lambda: (KEY, OLD))


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def sealed(clear: bytes = COMMAND, key: DeviceKey = KEY, **header: Any) -> str:
    """By RFC 7516 and 7518 section 4.6 alone, without the library that opens it; None removes from the header."""
    numbers = {name: int.from_bytes(base64.urlsafe_b64decode(key.public[name] + "=="), "big") for name in "xy"}
    public = ec.EllipticCurvePublicNumbers(numbers["x"], numbers["y"], ec.SECP256R1()).public_key()
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    point = ephemeral.public_key().public_numbers()
    epk = {
        "kty": "EC",
        "crv": "P-256",
        "x": b64(point.x.to_bytes(32, "big")),
        "y": b64(point.y.to_bytes(32, "big")),
    }
    full = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key.kid, "epk": epk} | header
    protected = b64(json.dumps({name: value for name, value in full.items() if value is not None}).encode())
    info = struct.pack(">I", 7) + b"A256GCM" + bytes(8) + struct.pack(">I", 256)
    content_key = sha256(struct.pack(">I", 1) + ephemeral.exchange(ec.ECDH(), public) + info).digest()
    nonce = os.urandom(12)
    box = AESGCM(content_key).encrypt(nonce, clear, protected.encode())
    return f"{protected}..{b64(nonce)}.{b64(box[:-16])}.{b64(box[-16:])}"


def refused(body: str | bytes) -> str:
    with pytest.raises(Rejected) as caught:
        unseal(body.encode() if isinstance(body, str) else body)
    assert "1234" not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("form", ["%s", " %s\n", '{"jwe": "%s"}', '{"jwe": "%s",}'])
def test_both_forms_open(form: str) -> None:
    assert unseal((form % sealed()).encode()) == (COMMAND, True)


@pytest.mark.parametrize(
    "body", [COMMAND, b"", b"{}", b"[]", b"\xff\xfe", b"a.b.c", b'{"text": "\\"jwe\\""}', b"x" * 70000]
)
def test_what_is_not_sealed_comes_back_as_it_is(body: bytes) -> None:
    assert unseal(body) == (body, False)
    assert identity(body) is None


def test_without_a_key_id_every_key_is_tried() -> None:
    assert unseal(sealed(kid=None).encode())[0] == COMMAND
    assert unseal(sealed(key=OLD, kid=None).encode())[0] == COMMAND
    assert unseal(sealed(key=OLD).encode())[0] == COMMAND


def test_another_devices_message_is_refused_with_the_remedy() -> None:
    stranger = DeviceKey(ECKey.generate_key("P-256", auto_kid=False), 0.0)
    assert refused(sealed(key=stranger)) == "sealed-key-unknown"
    assert refused(sealed(key=stranger, kid=None)) == "sealed-broken"
    assert refused(sealed(key=stranger, kid=KEY.kid)) == "sealed-broken"


def test_a_device_whose_keys_are_damaged_says_so() -> None:
    def damaged() -> tuple[DeviceKey, ...]:
        raise Misconfigured("feeder-keys-damaged", "can't be opened", remedy="restore it")

    with pytest.raises(Rejected, match="restore it"):
        Unsealer(damaged)(sealed().encode())


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ECDH-ES+A256KW"},
        {"alg": "dir"},
        {"alg": None},
        {"enc": "A128GCM"},
        {"enc": "A256CBC-HS512"},
        {"zip": "DEF"},
        {"crit": ["exp"], "exp": 1},
        {"jku": "https://keys.example.com"},
        {"epk": None},
        {"epk": {"kty": "OKP", "crv": "X25519", "x": "AA"}},
        {"epk": {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}},
        {"kid": 5},
        {"p2c": 10_000_000},
    ],
)
def test_nothing_but_one_way_of_sealing_is_understood(header: dict[str, Any]) -> None:
    assert refused(sealed(**header)) == "sealed-unsupported"


def test_a_point_that_is_not_on_the_curve_opens_nothing() -> None:
    """The private key could be learnt from what it does with such points."""
    epk = {"kty": "EC", "crv": "P-256", "x": b64(bytes(31) + b"\1"), "y": b64(bytes(31) + b"\1")}
    assert refused(sealed(epk=epk)) == "sealed-broken"


def test_compressed_content_is_not_expanded() -> None:
    bomb = jwe.encrypt_compact(
        {"alg": "ECDH-ES", "enc": "A256GCM", "zip": "DEF"},
        b"0" * 200_000,
        ECKey.import_key({name: KEY.public[name] for name in ("kty", "crv", "x", "y")}),
        algorithms=["ECDH-ES", "A256GCM", "DEF"],
    )
    assert refused(bomb) == "sealed-unsupported"


@pytest.mark.parametrize("place", range(5))
def test_every_part_is_authenticated(place: int) -> None:
    parts = sealed().split(".")
    part = parts[place]
    parts[place] = ("B" if part[:1] == "A" else "A") + part[1:]
    assert refused(".".join(parts)) in {"sealed-broken", "sealed-unsupported"}


def test_a_copy_can_not_be_made_to_look_new() -> None:
    """Bits of the last character that mean nothing must be zero: else the copy would have another identity."""
    original = sealed()
    assert identity(original.encode()) == identity(b'{"jwe":"%s"}' % original.encode())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    copy = original[:-1] + alphabet[alphabet.index(original[-1]) + 1]
    assert refused(copy) == "sealed-unsupported"


def test_nothing_stands_in_clear_beside_it() -> None:
    assert refused(json.dumps({"jwe": sealed(), "data": {}})) == "sealed-mixed"
    assert refused('{"jwe": 5}') == "sealed-unsupported"
    assert refused('{"jwe": "no"}') == "sealed-unsupported"


@given(st.binary(max_size=200), st.integers(0, 400))
def test_hostile_octets_are_refused_or_not_sealed(octets: bytes, place: int) -> None:
    good = sealed().encode()
    for body in (octets, good[:place] + octets, good[:place] + octets + good[place:]):
        try:
            clear, opened = unseal(body)
        except Rejected:
            continue
        assert not opened or clear == COMMAND
