"""TLS to a broker: always verified, with a certificate of our own where it asks for one."""

import ssl
import tempfile
from pathlib import Path

from otpbroker.config.feeder import TlsSection, pem_text
from otpbroker.errors import Misconfigured


def tls_context(section: TlsSection) -> ssl.SSLContext | None:
    """None: not enabled. Blocks to read files. Raises `Misconfigured` with the setting at fault."""
    if not section.enabled:
        return None
    place = "tls.ca"
    try:
        context = ssl.create_default_context(cadata=pem_text(section.ca) if section.ca is not None else None)
        if section.certificate is not None and section.key is not None:
            place = "tls.certificate"
            _load(context, pem_text(section.certificate), pem_text(section.key.get_secret_value()))
    except OSError as error:  # ssl.SSLError is one
        reason = "it does not fit, or is no PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise Misconfigured("tls-unusable", f"can't be used: {reason}", field=place) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """OpenSSL takes files alone: they lie in RAM for a moment, readable for this user."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # RAM
        path = Path(folder) / "chain"
        path.touch(mode=0o600)
        path.write_text(f"{certificate}\n{key}\n")
        context.load_cert_chain(path)
