"""The device's own certificate: made at first start, so that HTTPS never waits for a certificate authority."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from otpbroker.files import replace_file
from otpbroker.web.tls import TlsFiles

LIFE = timedelta(days=825)  # the longest that common clients accept of a certificate installed by hand
_MAKER = (x509.NameAttribute(NameOID.ORGANIZATION_NAME, "OTP Broker"),)  # tells ours from the owner's
RENEW_BEFORE = timedelta(days=30)


def ensure_certificate(folder: Path, names: Sequence[str], *, now: Callable[[], float] = time.time) -> TlsFiles:
    """The self-signed certificate in `folder` for these host names and addresses; made anew when it must be.

    It must be when it is missing or unreadable, ends within 30 days, or lacks one of the names. The key is EC
    P-256 and readable by its owner alone. `now` in Unix seconds. Blocks: call it in a thread.
    """
    today = datetime.fromtimestamp(now(), UTC)
    files = TlsFiles(folder / "certificate.pem", folder / "key.pem")
    if not _usable(files, names, today):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(files, names, today)
    return files


def _usable(files: TlsFiles, names: Sequence[str], today: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    if certificate.public_key() != key.public_key():
        return False
    if certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME) != list(_MAKER):
        return True  # the owner's own: whatever it says, it is not replaced
    return certificate.not_valid_after_utc - RENEW_BEFORE > today and all(
        name in known for name in map(_general_name, names)
    )


def _make(files: TlsFiles, names: Sequence[str], today: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64]), *_MAKER])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))  # a device without a battery clock may be behind
        .not_valid_after(today + LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    replace_file(
        files.key,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    replace_file(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
