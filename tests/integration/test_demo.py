"""`otpbroker demo`: what a stranger sees first, and what scripts rely on."""

import asyncio
import os
import signal
import ssl
import sys
from pathlib import Path

import httpx2
import pytest

from demo_process import running_demo
from otpbroker.modem.simulator import ControlClient

HISTORIC = '{"command":"send-sms","data":{"id":"1","msisdn":"081212345678","message":"OTP Anda adalah 1234"}}'


def processes_of(folder: str) -> list[str]:
    """Command lines of processes that name a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if folder in line:
                found.append(line)
    return found


async def test_the_printed_request_arrives_on_the_phone_and_interrupt_leaves_nothing_behind() -> None:
    async with running_demo("--air", "0.1") as demo:
        facts = demo.facts
        assert facts.keys() >= {
            *("admin_url", "setup_url", "api_url", "api_user", "api_password", "control_socket", "phone_url"),
        }
        folder = Path(facts["state"]).parent
        auth = (facts["api_user"], facts["api_password"])
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
            answer = await client.post(f"{facts['api_url']}/api/sms", content=HISTORIC, auth=auth)
            assert answer.json()["response_code"] == "0000"
            assert answer.json()["data"]["modemID"] == "modem-1"
            other = HISTORIC.replace("081212345678", "0857000111").replace('"1"', '"2"')
            answer = await client.post(f"{facts['api_url']}/api/sms", content=other, auth=auth)
            assert answer.json()["data"]["modemID"] == "modem-2", "no prefix fits: the default modem"
            seen = (await client.get(f"{facts['phone_url']}/messages.json")).json()["messages"]
        assert [message["text"] for message in seen] == ["OTP Anda adalah 1234"] * 2
        assert [message["receiver"] for message in seen] == ["6281212345678", "62857000111"]
        assert len(processes_of(str(folder))) == 1, "the simulated modems"

        assert await demo.interrupt() == 0
        assert not folder.exists()
        assert processes_of(str(folder)) == []


async def test_a_terminal_that_is_closed_ends_it_in_order_too() -> None:
    async with running_demo("--air", "0") as demo:
        folder = Path(demo.facts["state"]).parent
        demo.process.send_signal(signal.SIGHUP)
        assert await asyncio.wait_for(demo.process.wait(), 20) == 0
        assert not folder.exists()
        assert processes_of(str(folder)) == []


async def test_the_https_port_speaks_tls_with_the_devices_own_certificate() -> None:
    async with running_demo("--air", "0") as demo:
        certificate = Path(demo.facts["state"]) / "tls" / "certificate.pem"
        async with httpx2.AsyncClient(verify=ssl.create_default_context(cafile=certificate)) as client:
            answer = await client.get(f"{demo.facts['https_url']}/ping")
        assert answer.text == "OK"


async def test_simulated_modems_end_with_a_demo_that_was_killed() -> None:
    async with running_demo() as demo:
        folder = str(Path(demo.facts["state"]).parent)
        demo.process.kill()
        await demo.process.wait()
        async with asyncio.timeout(10):
            while processes_of(folder):
                await asyncio.sleep(0.05)
        for path in sorted(Path(folder).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        Path(folder).rmdir()


async def test_the_control_socket_turns_the_modems_faults_on() -> None:
    async with running_demo("--air", "0") as demo:
        control = ControlClient(Path(demo.facts["control_socket"]))
        await control.set("modem-1", every_send="error", cms_error=38)
        auth = (demo.facts["api_user"], demo.facts["api_password"])
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
            answer = await client.post(f"{demo.facts['api_url']}/api/sms", content=HISTORIC, auth=auth)
        assert answer.json()["response_code"] == "0000"
        assert answer.json()["data"]["modemID"] == "modem-2", "refused for certain: the next modem sends it"


@pytest.mark.parametrize("taken", ["--admin-port", "--api-port"])
async def test_a_taken_port_is_explained(taken: str) -> None:
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    free = [word for name in ("admin", "api", "https", "phone") for word in (f"--{name}-port", "0")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "otpbroker", "demo", *free, taken, str(port)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    listening.close()
    await listening.wait_closed()
    assert process.returncode == 1
    assert b"port" in errors
    assert b"Traceback" not in errors
