"""Exchanges, queues and bindings for several devices on one broker, made by AMQP alone.

    PREFIX (topic) --sms.6.2.8.1.1.#--> PREFIX.sms.GROUP     each group's queue, competed for by its devices
        |  `-- what no binding takes --> PREFIX.rest --> PREFIX.sms
        `--control--> PREFIX.control (fanout) --> PREFIX.control.DEVICE     one queue for each device
    PREFIX.dead (fanout) --> PREFIX.dead         what could not be sent
    PREFIX.status (topic)                        what becomes of messages
    PREFIX.claims                                the stream by which devices know of each other

A publisher's routing key is `sms.` and the first digits of the number, international, each a word. All is durable;
what is there already as it should be is left alone, and what is there otherwise is told, never deleted.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from otpbroker.errors import Misconfigured, Rejected
from otpbroker.feeder.amqp import Arguments, Broker
from otpbroker.feeder.claims import ARGUMENTS as STREAM

# A message that broke its devices so often goes to the dead letters. A device that loses its connection counts too.
MOST_DELIVERIES = 50
KEEP_DEAD = 7 * 86_400_000  # milliseconds; texts are in there
MOST_DEAD = 10_000
FORGET_DEVICE = 30 * 86_400_000  # milliseconds; a device that is away for longer gets a new queue for control


@dataclass(frozen=True, slots=True)
class Layout:
    """`groups`: prefixes of numbers by the name of the group; `devices`: each gets its own queue for control."""

    prefix: str
    groups: Mapping[str, Sequence[str]]
    devices: Sequence[str]

    def check(self) -> None:
        """Raise `Rejected` where a message would go to two groups, and be sent twice."""
        owner = {digits: group for group, prefixes in self.groups.items() for digits in prefixes}
        count = sum(len(prefixes) for prefixes in self.groups.values())
        for digits, group in owner.items():
            for length in range(1, len(digits)):
                if (other := owner.get(digits[:length])) is not None and other != group:
                    raise Rejected(
                        "prefixes-overlap",
                        f"{digits} of {group} begins with {digits[:length]} of {other}: both would get a message",
                        field="--group",
                        remedy="write longer prefixes",
                    )
        if len(owner) != count:
            raise Rejected("prefixes-overlap", "a prefix is there twice", field="--group")

    def queue(self, group: str | None = None) -> str:
        return f"{self.prefix}.sms.{group}" if group else f"{self.prefix}.sms"

    def control_queue(self, device: str) -> str:
        return f"{self.prefix}.control.{device}"


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except Misconfigured as error:
        remedy = "delete it while nothing uses it, or take another --prefix"
        raise Misconfigured("is-otherwise", f"{what}: {error.detail}", remedy=remedy) from error


async def provision(broker: Broker, layout: Layout) -> list[str]:
    """Make what is missing; names what is there afterwards.

    Raises `Misconfigured` for what is there with other properties, `Denied` without the right to make it.
    """
    layout.check()
    prefix = layout.prefix
    there: list[str] = []
    dead = {"x-dead-letter-exchange": f"{prefix}.dead"}
    quorum = {"x-queue-type": "quorum"}
    work = quorum | dead | {"x-delivery-limit": MOST_DELIVERIES}

    async def exchange(name: str, kind: str, arguments: Arguments | None = None) -> None:
        with _told(f"exchange {name}"):
            async with broker.channel() as channel:
                await channel.declare_exchange(name, kind, arguments=arguments)
        there.append(f"exchange {name} ({kind})")

    async def queue(name: str, arguments: Arguments, *bindings: tuple[str, str]) -> None:
        with _told(f"queue {name}"):
            async with broker.channel() as channel:
                await channel.declare_queue(name, durable=True, arguments=arguments)
                for source, key in bindings:
                    await channel.bind_queue(name, source, key)
        there.append(f"queue {name}" + "".join(f", from {source} {key}".rstrip() for source, key in bindings))

    await exchange(f"{prefix}.rest", "fanout")
    await exchange(prefix, "topic", {"alternate-exchange": f"{prefix}.rest"})
    await exchange(f"{prefix}.control", "fanout")
    await exchange(f"{prefix}.dead", "fanout")
    await exchange(f"{prefix}.status", "topic")
    async with broker.channel() as channel:
        await channel.bind_exchange(f"{prefix}.control", prefix, "control")
    await queue(
        f"{prefix}.dead",
        quorum | {"x-message-ttl": KEEP_DEAD, "x-max-length": MOST_DEAD},
        (f"{prefix}.dead", ""),
    )
    await queue(f"{prefix}.claims", STREAM)
    await queue(layout.queue(), work, (f"{prefix}.rest", ""))
    for group, prefixes in layout.groups.items():
        keys = [f"sms.{'.'.join(digits)}.#" for digits in prefixes]
        await queue(layout.queue(group), work, *((prefix, key) for key in keys))
        # A prefix that moved here from another group would go to both.
        async with broker.channel() as channel:
            for other in layout.groups.keys() - {group}:
                for key in keys:
                    await channel.declare_queue(layout.queue(other), durable=True, arguments=work)
                    await channel.unbind_queue(layout.queue(other), prefix, key)
    for device in layout.devices:
        await queue(layout.control_queue(device), work | {"x-expires": FORGET_DEVICE}, (f"{prefix}.control", ""))
    return there
