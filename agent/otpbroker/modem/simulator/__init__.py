"""A simulated GSM modem on a pty, the phone that receives what it sends, and a socket to control both."""

from otpbroker.modem.simulator.behaviour import Behaviour, Counters, Fate
from otpbroker.modem.simulator.client import ControlClient, ControlError
from otpbroker.modem.simulator.control import ControlServer
from otpbroker.modem.simulator.identity import Identity, identity_of
from otpbroker.modem.simulator.modem import SimulatedModem, Unplugged
from otpbroker.modem.simulator.phone import Phone, PhoneMessage
from otpbroker.modem.simulator.sim_card import SimCard
from otpbroker.modem.simulator.usb_bus import SimulatedBus

__all__ = [
    "Behaviour",
    "ControlClient",
    "ControlError",
    "ControlServer",
    "Counters",
    "Fate",
    "Identity",
    "Phone",
    "PhoneMessage",
    "SimCard",
    "SimulatedBus",
    "SimulatedModem",
    "Unplugged",
    "identity_of",
]
