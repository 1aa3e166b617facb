"""Codes that people read from paper and type, and the address that carries one."""

import secrets

# No 0, 1, I, O: 32 signs of 5 bits each.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_GROUP = 4


def new_code(groups: int) -> str:
    """A random code `XXXX-XXXX-...` with 20 bits in each group."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(groups))


def canonical(code: str) -> str:
    """What is hashed of a typed code: lower case, spaces and missing hyphens are forgiven."""
    return "".join(sign for sign in code[:64].upper() if sign in _ALPHABET)


def setup_url(admin_url: str, code: str) -> str:
    """The address for the QR code. The code stands in the fragment, which no log and no `Referer` ever holds."""
    return f"{admin_url.rstrip('/')}/setup#{code}"
