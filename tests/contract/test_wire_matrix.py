"""Every request that an existing client sends, verbatim, becomes the right command; the vectors are data."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from otpbroker.errors import Rejected
from otpbroker.messaging import wire

HERE = Path(__file__).parent
REQUESTS = json.loads((HERE / "wire_requests.json").read_text("utf-8"))
REFUSED = json.loads((HERE / "wire_refused_bodies.json").read_text("utf-8"))


def by_name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def as_json(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("vector", REQUESTS, ids=by_name)
def test_a_request_becomes_its_commands(vector: dict[str, Any]) -> None:
    envelope = wire.parse(vector["body"].encode())

    assert envelope.several is vector["several"]
    assert envelope.callback_topic == vector.get("callback_topic", "")
    assert envelope.callback_delay == vector.get("callback_delay", 0.01)
    assert [item.name for item in envelope.items] == [expected["name"] for expected in vector["items"]]
    for item, expected in zip(envelope.items, vector["items"], strict=True):
        if "rejected" in expected:
            assert isinstance(item.command, Rejected)
            assert (item.command.code, item.command.field) == (expected["rejected"], expected["field"])
        else:
            assert type(item.command).__name__ == expected["command"]
            for field, value in expected["fields"].items():
                assert as_json(getattr(item.command, field)) == value, field


@pytest.mark.parametrize("vector", REFUSED, ids=by_name)
def test_a_body_without_commands_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as refusal:
        wire.parse(vector["body"].encode())

    assert (refusal.value.code, refusal.value.field) == (vector["rejected"], vector["field"])


def test_every_field_of_the_commands_is_read_by_some_vector() -> None:
    """A field that no vector names could be dropped unnoticed."""
    named = {
        (expected["command"], field)
        for vector in REQUESTS
        for expected in vector["items"]
        if "command" in expected
        for field in expected["fields"]
    }
    commands = {
        type(item.command)
        for vector in REQUESTS
        for item in wire.parse(vector["body"].encode()).items
        if not isinstance(item.command, Rejected)
    }
    all_fields = {(kind.__name__, field.name) for kind in commands for field in dataclasses.fields(kind)}
    # Existing clients cannot ask for these.
    sms = {("SendSms", name) for name in ("strict_id", "status_report", "repeatable")}
    assert all_fields - named == sms | {("RequestOtp", "repeatable")}
