"""The health check of a roll-out asks the agent where the unit's own document says that it listens."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from unit_in_folders import UnitInFolders, play, role

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")

OFF = {"enabled": False}


class _Agent(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined] # ours
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK <html>")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass


@contextmanager
def agent(address: str) -> Iterator[tuple[int, list[str]]]:
    """Its port, and the paths that it is asked for."""
    with ThreadingHTTPServer((address, 0), _Agent) as server:
        server.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, server.asked  # type: ignore[attr-defined]
        server.shutdown()


@pytest.fixture
def unit(tmp_path: Path) -> UnitInFolders:
    return UnitInFolders.made("unit-1", tmp_path)


def check(unit: UnitInFolders, document: dict[str, object], rolled_out: dict[str, object] | None = None) -> None:
    unit.path("/var/lib/otpbroker/config.yaml").write_text(yaml.safe_dump(document))
    run = play([unit], [role("otpbroker", "health")], otpbroker_settings=rolled_out or {})
    assert run.code == 0, run.output


def test_rest_on_the_local_network_alone(unit: UnitInFolders) -> None:
    with agent("127.0.0.7") as (port, asked):
        check(unit, {"api": {"http": {"address": "127.0.0.7", "port": port}}})
        assert asked == ["/ping"]


def test_rest_everywhere(unit: UnitInFolders) -> None:
    with agent("127.0.0.1") as (port, asked):
        check(unit, {"api": {"http": {"address": "0.0.0.0", "port": port}}})  # noqa: S104
        assert asked == ["/ping"]


def test_without_rest_the_admin_site(unit: UnitInFolders) -> None:
    with agent("127.0.0.1") as (port, asked):
        check(unit, {"api": {"http": OFF, "https": OFF}, "admin": {"listen": {"port": port}}})
        assert asked == ["/login"]


def test_what_the_owner_changed_since_the_roll_out(unit: UnitInFolders) -> None:
    with agent("127.0.0.1") as (port, asked):
        document = {"api": {"http": OFF, "https": OFF}, "admin": {"listen": {"port": port}}}
        check(unit, document, rolled_out={"api": {"http": {"enabled": True}}})
        assert asked == ["/login"]


def test_a_unit_that_only_pulls_from_brokers(unit: UnitInFolders) -> None:
    check(unit, {"api": {"http": OFF, "https": OFF}, "admin": {"listen": OFF}})
