"""The historic JSON shapes and response codes: every one of them, and nowhere else.

`parse` makes commands of a body from whatever way it came, `answer` the response object that existing clients
expect.
"""

from otpbroker.messaging.wire.answers import Answer, answer, answer_several, refuse
from otpbroker.messaging.wire.lenient_json import LARGEST_BODY
from otpbroker.messaging.wire.requests import Envelope, Item, parse

__all__ = ["LARGEST_BODY", "Answer", "Envelope", "Item", "answer", "answer_several", "parse", "refuse"]
