"""OTP Broker: a gateway that sends one-time passwords by SMS through GSM modems."""

__version__ = "0.1.0"
