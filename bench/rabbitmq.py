"""A real RabbitMQ on loopback, from the packages that tools/setup.sh unpacked: its own ports, folders and cookie.

Nothing of it is shared with a broker that this machine may have, and it runs as whoever runs the tests.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx2

from bench.ports import free_port

ROOT = Path(os.environ.get("OTPBROKER_TEST_RABBITMQ") or Path(__file__).parents[1] / "build" / "rabbitmq")
USER = "admin"
START_LIMIT = 60.0

_CONFIGURATION = """
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {http}
management_agent.disable_metrics_collector = true
loopback_users = none
default_user = {user}
default_pass = {password}
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = 800MiB
disk_free_limit.absolute = 10MB
"""
_TLS = """
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
auth_mechanisms.3 = EXTERNAL
"""
_ERL = """#!/bin/sh
ROOTDIR={root}/usr/lib/erlang
BINDIR=$(echo "$ROOTDIR"/erts-*/bin)
EMU=beam PROGNAME=erl
export ROOTDIR BINDIR EMU PROGNAME
exec "$BINDIR/erlexec" "$@"
"""


@dataclass(frozen=True, slots=True)
class TlsPaths:
    """PEM files."""

    authority: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Vhost:
    """A virtual host of its own for one test, with a user who may all in it."""

    name: str
    username: str
    password: str
    port: int
    tls_port: int

    def through(self, port: int) -> "Vhost":
        """The same by another way."""
        return replace(self, port=port)

    def settings(self, **more: object) -> dict[str, Any]:
        """A feeder's entry in config.yaml."""
        return {
            "id": "rabbit",
            "kind": "rabbitmq",
            "host": "127.0.0.1",
            "port": self.port,
            "vhost": self.name,
            "username": self.username,
            "password": self.password,
        } | more


class RabbitMq:
    """One broker process; `kill`, `freeze` and `start` again as often as a test wants."""

    def __init__(self, folder: Path, tls: TlsPaths | None = None) -> None:
        """Its port for TLS listens when it has a certificate."""
        self.folder = folder
        self.tls = tls
        self.port, self.tls_port, self.http_port = free_port(), free_port(), free_port()
        self.password = secrets.token_urlsafe(12)
        self._dist, self._epmd_port = free_port(), free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._write()

    @property
    def version(self) -> str:
        (server,) = (ROOT / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")
        return server.name.partition("-")[2]

    async def start(self) -> Self:
        process = self._launch()
        async with self._http() as http, asyncio.timeout(START_LIMIT):
            while True:
                with contextlib.suppress(httpx2.HTTPError):
                    if (await http.get("/api/health/checks/port-listener/" + str(self.port))).status_code == 200:
                        return self
                if process.poll() is not None:
                    raise RuntimeError(f"RabbitMQ ended: {(self.folder / 'broker.log').read_text()[-4000:]}")
                await asyncio.sleep(0.1)  # there is nothing to wait on in another process's start

    def _launch(self) -> "subprocess.Popen[bytes]":
        erlang = next((ROOT / "usr/lib/erlang").glob("erts-*/bin"))
        server = next((ROOT / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
        environment = self._environment()
        if self._epmd is None:
            command = [str(erlang / "epmd"), "-address", "127.0.0.1", "-port", str(self._epmd_port)]
            self._epmd = subprocess.Popen(command, env=environment)
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [server], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self._process

    def kill(self) -> None:
        """SIGKILL, as a power cut of its machine."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    async def end(self) -> None:
        """SIGTERM, as when its machine is updated; returns when it has ended in order."""
        self._signal(signal.SIGTERM)
        assert self._process is not None
        await asyncio.to_thread(self._process.wait, START_LIMIT)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """All of it, whatever state it is in."""
        for process in (self._process, self._epmd):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    @asynccontextmanager
    async def vhost(self) -> AsyncIterator[Vhost]:
        name, password = f"test-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        await self.api("PUT", f"vhosts/{name}")
        await self.api("PUT", f"users/{name}", {"password": password, "tags": ""})
        await self.permit(name, name)
        await self.permit(name, USER)
        yield Vhost(name, name, password, self.port, self.tls_port)
        with contextlib.suppress(httpx2.HTTPError):
            await self.api("DELETE", f"vhosts/{name}")
            await self.api("DELETE", f"users/{name}")

    async def permit(
        self, vhost: str, user: str, configure: str = ".*", write: str = ".*", read: str = ".*"
    ) -> None:
        rights = {"configure": configure, "write": write, "read": read}
        await self.api("PUT", f"permissions/{vhost}/{user}", rights)

    async def set_password(self, user: str, password: str) -> None:
        await self.api("PUT", f"users/{user}", {"password": password, "tags": ""})

    async def hang_up(self) -> None:
        """End all connections of its clients."""
        for connection in await self.api("GET", "connections"):
            await self.api("DELETE", f"connections/{quote(connection['name'], safe='')}")

    async def delete_queue(self, vhost: str, queue: str) -> None:
        await self.api("DELETE", f"queues/{vhost}/{quote(queue, safe='')}")

    async def api(self, method: str, path: str, body: object = None) -> Any:
        """The management API; raises for what it refuses."""
        async with self._http() as http:
            answer = await http.request(method, f"/api/{path}", json=body)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    def alarm(self, *, on: bool) -> None:
        """Let it believe that its memory is short, or enough again."""
        limit = "0" if on else "800000000"
        self._evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({{absolute, {limit}}}).")

    def _evaluate(self, expression: str) -> None:
        escript = next((ROOT / "usr/lib/erlang").glob("erts-*/bin/escript"))
        script = next((ROOT / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/escript/rabbitmqctl"))
        environment = self._environment()
        command = [str(escript), str(script), "--node", environment["RABBITMQ_NODENAME"], "eval", expression]
        subprocess.run(command, env=environment, check=True, capture_output=True)

    def _http(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.http_port}", auth=(USER, self.password), timeout=10, trust_env=False
        )

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _write(self) -> None:
        for name in ("home", "bin", "data", "log", "generated"):
            (self.folder / name).mkdir(parents=True)
        configuration = _CONFIGURATION.format(
            amqp=self.port, http=self.http_port, user=USER, password=self.password
        )
        if self.tls is not None:
            configuration += _TLS.format(port=self.tls_port, **asdict(self.tls))
        (self.folder / "rabbitmq.conf").write_text(configuration)
        (self.folder / "plugins").write_text("[rabbitmq_management, rabbitmq_auth_mechanism_ssl].")
        erl = self.folder / "bin" / "erl"
        erl.write_text(_ERL.format(root=ROOT))
        erl.chmod(0o755)

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "HOME": str(folder / "home"),
            "PATH": f"{folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "ESCRIPT_EMULATOR": str(folder / "bin" / "erl"),
            "ERL_CRASH_DUMP": str(folder / "crash"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the broker, so that its process is ours
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            # Two processors are enough, and they are shared with what is tested.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_NODENAME": f"test{self._dist}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }


@asynccontextmanager
async def rabbitmq(folder: Path) -> AsyncIterator[RabbitMq]:
    """A running broker; `start_took` is printed for who looks at the times."""
    broker = RabbitMq(folder)
    try:
        begin = time.monotonic()
        await broker.start()
        print(f"RabbitMQ {broker.version} started in {time.monotonic() - begin:.1f} s")
        yield broker
    finally:
        broker.stop()
