"""`otpbroker run`: the agent until SIGTERM; SIGHUP reads the configuration again."""

import argparse
import asyncio
import logging
import os
import signal

from otpbroker.agent import Agent, Ready
from otpbroker.cli.place import add_folders, folders_of, open_store
from otpbroker.cli.process import allow_many_files, keep_out_of_core_dumps, log_to_stderr
from otpbroker.cli.signals import stop_on_signals
from otpbroker.config.store import Store
from otpbroker.device.service_manager import ServiceManager
from otpbroker.folders import Folders

_log = logging.getLogger("otpbroker")


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
    stop = stop_on_signals()
    manager = ServiceManager(os.environ)

    def ready(bound: Ready) -> None:
        _greet(bound, store)
        manager.ready()

    watching = asyncio.create_task(manager.watch(stop))
    try:
        await agent.run(ready, stop)
    finally:
        watching.cancel()


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
