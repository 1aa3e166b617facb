"""The serial port: the one place that knows pyserial. Octets go in and out on the event loop, nothing blocks it."""

import asyncio
import concurrent.futures
import errno
import logging
import os
import termios
import threading
from collections.abc import Callable
from typing import TypeVar

import serial

from otpbroker.config.model import ModemSection
from otpbroker.errors import Misconfigured, OtpBrokerError, Unavailable

log = logging.getLogger(__name__)

# A ttyUSB whose device is dying can block in open and close for the kernel's closing_wait of 30 s.
OPEN_LIMIT = 5.0
CLOSE_LIMIT = 2.0
# Far more than one command and one PDU: a modem that does not even take that is dead.
OUTPUT_LIMIT = 16 * 1024
_READ_SIZE = 4096

_Result = TypeVar("_Result")


class _Port(serial.Serial):
    """pyserial throws away on opening what waits in the input: it may be the answer that a predecessor missed."""

    def _reset_input_buffer(self) -> None:
        pass


class SerialLink:
    """One open port, exclusively ours. Make it by `open`, let octets flow by `start`."""

    def __init__(self, port: serial.Serial) -> None:
        self._port: serial.Serial | None = port
        self._fd = port.fileno()
        self._loop = asyncio.get_running_loop()
        self._output = bytearray()
        self._on_data: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[str], None] | None = None
        self._open = True

    @classmethod
    async def open(cls, path: str, section: ModemSection) -> "SerialLink":
        """Open the port with the section's parameters.

        Raises `Unavailable` (`port-absent`, `port-busy`, `port-denied`, `port-dead`) or `Misconfigured`.
        """

        def opened() -> serial.Serial:
            return _Port(
                path,
                baudrate=section.baud_rate,
                bytesize=section.data_bits,
                parity=section.parity,
                stopbits=section.stop_bits,
                rtscts=section.flow_control == "rts-cts",
                xonxoff=section.flow_control == "xon-xoff",
                exclusive=True,
                inter_byte_timeout=0.0,  # VMIN=1: an empty read then means hang-up and nothing else
            )

        try:
            port = await _in_thread(opened, OPEN_LIMIT, discard=_close)
        except TimeoutError:
            raise Unavailable("port-dead", f"{path} does not open", remedy="plug the modem in again") from None
        except (OSError, ValueError, termios.error) as error:
            raise _explained(path, error) from error
        return cls(port)

    def start(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        """Begin to read; `on_lost` is told once, with the reason, when the port hangs up or fails."""
        self._on_data = on_data
        self._on_lost = on_lost
        self._loop.add_reader(self._fd, self._readable)

    def write(self, data: bytes) -> None:
        """Send now, or when the port takes it again; after the loss it goes nowhere."""
        if not self._open:
            return
        if not self._output:
            data = data[self._push(data) :]
            if not data or not self._open:
                return
            self._loop.add_writer(self._fd, self._writable)
        self._output += data
        if len(self._output) > OUTPUT_LIMIT:
            self._lose("the port takes no more data")

    async def close(self) -> None:
        """Give the port back without waiting for what was not sent; takes `CLOSE_LIMIT` at most."""
        self._stop()
        port, self._port = self._port, None
        if port is None:
            return
        try:
            await _in_thread(lambda: _close(port), CLOSE_LIMIT)
        except TimeoutError:
            log.warning("port %s does not close", port.name)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(_reason(error))
            return
        if not data:
            self._lose("hang-up")
        elif self._on_data is not None:
            self._on_data(data)

    def _push(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._lose(_reason(error))
            return 0

    def _writable(self) -> None:
        del self._output[: self._push(self._output)]
        if self._open and not self._output:
            self._loop.remove_writer(self._fd)

    def _lose(self, reason: str) -> None:
        if not self._open:
            return
        self._stop()
        if self._on_lost is not None:
            self._loop.call_soon(self._on_lost, reason)

    def _stop(self) -> None:
        if self._open:
            self._open = False
            self._output.clear()
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)


def _close(port: serial.Serial) -> None:
    try:
        port.reset_output_buffer()
    except (OSError, termios.error):
        log.debug("%s had nothing left to discard", port.name)
    port.close()


def _reason(error: OSError) -> str:
    return "hang-up" if error.errno in {errno.EIO, errno.ENODEV, errno.ENXIO} else os.strerror(error.errno or 0)


def _explained(path: str, error: Exception) -> OtpBrokerError:
    number = error.errno if isinstance(error, OSError) else None
    match number:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO | errno.EIO:
            return Unavailable("port-absent", f"{path} is not there", remedy="plug the modem in")
        case errno.EWOULDBLOCK | errno.EBUSY:
            return Unavailable(
                "port-busy", f"{path} is used by another program", remedy="stop it, for example ModemManager"
            )
        case errno.EACCES | errno.EPERM:
            return Unavailable(
                "port-denied", f"{path} may not be opened", remedy="put the agent's user in the group dialout"
            )
        case None:
            return Misconfigured(
                "port-settings",
                f"{path} is no serial port, or does not take these settings",
                remedy="check the modem's port and baud_rate",
            )
    return Unavailable("port-dead", f"{path}: {os.strerror(number or 0)}", remedy="plug the modem in again")


async def _in_thread(
    work: Callable[[], _Result], limit: float, discard: Callable[[_Result], None] | None = None
) -> _Result:
    """The result of blocking `work`, in a thread of its own that nothing waits for when it hangs.

    Raises `TimeoutError` after `limit` seconds; a result that comes later, or to nobody, goes to `discard`.
    """
    outcome: concurrent.futures.Future[_Result] = concurrent.futures.Future()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 # carried to the caller, whatever it is
            if outcome.set_running_or_notify_cancel():
                outcome.set_exception(error)
            return
        if outcome.set_running_or_notify_cancel():
            outcome.set_result(result)
        elif discard is not None:
            discard(result)

    threading.Thread(target=run, name="serial port", daemon=True).start()
    try:
        async with asyncio.timeout(limit):
            return await asyncio.wrap_future(outcome)
    except (TimeoutError, asyncio.CancelledError):
        if discard is not None and outcome.done() and not outcome.cancelled() and outcome.exception() is None:
            discard(outcome.result())
        raise
