"""The command line: `python -m otpbroker` and `otpbroker`."""

from otpbroker.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
