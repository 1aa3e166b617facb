"""Real udev records and events of made-up devices, through libudev and pyudev."""

import json
import subprocess
import sys
from pathlib import Path


def test_devices_are_read_and_followed_by_libudev() -> None:
    script = Path(__file__).with_name("udev_testbed.py")
    done = subprocess.run(
        ["umockdev-wrapper", sys.executable, script], capture_output=True, timeout=60, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    ec25 = {
        "ids": "2c7c:0125",
        "strings": ["Android", "Android", ""],
        "ttys": {f"/dev/ttyUSB{number}": [number, "option"] for number in range(4)},
        "other": ["net"],
    }
    assert told["at the start"] == {"1-1.2": ec25}
    sim7600 = told["plugged"].pop("1-1.3")
    assert (sim7600["ids"], sim7600["strings"][2]) == ("1e0e:9001", "0123456789ABCDEF")
    assert told["plugged"] == {"1-1.2": ec25}
    assert told["reads for a driver"] == 0
    assert told["unplugged"].keys() == {"1-1.3"}
    assert 3 <= told["times told"] <= 5
