"""Results become the responses and codes that existing clients know (protocol notes 1.4 to 1.6)."""

from dataclasses import replace

import pytest

from otpbroker.errors import Denied, Misconfigured, OtpBrokerError, Rejected, Unavailable, UnknownOutcome
from otpbroker.events import ModemState, ModemStatus
from otpbroker.messaging import wire
from otpbroker.messaging.command import (
    Block,
    Echo,
    ListModems,
    RequestOtp,
    RunUssd,
    SendMail,
    SendSms,
    VerifyOtp,
)
from otpbroker.messaging.outcome import (
    Blocklisted,
    Echoed,
    ModemList,
    OtpRequested,
    OtpVerified,
    Outcome,
    State,
    UssdReplied,
    Verdict,
)
from otpbroker.messaging.wire import Item

TEXT = "canary-4711"
SMS = Item("send-sms", SendSms("08126666666", TEXT))
MAIL = Item("send-mail", SendMail("admin@domain.tld", "Reset", TEXT))
OTP = Item("request-otp", RequestOtp("08126666666", "9f4c", f"{TEXT} %s", date_time="1795360371"))
VERIFY = Item("verify-otp", VerifyOtp("08126666666", "9f4c", "012345", date_time="1795360375"))
OTP_DATA = {"reference": "9f4c", "receiver": "08126666666", "date_time": "1795360371"}
OUTCOME = Outcome("q1", State.SENT, "62812XXXX66", "rest", 1.0, 2.0, 1.5, 1, 11, "gsm7", "m1", (17,))


def test_a_sent_message_tells_modem_and_reference() -> None:
    assert wire.answer(SMS, OUTCOME) == {
        "command": "send-sms",
        "response_code": "0000",
        "data": {"id": "q1", "modemID": "m1", "result": "+CMGS: 17", "references": [17]},
    }


def test_each_part_of_a_long_message_has_its_reference() -> None:
    answer = wire.answer(SMS, replace(OUTCOME, parts=2, references=(17, 18)))

    assert answer["data"] == {"id": "q1", "modemID": "m1", "result": "+CMGS: 17, +CMGS: 18", "references": [17, 18]}


@pytest.mark.parametrize(
    ("state", "error", "told", "error_code"),
    [
        (State.FAILED, "cms-38", "was not sent", "cms-38"),
        (State.EXPIRED, "expired", "expired", "expired"),
        (State.BLOCKED, "blocked", "block list", "blocked"),
        (State.UNKNOWN, "no-answer", "may have been sent", "unknown"),
    ],
)
def test_a_message_that_was_not_certainly_sent_is_1101(
    state: State, error: str, told: str, error_code: str
) -> None:
    answer = wire.answer(SMS, replace(OUTCOME, state=state, references=(), error=error, detail="why"))

    assert (answer["command"], answer["response_code"], answer["data"]) == ("send-sms", "1101", {})
    assert told in str(answer["error"])
    assert answer["error_code"] == error_code


@pytest.mark.parametrize("state", [State.ACCEPTED, State.QUEUED, State.SENDING])
def test_a_message_whose_end_is_not_known_when_the_wait_ends_is_queued(state: State) -> None:
    answer = wire.answer(SMS, replace(OUTCOME, state=state, references=(), modem_id=None))

    assert (answer["response_code"], answer["data"]) == ("1111", {"id": "q1"})
    assert answer["error"]


def test_every_final_state_but_sent_has_words_of_its_own() -> None:
    told = {str(wire.answer(SMS, replace(OUTCOME, state=state))["error"]) for state in State if state != State.SENT}

    assert len(told) == len(State) - 1 - 1  # accepted and queued are one to the caller


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("no-modem", "No device connected", remedy="connect a modem"),
        Rejected("receiver-invalid", "has letters", field="receiver", remedy="use digits"),
    ],
)
def test_an_sms_that_was_not_accepted_is_1101_and_names_the_cause(error: OtpBrokerError) -> None:
    answer = wire.answer(SMS, error)

    assert answer == {
        "command": "send-sms",
        "response_code": "1101",
        "error": str(error),
        "error_code": error.code,
        "data": {},
    }


