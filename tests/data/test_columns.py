"""Oracle: scipy.stats for the figures."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from trainwell.base import DataError
from trainwell.data.columns import MOST_CATEGORIES, check_kinds, column_facts

RANDOM = np.random.default_rng(0)


def test_figures_of_a_number_equal_those_of_scipy() -> None:
    values = RANDOM.lognormal(size=500)
    facts = column_facts(pl.Series("x", values), None)
    described = stats.describe(values, ddof=0)
    assert facts.mean == pytest.approx(described.mean)
    assert facts.std == pytest.approx(described.variance**0.5)
    assert (facts.minimum, facts.maximum) == described.minmax
    assert facts.median == pytest.approx(np.median(values))
    assert facts.skew == pytest.approx(described.skewness)
    low, high = np.percentile(values, [25, 75])
    assert facts.outliers == sum(v > high + 3 * (high - low) or v < low - 3 * (high - low) for v in values) > 0


def test_missing_and_infinite_values_are_counted_apart_and_left_out_of_the_figures() -> None:
    facts = column_facts(pl.Series("x", [1.0, 3.0, None, float("inf"), float("-inf"), None]), None)
    assert (facts.missing, facts.infinite, facts.unique, facts.mean) == (2, 2, 2, 2.0)
    assert facts.used
    assert facts.note == "2 rows hold infinity, treated as missing"


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([None, None, None], "all its values are missing"),
        ([2.5, 2.5, 2.5], "all its values are equal"),
        (["a", "a", "a"], "all its values are equal"),
        ([float("inf")] * 3, "all its values are missing; 3 rows hold infinity, treated as missing"),
        ([f"name{i}" for i in range(60)], "an identifier (60 distinct words in 60 rows"),
        (["2024-01-01"] * 3, "all its values are equal"),
    ],
)
def test_a_column_that_cannot_help_is_not_used_and_it_is_said_why(values: list, note: str) -> None:
    facts = column_facts(pl.Series("x", values), None)
    assert not facts.used
    assert facts.note.startswith(note)


def test_one_value_with_gaps_is_used_as_the_gaps_can_tell() -> None:
    facts = column_facts(pl.Series("pool", ["yes", None, "yes"]), None)
    assert facts.used
    assert "whether it is missing" in facts.note


def test_a_hundred_thousand_categories_are_merged_or_seen_as_an_identifier() -> None:
    repeated = column_facts(pl.Series("c", [f"c{i % 100_000}" for i in range(200_000)]), None)
    assert (repeated.kind, repeated.used) == ("category", True)
    assert (
        repeated.note
        == f"100,000 categories: the {MOST_CATEGORIES:,} most frequent are kept, the others merged as rare"
    )
    unique = column_facts(pl.Series("c", [f"c{i}" for i in range(100_000)]), None)
    assert (unique.kind, unique.used) == ("identifier", False)


def test_the_most_frequent_categories_stand_first_and_equal_ones_by_name() -> None:
    facts = column_facts(pl.Series("c", ["b", "a", "c", "c", None, "?"]), None)
    assert facts.top == (("c", 2), ("a", 1), ("b", 1))
    assert facts.missing == 2


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"agee": "number"}, "No column 'agee' to name the kind of. Did you mean 'age'?"),
        ({"age": "numbr"}, "Unknown kind 'numbr' of 'age'. Did you mean 'number'? Known: number, category"),
        ({"y": "number"}, "Column 'y' is the target: its kind follows from the task"),
    ],
)
def test_overrides_name_a_feature_and_a_kind(kinds: dict[str, str], message: str) -> None:
    with pytest.raises(DataError) as error:
        check_kinds(kinds, ("age", "y"), ("y",))
    assert message in str(error.value)
