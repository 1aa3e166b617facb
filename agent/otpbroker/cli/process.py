"""What a process of ours does before anything else: its log, its limits, and what a crash must not write."""

import logging
import resource
import sys

from otpbroker.redact import RedactingFormatter

_FILES = 4096


def keep_out_of_core_dumps() -> None:
    """A crash must not write texts and keys to a disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def allow_many_files() -> None:
    """systemd and shells allow 1024 open files unless asked; connections and modems may need more."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def log_to_stderr(level: int = logging.INFO) -> None:
    """One event a line; what a call site let slip is masked."""
    # asyncio tells of every octet that is for a connection which is gone: as many lines as a stranger likes.
    logging.getLogger("asyncio").addFilter(
        lambda record: not record.getMessage().startswith("socket.send() raised")
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
