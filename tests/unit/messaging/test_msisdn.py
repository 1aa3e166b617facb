"""The normal form of receivers (ITU-T E.164) and of routing prefixes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otpbroker.errors import Rejected
from otpbroker.messaging.msisdn import normalise, prefix


@pytest.mark.parametrize(
    "written",
    [
        "081234567890",
        "+6281234567890",
        "6281234567890",
        "006281234567890",
        " 0812 3456 7890 ",
        "0812-3456-7890",
        "+62 812-3456-7890",
        "+62\u00a0812.3456.7890",
        "(0812) 3456/7890",
        "+62\u2011812\u20133456\u20117890",
        "62 0812-3456-7890",
        "+62081234567890",
        "006208 1234567890",
        "+081234567890",  # what existing clients reached by stripping one plus
    ],
)
def test_every_way_to_write_a_number_has_one_normal_form(written: str) -> None:
    assert normalise(written, "62") == "6281234567890"


@pytest.mark.parametrize(
    ("written", "country_code", "normal"),
    [
        ("0501234567", "971", "971501234567"),
        ("0401234567", "358", "358401234567"),
        ("0612345678", "39", "390612345678"),  # Italy keeps its zero
        ("39 0612345678", "39", "390612345678"),
        ("06201234567", "36", "36201234567"),  # Hungary's trunk prefix has two digits
        ("12345678", "45", "12345678"),  # Denmark has none
        ("3331234567", "39", "3331234567"),  # no trunk prefix: taken as international
        ("+14155552671", "62", "14155552671"),
    ],
)
def test_the_countrys_own_trunk_prefix_counts(written: str, country_code: str, normal: str) -> None:
    assert normalise(written, country_code) == normal


@pytest.mark.parametrize(
    ("written", "normal"),
    [("08990000000000", "628990000000000"), ("0999999999", "62999999999"), ("07", "627"), ("0110", "62110")],
)
def test_a_range_that_no_library_knows_is_never_refused(written: str, normal: str) -> None:
    assert normalise(written, "62") == normal


def test_a_service_number_stays_short() -> None:
    assert normalise("3636", "62") == "3636"


@pytest.mark.parametrize("written", ["", " ", "+", "00", "()-"])
def test_no_number_is_missing(written: str) -> None:
    with pytest.raises(Rejected) as refusal:
        normalise(written, "62")
    assert (refusal.value.code, refusal.value.field) == ("receiver-missing", "receiver")


@pytest.mark.parametrize(
    "written",
    [
        "0812ABC7890",
        "siti@example.com",
        "08123456789x",
        "++628123456789",
        "62+8123456789",
        "0812;AT+CFUN=1",
        '0812"3456',
        "0812\x1a3456",
        "٠٨١٢٣٤٥٦٧٨٩",
        "0812³456789",
        "12",
        "1234567890123456",
        "00081234567890",  # no country code begins with a zero
    ],
)
def test_what_is_no_number_is_refused_without_repeating_it(written: str) -> None:
    with pytest.raises(Rejected) as refusal:
        normalise(written, "62")
    assert (refusal.value.code, refusal.value.field) == ("receiver-invalid", "receiver")
    assert written not in str(refusal.value)


_WRITTEN = st.one_of(
    st.text(),
    st.text(alphabet="+0123456789 -().\u00a0", max_size=24),
    st.from_regex(r"\+?0{0,3}[0-9]{0,16}", fullmatch=True),
)


@given(written=_WRITTEN, country_code=st.sampled_from(["62", "1", "39", "44", "358", "999"]))
@example(written="+0812345", country_code="62")
@example(written="000812345", country_code="62")
def test_a_normal_form_is_digits_and_its_own_normal_form(written: str, country_code: str) -> None:
    try:
        normal = normalise(written, country_code)
    except Rejected:
        return
    assert 3 <= len(normal) <= 15
    assert normal.isascii()
    assert normal.isdigit()
    assert not normal.startswith("0")
    assert normalise(normal, country_code) == normal
    assert normalise(f"+{normal}", country_code) == normal
    assert normalise(f"00{normal}", country_code) == normal


@pytest.mark.parametrize(
    ("written", "normal"), [("0871", "62871"), ("62871", "62871"), ("0062871", "62871"), ("0", "62")]
)
def test_a_prefix_is_stored_as_the_number_begins(written: str, normal: str) -> None:
    assert prefix(written, "62") == normal


def test_a_trunk_zero_in_parentheses_is_not_part_of_an_international_number() -> None:
    for written in ("+62 (0)812-3456-7890", "0062 (0) 81234567890".replace(" (0) ", "(0)"), "+62(0)81234567890"):
        assert normalise(written, "62") == "6281234567890"


@pytest.mark.parametrize(
    ("written", "country_code", "normal"),
    [
        ("0871", "62", "62871"),
        ("62871", "62", "62871"),
        ("620871", "62", "62871"),
        ("0062871", "62", "62871"),
        ("06", "39", "3906"),
        ("3906", "39", "3906"),
        ("0171", "49", "49171"),
        ("0620", "36", "3620"),
        ("20", "45", "20"),
        ("81", "65", "81"),
        ("1415", "1", "1415"),
        ("0901", "999", "999901"),  # a country code that nobody has
    ],
)
def test_a_prefix_follows_the_rules_of_a_number(written: str, country_code: str, normal: str) -> None:
    assert prefix(written, country_code) == normal
