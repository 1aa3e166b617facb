import pytest

from otpbroker.modem.simulator.command_line import (
    CARRIAGE_RETURN,
    END_OF_TEXT,
    AtCommand,
    Entry,
    Kind,
    MalformedLine,
    body_of,
    commands_of,
)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        (b"AT\r", ""),
        (b"at+csq\r", "+csq"),
        (b"\nAT E0 \r", "E0"),
        (b"\x00\xffATI\r", "I"),
        (b"ATX\x08E1\r", "E1"),
        (b"\x08\x08AT\r", ""),
        (b"\r", None),
        (b"hello\r", None),
    ],
)
def test_a_command_line_begins_at_its_prefix(line: bytes, body: str | None) -> None:
    assert body_of(line) == body


@pytest.mark.parametrize(
    ("body", "commands"),
    [
        ("", []),
        ("E0", [("E", Kind.EXECUTE, "0")]),
        ("E0V1", [("E", Kind.EXECUTE, "0"), ("V", Kind.EXECUTE, "1")]),
        ("&F;+cmee=1", [("&F", Kind.EXECUTE, ""), ("+CMEE", Kind.SET, "1")]),
        ("S3=13", [("S3", Kind.SET, "13")]),
        ("S0?", [("S0", Kind.READ, "")]),
        ("+CREG?;+CSQ", [("+CREG", Kind.READ, ""), ("+CSQ", Kind.EXECUTE, "")]),
        ("+CMGF=?", [("+CMGF", Kind.TEST, "")]),
        ("+CMGF=", [("+CMGF", Kind.SET, "")]),
        ("^ICCID?", [("^ICCID", Kind.READ, "")]),
        ('+CUSD=1,"*1;2#",15;+CSQ', [("+CUSD", Kind.SET, '1,"*1;2#",15'), ("+CSQ", Kind.EXECUTE, "")]),
    ],
)
def test_a_line_holds_several_commands(body: str, commands: list[tuple[str, Kind, str]]) -> None:
    assert list(commands_of(body)) == [AtCommand(*command) for command in commands]


@pytest.mark.parametrize("body", ['+CSCA="+62811', "+", "=1", "+CSQ!?x y"])
def test_what_is_no_command_is_malformed(body: str) -> None:
    with pytest.raises(MalformedLine):
        list(commands_of(body))


def test_commands_before_a_malformed_one_are_given_out() -> None:
    commands = commands_of("E0;=")

    assert next(commands).name == "E"
    with pytest.raises(MalformedLine):
        next(commands)


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("", ()),
        ("1", ("1",)),
        ("2,1,0,1,0", ("2", "1", "0", "1", "0")),
        ('"SC",2', ("SC", "2")),
        ("1,", ("1", "")),
        (",,3", ("", "", "3")),
        ('1, "*1,2#" ,15', ("1", "*1,2#", "15")),
    ],
)
def test_values_stand_between_commas(argument: str, values: tuple[str, ...]) -> None:
    assert AtCommand("+X", Kind.SET, argument).values == values


def test_an_entry_gives_each_octet_once_for_the_echo() -> None:
    entry = Entry()
    entry.type(b"A")
    assert entry.advance(CARRIAGE_RETURN) == (b"A", None)
    entry.type(b"T\rAT")
    assert entry.advance(CARRIAGE_RETURN) == (b"T\r", b"AT\r")
    assert entry.advance(CARRIAGE_RETURN) == (b"AT", None)


def test_a_text_ends_at_control_z_or_escape_whichever_is_first() -> None:
    entry = Entry()
    entry.type(b"00\r01\x1bAB\x1a")

    assert entry.advance(END_OF_TEXT)[1] == b"00\r01\x1b"
    assert entry.advance(END_OF_TEXT)[1] == b"AB\x1a"


def test_an_overrun_loses_what_was_typed_and_then_goes_on() -> None:
    entry = Entry()
    for _ in range(100):
        entry.type(b"A" * 1024)
    entry.type(b"B" * 60_000)
    assert len(entry) <= 64 * 1024

    entry.clear()
    entry.type(b"AT\r")
    assert entry.advance(CARRIAGE_RETURN)[1] == b"AT\r"
