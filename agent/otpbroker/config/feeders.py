"""The feeders of the configuration: each entry is of the `kind` that it names."""

from typing import Annotated

from pydantic import Field

from otpbroker.config.feeder_rabbitmq import RabbitmqFeeder
from otpbroker.config.feeder_websocket import WebsocketFeeder

Feeder = Annotated[RabbitmqFeeder | WebsocketFeeder, Field(discriminator="kind")]
FEEDER_KINDS = ("rabbitmq", "websocket")
