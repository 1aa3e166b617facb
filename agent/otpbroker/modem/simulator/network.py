"""The mobile network between the modem and the phone: reads what is sent, makes what is delivered."""

from collections.abc import Callable
from datetime import datetime

from otpbroker.clock import Clock
from otpbroker.modem.simulator.phone import Part, Phone
from otpbroker.modem.simulator.replies import Prompt
from otpbroker.sms.address import receiver_address
from otpbroker.sms.deliver import encode_deliver
from otpbroker.sms.reference import References
from otpbroker.sms.segment import segment
from otpbroker.sms.status_report import encode_status_report
from otpbroker.sms.submission import Sms
from otpbroker.sms.submit import decode_submit
from otpbroker.sms.user_data import UserData


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
        self._references = References()

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

    def deliver(self, sender: str, text: str) -> tuple[str, ...]:
        """The parts of a message to the modem as SMS-DELIVER; raises `ValueError` for what can't be one."""
        return encode_deliver(sender, text, sent_at=self.now(), reference=self._references.allocate(sender))

    def status_report(self, receiver: str, reference: int, *, sent_at: datetime, status: int) -> str:
        """An SMS-STATUS-REPORT on the message with this TP-MR; `status` is TP-ST."""
        return encode_status_report(
            str(receiver_address(receiver)),
            reference=reference,
            sent_at=sent_at,
            discharged_at=self.now(),
            status=status,
        )

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now()).astimezone()


def _text_mode_part(receiver: str, text: str) -> Part:
    return Part(receiver.removeprefix("+"), _one_part(text), None, status_report=False)


def _one_part(text: str) -> UserData:
    segments = segment(text)
    if len(segments.parts) > 1:
        raise ValueError("the text needs more than one part")
    return UserData(segments.encoding, segments.parts[0])
