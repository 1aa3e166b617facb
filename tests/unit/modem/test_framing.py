"""Lines and the prompt out of octets."""

import pytest

from otpbroker.modem.framing import LONGEST_LINE, Framer


def lines_of(*pieces: bytes) -> list[str]:
    framer = Framer()
    lines = []
    for piece in pieces:
        framer.feed(piece)
        lines += framer.lines()
    return lines


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\r\r\n"])
def test_any_line_end_ends_a_line_once(end: bytes) -> None:
    assert lines_of(end + b"+CSQ: 1,99" + end, b"OK" + end) == ["+CSQ: 1,99", "OK"]


def test_a_line_without_its_end_is_not_told() -> None:
    assert lines_of(b"\r\nOK") == []
    assert lines_of(b"\r\nO", b"K", b"\r") == ["OK"]


def test_octets_that_are_no_text_are_dropped() -> None:
    assert lines_of(b"\x00\xff+CS\x00Q: 1\x1b\xa0\r\n") == ["+CSQ: 1"]


@pytest.mark.parametrize("size", [LONGEST_LINE + 1, 10 * LONGEST_LINE])
def test_an_overlong_line_vanishes_and_the_next_one_counts(size: int) -> None:
    assert lines_of(b"x" * size, b"x\r\nOK\r\n") == ["OK"]
    assert lines_of(b"x" * size + b"\r\nOK\r\n") == ["OK"]


@pytest.mark.parametrize("tail", [b">", b"> ", b" > ", b"AT+CMGS=5>", b"AT+CMGS=5 > "])
def test_the_prompt_needs_no_line_end(tail: bytes) -> None:
    framer = Framer()
    framer.feed(b"\r\n" + tail)
    assert list(framer.lines()) == []
    assert framer.take_prompt("AT+CMGS=5")
    assert not framer.take_prompt("AT+CMGS=5")


@pytest.mark.parametrize("tail", [b"", b"AT+CMGS=5", b'+CUSD: 1,"a > ', b"x>"])
def test_a_bracket_elsewhere_is_no_prompt(tail: bytes) -> None:
    framer = Framer()
    framer.feed(tail)
    assert not framer.take_prompt("AT+CMGS=5")
