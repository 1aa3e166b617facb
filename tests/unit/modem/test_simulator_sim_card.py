import pytest

from otpbroker.modem.simulator import SimCard
from otpbroker.modem.simulator.replies import AtError, Cme


def refused(code: Cme) -> pytest.RaisesExc[AtError]:
    return pytest.RaisesExc(AtError, check=lambda error: error.code is code)


def test_an_unlocked_card_is_ready() -> None:
    assert SimCard().state == "READY"


def test_a_locked_card_is_ready_after_its_pin_and_until_the_next_power_up() -> None:
    card = SimCard(pin="4711", locked=True)
    assert card.state == "SIM PIN"
    card.verify("4711")
    assert card.state == "READY"
    card.power_up()
    assert card.state == "SIM PIN"


def test_each_wrong_pin_costs_a_try_and_the_right_one_gives_them_back() -> None:
    card = SimCard(pin="4711", locked=True)
    for left in (2, 1):
        with refused(Cme.INCORRECT_PASSWORD):
            card.verify("0000")
        assert card.pin_left == left
    card.verify("4711")
    assert card.pin_left == 3


def test_three_wrong_pins_block_it_even_for_the_right_one() -> None:
    card = SimCard(pin="4711", locked=True)
    for _ in range(3):
        with refused(Cme.INCORRECT_PASSWORD):
            card.verify("0000")
    assert card.state == "SIM PUK"
    with refused(Cme.PUK_REQUIRED):
        card.verify("4711")


def test_the_puk_sets_a_new_pin() -> None:
    card = SimCard(puk="12345678", locked=True, pin_left=0)
    with refused(Cme.INCORRECT_PASSWORD):
        card.unblock("00000000", "1111")
    assert card.puk_left == 9
    card.unblock("12345678", "1111")
    assert (card.state, card.pin, card.puk_left) == ("READY", "1111", 10)


def test_ten_wrong_puks_kill_it() -> None:
    card = SimCard(locked=True, pin_left=0, puk_left=1)
    with refused(Cme.INCORRECT_PASSWORD):
        card.unblock("00000000", "1111")
    with refused(Cme.SIM_FAILURE):
        card.state  # noqa: B018 # the property raises


def test_an_absent_card_says_so() -> None:
    with refused(Cme.SIM_NOT_INSERTED):
        SimCard(absent=True).state  # noqa: B018 # the property raises
