import numpy as np
import polars as pl
import pytest

from trainwell.data.dates import date_format
from trainwell.data.values import booleans, instants, numbers, words


def test_a_number_has_one_name_whatever_its_type() -> None:
    assert words(pl.Series([1, 20])).to_list() == ["1", "20"]
    assert words(pl.Series([1.0, 20.5, None])).to_list() == ["1", "20.5", None]
    assert words(pl.Series([" 1", "?", None])).to_list() == ["1", None, None]
    assert words(pl.Series([True, False])).to_list() == ["true", "false"]


def test_numbers_in_text_are_read_and_other_words_are_bad() -> None:
    read = numbers(pl.Series(["1", " 2.5 ", "-", "abc", None, "inf", "gone"]), tokens=["gone"])
    np.testing.assert_array_equal(read.values, [1, 2.5, np.nan, np.nan, np.nan, np.inf, np.nan])
    assert read.bad.tolist() == [False, False, False, True, False, False, False]


def test_dates_are_no_numbers_and_numbers_no_dates() -> None:
    dates = pl.Series(["2024-01-02"]).str.to_date()
    assert numbers(dates).bad.all()
    assert instants(pl.Series([1.0, None]), "").bad.tolist() == [True, False]
    assert booleans(dates).bad.all()


@pytest.mark.parametrize("yes", ["true", "Yes", "Y", "T", "1", "ON"])
def test_words_for_yes_and_no_are_read_without_regard_to_case(yes: str) -> None:
    no = {"true": "FALSE", "Yes": "nO", "Y": "n", "T": "F", "1": "0", "ON": "off"}[yes]
    read = booleans(pl.Series([yes, no, "", "perhaps"]))
    np.testing.assert_array_equal(read.values, [1, 0, np.nan, np.nan])
    assert read.bad.tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["2024-01-31", "2023-12-01"], "2024-01-31T00:00"),
        (["31.12.2023", "01.02.2024"], "2023-12-31T00:00"),
        (["12/31/2023", "01/02/2024"], "2023-12-31T00:00"),
        (["31/12/2023", "01/02/2024"], "2023-12-31T00:00"),
        (["1/2/24", "12/31/23"], "2024-01-02T00:00"),
        (["2024-01-31 23:59", "2024-02-01 00:00"], "2024-01-31T23:59"),
        (["2024-01-31T23:59:30", "2024-02-01T00:00:00.250"], "2024-01-31T23:59:30"),
        (["2024-01-31T23:59:30Z", "2024-02-01T00:00:00+02:00"], "2024-01-31T23:59:30"),
        (["Jan 31, 2024", "Feb 1, 2024"], "2024-01-31T00:00"),
        (["3 Jan 2024", "14 Feb 2023"], "2024-01-03T00:00"),
    ],
)
def test_each_way_of_writing_dates_is_found(texts: list[str], first: str) -> None:
    form = date_format(pl.Series(texts))
    read = instants(pl.Series([*texts, None, "never"]), form)
    assert read.values[0] == np.datetime64(first, "us")
    assert read.bad.tolist() == [False] * (len(texts) + 1) + [True]


@pytest.mark.parametrize("texts", [["12.5", "1.25"], ["a", "b"], ["2024-01-31", "soon"], ["1-2", "3-4"], []])
def test_what_is_no_date_has_no_format(texts: list[str]) -> None:
    assert date_format(pl.Series(texts, dtype=pl.String)) == ""
