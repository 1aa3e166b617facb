"""The journal: in RAM only, for one process, sealed, and empty of text at the final state."""

import base64
import os
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from otpbroker.errors import Misconfigured
from otpbroker.messaging import journal as journal_module
from otpbroker.messaging import otp_rows
from otpbroker.messaging.command import Origin
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.message import Message
from otpbroker.messaging.message_rows import Identity
from otpbroker.messaging.otp_rows import OtpRow
from otpbroker.messaging.outcome import Outcome, State
from otpbroker.sms.submit import encode_submit

TEXT = "Kode rahasia Anda 839201 café-€"
RECEIVER = "6281234567890"


def message(message_id: str = "a", accepted_at: float = 1000.0) -> Message:
    return Message(
        id=message_id,
        origin=Origin("rest", "shop"),
        receiver=RECEIVER,
        pdus=("00",),
        length=len(TEXT),
        encoding="gsm7",
        accepted_at=accepted_at,
        expires_at=accepted_at + 300,
        deadline=1300.0,
        only_modem="m2",
        otp_ticket="login-1",
    )


def ended(of: Message, state: State = State.SENT, changed_at: float = 1001.0) -> Outcome:
    return replace(of.outcome, state=state, modem_id="m2", references=(7, 8), changed_at=changed_at)


def traces(folder: Path, text: str) -> list[str]:
    """The encodings of a text that any file in a folder holds."""
    pdu = encode_submit(RECEIVER, text, reference=0, life=300)[0]
    wanted = {
        "utf-8": text.encode(),
        "utf-16-be": text.encode("utf-16-be"),
        "utf-16-le": text.encode("utf-16-le"),
        "hexadecimal": text.encode().hex().encode(),
        "base64": base64.b64encode(text.encode()).rstrip(b"="),
        "PDU": pdu[-40:].encode(),
        "packed PDU": bytes.fromhex(pdu[-40:]),
        "JSON": text.encode("ascii", "backslashreplace"),
    }
    octets = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert octets
    return [name for name, needle in wanted.items() if needle in octets]


def test_what_was_accepted_is_left_for_the_next_process(ram_folder: Path) -> None:
    first = Journal(ram_folder)
    first.accept(message(), TEXT)
    first.close()
    second = Journal(ram_folder)
    (left,) = second.left()
    assert (left.id, left.caller, left.source, left.state) == ("a", "shop", "rest", State.ACCEPTED)
    assert (left.receiver, left.text, left.only_modem, left.otp_ticket) == (RECEIVER, TEXT, "m2", "login-1")
    assert (left.parts, left.length, left.encoding) == (1, len(TEXT), "gsm7")
    assert (left.accepted_at, left.expires_at, left.deadline) == (1000.0, 1300.0, 1300.0)
    second.close()


def test_messages_are_left_in_the_order_they_came(journal: Journal) -> None:
    for message_id, accepted_at in (("b", 3.0), ("c", 1.0), ("a", 1.0)):  # the wall clock may be set back
        journal.accept(message(message_id, accepted_at), TEXT)
    assert [left.id for left in journal.left()] == ["b", "c", "a"]


def test_a_final_outcome_is_told_and_nothing_is_left(journal: Journal) -> None:
    accepted = message()
    journal.accept(accepted, TEXT)
    journal.final(ended(accepted), keeps_id=True)
    assert journal.outcome("a") == (ended(accepted), "shop")
    assert not list(journal.left())


def test_the_states_of_a_message_survive(ram_folder: Path) -> None:
    journal = Journal(ram_folder)
    for place, state in enumerate((State.ACCEPTED, State.SENDING, State.QUEUED)):
        moved = message(state.value, float(place))
        journal.accept(moved, TEXT)
        moved.modem_id = "m2"
        if state is not State.ACCEPTED:
            journal.sending(moved)
        if state is State.QUEUED:
            journal.waiting(moved)
    journal.close()
    again = Journal(ram_folder)
    assert [left.state.value for left in again.left()] == ["accepted", "sending", "queued"]
    again.close()


# never stored


