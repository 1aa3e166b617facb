"""A message as a row of the journal's file: its columns, and how objects become rows and rows objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from otpbroker.messaging.message import Message
from otpbroker.messaging.outcome import Arrival, Outcome, Receipt, State

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id TEXT PRIMARY KEY,
    caller TEXT NOT NULL,
    idempotency_key BLOB,
    fingerprint BLOB,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    receiver TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    deadline REAL NOT NULL,
    changed_at REAL NOT NULL,
    parts INTEGER NOT NULL,
    length INTEGER NOT NULL,
    encoding TEXT NOT NULL,
    modem_id TEXT,
    imei TEXT NOT NULL DEFAULT '',
    refs TEXT NOT NULL DEFAULT '',
    error TEXT,
    detail TEXT NOT NULL DEFAULT '',
    price TEXT,
    saved TEXT,
    reported INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    arrivals TEXT NOT NULL DEFAULT '',
    arrivals_at REAL,
    target BLOB,
    sealed BLOB
);
CREATE INDEX IF NOT EXISTS message_identity ON message (idempotency_key, fingerprint);
CREATE INDEX IF NOT EXISTS message_refused ON message (changed_at) WHERE refused = 1;
CREATE INDEX IF NOT EXISTS message_changed ON message (changed_at);
CREATE INDEX IF NOT EXISTS message_unreported ON message (reported) WHERE reported = 0;
CREATE INDEX IF NOT EXISTS message_target ON message (target) WHERE target IS NOT NULL;
"""
INSERT = (
    "INSERT INTO message (id, caller, idempotency_key, fingerprint, state, source, receiver, accepted_at,"
    " expires_at, deadline, changed_at, parts, length, encoding, modem_id, error, detail, reported, refused,"
    " sealed) VALUES ("
    ":id, :caller, :idempotency_key, :fingerprint, :state, :source, :receiver, :accepted_at, :expires_at,"
    " :deadline, :changed_at, :parts, :length, :encoding, :modem_id, :error, :detail, :reported, :refused, :sealed)"
)
OUTCOME = (
    "id, state, receiver, source, accepted_at, expires_at, changed_at, parts, length, encoding,"
    " modem_id, refs, error, detail, price, saved, arrivals, arrivals_at"
)
LEFT = (
    "id, caller, source, state, modem_id, imei, parts, length, encoding, accepted_at, expires_at, deadline,"
    " price, saved"
)
# What is known of a message whose key is gone.
UNREADABLE = {"text": None, "lent": False, "only_modem": None, "status_report": False, "otp_ticket": None}


@dataclass(frozen=True, slots=True)
class Left:
    """A message that a former process accepted and did not finish; `text` is None when it can't be read."""

    id: str
    caller: str
    source: str
    state: State
    receiver: str
    text: str | None = field(repr=False)
    lent: bool
    only_modem: str | None
    status_report: bool
    otp_ticket: str | None
    modem_id: str | None
    imei: str
    parts: int
    length: int
    encoding: str
    accepted_at: float
    expires_at: float
    deadline: float
    price: Decimal | None
    saved: Decimal | None


@dataclass(frozen=True, slots=True)
class Identity:
    """How a repeated request is known again, as keyed hashes: caller with id, receiver with text."""

    key: bytes
    fingerprint: bytes


def new(
    message: Message, identity: Identity | None, sealed: bytes | None, *, reported: bool, refused: bool
) -> dict[str, object]:
    """The values of `INSERT`."""
    outcome = message.outcome
    return {
        "id": message.id,
        "caller": message.origin.caller,
        "idempotency_key": identity and identity.key,
        "fingerprint": identity and identity.fingerprint,
        "state": outcome.state.value,
        "source": outcome.source,
        "receiver": outcome.receiver,
        "accepted_at": message.accepted_at,
        "expires_at": message.expires_at,
        "deadline": message.deadline,
        "changed_at": outcome.changed_at,
        "parts": outcome.parts,
        "length": outcome.length,
        "encoding": outcome.encoding,
        "modem_id": message.modem_id,
        "error": outcome.error,
        "detail": outcome.detail,
        "reported": int(reported),
        "refused": int(refused),
        "sealed": sealed,
    }


def secret(message: Message, text: str) -> dict[str, object]:
    """What is sealed until the outcome is final."""
    return {
        "receiver": message.receiver,
        "text": text,
        "lent": message.origin.lent,
        "only_modem": message.only_modem,
        "status_report": message.status_report,
        "otp_ticket": message.otp_ticket,
    }


def left(row: Sequence[Any], secret: Mapping[str, Any]) -> Left:
    """Of the columns `LEFT`, and what was sealed."""
    message_id, caller, source, state, modem_id, imei, parts, length, encoding, *times, price, saved = row
    accepted_at, expires_at, deadline = times
    return Left(
        id=message_id,
        caller=caller,
        source=source,
        state=State(state),
        receiver=secret["receiver"],
        text=secret["text"],
        lent=secret["lent"],
        only_modem=secret["only_modem"],
        status_report=secret["status_report"],
        otp_ticket=secret["otp_ticket"],
        modem_id=modem_id,
        imei=imei,
        parts=parts,
        length=length,
        encoding=encoding,
        accepted_at=accepted_at,
        expires_at=expires_at,
        deadline=deadline,
        price=_money(price),
        saved=_money(saved),
    )


def outcome(row: Sequence[Any]) -> Outcome:
    """Of the columns `OUTCOME`; more may follow them."""
    return Outcome(
        id=row[0],
        state=State(row[1]),
        receiver=row[2],
        source=row[3],
        accepted_at=row[4],
        expires_at=row[5],
        changed_at=row[6],
        parts=row[7],
        length=row[8],
        encoding=row[9],
        modem_id=row[10],
        references=tuple(map(int, row[11].split())),
        error=row[12],
        detail=row[13],
        price=_money(row[14]),
        saved=_money(row[15]),
        receipt=Receipt(tuple(map(Arrival, row[16].split())), row[17]) if row[16] else None,
    )


def amount(value: Decimal | None) -> str | None:
    """A price as its column holds it: no digit is lost."""
    return None if value is None else str(value)


def _money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
