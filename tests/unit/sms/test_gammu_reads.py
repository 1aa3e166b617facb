"""A decoder that is not ours reads what we write: gammu lists PDUs of ours that a modem holds."""

import os
import pty
import shutil
import subprocess
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otpbroker.sms.deliver import encode_deliver
from otpbroker.sms.submission import Sms
from otpbroker.sms.submit import encode_submit

RECEIVED, TO_SEND = 1, 2  # <stat> of 27.005 section 3.1

ANSWERS = {
    "AT+CGMI": "ACME",
    "AT+CGMM": "X1",
    "AT+CGMR": "1",
    "AT+CSCS?": '+CSCS: "GSM"',
    "AT+CSCS=?": '+CSCS: ("GSM","UCS2")',
    "AT+CPMS=?": '+CPMS: ("SM"),("SM"),("SM")',
    'AT+CPMS="SM","SM"': "+CPMS: 9,50,9,50,9,50",
    **dict.fromkeys(("AT", "ATE1", "AT+CMEE=1", "AT+CFUN=1", "AT+CMGF=0"), ""),
}


def answer(terminal: int, listing: str) -> None:
    """Speak for the modem until the other end is gone."""
    line = b""
    while octet := read(terminal):
        line += octet.strip(b"\x1b")
        if octet != b"\r":
            continue
        command = line.decode().strip()
        known = {**ANSWERS, "AT+CMGL=4": listing}
        result = f"{known[command]}\r\n\r\nOK" if command in known else "ERROR"
        os.write(terminal, line + f"\r\n{result}\r\n".encode())
        line = b""


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1)
    except OSError:  # how a pty says that its other end is closed
        return b""


@contextmanager
def modem_that_holds(messages: list[tuple[int, str]]) -> Iterator[str]:
    """The path of a port behind which a modem holds `(status, pdu)`."""
    listing = "\r\n".join(
        f"+CMGL: {index},{status},,{Sms.tpdu_length(pdu)}\r\n{pdu}"
        for index, (status, pdu) in enumerate(messages, start=1)
    )
    terminal, port = pty.openpty()
    tty.setraw(port)
    modem = threading.Thread(target=answer, args=(terminal, listing))
    modem.start()
    try:
        yield os.ttyname(port)
    finally:
        os.close(port)
        modem.join(timeout=5)
        os.close(terminal)


@pytest.mark.skipif(shutil.which("gammu") is None, reason="gammu is not installed")
def test_gammu_understands_every_kind_of_part(tmp_path: Path) -> None:
    sent_at = datetime(2026, 11, 22, 14, 3, 7, tzinfo=UTC)
    texts = ["Kode: 123456", "@£$ [€] {x} ~ ΔΦ", "7 chars", "ключ 😀"]
    long_texts = ["a" * 152 + "€" + "b" * 20, "ж" * 66 + "😀" + "я" * 5]
    submits = [encode_submit("6281266666712", text, reference=0xA7, life=300) for text in texts + long_texts]
    delivers = [encode_deliver("sipgate", "Pesan baru", sent_at=sent_at)]
    held = [(TO_SEND, pdu) for pdus in submits for pdu in pdus]
    held += [(RECEIVED, pdu) for pdus in delivers for pdu in pdus]

    with modem_that_holds(held) as port:
        settings = tmp_path / "gammurc"
        settings.write_text(f"[gammu]\nport = {port}\nconnection = at\nmodel = at\n")
        listed = subprocess.run(
            ["gammu", "-c", settings, "getallsms"],
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        ).stdout

    lines = listed.splitlines()
    for text in texts:
        assert text in lines
    for part in ("a" * 152, "€" + "b" * 20, "ж" * 66, "😀яяяяя"):
        assert part in lines
    assert listed.count('Remote number        : "+6281266666712"') == 8
    assert listed.count("ID (8 bit) 167, part 1 of 2") == listed.count("ID (8 bit) 167, part 2 of 2") == 2
    assert "Pesan baru" in lines
    assert 'Remote number        : "sipgate"' in lines
