"""The command line as a person uses it: real processes, real files."""

import asyncio
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2
import pytest
import yaml

from bench.rig import PASSWORD, USER, Installation, modems
from otpbroker import __version__
from otpbroker.passwords import verify_password
from otpbroker.web.setup_code import SetupCode

STRONG = "kereta api lewat tengah malam"


def otpbroker(*words: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "otpbroker", *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | environment,
        check=False,
    )


def document(state: Path) -> dict[str, object]:
    return dict(yaml.safe_load((state / "config.yaml").read_text()))


def test_version_imports_nothing_heavy() -> None:
    code = (
        "import sys; from otpbroker.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    version, loaded = done.stdout.splitlines()
    assert version == __version__
    assert not {"quart", "hypercorn", "pydantic", "cryptography", "serial", "asyncio"} & set(loaded.split())


def test_an_unknown_command_is_wrong_usage() -> None:
    done = otpbroker("fly")
    assert done.returncode == 2
    assert "fly" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add-api-user", "two words"], "a user name has"),
        (["add-api-user", ""], "a user name has"),
        (["set-admin-password", "-n"], "arguments are required"),
        (["set-admin-password", "a\nb", "--create"], "a user name has"),
        (["demo", "--api-port", "70000"], "a port is a number"),
        (["demo", "--admin-port", "-1"], "a port is a number"),
        (["demo", "--air", "nan"], "number of seconds"),
        (["simulate-modem", "--phone-port", "99999"], "a port is a number"),
        (["simulate-modem", "--latency", "-1"], "number of seconds"),
        (["setup-url", "--base", "192.168.0.11"], "an address such as"),
        (["send", "0812", "--user", "x", "--url", "ftp://x"], "an address such as"),
        (["send", "0812", "--user", "x", "--url", "http://x:99999"], "an address such as"),
        (["send", "0812", "--user", "x", "--wait", "-3"], "number of seconds"),
    ],
)
def test_a_wrong_argument_is_wrong_usage_and_what_is_right_is_told(words: list[str], told: str) -> None:
    done = otpbroker(*words, text=STRONG)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["run"], ["setup-url"], ["add-api-user", "x", "--generate"]])
@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/nothing"])
def test_a_folder_that_can_not_be_one_is_told_by_its_option(
    tmp_path: Path, command: list[str], folder: str
) -> None:
    (tmp_path / "file").touch()
    rest = [] if command[0] == "add-api-user" else ["--runtime", str(tmp_path / "r"), "--log", str(tmp_path / "l")]
    done = otpbroker(*command, "--state", str(tmp_path / folder), *rest)
    assert done.returncode == 1
    assert "--state: " in done.stderr
    assert "choose another folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_that_nobody_gives_is_told() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OTPBROKER_API_PASSWORD"}
    done = subprocess.run(
        [sys.executable, "-m", "otpbroker", "send", "0812345678", "--user", "x"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
        check=False,
        start_new_session=True,  # no terminal to ask on
    )
    assert done.returncode == 1
    assert "a password was asked for" in done.stderr
    assert "Traceback" not in done.stderr


class TestAddApiUser:
    def test_generates_a_password_prints_it_once_and_keeps_its_hash(self, tmp_path: Path) -> None:
        done = otpbroker("add-api-user", "shop", "--generate", "--state", str(tmp_path))
        assert done.returncode == 0
        password = done.stdout.strip()
        assert len(password) >= 24
        text = (tmp_path / "config.yaml").read_text()
        assert password not in text
        (user,) = document(tmp_path)["api"]["users"]  # type: ignore[index]
        assert verify_password(user["password"], password)
        assert stat.S_IMODE((tmp_path / "config.yaml").stat().st_mode) == 0o600

    def test_a_second_time_gives_a_new_password_and_keeps_the_rest(self, tmp_path: Path) -> None:
        otpbroker("add-api-user", "shop", "--state", str(tmp_path), text=STRONG + "\n")
        written = document(tmp_path)
        written["api"]["users"][0]["name"] = "The shop"  # type: ignore[index]
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(written))
        otpbroker("add-api-user", "shop", "--state", str(tmp_path), text=STRONG + " lagi\n")
        (user,) = document(tmp_path)["api"]["users"]  # type: ignore[index]
        assert user["name"] == "The shop"
        assert verify_password(user["password"], STRONG + " lagi")

    def test_a_weak_password_is_refused_with_the_remedy(self, tmp_path: Path) -> None:
        done = otpbroker("add-api-user", "shop", "--state", str(tmp_path), text="short\n")
        assert done.returncode == 1
        assert "password: must have at least 12 characters" in done.stderr
        assert not (tmp_path / "config.yaml").exists()


