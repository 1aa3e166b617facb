"""The command line; one module per command."""

import argparse
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    parser = argparse.ArgumentParser(prog="otpbroker")
    parser.parse_args(argv)
    return 0
