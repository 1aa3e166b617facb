"""The SMS codec against PDUs that others published or made: their authors are named in the data."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from otpbroker.sms import gsm7, national
from otpbroker.sms.address import Address, TypeOfNumber, decode_address, encode_address, parse_address
from otpbroker.sms.data_coding import DCS_OF
from otpbroker.sms.deliver import decode_deliver, encode_deliver
from otpbroker.sms.octets import Octets
from otpbroker.sms.status_report import decode_status_report, encode_status_report
from otpbroker.sms.submission import Sms
from otpbroker.sms.submit import decode_submit, encode_submit
from otpbroker.sms.user_data import Concatenation, UserData

Vector = dict[str, Any]


def vectors(name: str) -> list[Any]:
    rows = json.loads((Path(__file__).parent / f"{name}.json").read_text())
    return [pytest.param(row, id=f"{number}-{row.get('source', '')}") for number, row in enumerate(rows)]


def written(address: Address | None) -> str | None:
    return None if address is None else str(address)


def concatenation_of(user_data: UserData) -> list[int] | None:
    match user_data.concatenation:
        case Concatenation(reference, total, index):
            return [reference, total, index]
        case None:
            return None


@pytest.mark.parametrize("vector", vectors("sms_gsm7"))
def test_septets_and_their_packing(vector: Vector) -> None:
    septets, packed = bytes.fromhex(vector["septets"]), bytes.fromhex(vector["packed"])
    assert gsm7.encode(vector["text"]) == septets
    assert gsm7.pack(septets) == packed
    assert gsm7.unpack(packed, len(septets)) == septets
    assert gsm7.decode(septets) == vector["text"]


@pytest.mark.parametrize("vector", vectors("sms_national_tables"))
def test_national_language_tables(vector: Vector) -> None:
    tables = {"locking": national.LOCKING_SHIFT, "single": national.SINGLE_SHIFT}[vector["shift"]]
    table = tables[vector["identifier"]]
    expected = {int(septet, 16): character for septet, character in vector["characters"].items()}
    assert {septet: table[septet] for septet in expected} == expected
    assert len(table) == len(expected) + (vector["shift"] == "locking")  # a locking table has ESC besides


@pytest.mark.parametrize("vector", vectors("sms_address"))
def test_addresses(vector: Vector) -> None:
    octets = bytes.fromhex(vector["octets"])
    address = decode_address(Octets(octets), "address")
    assert str(address) == vector["address"]
    assert address.type_of_number == vector["type_of_number"]
    assert encode_address(address) == octets
    if address.type_of_number is not TypeOfNumber.NATIONAL:  # not told from an unknown one by its writing
        assert parse_address(vector["address"]) == address


@pytest.mark.parametrize("vector", vectors("sms_deliver"))
def test_deliver_is_read(vector: Vector) -> None:
    deliver = decode_deliver(vector["pdu"])
    assert str(deliver.sender) == vector["sender"]
    assert written(deliver.smsc) == vector["smsc"]
    assert deliver.sent_at == datetime.fromisoformat(vector["sent_at"])
    assert deliver.sent_at.utcoffset() == datetime.fromisoformat(vector["sent_at"]).utcoffset()
    assert concatenation_of(deliver.user_data) == vector.get("concatenation")
    assert deliver.coding.message_class == vector.get("message_class")
    assert deliver.protocol == vector.get("protocol", 0)
    if "text" in vector:
        assert deliver.text == vector["text"]
    if "units" in vector:
        assert deliver.user_data.units == bytes.fromhex(vector["units"])
    if "alphabet" in vector:
        assert deliver.coding.alphabet == vector["alphabet"]


def as_the_product_writes_it(vector: Vector) -> bool:
    extras = {"protocol", "message_class", "concatenation", "units"}
    return vector.get("encodes_back", True) and not extras & vector.keys()


@pytest.mark.parametrize(
    "vector", [row for row in vectors("sms_deliver") if as_the_product_writes_it(row.values[0])]
)
def test_deliver_is_written_octet_for_octet(vector: Vector) -> None:
    sent_at = datetime.fromisoformat(vector["sent_at"])
    pdus = encode_deliver(vector["sender"], vector["text"], sent_at=sent_at, smsc=vector["smsc"])
    assert pdus == (vector["pdu"],)


@pytest.mark.parametrize("vector", vectors("sms_submit"))
def test_submit_is_read(vector: Vector) -> None:
    submit = decode_submit(vector["pdu"])
    assert str(submit.receiver) == vector["receiver"]
    assert written(submit.smsc) == vector.get("smsc")
    assert submit.text == vector["text"]
    expected = vector["validity"]
    assert submit.validity == (datetime.fromisoformat(expected) if isinstance(expected, str) else expected)
    assert submit.status_report == vector.get("status_report", False)
    assert submit.reject_duplicates == vector.get("reject_duplicates", False)
    assert submit.reference == vector.get("reference", 0)
    assert submit.coding.message_class == vector.get("message_class")
    assert concatenation_of(submit.user_data) == vector.get("concatenation")


@pytest.mark.parametrize("vector", [row for row in vectors("sms_submit") if "encode" in row.values[0]])
def test_submit_is_written_octet_for_octet_as_others_write_it(vector: Vector) -> None:
    request = vector["encode"]
    pdus = encode_submit(
        request["receiver"],
        request.get("whole_text", vector["text"]),
        reference=request.get("reference", 0),
        life=request["life"],
        status_report=request.get("status_report", False),
    )
    ours, theirs = pdus[request.get("part", 1) - 1], vector["pdu"]
    assert ours.startswith("00")  # the SIM's own service centre, where others may write theirs
    assert ours[-2 * Sms.tpdu_length(ours) :] == theirs[-2 * Sms.tpdu_length(theirs) :]


@pytest.mark.parametrize("vector", vectors("sms_status_report"))
def test_status_report_is_read_and_written(vector: Vector) -> None:
    report = decode_status_report(vector["pdu"])
    sent_at = datetime.fromisoformat(vector["sent_at"])
    discharged_at = datetime.fromisoformat(vector["discharged_at"])
    assert report.reference == vector["reference"]
    assert str(report.receiver) == vector["receiver"]
    assert written(report.smsc) == vector["smsc"]
    assert (report.sent_at, report.discharged_at) == (sent_at, discharged_at)
    assert report.status == vector["status"]
    assert report.delivery == vector["delivery"]
    if vector.get("encodes_back"):
        again = encode_status_report(
            vector["receiver"],
            reference=vector["reference"],
            sent_at=sent_at,
            discharged_at=discharged_at,
            status=vector["status"],
        )
        assert again == vector["pdu"]


def test_vectors_cover_both_alphabets_of_text() -> None:
    """Guards the data: a file emptied by mistake would pass every test above."""
    pdus = [row.values[0]["pdu"] for row in vectors("sms_submit")]
    alphabets = {decode_submit(pdu).coding.alphabet for pdu in pdus}
    assert alphabets == set(DCS_OF)
