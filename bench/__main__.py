"""`make bench`: prints each row as it is measured, then the machine; exit code 1 when a bound is missed.

`python -m bench NAME ...` measures these scenarios alone.
"""

import argparse
import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.broker_faults import broker_faults
from bench.chaos.measure import chaos
from bench.feeders import queue
from bench.scenarios import Row, cost, latency, one_hung, restart, throughput
from bench.websocket_faults import websocket_faults

SCENARIOS: dict[str, Callable[[Path], Awaitable[list[Row]]]] = {
    "latency-1": lambda at: latency(at, 1),
    "latency-64": lambda at: latency(at, 64),
    "air-50ms": lambda at: throughput(at, 8, 0.05, 12, 0.90),
    "air-1s": lambda at: throughput(at, 8, 1.0, 30, 0.97),
    "air-1s-64": lambda at: throughput(at, 64, 1.0, 20, 0.97),
    "one-hung": one_hung,
    "restart": restart,
    "cost": cost,
    "chaos": chaos,
    "broker-faults": broker_faults,
    "websocket-faults": websocket_faults,
    "queue": lambda at: queue(at, claims=False),
    "queue-claims": lambda at: queue(at, claims=True),
    "queue-far": lambda at: queue(at, claims=True, delay=0.05),
}
_NAME_WIDTH = 64


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENARIOS))
    names = parser.parse_args().names or list(SCENARIOS)
    if unknown := set(names) - set(SCENARIOS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="otpbroker-bench-", dir="/dev/shm") as folder:
        rows = asyncio.run(_measure(Path(folder), names))
    print(f"\n{_machine()}\nmeasured in {time.monotonic() - start:.0f} s")
    return 0 if all(row.good for row in rows) else 1


async def _measure(folder: Path, names: list[str]) -> list[Row]:
    rows = []
    for name in names:
        print(f"measuring {name} ...", flush=True)
        measured = await SCENARIOS[name](folder / name)
        for row in measured:
            print(_told(row), flush=True)
        rows += measured
    return rows


def _told(row: Row) -> str:
    verdict = "" if not row.bound else ("ok" if row.good else "MISSED")
    return f"{row.name:<{_NAME_WIDTH}}  {row.figure:>20}  {row.bound:<12} {verdict}"


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{next(models, platform.machine())}, {os.cpu_count()} processors, {system}"


if __name__ == "__main__":
    raise SystemExit(main())
