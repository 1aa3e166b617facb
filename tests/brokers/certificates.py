"""A certificate authority for tests."""

from pathlib import Path

import trustme


class Authority:
    """Its own certificate is `ca.pem` in `folder`; what it issues lies beside it as NAME.pem and NAME.key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.path = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.path))

    def issue(self, name: str, *identities: str, common_name: str | None = None) -> tuple[Path, Path]:
        """Certificate chain and key."""
        certificate = self._ca.issue_cert(*identities, common_name=common_name)
        chain, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(str(key))
        return chain, key
