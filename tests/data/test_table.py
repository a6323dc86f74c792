import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from trainwell.base import DataError
from trainwell.data import Table, read_table, table_from_arrays


def test_pandas_columns_keep_their_values_and_lose_their_kinds_of_missing() -> None:
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "decimal": [1.5, np.nan, np.inf],
            "words": ["a", None, "c"],
            "category": pd.Categorical(["x", "y", None]),
            "yes": [True, False, True],
            "maybe": pd.array([True, None, False], dtype="boolean"),
            "when": pd.to_datetime(["2024-01-02 00:00", None, "2024-03-04 05:06"]),
            "zoned": pd.to_datetime(["2024-01-02", None, "2024-03-04"]).tz_localize("Europe/Berlin"),
            "mixed": [1, "b", None],
            "objects": pd.Series([1, 2.5, None], dtype=object),
            7: [1, 2, 3],
        }
    )
    table = read_table(frame)
    got = table.frame.to_dict(as_series=False)
    assert got["whole"] == [1, None, 3]
    assert got["decimal"] == [1.5, None, np.inf]
    assert got["words"] == ["a", None, "c"]
    assert got["category"] == ["x", "y", None]
    assert got["yes"] == [True, False, True]
    assert got["maybe"] == [True, None, False]
    assert got["when"] == [datetime.datetime(2024, 1, 2), None, datetime.datetime(2024, 3, 4, 5, 6)]
    assert got["zoned"] == [datetime.datetime(2024, 1, 2), None, datetime.datetime(2024, 3, 4)]
    assert got["mixed"] == ["1", "b", None]
    assert got["objects"] == [1.0, 2.5, None]
    assert got["7"] == [1, 2, 3]


def test_polars_columns_are_brought_to_few_types() -> None:
    frame = pl.DataFrame(
        {
            "f": pl.Series([1.5, float("nan")], dtype=pl.Float32),
            "u": pl.Series([1, 2], dtype=pl.UInt8),
            "d": pl.Series([decimal.Decimal("1.25"), None]),
            "c": pl.Series(["a", "b"], dtype=pl.Categorical),
            "span": pl.Series([datetime.timedelta(minutes=1), None]),
            "time": pl.Series([datetime.time(1), datetime.time(2)]),
            "none": [None, None],
        }
    )
    got = read_table(frame.lazy()).frame
    assert got.dtypes == [pl.Float64, pl.Int64, pl.Float64, pl.String, pl.Float64, pl.Float64, pl.String]
    assert got.rows() == [(1.5, 1, 1.25, "a", 60.0, 3600.0, None), (None, 2, None, "b", None, 7200.0, None)]


@pytest.mark.parametrize(
    "given",
    [np.array([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]], sparse.csr_array([[1.0, 2.0], [3.0, 4.0]])],
)
def test_arrays_lists_and_sparse_matrices_become_the_same_table(given: Any) -> None:
    table = table_from_arrays(given, [0, 1])
    assert table.columns == ("x0", "x1", "target")
    assert table.frame.rows() == [(1.0, 2.0, 0), (3.0, 4.0, 1)]


def test_a_mapping_a_table_and_names_are_taken() -> None:
    table = read_table({"a": [1, 2], "b": np.array(["x", "y"])})
    assert table.frame.rows() == [(1, "x"), (2, "y")]
    assert read_table(table) is table
    assert table_from_arrays(table, names=["p", "q"]).columns == ("p", "q")


def test_targets_of_every_form_get_their_names() -> None:
    X = np.zeros((2, 1))
    assert table_from_arrays(X, pd.Series(["a", "b"], name="label")).columns == ("x0", "target")
    assert table_from_arrays(X, np.array([[1], [2]])).columns == ("x0", "target")
    assert table_from_arrays(X, pd.DataFrame({"p": [1, 2], "q": [3, 4]})).columns == ("x0", "target0", "target1")
    assert table_from_arrays(X, pl.Series([True, False])).frame["target"].dtype == pl.Boolean
    assert table_from_arrays(X, np.array([b"a", b"b"])).frame["target"].to_list() == ["a", "b"]


def test_values_with_several_axes_are_flattened_to_one_row_each() -> None:
    table = table_from_arrays(np.arange(12).reshape(3, 2, 2))
    assert table.frame.row(1) == (4, 5, 6, 7)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: table_from_arrays([1, 2, 3]),
            "must be a table of rows and columns, but have 1 axes. Reshape your data",
        ),
        (lambda: table_from_arrays({"target": [1]}, [1]), "Column names must differ, but 'target' names 2 columns"),
        (lambda: table_from_arrays({"a": [1, 2], "b": [1]}), "'a' has 2 rows and 'b' 1. Cut one."),
        (lambda: table_from_arrays(np.zeros((2, 1)), [1, 2, 3]), "'x0' has 2 rows and 'target' 3"),
        (lambda: table_from_arrays(np.zeros((2, 1), complex)), "Complex data not supported"),
        (lambda: table_from_arrays(np.zeros((2, 2)), names=["a"]), "1 names are given for 2 columns"),
        (lambda: table_from_arrays(np.zeros((0, 2))), "has no rows"),
        (lambda: table_from_arrays({"a": np.zeros((2, 2))}), "one value a row, but has the shape (2, 2)"),
        (lambda: read_table(pl.DataFrame({"l": [[1], [2]]})), "Column 'l' of 'the given frame' holds List(Int64)"),
        (lambda: read_table(3.5), "is of the type float. Convert it"),
        (lambda: read_table(pd.DataFrame([[1, 2]], columns=["a", "a"])), "'a' names 2 columns"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(build: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        build()
    assert message in str(error.value)


def test_a_table_knows_its_size() -> None:
    table = Table(pl.DataFrame({"a": [1, 2, 3]}), "t")
    assert (table.rows, table.columns) == (3, ("a",))
