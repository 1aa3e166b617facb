"""The device's own certificate: fit for its names, private, kept as long as it serves."""

import stat
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from otpbroker.web.certificate import ensure_certificate

NAMES = ("otpbroker.local", "192.168.4.1", "::1")


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_certificate_for_every_name_and_address(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path / "tls", NAMES)

    certificate = read(files.certificate)
    known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert known.get_values_for_type(x509.DNSName) == ["otpbroker.local"]
    assert [str(address) for address in known.get_values_for_type(x509.IPAddress)] == ["192.168.4.1", "::1"]
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 826


def test_the_key_is_its_owners_alone(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path / "tls", NAMES)

    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["certificate.pem", "key.pem"]


def test_a_good_certificate_stays(tmp_path: Path) -> None:
    first = read(ensure_certificate(tmp_path, NAMES).certificate)

    assert read(ensure_certificate(tmp_path, NAMES[:2]).certificate) == first


def test_a_new_name_makes_a_new_one(tmp_path: Path) -> None:
    first = read(ensure_certificate(tmp_path, NAMES).certificate)

    assert read(ensure_certificate(tmp_path, (*NAMES, "gateway.lan")).certificate) != first


def test_one_that_ends_within_30_days_is_replaced(tmp_path: Path) -> None:
    first = read(ensure_certificate(tmp_path, NAMES).certificate)
    end = first.not_valid_after_utc.timestamp()

    assert read(ensure_certificate(tmp_path, NAMES, now=lambda: end - 31 * 86400).certificate) == first
    assert read(ensure_certificate(tmp_path, NAMES, now=lambda: end - 29 * 86400).certificate) != first


@pytest.mark.parametrize("damage", [b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"])
@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_a_damaged_one_is_replaced(tmp_path: Path, name: str, damage: bytes) -> None:
    ensure_certificate(tmp_path, NAMES)
    (tmp_path / name).write_bytes(damage)

    files = ensure_certificate(tmp_path, NAMES)

    assert read(files.certificate)
    assert b"PRIVATE KEY" in files.key.read_bytes()


def test_a_key_of_another_certificate_is_replaced(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path / "a", NAMES)
    other = ensure_certificate(tmp_path / "b", NAMES)
    files.key.write_bytes(other.key.read_bytes())
    before = read(files.certificate)

    assert read(ensure_certificate(tmp_path / "a", NAMES).certificate) != before


def test_the_owners_own_certificate_is_never_replaced(tmp_path: Path) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("sms.example.com")
    (tmp_path / "certificate.pem").write_bytes(b"".join(pem.bytes() for pem in own.cert_chain_pems))
    (tmp_path / "key.pem").write_bytes(own.private_key_pem.bytes())
    before = (tmp_path / "certificate.pem").read_bytes()
    assert ensure_certificate(tmp_path, NAMES).certificate.read_bytes() == before
