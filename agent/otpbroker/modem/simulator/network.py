"""The mobile network between the modem and the phone: reads what is sent, makes what is delivered."""

from collections.abc import Callable
from datetime import datetime

from otpbroker.clock import Clock
from otpbroker.modem.simulator.phone import Part, Phone
from otpbroker.modem.simulator.replies import Prompt
from otpbroker.sms.address import encode_address, parse_address, receiver_address
from otpbroker.sms.data_coding import DCS_OF
from otpbroker.sms.segment import segment
from otpbroker.sms.submission import Sms
from otpbroker.sms.submit import decode_submit
from otpbroker.sms.timestamp import encode_timestamp
from otpbroker.sms.user_data import UserData, encode_user_data

_NO_SMSC = b"\0"
_DELIVER = 0x04  # TP-MTI 0, no more messages to come (3GPP TS 23.040 section 9.2.2.1)
_STATUS_REPORT = 0x06  # TP-MTI 2, no more messages to come (section 9.2.2.3)
_PROTOCOL = 0  # TP-PID
_RECEIVED = 0  # TP-ST


def decode_text(written: str, charset: str) -> str:
    """A string as the terminal writes it under `+CSCS`; raises `ValueError`."""
    return bytes.fromhex(written).decode("utf-16-be") if charset == "UCS2" else written


class Network:
    """The service centre as one modem reaches it, which brings all to the one phone.

    `number` tells the number of the card that is in the modem now.
    """

    def __init__(self, phone: Phone, clock: Clock, number: Callable[[], str] = str) -> None:
        self._phone = phone
        self._clock = clock
        self._number = number

    def read(self, prompt: Prompt, written: str, charset: str) -> Part:
        """What the terminal wrote behind the prompt of `+CMGS`; raises `ValueError` for what is no message."""
        if prompt.receiver is not None:
            return _text_mode_part(prompt.receiver, decode_text(written, charset))
        pdu = written.strip()
        submit = decode_submit(pdu)
        if Sms.tpdu_length(pdu) != prompt.length:
            raise ValueError("the PDU is not as long as announced")
        validity = submit.validity
        if isinstance(validity, datetime):
            validity = validity.timestamp() - self._clock.now()
        return Part(submit.receiver.value, submit.user_data, validity, submit.status_report)

    def carry(self, modem: str, part: Part) -> None:
        """Bring a part to its recipient."""
        self._phone.receive(modem, part, self._number())

    def deliver(self, sender: str, text: str) -> str:
        """An SMS-DELIVER in one part; raises `ValueError` if it would need more."""
        user_data = _one_part(text)
        tpdu = (
            bytes((_DELIVER,))
            + encode_address(parse_address(sender))
            + bytes((_PROTOCOL, DCS_OF[user_data.alphabet]))
            + self._timestamp()
            + encode_user_data(user_data)
        )
        return (_NO_SMSC + tpdu).hex().upper()

    def status_report(self, receiver: str, reference: int) -> str:
        """An SMS-STATUS-REPORT: the message with this TP-MR was received."""
        now = self._timestamp()
        recipient = encode_address(receiver_address(receiver))
        tpdu = bytes((_STATUS_REPORT, reference)) + recipient + now + now + bytes((_RECEIVED,))
        return (_NO_SMSC + tpdu).hex().upper()

    def _timestamp(self) -> bytes:
        return encode_timestamp(datetime.fromtimestamp(self._clock.now()).astimezone())


def _text_mode_part(receiver: str, text: str) -> Part:
    return Part(receiver.removeprefix("+"), _one_part(text), None, status_report=False)


def _one_part(text: str) -> UserData:
    segments = segment(text)
    if len(segments.parts) > 1:
        raise ValueError("the text needs more than one part")
    return UserData(segments.encoding, segments.parts[0])
