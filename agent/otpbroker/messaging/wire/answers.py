"""From results to the response objects that existing clients know, with their response codes."""

from collections.abc import Mapping, Sequence

from otpbroker.errors import OtpBrokerError, Rejected, UnknownOutcome
from otpbroker.events import ModemState, ModemStatus
from otpbroker.messaging.command import Command, RequestOtp, RunUssd, SendSms, VerifyOtp
from otpbroker.messaging.outcome import (
    Blocklisted,
    Echoed,
    ModemList,
    OtpRequested,
    OtpVerified,
    Outcome,
    Result,
    State,
    UssdEnded,
    UssdReplied,
    Verdict,
)
from otpbroker.messaging.wire.requests import Item

SUCCESS = "0000"
SMS_FAILED = "1101"
FAILED = "1102"
QUEUED = "1111"
DUPLICATED = "1201"
INVALID_OTP = "1202"
OTP_EXPIRED = "1203"

Answer = dict[str, object]

_MAY_HAVE_BEEN_SENT = "the message may have been sent"
_STATES = {
    State.UNKNOWN: _MAY_HAVE_BEEN_SENT,
    State.FAILED: "the message was not sent",
    State.EXPIRED: "the message expired before it could be sent",
    State.BLOCKED: "the receiver is on the block list",
}
_VERDICTS = {
    Verdict.VALID: SUCCESS,
    Verdict.INVALID: INVALID_OTP,
    Verdict.EXPIRED: OTP_EXPIRED,
}
_CONNECTED = frozenset(
    {ModemState.STARTING, ModemState.READY, ModemState.SENDING, ModemState.BUSY, ModemState.RECOVERING}
)


def answer(item: Item, result: Result | OtpBrokerError) -> Answer:
    """The response to one command; never holds the text of a message or the code of an OTP."""
    response: Answer
    match result:
        case OtpBrokerError():
            response = refuse(result, item.name, item.command)
        case Outcome():
            response = _sent(item, result)
        case OtpRequested():
            response = _otp_requested(item, result)
        case OtpVerified():
            response = _otp_verified(item, result)
        case ModemList():
            modems = {status.id: _modem(status) for status in result.modems}
            response = _response(item.name, SUCCESS, {"modem_list": modems})
        case UssdReplied():
            response = _response(item.name, SUCCESS, _ussd_data(result))
        case Blocklisted() | UssdEnded():
            response = {"command": item.name, "response_code": SUCCESS}
        case Echoed():
            response = result.request
    return response


def answer_several(answers: Sequence[Answer]) -> Answer:
    """The response to a body with several commands: their own responses, and the first code that is no success."""
    codes = (str(answer.get("response_code", SUCCESS)) for answer in answers)
    worst = next((code for code in codes if code != SUCCESS), SUCCESS)
    return _response("send-message", worst, {"results": list(answers)})


def refuse(error: OtpBrokerError, name: str = "", command: Command | Rejected | None = None) -> Answer:
    """The response to what could not be done; `name` is the command's, where the body had one."""
    text = str(error)
    if isinstance(error, UnknownOutcome):
        text = f"{text}; {_may_have_been(command)}"
    if error.code == "otp-duplicate":
        code = DUPLICATED
    elif isinstance(command, SendSms) or name == "send-sms":
        code = SMS_FAILED
    else:
        code = FAILED
    return _failure(name, code, text, error.code)


def _may_have_been(command: Command | Rejected | None) -> str:
    match command:
        case RunUssd():
            return "the network may have done what the code asks for"
        case VerifyOtp():
            return "the one-time password may have been right"
    return _MAY_HAVE_BEEN_SENT


def _sent(item: Item, outcome: Outcome) -> Answer:
    sms = isinstance(item.command, SendSms)
    if outcome.state is State.SENT and sms:
        data = {
            "id": outcome.id,
            "modemID": outcome.modem_id,
            "result": ", ".join(f"+CMGS: {reference}" for reference in outcome.references),
            "references": list(outcome.references),
        }
        return _response(item.name, SUCCESS, data)
    if outcome.state is State.SENT:
        return {
            "command": item.name,
            "response_code": SUCCESS,
            "message": "The message was sent successfuly",
        }  # sic
    if not outcome.state.final:
        return _failure(item.name, QUEUED, _waits(outcome), "queued", {"id": outcome.id})
    return _failure(item.name, SMS_FAILED if sms else FAILED, _problem(outcome), _code(outcome))


def _otp_requested(item: Item, result: OtpRequested) -> Answer:
    outcome = result.outcome
    if outcome.state is State.SENT:
        return _response(item.name, SUCCESS, _otp_data(item))
    if not outcome.state.final:
        return _failure(item.name, QUEUED, _waits(outcome), "queued", {"id": outcome.id} | _otp_data(item))
    return _failure(item.name, FAILED, _problem(outcome), _code(outcome))


def _otp_verified(item: Item, result: OtpVerified) -> Answer:
    code = _VERDICTS[result.verdict]
    if code == SUCCESS:
        return _response(item.name, code, _otp_data(item))
    detail = "the OTP has expired" if code == OTP_EXPIRED else "the OTP is not valid"
    return _failure(item.name, code, detail, f"otp-{result.verdict}", _otp_data(item))


def _otp_data(item: Item) -> dict[str, object]:
    """What the client said, in its own words; `date_time` is a string whatever it was."""
    assert isinstance(item.command, (RequestOtp, VerifyOtp))
    command = item.command
    return {"reference": command.reference, "receiver": command.receiver, "date_time": command.date_time}


def _ussd_data(replied: UssdReplied) -> dict[str, object]:
    return {"ussd_content": replied.text, "ussd_content_raw": replied.raw, "replyable": replied.replyable}


def _waits(outcome: Outcome) -> str:
    if outcome.state is State.SENDING:
        return "the modem has not answered yet"
    return "the message waits for a modem"


def _problem(outcome: Outcome) -> str:
    told = _STATES[outcome.state]
    return f"{told}: {outcome.detail}" if outcome.detail else told


def _code(outcome: Outcome) -> str:
    """The state where it says all, else the cause."""
    return outcome.error or str(outcome.state) if outcome.state is State.FAILED else str(outcome.state)


def _response(name: str, code: str, data: Mapping[str, object]) -> Answer:
    return {"command": name, "response_code": code, "data": dict(data)}


def _failure(name: str, code: str, error: str, error_code: str, data: Mapping[str, object] | None = None) -> Answer:
    """A failure's response; clients of mail read `message`, all others `error`."""
    response: Answer = {"command": name, "response_code": code, "error": error, "error_code": error_code}
    if name in {"send-mail", "send-email"}:
        response["message"] = error
    response["data"] = dict(data or {})
    return response


def _modem(status: ModemStatus) -> dict[str, object]:
    return {
        "id": status.id,
        "connected": status.state in _CONNECTED,
        "internetAccess": False,
        "internetConnected": False,
        "name": status.name,
        "copsOperator": status.operator,
        "imei": status.imei,
        "iccid": status.iccid,
        "imsi": status.imsi,
        "active": status.active,
        "port": status.port,
        "smsCenter": status.smsc,
        "defaultModem": status.default,
        "signalStrength": {} if status.signal_dbm is None else {"dbm": status.signal_dbm},
    }
