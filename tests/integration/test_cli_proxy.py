"""The commands that use a running agent's REST API, with something else at its address."""

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest


class _DownBehind(http.server.BaseHTTPRequestHandler):
    """A reverse proxy whose agent is not there."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        page = b"<html><h1>502 Bad Gateway</h1></html>"
        self.send_response(502)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def proxy() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _DownBehind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("command", [["ussd", "modem-1", "*888#"], ["send", "081234567890"]], ids=" ".join)
def test_a_proxy_without_its_agent_is_told_of_in_one_line(proxy: str, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "otpbroker", *command, "--user", "shop", "--url", proxy],
        input="Kode Anda 123456",
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"OTPBROKER_API_PASSWORD": "x"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert proxy in line
    assert "502" in line
    assert "check --url" in line
