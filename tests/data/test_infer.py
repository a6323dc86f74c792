import numpy as np
import polars as pl
import pytest

from trainwell.base import DataError
from trainwell.data.infer import forced_kind, infer_kind

N = 200
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("x", RANDOM.normal(size=N), "number"),
        ("rooms", RANDOM.integers(1, 5, N), "number"),
        ("x", [str(v) for v in RANDOM.normal(size=N)], "number"),
        ("flag", [0.0, 1.0] * 100, "boolean"),
        ("flag", [True, False] * 100, "boolean"),
        ("smoker", ["yes", "No"] * 100, "boolean"),
        ("sex", ["male", "female"] * 100, "category"),
        ("zip", ["01234", "98765"] * 100, "category"),
        ("level", [1, 2, 3] * 50, "number"),
        ("when", ["2024-01-02", "2023-05-06"] * 100, "datetime"),
        ("id", list(range(N)), "identifier"),
        ("customer_id", list(range(7, 7 + 3 * N, 3)), "identifier"),
        ("unnamed_1", list(range(N)), "identifier"),
        ("customerId", list(range(N)), "identifier"),
        ("paid", list(range(N)), "number"),
        ("id", [5, 3, 4] * 50, "number"),
        ("token", [f"a{i}x{i * 7 % 13}" for i in range(N)], "identifier"),
        ("review", [f"this is review number {i} of many" for i in range(N)], "text"),
        ("name", [f"first{i % 40} last" for i in range(N)], "category"),
    ],
)
def test_each_kind_is_recognised_with_a_reason(name: str, values: list, kind: str) -> None:
    found = infer_kind(pl.Series(name, values))
    assert found.kind == kind
    assert found.why


def test_the_reason_tells_why_few_integers_stay_a_number() -> None:
    assert "3 distinct: kept as a quantity" in infer_kind(pl.Series("level", [1, 2, 3] * 50)).why


def test_a_few_odd_words_among_numbers_count_as_missing_and_are_said() -> None:
    values = [str(i / 3) for i in range(100)] + ["unknown", "<0.1"]
    found = infer_kind(pl.Series("x", values))
    assert (found.kind, found.missing_tokens) == ("number", ("<0.1", "unknown"))
    assert "'<0.1', 'unknown' count as missing" in found.note


def test_many_odd_words_make_numbers_a_category() -> None:
    assert infer_kind(pl.Series("x", ["1", "2", "3", "a", "b", "c"] * 10)).kind == "category"


def test_the_user_can_name_another_kind() -> None:
    assert forced_kind(pl.Series("level", [1, 2, 3]), "category").kind == "category"
    assert forced_kind(pl.Series("x", [1.5, 2.5]), "identifier").kind == "identifier"
    assert forced_kind(pl.Series("when", ["01/02/2024"]), "datetime").format == "%m/%d/%Y"


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (
            ["1", "2", "abc"],
            "number",
            "Column 'c' cannot be read as number: row 3 holds 'abc'. Mend the value, or leave",
        ),
        ([1, 0, 2], "boolean", "cannot be read as boolean: row 3 holds '2'"),
        (["yes", "perhaps"], "boolean", "row 2 holds 'perhaps'"),
        (["soon", "2024-01-01"], "datetime", "cannot be read as datetime: row 1 holds 'soon'"),
        ([1.5], "datetime", "cannot be read as datetime: row 1 holds '1.5'"),
    ],
)
def test_a_kind_that_a_column_cannot_be_is_refused_with_the_row(values: list, kind, message: str) -> None:
    with pytest.raises(DataError) as error:
        forced_kind(pl.Series("c", values), kind)
    assert message in str(error.value)
