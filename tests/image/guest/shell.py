"""Runs in the guest: carries out the commands that arrive on a port (virtio or serial), one JSON line each.

It needs no network and no login, so it neither opens nor disturbs what the tests look at.
"""

import json
import os
import subprocess
import sys
import threading
import time
import tty


def main() -> None:
    device = sys.argv[1]
    while not os.path.exists(device):  # noqa: PTH110 - it must start in no time
        time.sleep(0.2)
    port = os.open(device, os.O_RDWR | os.O_NOCTTY)
    if os.isatty(port):
        tty.setraw(port)
    writing = threading.Lock()
    pending = b""
    while True:
        chunk = os.read(port, 4096)
        if not chunk:  # nobody is connected at the other end
            time.sleep(0.2)
            continue
        *lines, pending = (pending + chunk).split(b"\n")
        for line in filter(None, lines):
            try:
                asked = json.loads(line)
            except ValueError:  # half a line from before a restart
                continue
            threading.Thread(target=carry_out, args=(port, writing, asked), daemon=True).start()


def carry_out(port: int, writing: threading.Lock, asked: dict) -> None:
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", asked["command"]],
            input=asked.get("input", "").encode(),
            capture_output=True,
            timeout=asked["timeout"],
            check=False,
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root",
                "LC_ALL": "C.UTF-8",
            },
        )
        code, output, errors = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        code, output, errors = 124, late.stdout or b"", late.stderr or b""
    answer = {
        "id": asked["id"],
        "code": code,
        "output": output.decode(errors="replace"),
        "errors": errors.decode(errors="replace"),
    }
    data = json.dumps(answer).encode() + b"\n"
    with writing:
        while data:
            data = data[os.write(port, data) :]


main()
