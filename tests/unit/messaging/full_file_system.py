"""Run in a mount namespace of its own: a journal on a tmpfs that something else fills to the last page."""

import os
import subprocess
import tempfile
from pathlib import Path

from otpbroker.errors import Unavailable
from otpbroker.messaging.command import Origin
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.message import Message
from otpbroker.messaging.outcome import State


def message(message_id: str) -> Message:
    return Message(
        id=message_id,
        origin=Origin("rest", "shop"),
        receiver="6281234567890",
        pdus=("00",),
        length=1000,
        encoding="gsm7",
        accepted_at=1000.0,
        expires_at=1300.0,
        deadline=1300.0,
    )


def fill(path: Path) -> None:
    with path.open("ab", buffering=0) as file:
        size = 65536
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    journal = Journal(folder)
    sending = []
    for number in range(100):
        sending.append(message(f"{number}"))
        journal.accept(sending[-1], "x" * 1000)
        journal.sending(sending[-1])
    fill(folder / "other")
    print("accepted until full")
    try:
        for number in range(1000):
            journal.accept(message(f"more-{number}"), "x" * 1000)
    except Unavailable as refusal:
        print("refused:", refusal.code)
    states = set()
    for ending in sending:
        ending.state = State.SENT
        ending.changed_at = 1001.0
        journal.final(ending.outcome, keeps_id=True)
        known = journal.outcome(ending.id)
        assert known is not None
        states.add(known[0].state.value)
    print("final:", *states)
    print("left:", sum(left.id in {each.id for each in sending} for left in journal.left()), "with text")
    fill(folder / "other")
    journal.forget(before=2000.0, reports_over=0.0)
    assert journal.outcome("0") is None
    print("forgotten")
    os.truncate(folder / "other", 0)
    journal.accept(message("after"), "x")
    assert (folder / "journal.reserve").exists()
    print("accepts again when there is room")
    fill(folder / "other")
    journal.close()
    journal = Journal(folder)
    print("starts again on a full file system")
    os.truncate(folder / "other", 0)
    ended = []
    try:
        while True:
            ended.append(message(f"ending-{len(ended)}"))
            journal.accept(ended[-1], "x" * 1000)
            ended[-1].state = State.SENT
            journal.final(ended[-1].outcome, keeps_id=True)
            if len(ended) == 8000:  # of its own messages alone it fills most of what there is
                fill(folder / "other")
            if len(ended) == 8500:
                break
    except Unavailable as refusal:
        print("refused:", refusal.code)
    else:
        print("old outcomes make room: accepted")


if __name__ == "__main__":
    main()
