from dataclasses import astuple

from otpbroker.modem.simulator import identity_of
from otpbroker.modem.simulator.identity import luhn_digit


def test_the_check_digit_is_that_of_known_numbers() -> None:
    assert luhn_digit("49015420323751") == "8"  # the example of 3GPP TS 23.003 annex B
    assert luhn_digit("7992739871") == "3"


def test_every_modem_has_numbers_of_its_own() -> None:
    identities = [identity_of(index) for index in range(1, 257)]

    for number in ("name", "imei", "imsi", "iccid", "msisdn"):
        assert len({getattr(identity, number) for identity in identities}) == 256


def test_numbers_are_well_formed() -> None:
    for index in (1, 2, 3, 4, 256):
        identity = identity_of(index)
        assert len(identity.imei) == 15
        assert identity.imei[-1] == luhn_digit(identity.imei[:-1])
        assert len(identity.iccid) == 19
        assert identity.iccid[-1] == luhn_digit(identity.iccid[:-1])
        assert len(identity.imsi) == 15
        assert identity.imsi.startswith(identity.network)
        assert len(identity.msisdn) <= 15
        assert all(isinstance(value, str) and value for value in astuple(identity))
