"""Who gets which message, and when its time is over: without sockets, on a clock that the test moves."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from otpbroker.messaging.wire.broker_frames import Settlement
from otpbroker.relay.channel import Held
from otpbroker.relay.exchange import Exchange
from otpbroker.relay.metrics import Metrics
from otpbroker.relay.settings import Limits


@dataclass(eq=False)
class Taker:
    user: str
    room: int = 10
    taken: list[Held] = field(default_factory=list)

    def give(self, held: Held) -> None:
        self.room -= 1
        self.taken.append(held)

    @property
    def bodies(self) -> str:
        return b"".join(held.body for held in self.taken).decode()


class Desk:
    """An exchange with a clock, and what publishers were told."""

    def __init__(self, *, broadcast: bool = False, **limits: Any) -> None:
        self.now = 1000.0
        self.metrics = Metrics()
        names = frozenset({"sms"}) if broadcast else frozenset()
        self.exchange = Exchange(Limits(**limits), names, self.metrics, lambda: self.now)
        self.told: list[tuple[str, str, str]] = []

    def publish(self, *bodies: str, life: float = 300, channel: str = "sms") -> list[str]:
        return [self.exchange.publish(self.held(body, life, channel)) for body in bodies]

    def held(self, body: str, life: float = 300, channel: str = "sms") -> Held:
        def tell(verdict: Settlement, reason: str) -> None:
            self.told.append((body, verdict.value, reason))

        return Held(f"id-{body}", channel, body.encode(), self.now + life, 0.0, tell)

    def join(self, user: str, room: int = 10) -> Taker:
        taker = Taker(user, room)
        self.exchange.attach("sms", taker)
        return taker

    def pass_time(self, seconds: float) -> None:
        """As the relay does: a tick when one is due."""
        end = self.now + seconds
        while self.exchange.due is not None and self.exchange.due <= end:
            self.now = max(self.now, self.exchange.due)
            self.exchange.tick()
        self.now = end


def test_what_waits_goes_to_the_first_who_comes_in_its_order() -> None:
    desk = Desk()
    desk.publish("a", "b", "c")
    assert desk.join("one", 2).bodies == "ab"
    assert desk.join("two").bodies == "c"


def test_consumers_take_turns_and_a_full_one_is_passed_over() -> None:
    desk = Desk()
    one, two, three = desk.join("one"), desk.join("two", 1), desk.join("three")
    desk.publish(*"abcdefg")
    assert (one.bodies, two.bodies, three.bodies) == ("adf", "b", "ceg")


def test_a_message_that_nobody_took_in_time_is_told_as_expired() -> None:
    desk = Desk()
    desk.publish("a", life=10)
    desk.publish("b", life=20)
    desk.pass_time(10)
    assert desk.told == [("a", "expired", "nobody-came")]
    assert desk.join("one").bodies == "b"
    assert desk.exchange.held == 1


def test_one_that_is_taken_does_not_expire_here() -> None:
    desk = Desk()
    desk.join("one")
    desk.publish("a", life=10)
    desk.pass_time(100)
    assert desk.told == []


def test_one_that_its_consumer_never_settles_has_an_unknown_end_a_quarter_of_an_hour_later() -> None:
    desk = Desk(octets=1024 * 1024)
    silent = desk.join("silent", 1)
    desk.publish("a" * 1000_000, life=10)
    assert desk.publish("b" * 100_000) == ["memory-full"]
    desk.pass_time(10 + 899)
    assert desk.told == []
    desk.pass_time(1)
    assert [told[1:] for told in desk.told] == [("unknown", "consumer-silent")]
    assert desk.exchange.held == 0
    assert desk.publish("b" * 100_000, "c", life=5000) == ["", ""], "the room that it took is free again"
    assert len(silent.taken) == 1, "its place is not"
    ended = silent.taken[0]
    silent.room = 1
    desk.exchange.settle("sms", "silent", ended, Settlement.DONE, "")
    assert [len(held.body) for held in silent.taken] == [0, 100_000], "until it says something"
    desk.exchange.detach("sms", silent, silent.taken)
    assert desk.exchange.held == 2
    assert len(desk.told) == 1, "told once"


def test_a_lost_consumers_messages_wait_for_it_then_go_to_others() -> None:
    desk = Desk(grace=30)
    one = desk.join("one")
    desk.publish("a", "b")
    desk.exchange.detach("sms", one, one.taken)
    two = desk.join("two")
    desk.publish("c")
    assert two.bodies == "c", "what came later does not wait behind them"
    desk.pass_time(29)
    assert two.bodies == "c"
    assert desk.join("one", 1).bodies == "a", "the same user may know its end"
    desk.pass_time(1)
    assert two.bodies == "cb"
    assert [held.attempt for held in two.taken] == [1, 2]


def test_a_lost_consumers_message_whose_time_is_over_has_an_unknown_end() -> None:
    desk = Desk()
    one = desk.join("one")
    desk.publish("a", life=10)
    desk.pass_time(11)
    desk.exchange.detach("sms", one, one.taken)
    assert desk.told == [("a", "unknown", "consumer-lost")]


def test_one_that_nobody_took_after_its_consumer_was_lost_has_an_unknown_end_too() -> None:
    desk = Desk()
    one = desk.join("one")
    desk.publish("a", life=100)
    desk.exchange.detach("sms", one, one.taken)
    desk.pass_time(100)
    assert desk.told == [("a", "unknown", "consumer-lost")]


def test_not_now_goes_to_others_at_once_and_to_the_same_one_after_a_pause() -> None:
    desk = Desk(pause=5)
    one = desk.join("one")
    desk.publish("a")
    held = one.taken[0]
    desk.exchange.settle("sms", "one", held, Settlement.NOT_NOW, "queue-full")
    assert one.bodies == "a"
    desk.pass_time(5)
    assert one.bodies == "aa"
    two = desk.join("two")
    desk.exchange.settle("sms", "one", held, Settlement.NOT_NOW, "queue-full")
    assert two.bodies == "a"
    desk.exchange.settle("sms", "two", held, Settlement.DONE, "")
    assert desk.told == [("a", "done", "")]


def test_a_repeated_id_is_one_message_and_who_said_it_last_hears_its_end() -> None:
    desk = Desk()
    one = desk.join("one")
    lost = desk.held("a")
    lost.tell = lambda *_: pytest.fail("that connection is gone")
    assert [desk.exchange.publish(lost), *desk.publish("a")] == ["", ""]
    assert one.bodies == "a"
    desk.exchange.settle("sms", "one", one.taken[0], Settlement.DONE, "")
    assert desk.told == [("a", "done", "")]


def test_the_end_of_a_message_is_told_again_for_ten_minutes() -> None:
    desk = Desk()
    one = desk.join("one")
    desk.publish("a")
    desk.exchange.settle("sms", "one", one.taken[0], Settlement.REFUSED, "invalid-json")
    desk.pass_time(599)
    assert desk.publish("a") == [""]
    assert desk.told == [("a", "refused", "invalid-json")] * 2
    assert one.bodies == "a"
    desk.pass_time(1)
    desk.publish("a")
    assert one.bodies == "aa", "its consumer knows it by its id"


def test_what_expired_is_taken_again_for_nobody_had_it() -> None:
    desk = Desk()
    desk.publish("a", life=10)
    desk.pass_time(10)
    desk.publish("a")
    assert desk.join("one").bodies == "a"


def test_the_ends_that_are_known_take_bounded_memory() -> None:
    desk = Desk()
    one = desk.join("one", 20_000)
    for number in range(10_001):
        desk.publish(str(number))
        desk.exchange.settle("sms", "one", one.taken.pop(), Settlement.DONE, "")
    desk.publish("0", "1")
    assert one.bodies == "0", "the oldest is forgotten"


def test_limits_of_messages_channels_and_memory() -> None:
    desk = Desk(waiting=2, channels=2, octets=1024 * 1024)
    assert desk.publish("a", "b", "c") == ["", "", "channel-full"]
    assert desk.publish("x", channel="other") == [""]
    assert desk.publish("y", channel="third") == ["too-many-channels"]
    assert desk.publish("z", channel="other", life=0) == ["expired"]
    assert desk.publish("m" * 1024 * 1024, channel="other") == ["memory-full"]
    assert sum(desk.metrics.declined.values()) == 4
    one = desk.join("one")
    for held in tuple(one.taken):
        desk.exchange.settle("sms", "one", held, Settlement.DONE, "")
    desk.exchange.detach("sms", one, [])
    assert desk.publish("y", channel="third") == [""], "a channel that nobody uses is forgotten"


def test_messages_that_nobody_hears_lock_no_consumer_out() -> None:
    desk = Desk(channels=2)
    assert desk.publish("a", channel="answer-1") + desk.publish("b", channel="answer-2") == ["", ""]
    one = desk.join("one")
    assert desk.publish("c") == [""], "a channel with a consumer is not counted"
    assert one.bodies == "c"
    assert desk.publish("d", channel="answer-3") == ["too-many-channels"]


def test_who_has_no_room_on_a_broadcast_channel_misses_it_and_that_is_counted() -> None:
    desk = Desk(broadcast=True)
    desk.join("one")
    desk.join("two", 1)
    desk.publish("a", "b", "c")
    assert "otpbroker_relay_missed_total 2\n" in desk.metrics.text([])


@pytest.mark.parametrize("end", ["settled", "lost", "not now"])
def test_on_a_broadcast_channel_everybody_gets_it_once(end: str) -> None:
    desk = Desk(broadcast=True, octets=1024 * 1024)
    one, two = desk.join("one"), desk.join("two")
    for number in range(1000):
        one.room = two.room = 10
        assert desk.publish(f"{number}-" + "x" * 2000) == [""]
        for taker in (one, two):
            if end != "lost":
                verdict = Settlement.DONE if end == "settled" else Settlement.NOT_NOW
                desk.exchange.settle("sms", taker.user, taker.taken[-1], verdict, "")
    desk.exchange.detach("sms", one, one.taken if end == "lost" else [])
    assert len(two.taken) == 1000
    assert desk.exchange.held == 0, "the room that they took is free again"
    assert sum(desk.metrics.ended.values()) == 1000, "each ended once"
    assert {told[1] for told in desk.told} == {"unknown"}
