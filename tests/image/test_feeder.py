"""A unit that nobody reaches: its sandboxed service pulls what is encrypted to it from a broker, over TLS."""

from pathlib import Path

import pytest
from card_copy import CardCopy
from machine import Kind, Vm, booted
from test_first_boot import failed_units
from test_hot_plug import Simulated, Unit, api_key, modems

from brokers.certificates import Authority

__all__ = ["modems"]

EXAMPLES = Path(__file__).parents[2] / "examples/python"
PASSWORD = "lima ekor kucing"
BROKER = "/run/relay"  # of the guest
DOCUMENT = """
modems:
  - {{id: stick, usb: {socket}}}
feeders:
  - id: relay
    kind: websocket
    url: wss://localhost:9000/ws
    channel: sms
    username: device
    password: {password}
    ca: {broker}/ca.pem
    sealed_only: true
  - id: rabbit
    kind: rabbitmq
    host: localhost
    tls: {{enabled: true, ca: {broker}/ca.pem, certificate: {broker}/certificate.pem, key: {broker}/own.pem}}
"""


async def test_a_unit_pulls_what_is_encrypted_to_it(
    card: CardCopy, kind: Kind, modems: Simulated, tmp_path: Path
) -> None:
    if kind == "raspi3b":
        pytest.skip("its one USB serial port is the tests' shell")
    async with booted(card, kind=kind) as vm:
        assert await vm.settled() == "running", await failed_units(vm)
        await start_relay(vm, tmp_path)
        unit = Unit(vm, await api_key(vm))
        await vm.plug_modem(modems.ports[0], "a", socket=1)
        socket = await vm.until("cd /sys/bus/usb/devices && ls -d *:1.0/ttyUSB*")
        settings = DOCUMENT.format(socket=socket.partition(":")[0], password=PASSWORD, broker=BROKER)
        await vm.run("cat >> /var/lib/otpbroker/config.yaml", text=settings)
        await vm.run("otpbroker add-api-user shop --right feeders --keep-password && otpbroker check-config")
        await vm.run("systemctl reload otpbroker")
        await unit.until({"stick": "ready"})

        await vm.run(f"otpbroker feeder-key show --json > {BROKER}/key.json")
        await publish(vm, "in clear")
        await publish(vm, "for the unit alone", "key.json")
        message = await modems.control.wait(contains="", within=60)
        assert (message.receiver, message.text) == ("6281234567890", "for the unit alone")

        told = await unit.ask("feeders")
        feeders = {feeder["id"]: feeder for feeder in told["feeders"]}  # type: ignore[attr-defined]
        relay = feeders["relay"]
        assert (relay["state"], relay["done"], relay["refused"]) == ("connected", 1, 1)
        assert feeders["rabbit"]["state"] == "failed", "no broker is there, but all that the feeder needs is"
        assert "refused" in feeders["rabbit"]["detail"]
        log = await vm.out("journalctl --no-pager --boot --unit otpbroker --unit relay")
        assert "Traceback" not in log
        assert "for the unit alone" not in log


async def start_relay(vm: Vm, folder: Path) -> None:
    """A relay in the guest, as on a server of its own, with a certificate that its clients are told of."""
    authority = Authority(folder)
    certificate, key = authority.issue("relay", "localhost")
    await vm.run(f"mkdir {BROKER} && cat > {BROKER}/ca.pem", text=authority.path.read_text())
    await vm.run(f"cat > {BROKER}/certificate.pem", text=certificate.read_text())
    await vm.run(f"umask 077; cat > {BROKER}/key.pem", text=key.read_text())
    await vm.run(f"install -o otpbroker -m 0400 {BROKER}/key.pem {BROKER}/own.pem")
    for words in ("shop --publish sms", "device --consume sms"):
        await vm.run(f"cd {BROKER} && otpbroker relay add-user {words}", text=f"{PASSWORD}\n")
    options = "--certificate certificate.pem --key key.pem"
    await vm.run(f"systemd-run --unit relay --working-directory {BROKER} $(command -v otpbroker) relay {options}")
    for name in ("seal.py", "publish_websocket.py"):
        await vm.run(f"cat > {BROKER}/{name}", text=(EXAMPLES / name).read_text())


async def publish(vm: Vm, text: str, *key: str) -> None:
    """As an application server would, by the example."""
    environment = f"SSL_CERT_FILE=ca.pem BROKER_USER=shop BROKER_PASSWORD='{PASSWORD}'"
    environment += " BROKER_URL='wss://localhost:9000/ws?topic=sms'"
    words = f"/opt/otpbroker/venv/bin/python publish_websocket.py 081234567890 '{text}' {' '.join(key)}"
    await vm.run(f"cd {BROKER} && {environment} {words}")
