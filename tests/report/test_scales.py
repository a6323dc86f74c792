import math

import pytest
from hypothesis import given, settings, strategies as st

from trainwell.report.scales import Axis, fit, log_ticks, round_step

FINITE = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False)
POSITIVE = st.floats(min_value=1e-12, max_value=1e12)


@settings(max_examples=60, deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=8))
def test_every_value_has_its_place_on_a_linear_axis_in_the_order_of_the_values(values: list[float]) -> None:
    scale = fit(Axis(), values)
    places = [scale.place(v) for v in sorted(values)]
    assert all(p is not None and -1e-9 <= p <= 1 + 1e-9 for p in places)
    assert places == sorted(places, key=lambda p: p or 0.0)
    assert all(-1e-6 <= place <= 1 + 1e-6 for place, _ in scale.ticks)


@settings(max_examples=60, deadline=None)
@given(st.lists(POSITIVE, min_size=1, max_size=8))
def test_every_positive_value_has_its_place_on_a_log_axis(values: list[float]) -> None:
    scale = fit(Axis(log=True), values)
    assert all(0 <= (scale.place(v) or 0.0) <= 1 for v in values)
    assert all(-1e-6 <= place <= 1 + 1e-6 for place, _ in scale.ticks)


def test_equal_ratios_are_equal_distances_on_a_log_axis() -> None:
    scale = fit(Axis(log=True), [0.001, 1000.0])
    a, b, c = (scale.place(v) or 0.0 for v in (0.01, 0.1, 1.0))
    assert b - a == pytest.approx(c - b)


def test_zero_stands_below_the_lowest_value_of_a_log_axis_and_is_a_tick() -> None:
    scale = fit(Axis(log=True), [0.0, 1e-4, 0.1])
    zero, lowest = scale.place(0.0), scale.place(1e-4)
    assert zero is not None and lowest is not None and 0 < zero < lowest
    assert scale.ticks[0] == (zero, "0")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("log", [False, True])
def test_what_is_not_finite_has_no_place(value: float, log: bool) -> None:
    assert fit(Axis(log=log), [1.0, 10.0, value]).place(value) is None


def test_given_bounds_are_kept() -> None:
    scale = fit(Axis(low=0, high=1), [0.4, 0.6])
    assert (scale.low, scale.high) == (0, 1)
    assert [text for _, text in scale.ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]


def test_whole_numbers_have_whole_ticks() -> None:
    texts = [text for _, text in fit(Axis(whole=True), [1, 2, 3]).ticks]
    assert texts == ["1", "2", "3"]


def test_a_constant_and_no_value_at_all_still_make_an_axis() -> None:
    assert fit(Axis(), [3.0, 3.0]).place(3.0) == pytest.approx(0.5)
    assert fit(Axis(), []).ticks
    assert fit(Axis(log=True), [0.0]).place(0.0) is not None


def test_names_stand_at_equal_distances() -> None:
    scale = fit(Axis(categories=("a", "b")), [])
    assert [scale.place(v) for v in (0, 1)] == [0.25, 0.75]
    assert scale.ticks == ((0.25, "a"), (0.75, "b"))


def test_steps_are_round_numbers_not_below_what_was_asked_for() -> None:
    for least in (0.0013, 0.3, 2.1, 5.0, 777.0):
        step = round_step(least)
        assert step >= least and f"{step:e}"[0] in "125"


def test_a_log_axis_over_many_decades_thins_its_ticks_out() -> None:
    assert 3 <= len(log_ticks(-12, 9)) <= 8
