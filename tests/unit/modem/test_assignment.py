"""Who is who, as far as it is known: SIM before stick before socket, and no other SIM than the configured one."""

import pytest
from usb_house import iccid, imsi, section

from otpbroker.config.model import ModemSection
from otpbroker.modem.assignment import SIM_CHANGED, SIM_MOVED, Candidate, assign
from otpbroker.modem.families import Kind
from otpbroker.modem.identity import Identity, same_sim, same_stick

A, B, C = "1-1.1", "1-1.2", "1-1.3"
IMEI_1, IMEI_2 = "356938035643809", "490154203237518"


def modem(socket: str, imei: str = "", sim: int = 0, *, asked: bool = True) -> Candidate:
    who = Identity(imei, iccid(sim), imsi(sim)) if sim else Identity(imei)
    return Candidate(socket, port=f"/dev/{socket}", identity=who, asked=asked)


def places(
    sections: list[ModemSection], candidates: list[Candidate], held: dict[str, str] | None = None
) -> dict[str, str]:
    """Sockets by section; without those that have none."""
    matches = assign(sections, candidates, held or {})
    return {section_id: match.socket for section_id, match in matches.items() if match.socket}


def test_the_sim_decides_before_the_stick_and_the_stick_before_the_socket() -> None:
    wanted = section("a", iccid=iccid(1), imei=IMEI_1, usb=C)
    by_sim, by_stick, by_socket = modem(A, IMEI_2, 1), modem(B, IMEI_1), modem(C)
    assert places([wanted], [by_socket, by_stick, by_sim]) == {"a": A}
    assert places([wanted], [by_socket, by_stick]) == {"a": B}
    assert places([wanted], [by_socket]) == {"a": C}


def test_a_stick_with_another_sim_and_a_socket_with_another_stick_are_not_the_ones() -> None:
    wanted = section("a", iccid=iccid(1), imei=IMEI_1, usb=B)
    assert places([wanted], [modem(A, IMEI_1, 9)]) == {}
    assert places([wanted], [modem(B, IMEI_2)]) == {}
    assert places([wanted], [modem(B, "", 9)]) == {}


def test_whose_sim_is_unknown_waits_until_all_were_asked_and_then_gets_its_stick() -> None:
    wanted = section("a", iccid=iccid(1), imei=IMEI_1)
    stick, other = modem(A, IMEI_1), modem(B, asked=False)
    match = assign([wanted], [stick, other], {})["a"]
    assert (match.socket, match.pending) == ("", True)
    assert places([wanted], [stick, modem(B, IMEI_2, 2)]) == {"a": A}


def test_who_names_no_sim_does_not_wait_for_others() -> None:
    others = [modem(B, asked=False), modem(C, asked=False)]
    assert places([section("a", imei=IMEI_1)], [modem(A, IMEI_1, 3, asked=False), *others]) == {"a": A}
    assert places([section("a", usb=A)], [modem(A, asked=False), *others]) == {"a": A}


def test_a_device_belongs_to_one_modem() -> None:
    by_stick, by_sim = section("a", imei=IMEI_1), section("b", iccid=iccid(1))
    matches = assign([by_stick, by_sim], [modem(A, IMEI_1, 1)], {})
    assert (matches["a"].socket, matches["b"].socket) == ("", A)
    assert matches["a"].problem is not None
    assert str(matches["a"].problem) == f"modem b uses what is in USB socket {A}"


def test_twins_stay_where_they_are() -> None:
    """Two sticks with one IMEI, and nothing else is configured."""
    wanted = section("a", imei=IMEI_1)
    assert places([wanted], [modem(A, IMEI_1), modem(B, IMEI_1)], {"a": B}) == {"a": B}
    assert places([wanted], [modem(A, IMEI_1), modem(B, IMEI_1)], {"a": C}) == {"a": A}


