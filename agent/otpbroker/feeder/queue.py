"""Finding the queue that a feeder takes from: what is there is used as it is, what is missing is made."""

import re

from otpbroker.config.feeder_rabbitmq import RabbitmqFeeder
from otpbroker.errors import Denied, Misconfigured
from otpbroker.feeder.amqp import Arguments, Broker

_DIFFERS = re.compile(r"inequivalent arg '(?P<what>[\w-]+)' .*received (?P<asked>.+) but current is (?P<found>.+)")
_KINDS = ("classic", "quorum")


async def find_queue(broker: Broker, section: RabbitmqFeeder) -> str:
    """What is not as configured about a queue that is there, "" for nothing; one that is missing is made.

    A queue with other flags carries messages just as well, and its publishers rely on them. Each question takes a
    channel: a broker closes it when the answer is no.
    """
    there = await _is_there(broker, section.queue)
    try:
        async with broker.channel() as channel:
            arguments: Arguments = {"x-queue-type": "quorum"} if section.queue_type == "quorum" else {}
            await channel.declare_queue(section.queue, durable=section.durable, arguments=arguments)
    except Misconfigured as error:
        if not there:
            raise Misconfigured(error.code, error.detail, field="queue", remedy="try durable: true") from error
        return _difference(error.detail, section)
    except Denied:
        if not there:
            raise
    return ""


async def _is_there(broker: Broker, queue: str) -> bool:
    try:
        async with broker.channel() as channel:
            await channel.declare_queue(queue, passive=True)
    except Misconfigured as error:
        if error.code != "not-found":
            raise
        return False
    return True


def _difference(text: str, section: RabbitmqFeeder) -> str:
    """The broker's words on a queue that is otherwise, as what to do; "" for arguments that are no matter to us."""
    found = _DIFFERS.search(text)
    if found is None:
        return ""
    match found["what"]:
        case "durable":
            return (
                f"the queue {section.queue} is {'not ' if section.durable else ''}durable, unlike configured; set "
                f"durable: {'false' if section.durable else 'true'}, or delete the queue while nothing uses it"
            )
        case "x-queue-type":
            kind = next((kind for kind in _KINDS if kind != section.queue_type), "")
            return (
                f"the queue {section.queue} is not a {section.queue_type} queue, unlike configured; set "
                f"queue_type: {kind}, or delete the queue while nothing uses it"
            )
    return ""
