"""`otpbroker usb-power`: root's helper for one request that comes by standard input, a socket of systemd's."""

import argparse
import signal
import sys
from pathlib import Path

from otpbroker.cli.process import keep_out_of_core_dumps
from otpbroker.device.usb_sockets import UsbSockets, answer

_LONGEST_LINE = 64


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "usb-power", help="reset a modem's USB device, or switch its port; one line is read from standard input"
    )
    parser.add_argument(
        "--records", type=Path, required=True, metavar="DIR", help="a folder in RAM, for root alone"
    )
    parser.set_defaults(run=serve)


def serve(arguments: argparse.Namespace) -> int:
    """What was refused is told to whoever asked, and to the log; it is no failure of this program."""
    keep_out_of_core_dumps()
    # Even one that is ended in the middle gives the device back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    line = sys.stdin.buffer.readline(_LONGEST_LINE)
    told = answer(UsbSockets(arguments.records), line)
    print(f"{line!r}: {told}", file=sys.stderr)
    print(told, flush=True)
    return 0