def test_send_message_answers_honestly_and_by_its_own_name() -> None:
    sms = Item("send-message", SMS.command)

    assert wire.answer(sms, OUTCOME)["command"] == "send-message"
    assert wire.answer(sms, Unavailable("no-modem", "x"))["response_code"] == "1101"
    assert wire.answer(Item("send-message", MAIL.command), Misconfigured("m", "x"))["response_code"] == "1102"


@pytest.mark.parametrize("name", ["send-mail", "send-email"])
def test_mail_that_cannot_be_sent_is_1102_in_both_products_fields(name: str) -> None:
    answer = wire.answer(Item(name, MAIL.command), Misconfigured("mail-not-configured", "no account"))

    assert (answer["command"], answer["response_code"]) == (name, "1102")
    assert answer["message"] == answer["error"] == "no account"


def test_mail_that_was_sent_has_the_historic_words() -> None:
    assert wire.answer(MAIL, OUTCOME) == {
        "command": "send-mail",
        "response_code": "0000",
        "message": "The message was sent successfuly",
    }


@pytest.mark.parametrize("name", ["block-msisdn", "unblock-msisdn"])
def test_block_and_unblock(name: str) -> None:
    item = Item(name, Block("0812"))

    assert wire.answer(item, Blocklisted("62812", True)) == {"command": name, "response_code": "0000"}
    assert wire.answer(item, Rejected("receiver-invalid", "x"))["response_code"] == "1102"


def test_an_otp_on_its_way() -> None:
    requested = OtpRequested("9f4c", "628126666666", 2.0, OUTCOME)

    assert wire.answer(OTP, requested) == {"command": "request-otp", "response_code": "0000", "data": OTP_DATA}


def test_an_otp_whose_message_waits_is_queued_and_can_be_verified_later() -> None:
    waiting = OtpRequested("9f4c", "628126666666", 2.0, replace(OUTCOME, state=State.QUEUED))

    answer = wire.answer(OTP, waiting)

    assert (answer["response_code"], answer["data"]) == ("1111", {"id": OUTCOME.id} | OTP_DATA)


@pytest.mark.parametrize("state", [State.FAILED, State.UNKNOWN, State.BLOCKED, State.EXPIRED])
def test_an_otp_whose_message_was_not_certainly_sent_is_1102(state: State) -> None:
    answer = wire.answer(OTP, OtpRequested("9f4c", "62812", 2.0, replace(OUTCOME, state=state)))

    assert (answer["response_code"], answer["data"]) == ("1102", {})


def test_an_otp_with_a_live_reference_is_1201() -> None:
    assert wire.answer(OTP, Rejected("otp-duplicate", "live"))["response_code"] == "1201"
    assert wire.answer(OTP, Unavailable("no-modem", "x"))["response_code"] == "1102"


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict.VALID, "0000"), (Verdict.INVALID, "1202"), (Verdict.EXPIRED, "1203")]
)
def test_the_verdict_on_an_otp(verdict: Verdict, code: str) -> None:
    answer = wire.answer(VERIFY, OtpVerified("9f4c", "628126666666", verdict, 4))

    assert answer["response_code"] == code
    assert answer["data"] == {**OTP_DATA, "date_time": "1795360375"}
    assert ("error" in answer) is (verdict is not Verdict.VALID)


def test_the_answer_of_the_network_to_a_ussd_code() -> None:
    raw = '+CUSD: 1,"1. Pulsa",15'
    answer = wire.answer(
        Item("request-ussd", RunUssd("m1", "*1#")), UssdReplied("m1", "1. Pulsa", raw, 1795360405.0)
    )

    assert answer == {
        "command": "request-ussd",
        "response_code": "0000",
        "data": {"ussd_content": "1. Pulsa", "ussd_content_raw": raw, "replyable": True},
    }


