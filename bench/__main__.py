"""`make bench`: prints the table and the machine; exit code 1 when a bound is missed."""

import asyncio
import os
import platform
import tempfile
import time
from pathlib import Path

from bench.feeders import queue
from bench.scenarios import Row, cost, latency, restart, throughput


def main() -> int:
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="otpbroker-bench-", dir="/dev/shm") as folder:
        rows = asyncio.run(_measure(Path(folder)))
    width = max(len(row.name) for row in rows)
    print(f"\n{_machine()}\n")
    for row in rows:
        verdict = "" if not row.bound else ("ok" if row.good else "MISSED")
        print(f"{row.name:<{width}}  {row.figure:>20}  {row.bound:<12} {verdict}")
    print(f"\nmeasured in {time.monotonic() - start:.0f} s")
    return 0 if all(row.good for row in rows) else 1


async def _measure(folder: Path) -> list[Row]:
    rows = []
    for name, scenario in (
        ("latency-1", lambda at: latency(at, 1)),
        ("latency-64", lambda at: latency(at, 64)),
        ("air-50ms", lambda at: throughput(at, 8, 0.05, 12, 0.90)),
        ("air-1s", lambda at: throughput(at, 8, 1.0, 30, 0.97)),
        ("air-1s-64", lambda at: throughput(at, 64, 1.0, 20, 0.97)),
        ("restart", restart),
        ("cost", cost),
        ("queue", lambda at: queue(at, claims=False)),
        ("queue-claims", lambda at: queue(at, claims=True)),
        ("queue-far", lambda at: queue(at, claims=True, delay=0.05)),
    ):
        print(f"measuring {name} ...", flush=True)
        rows += await scenario(folder / name)
    return rows


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{next(models, platform.machine())}, {os.cpu_count()} processors, {system}"


if __name__ == "__main__":
    raise SystemExit(main())
