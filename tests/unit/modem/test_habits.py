"""What is remembered of a modem beyond its sessions."""

from otpbroker.modem.habits import REPORT_TIME, REPORTS_MISSING, Habits


def asked(habits: Habits, count: int, at: float = 0.0) -> None:
    for _ in range(count):
        habits.asked("m", at)


def test_reports_are_missed_after_twenty_that_had_their_time() -> None:
    habits = Habits()
    asked(habits, REPORTS_MISSING - 1)
    assert not habits.never_reports("m", 30 * 86400)
    habits.asked("m", 1000)
    assert not habits.never_reports("m", 1000 + REPORT_TIME - 1)
    assert habits.never_reports("m", 1000 + REPORT_TIME)
    assert not habits.never_reports("other", 1000 + REPORT_TIME)


def test_later_messages_do_not_put_the_word_off() -> None:
    habits = Habits()
    asked(habits, REPORTS_MISSING)
    asked(habits, 500, at=REPORT_TIME - 1)
    assert habits.never_reports("m", REPORT_TIME)


def test_one_report_is_enough_to_begin_anew() -> None:
    habits = Habits()
    asked(habits, 50)
    habits.reported("m")
    assert not habits.never_reports("m", REPORT_TIME)
    asked(habits, REPORTS_MISSING, at=REPORT_TIME)
    assert habits.never_reports("m", 2 * REPORT_TIME)


def test_a_memory_that_hangs_is_left_alone_longer_each_time() -> None:
    habits = Habits()
    assert not habits.rests("m", 0)
    first = habits.hung("m", 0)
    assert habits.rests("m", first - 1)
    assert not habits.rests("m", first)
    assert 480 <= first <= 720
    assert habits.hung("m", first) > first * 1.3
    assert all(habits.hung("m", 0) <= 6 * 3600 * 1.2 for _ in range(20))
    habits.answered("m")
    assert habits.hung("m", 0) <= 720


def test_modems_without_end_do_not_fill_the_memory() -> None:
    habits = Habits()
    for number in range(5000):
        habits.reported(str(number))
    assert len(habits._known) <= 512
