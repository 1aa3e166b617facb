"""Whatever is typed, the simulated modem stays a modem."""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from otpbroker.clock import Clock
from otpbroker.modem.simulator import Behaviour, Phone, SimCard, identity_of
from otpbroker.modem.simulator.conversation import Conversation
from otpbroker.modem.simulator.deliveries import Deliveries
from otpbroker.modem.simulator.equipment import Equipment
from otpbroker.modem.simulator.message_commands import _HANDLERS
from otpbroker.modem.simulator.network import Network
from otpbroker.sms.submit import encode_submit

PDU = encode_submit("6281234567890", "Kode 123456", reference=0, life=300)[0]
WORDS = (
    "AT",
    "\r",
    "\n",
    ";",
    "=",
    "?",
    "=?",
    ",",
    '"',
    "0",
    "1",
    "21",
    "4711",
    "\x1a",
    "\x1b",
    "\x08",
    PDU,
    PDU[:-4],
)
typed = st.lists(
    st.one_of(
        st.sampled_from([word.encode() for word in (*WORDS, *_HANDLERS)]),
        st.binary(max_size=8),
    ),
    max_size=60,
)


async def answer_after(octets: list[bytes]) -> bytes:
    equipment = Equipment(identity_of(1), SimCard(), Behaviour(boot=0.0), Clock())
    said = bytearray()
    network = Network(Phone(), equipment.clock)
    conversation = Conversation(
        equipment,
        network,
        Deliveries(equipment),
        said.extend,
        conversation_is_never_unplugged,
        random.Random(1),
    )
    for piece in octets:
        conversation.listen(piece)
    conversation.listen(b"\x1b\rAT&F\r\x1b\r")
    said.clear()
    conversation.listen(b"AT+CGSN\r")
    conversation.close()
    return bytes(said)


def conversation_is_never_unplugged() -> None:
    raise AssertionError


@settings(deadline=None, max_examples=300)
@given(typed)
def test_no_input_breaks_it(octets: list[bytes]) -> None:
    answer = asyncio.run(answer_after(octets))

    assert answer == b"AT+CGSN\r\r\n004401010000012\r\n\r\nOK\r\n"
