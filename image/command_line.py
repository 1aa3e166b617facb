"""`build.sh image | personalise | flash | verify | clean`: arguments in, one part of the package called."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from image import build_command, card_command
from image.errors import ImageError

REPO = Path(__file__).parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 it failed or was refused and said why, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="build.sh", description="Makes and handles the SD card of OTP Broker.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (build_command, card_command):
        module.add_parsers(commands, REPO)
    arguments = parser.parse_args(argv)
    # A polite end runs the same clean-up as Ctrl-C; a hard one is covered by the kernel (see commands.CONTAINED).
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        arguments.run(arguments)
    except ImageError as error:
        print(f"build.sh: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"build.sh: {error.filename or 'input or output'}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build.sh: interrupted; the finished steps are kept", file=sys.stderr)
        return 130
    return 0