def test_the_text_is_sealed_while_the_message_is_open(ram_folder: Path) -> None:
    journal = Journal(ram_folder)
    journal.accept(message(), TEXT)
    journal.close()
    assert traces(ram_folder, TEXT) == []
    assert RECEIVER.encode() not in b"".join(file.read_bytes() for file in ram_folder.iterdir())


@pytest.mark.parametrize("state", [state for state in State if state.final])
def test_even_who_has_the_key_finds_no_text_after_the_final_state(ram_folder: Path, state: State) -> None:
    journal = Journal(ram_folder)
    accepted = message()
    for number in range(50):
        journal.accept(message(f"other-{number}"), TEXT)
    journal.accept(accepted, TEXT)
    sealed = [row[0] for row in journal._file.execute("SELECT sealed FROM message")]
    for left in list(journal.left()):
        journal.final(replace(ended(accepted, state), id=left.id), keeps_id=True)
    journal.close()
    octets = b"".join(file.read_bytes() for file in ram_folder.iterdir())
    assert len(sealed) == 51
    assert [piece for piece in sealed if piece[12:28] in octets] == []
    assert traces(ram_folder, TEXT) == []


def test_the_files_are_the_owners_alone(ram_folder: Path) -> None:
    journal = Journal(ram_folder)
    journal.accept(message(), TEXT)
    assert {file.name: stat.S_IMODE(file.stat().st_mode) & 0o077 for file in ram_folder.iterdir()} == {
        "journal.db": 0,
        "journal.key": 0,
        "journal.reserve": 0,
        **({"journal.db-journal": 0} if (ram_folder / "journal.db-journal").exists() else {}),
    }
    journal.close()


def test_a_sealed_text_cannot_be_moved_to_another_message(ram_folder: Path) -> None:
    journal = Journal(ram_folder)
    for message_id in ("a", "b"):
        journal.accept(message(message_id), TEXT)
    journal._file.execute("UPDATE message SET sealed = (SELECT sealed FROM message WHERE id = 'a')")
    assert {left.id: left.text for left in journal.left()} == {"a": TEXT, "b": None}
    journal.close()


def test_without_the_key_the_message_is_left_without_its_text(ram_folder: Path) -> None:
    journal = Journal(ram_folder)
    journal.accept(message(), TEXT)
    journal.close()
    (ram_folder / "journal.key").unlink()
    again = Journal(ram_folder)
    (left,) = again.left()
    assert (left.text, left.receiver, left.only_modem) == (None, "62812XXXXXX90", None)
    again.close()


def test_no_text_in_a_representation(journal: Journal) -> None:
    journal.accept(message(), TEXT)
    assert TEXT not in repr((list(journal.left()), message()))


# one process, in RAM


def test_a_folder_on_a_disk_is_refused(tmp_path: Path) -> None:
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout.strip()
    if kind in {"tmpfs", "ramfs"}:
        pytest.skip("the temporary folder of this machine is in RAM")
    with pytest.raises(Misconfigured) as refusal:
        Journal(tmp_path)
    assert (refusal.value.code, refusal.value.field) == ("runtime-on-disk", "--runtime")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("used_before", [False, True], ids=["fresh", "used before"])
