"""Why a broker or pika ended something, as an error that tells its remedy."""

import itertools
import socket
import ssl

from pika import exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout

from otpbroker.errors import Denied, Misconfigured, OtpBrokerError, Unavailable
from otpbroker.feeder.amqp.properties import LONGEST_NAME


def of_channel(error: BaseException) -> OtpBrokerError:
    """What the broker said when it closed a channel (AMQP 0-9-1 section 1.2 has the codes)."""
    match error:
        case exceptions.ChannelClosedByBroker(reply_code=403, reply_text=text):
            return Denied("access-refused", text, remedy="give the user the right to it, at the broker")
        case exceptions.ChannelClosedByBroker(reply_code=404, reply_text=text):
            return Misconfigured("not-found", text)
        case exceptions.ChannelClosedByBroker(reply_code=405 | 406, reply_text=text):
            return Misconfigured("precondition-failed", text)
        case exceptions.ConnectionClosedByBroker(reply_code=540, reply_text=text):
            return Misconfigured("not-implemented", text)
        case exceptions.ShortStringTooLong():
            return Misconfigured("too-long", f"a name has more than {LONGEST_NAME} octets")
    return Unavailable("broker-lost", f"the connection to the broker was lost: {_words(error)}")


def of_connection(error: BaseException | None, host: str, port: int, vhost: str) -> OtpBrokerError:
    """Why a connection could not be opened, or was lost."""
    causes = list(_causes(error))
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                return Denied(
                    "certificate-refused",
                    f"the broker's certificate is not trusted: {cause.verify_message}",
                    remedy="set tls.ca to the authority that signed it, or tls.server_name to the name in it",
                )
            case exceptions.ConnectionClosedByBroker(reply_code=403, reply_text=text):
                return Denied("wrong-credentials", text, remedy="correct username and password")
            case exceptions.ProbableAuthenticationError():
                return Denied(
                    "wrong-credentials",
                    "the broker refused user name and password",
                    remedy="correct username and password",
                )
            case exceptions.AuthenticationError():
                return Denied(
                    "wrong-credentials",
                    "the broker does not take this kind of credentials",
                    remedy="set username and password, or let the broker take certificates (EXTERNAL)",
                )
            case exceptions.ConnectionClosedByBroker(reply_code=530 | 402, reply_text=text):
                return Denied("vhost-refused", text, remedy="correct vhost, or give the user the right to it")
            case exceptions.ProbableAccessDeniedError():
                return Denied(
                    "vhost-refused",
                    f"the broker refused the virtual host {vhost}",
                    remedy="correct vhost, or give the user the right to it",
                )
            case exceptions.ConnectionClosedByBroker(reply_code=540, reply_text=text):
                return Misconfigured("not-implemented", text)
    if any(isinstance(cause, AMQPConnectorStackTimeout) for cause in causes):
        return Unavailable("broker-silent", f"{host}:{port}: what is there does not answer")
    last = causes[-1] if causes else None
    return Unavailable("broker-unreachable", f"{host}:{port}: {_words(last)}")


def _causes(error: object) -> "itertools.chain[BaseException]":
    """An error and what it wraps, outermost first; pika wraps in three ways."""
    if not isinstance(error, BaseException):
        return itertools.chain()
    inner = [
        *getattr(error, "exceptions", ()),
        getattr(error, "exception", None),
        *(argument for argument in error.args if isinstance(argument, BaseException)),
    ]
    return itertools.chain([error], *(_causes(found) for found in inner if found is not error))


def _words(error: BaseException | None) -> str:
    match error:
        case None:
            return "it was closed"
        case socket.gaierror():
            return "there is no host of this name"
        case OSError(strerror=str(text)):
            return text
        case exceptions.AMQPHeartbeatTimeout():
            return "no heartbeat"
        case exceptions.IncompatibleProtocolError():
            return "what answers there does not speak AMQP, or is just starting or ending"
        case exceptions.StreamLostError():
            return "the connection broke"
        case exceptions.ConnectionClosed(reply_text=text) | exceptions.ChannelClosed(reply_text=text):
            return str(text)
        case TimeoutError():
            return "no answer"
    return str(error) or type(error).__name__
