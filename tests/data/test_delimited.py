"""Oracle: Python's own csv module, and tables small enough to be read by eye."""

import csv
import io

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from trainwell.base import DataError
from trainwell.data.delimited import read_delimited


def rows_of(data: str | bytes) -> list[tuple]:
    return read_delimited(data.encode() if isinstance(data, str) else data, "table.csv").rows()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_each_separator_is_found(separator: str) -> None:
    text = "age,name\n31,Ann\n45,Bob\n".replace(",", separator)
    assert rows_of(text) == [(31, "Ann"), (45, "Bob")]


def test_a_separator_inside_quotes_does_not_count() -> None:
    assert rows_of('a,b\n1,"x; y; z"\n2,"p; q; r"\n') == [(1, "x; y; z"), (2, "p; q; r")]


def test_the_separator_with_which_lines_agree_wins_over_the_one_with_more_fields() -> None:
    assert rows_of("a;b\n1,5;2,25\n3,0;4,75\n") == [(1.5, 2.25), (3.0, 4.75)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_each_encoding_is_read(encoding: str) -> None:
    frame = read_delimited("größe,Straße\n1,Köln\n2,Århus\n".encode(encoding), "t.csv")
    assert frame.columns == ["größe", "Straße"]
    assert frame.rows() == [(1, "Köln"), (2, "Århus")]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_each_kind_of_line_end_is_read(newline: str) -> None:
    assert rows_of("a,b\n1,2\n\n3,4\n".replace("\n", newline)) == [(1, 2), (3, 4)]


def test_words_for_missing_are_null_in_numbers_and_in_text() -> None:
    tokens = ["", "NA", "N/A", "NaN", "null", "None", "?", "-"]
    frame = read_delimited("\n".join(["n,t", "1.5,x", *(f"{token},{token}" for token in tokens)]).encode(), "t.csv")
    assert frame["n"].to_list() == [1.5] + [None] * 8
    assert frame["t"].to_list() == ["x", None, None, None, None, None, "None", None, "-"]


def test_grouped_thousands_and_decimal_commas_are_numbers() -> None:
    assert rows_of('a,b\n"1,234.5","2,000"\n7,"1,000,000"\n') == [(1234.5, 2000.0), (7.0, 1e6)]
    assert rows_of("a;b\n1.234,5;2,000\n7;-0,25\n") == [(1234.5, 2.0), (7.0, -0.25)]


def test_codes_with_leading_zeros_stay_text() -> None:
    assert rows_of("zip,n\n01234,1\n98765,2\n") == [("01234", 1), ("98765", 2)]


def test_quotes_line_ends_in_quotes_and_stray_quotes_are_read() -> None:
    assert rows_of('a,b\n1,"q ""z""\nend"\n') == [(1, 'q "z"\nend')]
    assert rows_of('a,b\n1,5" pipe\n2,"x, y"\n') == [(1, '5" pipe'), (2, "x, y")]


def test_columns_without_a_name_get_one_and_empty_rows_at_the_end_go() -> None:
    frame = read_delimited(b",x\n0,1\n1,\n,\n , \n", "t.csv")
    assert frame.columns == ["unnamed_1", "x"]
    assert frame.rows() == [(0, 1), (1, None)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=8),
            st.integers(0, 99),
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_what_the_csv_module_writes_is_read_back(rows: list[tuple[str, int]], separator: str) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("text", "number"), *((f"x{text}x", number) for text, number in rows)])
    data = written.getvalue().encode()
    if any(ord(c) < 32 and c not in "\t\n\r" for text, _ in rows for c in text):
        return  # control characters make it binary, which has a test of its own
    assert read_delimited(data, "t.csv").rows() == [(f"x{text}x".strip(), number) for text, number in rows]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "'t.csv' is empty"),
        (b" \n\n", "'t.csv' is empty"),
        (b"a,b\n", "'t.csv' has a header but no rows"),
        (b"a,b\n1,2\n3\n", "'t.csv', line 3: 1 field where the header has 2, counting by commas. Mend the line"),
        (b"a;b\n1;2\n\n3;4;5\n", "line 4: 3 fields where the header has 2, counting by semicolons"),
        (b"a,b,a\n1,2,3\n", "Column names must differ, but 'a' names columns 1 and 3 of 't.csv'. Rename one."),
        (b"a b c\n1 2 3\n4 5 6\n", "'t.csv' has one column only, 'a b c': it seems to be separated by spaces. Save it"),
        (b"a:b\n1:2\n4:5\n", "separated by colons"),
        (bytes(range(256)) * 20, "'t.csv' is not text: it holds binary bytes. Export the table"),
        (b"PAR1\x00\x01", "not text but a parquet file: rename it"),
        (b"PK\x03\x04\x00\x00", "a zip or Excel file"),
        (b'a,b\n1,"x\n2,3\n4,5\n', "line 2: a quotation mark opens there and is never closed. Close it."),
    ],
)
def test_text_that_is_no_table_is_refused_with_the_reason(data: bytes, message: str) -> None:
    with pytest.raises(DataError) as error:
        read_delimited(data, "t.csv")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_large_table_equals_what_polars_reads() -> None:
    frame = pl.DataFrame(
        {"i": range(20_000), "f": [i / 7 for i in range(20_000)], "s": [f"s{i % 9}" for i in range(20_000)]}
    )
    assert read_delimited(frame.write_csv().encode(), "t.csv").equals(frame)