def test_a_twin_goes_to_the_modem_that_names_its_socket_too() -> None:
    first, second = section("a", imei=IMEI_1, usb=A), section("b", imei=IMEI_1, usb=B)
    assert places([first, second], [modem(B, IMEI_1)]) == {"b": B}
    assert places([first, second], [modem(B, IMEI_1), modem(A, IMEI_1)], {"a": B}) == {"a": A, "b": B}


def test_notes_tell_of_sims_that_are_elsewhere() -> None:
    wanted = section("a", iccid=iccid(1), imei=IMEI_1)
    assert assign([wanted], [modem(A, IMEI_2, 1)], {})["a"].notes == (SIM_MOVED,)
    assert assign([wanted], [modem(A, IMEI_1, 1)], {})["a"].notes == ()
    changed = assign([wanted], [modem(A, IMEI_1, 9)], {})["a"]
    assert changed.notes == (SIM_CHANGED,)
    assert changed.problem is not None
    assert changed.problem.code == "sim-changed"


def test_a_path_is_nobodys_to_assign() -> None:
    assert assign([section("a", port="/dev/ttyS0")], [modem(A, IMEI_1)], {}) == {}


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        ([], "no modem has the SIM ...0001 (plug the modem in)"),
        ([modem(A, IMEI_1, 9)], f"the modem in USB socket {A} has another SIM, ...0009"),
        (
            [Candidate(B, Kind.HILINK, asked=True)],
            f"no modem has the SIM ...0001; USB socket {B} has a stick in HiLink",
        ),
        ([Candidate(B, Kind.STORAGE, asked=True)], f"USB socket {B} has a stick that shows itself as a drive"),
        ([Candidate(B, asked=True)], f"the modem in USB socket {B} does not answer"),
        ([modem(B, IMEI_2)], f"USB socket {B} has another modem, IMEI ...7518"),
    ],
)
def test_what_is_there_instead_is_told(candidates: list[Candidate], said: str) -> None:
    problem = assign([section("a", iccid=iccid(1), imei=IMEI_1, usb=B)], candidates, {})["a"].problem
    assert said in str(problem)


def test_no_number_is_told_whole() -> None:
    wanted = section("a", iccid=iccid(1), imei=IMEI_1, usb=A)
    for candidates in ([], [modem(A, IMEI_2, 9)], [modem(B, IMEI_1, 9)]):
        said = str(assign([wanted], candidates, {})["a"].problem)
        assert not any(number in said for number in (iccid(1), iccid(9), IMEI_1, IMEI_2, imsi(9)))


@pytest.mark.parametrize(
    ("configured", "told", "same"),
    [
        ("8962100000000000017", "8962100000000000017", True),
        ("8962100000000000017", "89621000000000000175", True),  # with its check digit
        ("89621000000000000175", "896210000000000001", True),  # a modem that tells 18 digits
        ("8962100000000000017", "8962100000000000025", False),
        ("8962100000000000017", "", None),
    ],
)
def test_modems_tell_more_or_fewer_digits_of_one_iccid(configured: str, told: str, same: bool | None) -> None:
    assert same_sim(section("a", iccid=configured), Identity("", told)) is same


@pytest.mark.parametrize(
    ("told", "same"), [(IMEI_1, True), (IMEI_1[:14] + "07", True), (IMEI_1[:14], True), (IMEI_2, False), ("", None)]
)
def test_fourteen_digits_of_an_imei_count(told: str, same: bool | None) -> None:
    assert same_stick(section("a", imei=IMEI_1), Identity(told)) is same


def test_of_a_sim_that_was_exchanged_nothing_stays_known() -> None:
    known = Identity(IMEI_1, iccid(1), imsi(1))
    assert known.updated(Identity(IMEI_1, iccid(2))) == Identity(IMEI_1, iccid(2), "")
    assert known.updated(Identity("", "", imsi(2))) == Identity(IMEI_1, "", imsi(2))
    assert known.updated(Identity("", iccid(1))) == known
    assert known.updated(Identity()) == known
