"""Passwords of people and application servers: argon2id hashes and the rule for new ones."""

import re

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from otpbroker.errors import Rejected

MINIMUM_LENGTH = 12

# 19 MiB, two passes, one lane: the OWASP floor, which a Raspberry Pi 3 computes in well under a second.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_COMMON = (
    "password",
    "katasandi",
    "administrator",
    "qwerty",
    "otpbroker",
    "12345678",
    "letmein",
    "welcome",
    "rahasia",
)


def hash_password(password: str) -> str:
    """An argon2id hash in PHC string format. Blocks for tens of milliseconds: call it in a thread."""
    return _HASHER.hash(password)


def verify_password(password_hash: str, password: str) -> bool:
    """Whether the password is the hashed one. Blocks like `hash_password`."""
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):  # the last: half a surrogate pair
        return False


def verify_nobody(password: str) -> bool:
    """False, after the computation that `verify_password` takes: the time does not tell who exists."""
    _HASHER.hash(password)
    return False


def check_strength(password: str, *names: str) -> None:
    """Raise `Rejected` unless a new password is long, not a common word and not made of the `names`."""
    folded = password.casefold()
    if len(password) < MINIMUM_LENGTH:
        problem = f"must have at least {MINIMUM_LENGTH} characters"
    elif len(password) > 256:
        problem = "must have at most 256 characters"
    elif len(set(password)) < 5:
        problem = "repeats too few characters"
    elif any(name and len(name) > 3 and name.casefold() in folded for name in names):
        problem = "must not contain the user name"
    elif re.sub(r"[^a-z]", "", folded) in _COMMON or any(folded.replace(word, "", 1).isdigit() for word in _COMMON):
        problem = "is too easy to guess"
    else:
        return
    raise Rejected("weak-password", problem, field="password", remedy="use a phrase of several words")
