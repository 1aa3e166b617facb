"""The drawing of a modem's history: steps where a signal was known, gaps where none was."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpbroker.modem.history import Sample
from otpbroker.web.signal_chart import HEIGHT, WIDTH, Chart, Span, draw, height_of

NOW, DAY = 1_800_000_000.0, 86400.0


def ago(hours: float, signal: int | None = None, registration: str = "home") -> Sample:
    return Sample(NOW - hours * 3600, signal, registration, "XL")


def test_steps_from_sample_to_sample_and_on_to_now() -> None:
    chart = draw((ago(24, -113), ago(12, -51), ago(6, -82)), NOW, DAY)
    assert chart == Chart("M0 120H360V0H540V60H720", (), -113, -51)


def test_a_gap_where_nothing_is_known() -> None:
    chart = draw((ago(24, -51), ago(18), ago(12, -51)), NOW, DAY)
    assert chart is not None
    assert chart.path == "M0 0H180M360 0H720"


def test_what_held_before_begins_at_the_edge() -> None:
    chart = draw((ago(48, -51),), NOW, DAY)
    assert chart is not None
    assert chart.path == "M0 0H720"


def test_times_away_from_home_are_marked() -> None:
    chart = draw((ago(24, -71), ago(12, -71, "roaming"), ago(6, None, "searching"), ago(3, -71)), NOW, DAY)
    assert chart is not None
    assert chart.spans == (Span(360, 180, "roaming"), Span(540, 90, "away"))


@pytest.mark.parametrize("samples", [(), (ago(24),), (ago(24, None, ""), ago(3, None, "searching"))])
def test_nothing_to_draw(samples: tuple[Sample, ...]) -> None:
    assert draw(samples, NOW, DAY) is None


def test_signals_beyond_the_scale_stay_in_the_drawing() -> None:
    assert (height_of(-140), height_of(-20)) == (HEIGHT, 0)


@given(
    st.lists(
        st.builds(
            ago,
            st.floats(-1, 30),
            st.none() | st.integers(-150, 0),
            st.sampled_from(["home", "roaming", "searching", ""]),
        ),
        max_size=30,
    )
)
def test_everything_is_inside(samples: list[Sample]) -> None:
    chart = draw(sorted(samples, key=lambda sample: sample.at), NOW, DAY)
    if chart is not None:
        assert re.fullmatch(r"(M[\d.]+ [\d.]+(H[\d.]+|V[\d.]+)*)+", chart.path)
        for step, value in re.findall(r"([MHV])([\d.]+)", chart.path):
            assert float(value) <= (HEIGHT if step == "V" else WIDTH)
        for span in chart.spans:
            assert 0 <= span.x <= span.x + span.width <= WIDTH + 0.1
