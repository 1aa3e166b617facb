"""`/api/v1/otp`: let the device make, send and verify one-time passwords."""

import secrets

from quart import Blueprint, Response, request

from otpbroker.clock import Clock
from otpbroker.errors import Rejected
from otpbroker.messaging.command import RequestOtp, VerifyOtp
from otpbroker.messaging.outcome import OtpRequested, OtpVerified
from otpbroker.web.api.core import Core
from otpbroker.web.api.exchange import ask, read_body, respond
from otpbroker.web.api.messages import status_of
from otpbroker.web.api.models import Otp, OtpRequest, OtpVerdict, OtpVerification
from otpbroker.web.api.prefer import parse_prefer

_REFERENCE_LIMIT = 64


def blueprint(core: Core, clock: Clock) -> Blueprint:
    otps = Blueprint("otp", __name__)

    @otps.post("/otp")
    async def send() -> Response:
        wanted = await read_body(OtpRequest)
        preference = parse_prefer(request.headers.get("Prefer"))
        command = RequestOtp(
            receiver=wanted.receiver,
            reference=wanted.reference or secrets.token_urlsafe(16),
            template=wanted.message,
            expires_at=wanted.expiry(clock.now()),
            params=_four(wanted.params),
        )
        requested = await ask(core, command, OtpRequested, wait=preference.wait)
        return respond(
            Otp.of(requested),
            status_of(requested.outcome),
            location=f"/api/v1/messages/{requested.outcome.id}",
            preference=preference,
        )

    @otps.post("/otp/<reference>/verify")
    async def verify(reference: str) -> Response:
        wanted = await read_body(OtpVerification)
        if len(reference) > _REFERENCE_LIMIT:
            raise Rejected("invalid-request", f"has more than {_REFERENCE_LIMIT} characters", field="reference")
        command = VerifyOtp(wanted.receiver, reference, wanted.otp, params=_four(wanted.params))
        verified = await ask(core, command, OtpVerified)
        return respond(OtpVerdict.of(verified))

    return otps


def _four(params: list[str]) -> tuple[str, str, str, str]:
    first, second, third, fourth = (*params, "", "", "", "")[:4]
    return first, second, third, fourth