def test_a_second_process_is_refused_at_once(ram_folder: Path, used_before: bool) -> None:
    if used_before:
        Journal(ram_folder).close()
    program = (
        "import sys; from pathlib import Path; from otpbroker.messaging.journal import Journal;"
        f" held = Journal(Path({str(ram_folder)!r})); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(Misconfigured) as refusal:
            Journal(ram_folder)
        assert refusal.value.code == "already-running"
        first.kill()
    Journal(ram_folder).close()


def test_a_killed_process_leaves_what_it_wrote(ram_folder: Path) -> None:
    program = (
        "import os; from pathlib import Path; from test_journal import TEXT, Journal, message;"
        f" journal = Journal(Path({str(ram_folder)!r})); journal.accept(message(), TEXT); os.kill(os.getpid(), 9)"
    )
    here = Path(__file__).parent
    ended = subprocess.run([sys.executable, "-c", program], cwd=here, check=False)
    assert ended.returncode == -9
    journal = Journal(ram_folder)
    assert [left.text for left in journal.left()] == [TEXT]
    journal.close()


def test_a_damaged_key_loses_the_texts_and_nothing_else(ram_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(ram_folder)
    journal.accept(message(), TEXT)
    journal.close()
    (ram_folder / "journal.key").write_bytes(b"short")
    again = Journal(ram_folder)
    assert [(left.id, left.text) for left in again.left()] == [("a", None)]
    assert "key is damaged" in caplog.text
    again.close()


@pytest.mark.parametrize("damage", ["not SQLite", "cut in half", "a page overwritten"])
def test_a_damaged_journal_is_given_up_and_the_agent_starts(
    ram_folder: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    journal = Journal(ram_folder)
    for number in range(200):
        journal.accept(message(f"{number}"), TEXT)
    journal.close()
    path = ram_folder / "journal.db"
    octets = path.read_bytes()
    half = len(octets) // 2
    path.write_bytes(
        {
            "not SQLite": b"garbage" * 1000,
            "cut in half": octets[:half],
            "a page overwritten": octets[:4096] + bytes([0x5A]) * 8192 + octets[12288:],
        }[damage]
    )
    again = Journal(ram_folder)
    assert not list(again.left())
    again.accept(message(), TEXT)
    assert [left.text for left in again.left()] == [TEXT]
    assert "the journal is damaged" in caplog.text
    again.close()


def test_erased_rows_are_overwritten(journal: Journal) -> None:
    assert journal._file.execute("PRAGMA secure_delete").fetchone() == (1,)


# its bounds


def test_the_oldest_outcomes_go_when_there_are_too_many(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MOST_OUTCOMES", 20)
    monkeypatch.setattr(journal_module, "_BATCH", 5)
    journal.accept(message("open"), TEXT)
    for number in range(41):
        ending = message(f"{number}")
        journal.accept(ending, TEXT)
        journal.final(ended(ending), keeps_id=True)
    known = [number for number in range(41) if journal.outcome(f"{number}")]
    assert known == list(range(known[0], 41))
    assert 15 <= len(known) <= 20
    assert [left.id for left in journal.left()] == ["open"]


def test_of_refused_messages_the_latest_are_known_and_no_other_outcome_goes_for_them(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MOST_REFUSED", 20)
    monkeypatch.setattr(journal_module, "_BATCH", 5)
    kept = message("kept")
    journal.accept(kept, TEXT, identity())
    journal.final(ended(kept), keeps_id=True)
    for number in range(100):
        refused = message(f"{number}", accepted_at=float(number))
        refused.state, refused.changed_at = State.BLOCKED, float(number)
        journal.refuse(refused, reported=True)
    known = [number for number in range(100) if journal.outcome(f"{number}")]
    assert known == list(range(known[0], 100))
    assert 15 <= len(known) <= 20
    assert journal.outcome("kept") is not None
    assert not list(journal.left())


def test_of_too_many_one_time_passwords_those_go_that_end_first(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otp_rows, "MOST_OTPS", 20)
    monkeypatch.setattr(otp_rows, "_BATCH", 5)
    for number in range(41):
        journal.otps.put(b"%d" % number, OtpRow(b"hash", 1000.0 - number, 5, replaceable=False))
        journal.otps.put(b"same", OtpRow(b"hash", 2000.0, 5, replaceable=False))
    left = [number for number in range(41) if journal.otps.get(b"%d" % number)]
    assert 10 <= len(left) <= 20
    assert journal.otps.get(b"same") is not None
    assert 40 in left  # the newest itself is never the price of its own arrival


def test_on_a_full_file_system_an_end_is_written_and_old_rows_go() -> None:
    """On a real tmpfs of its own, which something else has filled."""
    program = Path(__file__).with_name("full_file_system.py")
    flags = ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--map-root-user"]
    run = subprocess.run(
        ["unshare", *flags, sys.executable, program], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout.splitlines() == [
        "accepted until full",
        "refused: journal-full",
        "final: sent",
        "left: 0 with text",
        "forgotten",
        "accepts again when there is room",
        "starts again on a full file system",
        "old outcomes make room: accepted",
    ], run.stderr


# ids


def identity(content: bytes = b"content") -> Identity:
    return Identity(b"key", content)


def test_an_id_is_held_since_its_message_was_accepted(journal: Journal) -> None:
    journal.accept(message(accepted_at=1000.0), TEXT, identity())
    assert journal.holder(identity(), since=999.0) == ("a", True)
    assert journal.holder(identity(b"other content"), since=999.0) == ("a", False)
    assert journal.holder(identity(), since=1000.0) is None
    assert journal.holder(Identity(b"other", b"content"), since=0.0) is None


@pytest.mark.parametrize("keeps_id", [True, False])
def test_an_id_is_kept_or_freed_at_the_end(journal: Journal, keeps_id: bool) -> None:
    accepted = message()
    journal.accept(accepted, TEXT, identity())
    journal.final(ended(accepted), keeps_id=keeps_id)
    assert (journal.holder(identity(), since=0.0) is not None) is keeps_id
    assert journal.outcome("a") is not None


def test_every_content_that_came_with_an_id_holds_it(journal: Journal) -> None:
    journal.accept(message("a"), TEXT, identity(b"first"))
    journal.accept(message("b"), TEXT, identity(b"second"))
    assert journal.holder(identity(b"first"), since=0.0) == ("a", True)
    assert journal.holder(identity(b"second"), since=0.0) == ("b", True)
    third = journal.holder(identity(b"third"), since=0.0)
    assert third is not None
    assert not third[1]


def test_old_outcomes_are_forgotten_but_never_an_open_message(journal: Journal) -> None:
    old, new = message("old"), message("new")
    for each in (old, new, message("open", accepted_at=1.0)):
        journal.accept(each, TEXT)
    journal.final(ended(old, changed_at=100.0), keeps_id=True)
    journal.final(ended(new, changed_at=200.0), keeps_id=True)
    journal.forget(before=150.0, reports_over=0.0)
    assert journal.outcome("old") is None
    assert journal.outcome("new") is not None
    assert [left.id for left in journal.left()] == ["open"]


def test_an_outcome_is_kept_while_reports_on_it_count(journal: Journal) -> None:
    for message_id, target in (("asked", b"target"), ("not", None)):
        old = message(message_id)
        journal.accept(old, TEXT)
        journal.final(ended(old, changed_at=100.0), keeps_id=True, target=target)
    journal.forget(before=150.0, reports_over=1300.0)  # the deadline of both
    assert journal.outcome("asked") is not None
    assert journal.outcome("not") is None
    journal.forget(before=150.0, reports_over=1300.1)
    assert journal.outcome("asked") is None


def test_outcomes_without_number_are_forgotten_at_once(journal: Journal) -> None:
    for number in range(450):
        old = message(f"{number}")
        journal.accept(old, TEXT)
        journal.final(ended(old, changed_at=100.0), keeps_id=True)
    journal.forget(before=150.0, reports_over=0.0)
    assert [number for number in range(450) if journal.outcome(f"{number}")] == []


# one-time passwords


def test_a_one_time_password_is_kept_until_it_is_dropped_or_old(journal: Journal) -> None:
    row = OtpRow(b"hash", 100.0, 5, replaceable=False)
    for reference in (b"a", b"b", b"c"):
        journal.otps.put(reference, row)
    journal.otps.put(b"b", replace(row, tries_left=4, replaceable=True, expires_at=200.0))
    journal.otps.drop(b"a")
    journal.forget(before=150.0, reports_over=0.0)
    assert [journal.otps.get(reference) for reference in (b"a", b"b", b"c")] == [
        None,
        OtpRow(b"hash", 200.0, 4, replaceable=True),
        None,
    ]


def test_a_journal_of_another_release_is_refused_and_kept(ram_folder: Path) -> None:
    Journal(ram_folder).close()
    database = sqlite3.connect(ram_folder / "journal.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(Misconfigured) as refused:
        Journal(ram_folder)
    assert refused.value.code == "journal-version"
    assert (ram_folder / "journal.db").exists()
