"""`otpbroker run`: the agent until SIGTERM; SIGHUP reads the configuration again."""

import argparse
import asyncio
import logging
import resource
import signal
import sys

from otpbroker.agent import Agent, Ready
from otpbroker.cli.place import add_folders, folders_of, open_store
from otpbroker.cli.signals import stop_on_signals
from otpbroker.config.store import Store
from otpbroker.folders import Folders
from otpbroker.redact import RedactingFormatter

_log = logging.getLogger("otpbroker")

_FILES = 4096


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("run", help="run the agent")
    add_folders(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    log_to_stderr()
    keep_out_of_core_dumps()
    allow_many_files()
    asyncio.run(_run(folders_of(arguments)))
    return 0


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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)


async def _run(folders: Folders) -> None:
    store = open_store(folders)
    for problem in store.problems:
        _log.error("config.yaml: %s", problem)
    agent = Agent(folders, store)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.get_running_loop().create_task(_reload(store))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    await agent.run(lambda ready: _greet(ready, store), stop_on_signals())


async def _reload(store: Store) -> None:
    await store.reload()
    for problem in store.problems:
        _log.error("config.yaml: %s", problem)
    _log.info("configuration read again")


def _greet(ready: Ready, store: Store) -> None:
    for name, bound in (("admin site", ready.admin), ("REST", ready.http), ("REST", ready.https)):
        if bound is not None:
            _log.info("%s on %s", name, bound.url)
    if not store.config.admin.administrators:
        _log.warning("there is no administrator yet: `otpbroker setup-url` prints the address to make one")
