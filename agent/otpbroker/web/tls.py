"""TLS of the HTTPS listener."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from otpbroker.errors import Misconfigured

# ChaCha20 first: the processors of Raspberry Pi 3 and 4 have no AES instructions.
_CIPHERS = "ECDHE+CHACHA20:ECDHE+AESGCM"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate chain and its private key, both PEM."""

    certificate: Path
    key: Path


def server_context(files: TlsFiles, field: str) -> ssl.SSLContext:
    """A context for HTTP/1.1 and HTTP/2; raises `Misconfigured` at `field` when the files can't be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key)
    except OSError as error:  # ssl.SSLError is one
        raise Misconfigured(
            "unusable-certificate",
            f"cannot use the certificate {files.certificate.name}: {error.strerror or error.__class__.__name__}",
            field=field,
            remedy="install a PEM certificate that belongs to its key",
        ) from error
    return context