@pytest.mark.parametrize(
    "error",
    [
        Rejected("modem-unknown", "no"),
        Denied("right-missing", "no"),
        Unavailable("ussd-terminated", "no"),
        UnknownOutcome("ussd-timeout", "no"),
    ],
)
def test_a_ussd_code_that_failed_is_1102_and_never_said_to_have_been_sent(error: OtpBrokerError) -> None:
    answer = wire.answer(Item("request-ussd", RunUssd("m1", "*1#")), error)

    maybe = "; the network may have done what the code asks for" if isinstance(error, UnknownOutcome) else ""
    assert answer == {
        "command": "request-ussd",
        "response_code": "1102",
        "error": f"no{maybe}",
        "error_code": error.code,
        "data": {},
    }


def test_the_modem_list_has_the_historic_keys_by_id() -> None:
    status = ModemStatus(
        id="m1",
        name="Telkomsel",
        state=ModemState.READY,
        imei="490154203237518",
        imsi="510101234567890",
        iccid="8962100000000000000",
        smsc="+6281100000",
        operator="TELKOMSEL",
        signal_dbm=-71,
        port="/dev/ttyUSB2",
        default=True,
    )

    answer = wire.answer(Item("get-modem-list", ListModems()), ModemList((status,)))

    assert answer["data"] == {
        "modem_list": {
            "m1": {
                "id": "m1",
                "connected": True,
                "internetAccess": False,
                "internetConnected": False,
                "name": "Telkomsel",
                "copsOperator": "TELKOMSEL",
                "imei": "490154203237518",
                "iccid": "8962100000000000000",
                "imsi": "510101234567890",
                "active": True,
                "port": "/dev/ttyUSB2",
                "smsCenter": "+6281100000",
                "defaultModem": True,
                "signalStrength": {"dbm": -71},
            }
        }
    }


@pytest.mark.parametrize(
    ("state", "connected"), [(ModemState.ABSENT, False), (ModemState.INACTIVE, False), (ModemState.SENDING, True)]
)
def test_a_modem_is_connected_while_its_port_is_served(state: ModemState, connected: bool) -> None:
    listed = wire.answer(Item("get-modem-list", ListModems()), ModemList((ModemStatus("m1", "", state),)))

    assert listed["data"]["modem_list"]["m1"]["connected"] is connected  # type: ignore[index] # JSON


def test_echo_gives_the_request_itself() -> None:
    request: dict[str, object] = {"command": "echo", "data": [1]}

    assert wire.answer(Item("echo", Echo(request)), Echoed(request)) == request


def test_a_body_that_is_no_command_gets_a_code_too() -> None:
    assert wire.refuse(Rejected("invalid-json", "not JSON")) == {
        "command": "",
        "response_code": "1102",
        "error": "not JSON",
        "error_code": "invalid-json",
        "data": {},
    }


def test_an_unclear_end_says_that_it_may_have_been_sent() -> None:
    assert "may have been sent" in str(wire.answer(SMS, UnknownOutcome("u", "the modem went silent"))["error"])


def test_several_commands_are_answered_one_by_one_under_the_first_failure() -> None:
    ok, failed = wire.answer(SMS, OUTCOME), wire.answer(SMS, Unavailable("no-modem", "x"))

    assert wire.answer_several([ok, failed, ok]) == {
        "command": "send-message",
        "response_code": "1101",
        "data": {"results": [ok, failed, ok]},
    }
    assert wire.answer_several([ok, ok])["response_code"] == "0000"


def test_no_answer_holds_the_text() -> None:
    """Weakness 17: message texts in logs and answers."""
    results = [OUTCOME, replace(OUTCOME, state=State.UNKNOWN), Rejected("x", "y"), Unavailable("x", "y")]

    assert all(TEXT not in str(wire.answer(item, result)) for item in (SMS, MAIL) for result in results)
    assert TEXT not in repr((SMS, MAIL, OTP))
