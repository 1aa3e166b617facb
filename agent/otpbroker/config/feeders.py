"""The feeders of the configuration: each entry is of the `kind` that it names."""

from otpbroker.config.feeder_rabbitmq import RabbitmqFeeder

FEEDER_KINDS = ("rabbitmq",)
Feeder = RabbitmqFeeder