class TestSetAdminPassword:
    def test_creates_only_when_asked_to(self, tmp_path: Path) -> None:
        done = otpbroker("set-admin-password", "owner", "--state", str(tmp_path), text=STRONG + "\n")
        assert done.returncode == 1
        assert "--create" in done.stderr
        done = otpbroker("set-admin-password", "owner", "--create", "--state", str(tmp_path), text=STRONG + "\n")
        assert done.returncode == 0
        (admin,) = document(tmp_path)["admin"]["administrators"]  # type: ignore[index]
        assert verify_password(admin["password"], STRONG)

    def test_lets_a_blocked_administrator_in_again(self, tmp_path: Path) -> None:
        otpbroker("set-admin-password", "owner", "--create", "--state", str(tmp_path), text=STRONG + "\n")
        written = document(tmp_path)
        written["admin"]["administrators"][0]["blocked"] = True  # type: ignore[index]
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(written))
        otpbroker("set-admin-password", "owner", "--state", str(tmp_path), text=STRONG + " dua\n")
        (admin,) = document(tmp_path)["admin"]["administrators"]  # type: ignore[index]
        assert not admin.get("blocked", False)


class TestCheckConfig:
    def test_names_every_mistake_at_once_and_no_value(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text("sms: {life: 1}\nmodems: [{id: a b, port: /dev/ttyUSB0, pin: '77x7'}]\nfrobnicate: 1\n")
        done = otpbroker("check-config", str(path), "--state", str(tmp_path))
        assert done.returncode == 1
        for place in ("sms.life", "modems.0.id", "modems.0.pin", "frobnicate"):
            assert place in done.stderr
        assert "77x7" not in done.stderr

    @pytest.mark.parametrize(
        ("content", "told"), [(b"\xff\xfe", "not UTF-8 text"), (b"a: [", "line 1"), (None, "is not there")]
    )
    def test_what_is_no_document_is_told_with_its_place(
        self, tmp_path: Path, content: bytes | None, told: str
    ) -> None:
        path = tmp_path / "config.yaml"
        if content is not None:
            path.write_bytes(content)
        done = otpbroker("check-config", str(path), "--state", str(tmp_path))
        assert done.returncode == 1
        assert str(path) in done.stderr
        assert told in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_good_document_passes(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_text("modems: [{id: a, port: /dev/ttyUSB0}]\n")
        done = otpbroker("check-config", str(path), "--state", str(tmp_path))
        assert done.returncode == 0
        assert "1 active modems" in done.stdout

    def test_the_document_of_the_manual_is_good(self, tmp_path: Path) -> None:
        manual = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
        (example,) = re.findall(r"```yaml\n(.*?)```", manual, re.DOTALL)
        hashed = "$argon2id$v=19$m=19456,t=2,p=1$" + "A" * 22 + "$" + "B" * 43
        example = re.sub(r"\$argon2id[^\"]*", lambda _: hashed, example)
        path = tmp_path / "config.yaml"
        path.write_text(example)
        done = otpbroker("check-config", str(path), "--state", str(tmp_path))
        assert done.returncode == 0, done.stderr


class TestSetupUrl:
    def test_prints_an_address_whose_code_is_good(self, tmp_path: Path) -> None:
        where = ["--state", str(tmp_path / "s"), "--runtime", str(tmp_path / "r"), "--log", str(tmp_path / "l")]
        done = otpbroker("setup-url", "--base", "http://192.0.2.1:8888", *where)
        assert done.returncode == 0
        address, _, code = done.stdout.splitlines()[0].partition("#")
        assert address == "http://192.0.2.1:8888/setup"
        assert SetupCode(tmp_path / "s" / "setup-code").check(code)

    def test_refuses_when_there_is_an_administrator(self, tmp_path: Path) -> None:
        where = ["--state", str(tmp_path), "--runtime", str(tmp_path / "r"), "--log", str(tmp_path / "l")]
        otpbroker("set-admin-password", "owner", "--create", "--state", str(tmp_path), text=STRONG + "\n")
        assert otpbroker("setup-url", *where).returncode == 1


class TestRun:
    def test_a_runtime_folder_on_a_disk_is_refused(self) -> None:
        # Beside the code, or where temporary files outlive a restart: one of them is on a disk.
        places = [str(Path(__file__).parents[2]), "/var/tmp"]
        kinds = subprocess.run(["stat", "-f", "-c", "%T", *places], capture_output=True, text=True, check=True)
        disk = next(place for place, kind in zip(places, kinds.stdout.split(), strict=True) if kind != "tmpfs")
        with tempfile.TemporaryDirectory(prefix=".test-", dir=disk) as folder:
            where = ["--state", f"{folder}/s", "--runtime", f"{folder}/r", "--log", f"{folder}/l"]
            done = otpbroker("run", *where)
        assert done.returncode == 1
        assert "not in RAM" in done.stderr
        assert "Traceback" not in done.stderr

    async def test_a_port_that_is_taken_is_told_once(self, ram_folder: Path) -> None:
        taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        installation = Installation(ram_folder / "agent", (), admin={"listen": {"port": port}})
        await installation.start()
        await asyncio.sleep(4)  # three tries
        await installation.stop()
        taken.close()
        await taken.wait_closed()
        log = installation.output.read_text()
        assert log.count("admin.listen.port: cannot listen") == 1
        assert "Traceback" not in log

    async def test_damaged_files_of_its_own_do_not_keep_it_from_starting(self, ram_folder: Path) -> None:
        installation = Installation(ram_folder / "agent", ())
        (installation.folders["runtime"] / "journal.db").write_bytes(os.urandom(5000))
        (installation.folders["runtime"] / "journal.key").write_bytes(b"short")
        (installation.folders["state"] / "refused-pins").write_bytes(b"8962,4901,\xff\ngarbage\n")
        await installation.start()
        await installation.stop()
        log = installation.output.read_text()
        assert "the journal is damaged" in log
        assert "a line of refused-pins is damaged" in log
        assert "Traceback" not in log

    def test_its_log_is_masked_whatever_a_call_site_lets_slip(self) -> None:
        code = (
            "import logging; from otpbroker.cli.process import log_to_stderr; log_to_stderr()\n"
            "logging.getLogger('otpbroker.x').error('to %s, password=%s', '6281266666712', 'hunter2')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
        assert done.stderr == "ERROR otpbroker.x: to 62812XXXXXX12, password=[redacted]\n"

    async def test_reload_takes_up_a_new_api_user_and_a_new_modem(self, ram_folder: Path) -> None:
        async with modems(ram_folder / "simulated", 2, air=0.0) as simulated:
            installation = Installation(ram_folder / "agent", simulated.ports[:1])
            running = await installation.start()
            try:
                path = installation.folders["state"] / "config.yaml"
                written = yaml.safe_load(path.read_text())
                second = {"id": "second", "port": simulated.ports[1], "prefixes": ["62899"]}
                written["modems"].append(second)
                path.write_text(yaml.safe_dump(written))
                added = otpbroker("add-api-user", "shop", "--state", str(path.parent), text=STRONG + "\n")
                assert added.returncode == 0, added.stderr
                os.kill(running.pid, 1)  # SIGHUP
                url = f"http://127.0.0.1:{installation.port}"
                async with httpx2.AsyncClient(auth=("shop", STRONG), trust_env=False) as client:
                    async with asyncio.timeout(10):
                        while (await client.get(f"{url}/api/v1/modems")).status_code != 200:
                            await asyncio.sleep(0.1)
                    sms = {"receiver": "0899123456", "text": "x"}
                    answer = await client.post(f"{url}/api/v1/messages", json=sms, headers={"Prefer": "wait=10"})
                assert answer.json()["modem_id"] == "second"
            finally:
                await installation.stop()


class TestSend:
    async def test_prints_the_outcome_and_never_the_text(self, ram_folder: Path) -> None:
        async with modems(ram_folder / "simulated", 1, air=0.0) as simulated:
            installation = Installation(ram_folder / "agent", simulated.ports)
            await installation.start()
            try:
                words = ["send", "0812345678", "--user", USER, "--url", f"http://127.0.0.1:{installation.port}"]
                done = await asyncio.to_thread(
                    otpbroker, *words, text="kode anda 99817", OTPBROKER_API_PASSWORD=PASSWORD
                )
                assert done.returncode == 0, done.stderr
                assert '"state": "sent"' in done.stdout
                assert "99817" not in done.stdout
                await simulated.control.wait(contains="kode anda 99817")
                wrong = await asyncio.to_thread(otpbroker, *words, text="x", OTPBROKER_API_PASSWORD="wrong")
                assert wrong.returncode == 1
                assert "wrong" in wrong.stderr
            finally:
                await installation.stop()

    def test_says_that_the_agent_does_not_answer(self) -> None:
        done = otpbroker(
            "send", "0812345678", "--user", "x", "--url", "http://127.0.0.1:9", text="x", OTPBROKER_API_PASSWORD="x"
        )
        assert done.returncode == 1
        assert "does not answer" in done.stderr
