"""Encrypt a command to a device's public key (JWE, ECDH-ES with A256GCM). Needs: pip install joserfc"""

import json
import sys
from pathlib import Path

from joserfc import jwe
from joserfc.jwk import ECKey


def seal(command: dict[str, object], jwk: dict[str, str]) -> str:
    """`jwk`: what `otpbroker feeder-key show --json` prints."""
    key = ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": jwk["kid"]}
    return jwe.encrypt_compact(header, json.dumps(command), key, algorithms=["ECDH-ES", "A256GCM"])


if __name__ == "__main__":  # python seal.py KEY.json <command.json
    print(seal(json.load(sys.stdin), json.loads(Path(sys.argv[1]).read_text())))
