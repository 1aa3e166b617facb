"""One-time passwords that the device makes and verifies; only keyed hashes are kept.

RFC 4226 section 7.3 and OWASP ASVS 6.5: from a CSPRNG, few tries, short life, bound to receiver and reference.
"""

import hashlib
import hmac
import secrets

from otpbroker.clock import Clock
from otpbroker.errors import Rejected
from otpbroker.messaging.command import RequestOtp, VerifyOtp
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.otp_rows import OtpRow
from otpbroker.messaging.outcome import OtpVerified, State, Verdict

DIGITS = 6
TRIES = 5


class Otps:
    """The live one-time passwords, one per reference."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._key = hmac.digest(journal.key, b"otp", "sha256")

    def create(self, request: RequestOtp, receiver: str, expires_at: float, caller: str) -> tuple[str, str]:
        """Make and remember a code for `receiver` (normal form): the code, to be sent and forgotten; its ticket.

        A reference is its caller's own: others neither verify it nor cost it a try.
        Raises `Rejected` (`otp-duplicate`) while the reference is live and its code may have arrived.
        """
        reference = self._hash("reference", caller, request.reference)
        row = self._journal.otps.get(reference)
        if row is not None and not row.replaceable and row.expires_at > self._clock.now():
            raise Rejected(
                "otp-duplicate",
                "an OTP with this reference is live",
                field="reference",
                remedy="use a new reference for each request",
            )
        code = "".join(secrets.choice("0123456789") for _ in range(DIGITS))
        proof = self._proof(request.reference, receiver, code, request.params)
        self._journal.otps.put(reference, OtpRow(proof, expires_at, TRIES, replaceable=False))
        return code, f"{reference.hex()}:{proof.hex()}"

    def settle(self, ticket: str, state: State) -> None:
        """The message with this code is final: a reference whose message was not sent is free again."""
        key, proof = map(bytes.fromhex, ticket.split(":"))
        row = self._journal.otps.get(key)
        if row is None or row.code != proof:  # a newer code has its place
            return
        if state in {State.FAILED, State.EXPIRED, State.BLOCKED}:
            self._journal.otps.drop(key)
        elif state is State.UNKNOWN:
            self._journal.otps.put(key, OtpRow(row.code, row.expires_at, row.tries_left, replaceable=True))

    def verify(self, request: VerifyOtp, receiver: str, caller: str) -> OtpVerified:
        """Check a code; a right one is spent, a wrong one costs a try."""
        key = self._hash("reference", caller, request.reference)
        row = self._journal.otps.get(key)
        verdict, tries_left = Verdict.INVALID, 0
        if row is not None and row.expires_at <= self._clock.now():
            verdict = Verdict.EXPIRED
        elif row is not None and row.tries_left > 0:
            proof = self._proof(request.reference, receiver, request.otp, request.params)
            if hmac.compare_digest(proof, row.code):
                self._journal.otps.drop(key)
                verdict = Verdict.VALID
            else:
                tries_left = row.tries_left - 1
                # The row stays until it expires, so that a reference can't buy new tries.
                self._journal.otps.put(key, OtpRow(row.code, row.expires_at, tries_left, row.replaceable))
        return OtpVerified(request.reference, receiver, verdict, tries_left)

    def _proof(self, reference: str, receiver: str, code: str, params: tuple[str, ...]) -> bytes:
        return self._hash("code", reference, receiver, code, *params)

    def _hash(self, *values: str) -> bytes:
        # Each value with its length, so that no two lists of values run together alike.
        octets = b"".join(b"%d:%s" % (len(value.encode()), value.encode()) for value in values)
        return hmac.digest(self._key, octets, hashlib.sha256)
