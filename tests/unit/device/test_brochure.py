"""The sheet of a unit: complete in itself, and everything on it readable whatever it contains."""

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from units import AWKWARD_PASSPHRASE, AWKWARD_SSID, unit

from otpbroker.device.brochure import Value, brochure_svg, brochure_txt

SVG = "{http://www.w3.org/2000/svg}"
LONGEST = unit("W" * 32, "w" * 63)


def words(svg: str) -> str:
    return "\n".join("".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text"))  # noqa: S314


def test_it_tells_all_that_a_unit_has_in_both_languages() -> None:
    made = unit()
    for text in (words(brochure_svg(made)), brochure_txt(made)):
        for told in (made.ssid, made.passphrase, f"{made.admin_url}/setup", made.setup_code, made.reset_code):
            assert told in text
        for word in (
            "OTP Broker",
            "Kata sandi",
            "assword",
            "Kode penyiapan",
            "etup code",
            "Kode reset",
            "eset code",
        ):
            assert word in text


def test_it_is_a6_portrait_and_loads_nothing() -> None:
    svg = brochure_svg(unit())
    root = ET.fromstring(svg)  # noqa: S314 # our own
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("105mm", "148mm", "0 0 105 148")
    assert not re.search(r"href|url\(|@import|<image|<script|<style|<!DOCTYPE", svg)
    assert set(re.findall(r"https?://[^/\"<]+", svg)) == {"http://www.w3.org", "http://192.168.0.11:8888"}


def test_it_needs_no_colour() -> None:
    colours = re.findall(r"#[0-9a-f]{3,6}\b", re.sub(r"setup#\S+", "", brochure_svg(unit())))
    assert all(len(set(colour[1:])) == 1 for colour in colours)


def test_signs_of_markup_stay_signs() -> None:
    text = words(brochure_svg(unit(AWKWARD_SSID, AWKWARD_PASSPHRASE)))
    assert AWKWARD_SSID in text
    assert AWKWARD_PASSPHRASE in text


@pytest.mark.parametrize("length", range(1, 64))
def test_every_value_fits_its_column(length: int) -> None:
    value = Value.fitted("w" * length)
    assert "".join(value.lines) == "w" * length
    assert len(value.lines) <= 3
    assert 2.7 <= value.size <= 4.2
    assert max(map(len, value.lines)) * value.size * 0.602 <= 49


def test_nothing_of_the_longest_values_leaves_the_paper_or_meets_another_line() -> None:
    root = ET.fromstring(brochure_svg(LONGEST))  # noqa: S314
    column = [
        (float(text.get("y", "")), float(text.get("font-size", "")))
        for text in root.findall(f"{SVG}text")
        if text.get("x") == "48"
    ]
    for (upper, _), (lower, size) in pairwise(column):
        assert lower - upper >= size * 0.95
    assert max(y for y, _ in column) < 148
