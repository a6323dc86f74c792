import math

import pytest
from hypothesis import given, settings, strategies as st

from trainwell.report.words import capital, counted, listed, number, percent, score, seconds, shortened


@settings(max_examples=200, deadline=None)
@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_figure_is_told_to_four_significant_digits(value: float) -> None:
    text = number(value).replace(",", "")
    if "×" in text:
        mantissa, power = text.split("\u202f×\u202f10")
        told = float(f"{mantissa}e{power.translate(str.maketrans('⁻⁰¹²³⁴⁵⁶⁷⁸⁹', '-0123456789'))}")
    else:
        told = float(text)
    assert told == pytest.approx(value, rel=5.1e-4)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99999, "1"),
        (9.9999, "10"),
        (0.00012346, "0.0001235"),
        (999_999.6, "1,000,000"),
        (1e7, "1 × 10⁷"),
        (-0.5, "−0.5"),
        (-1e-9, "−1 × 10⁻⁹"),
        (0, "0"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (None, "–"),
        ("yes", "yes"),
        (True, "True"),
        (123456789, "123,456,789"),
    ],
)
def test_figures_are_written_as_a_reader_wants_them(value: object, text: str) -> None:
    assert number(value).replace("\u202f", " ") == text


def test_a_score_has_four_decimals_where_one_is_the_best_and_four_digits_elsewhere() -> None:
    assert score("accuracy", 0.9) == "0.9000"
    assert score("r2", -0.25) == "−0.2500"
    assert score("r2", -31.4159) == "−31.42"
    assert score("rmse", 12345.678) == "12,346"
    assert score("accuracy", None) == "–"


def test_shares_near_their_ends_keep_the_digits_that_matter() -> None:
    assert [percent(p).replace("\u202f", "") for p in (0.5, 0.9999, 0.0001, 0, 1)] == [
        "50.0%",
        "99.99%",
        "0.01%",
        "0%",
        "100%",
    ]
    assert percent(None) == percent(math.nan) == "–"


def test_durations_name_their_units() -> None:
    assert seconds(3600.0).replace("\u202f", " ") == "1 h"
    assert seconds(None) == "–"


def test_phrases_are_put_together() -> None:
    assert listed([]) == "" and listed(["a"]) == "a" and listed(["a", "b"], last="or") == "a or b"
    assert counted(2, "class", "classes") == "2 classes"
    assert shortened("abc", 3) == "abc" and capital("") == ""
