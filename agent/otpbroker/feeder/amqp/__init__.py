"""One connection to an AMQP 0-9-1 broker on our own event loop, and its channels; only this package
imports pika.

A connection is used once: when it is gone, every wait on it ends with an error that tells what can be done:
`Unavailable` (try again soon), `Denied` (credentials, rights), `Misconfigured` (what was asked for is not there, or
is otherwise). Acknowledgements on a channel that is gone are dropped: its broker gives those messages again.
"""

from otpbroker.feeder.amqp.channel import Arguments, Channel
from otpbroker.feeder.amqp.connection import Address, Broker
from otpbroker.feeder.amqp.properties import Properties, Received

__all__ = ["Address", "Arguments", "Broker", "Channel", "Properties", "Received"]
