"""What a sample doesn't show is found in the rest of the file, with the rows that show it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trainwell.data.blocks import Blocks
from trainwell.data.scan import open_scan, read_blocks
from trainwell.data.survey import Survey, survey

N = 500
HEAD = Blocks(50, 0.1, 0.99)  # the first 50 rows, and no others


def plain() -> pl.DataFrame:
    i = pl.int_range(N)
    return pl.select(number=i * 0.5, flag=i % 2, day=pl.lit("2024-01-0") + (i % 9 + 1).cast(pl.String), y=i % 3)


def at(column: str, values: dict[int, object], frame: pl.DataFrame | None = None) -> pl.DataFrame:
    frame = plain() if frame is None else frame
    texts = frame[column].cast(pl.String).to_list()
    for row, value in values.items():
        texts[row] = value
    return frame.with_columns(pl.Series(column, texts, pl.String))


def found(folder: Path, frame: pl.DataFrame, name: str = "a.csv", targets: tuple[str, ...] = ("y",)) -> Survey:
    frame.write_csv(folder / name) if name.endswith("csv") else frame.write_parquet(folder / name)
    scan = open_scan(folder / name)
    assert scan is not None
    raw, places = read_blocks(scan, HEAD, 100)
    assert len(places) == 50
    return survey(scan, scan.table(raw, 0), targets, {}, Blocks(50), 100)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_file_like_its_sample_holds_nothing_odd(tmp_path: Path, name: str) -> None:
    seen = found(tmp_path, plain(), name)
    assert (seen.rows, seen.dropped, seen.odd) == (N, 0, ())
    assert seen.labels == {"y": {"0": 167, "1": 167, "2": 166}}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("number", {300: "lots", 310: "few", 400: "1.5e3"}),
        ("flag", {300: "2", 310: "maybe"}),
        ("day", {300: "yesterday", 310: "01/02/2024"}),
    ],
)
def test_values_of_another_kind_are_found_in_late_rows(tmp_path: Path, column: str, values: dict[int, object]) -> None:
    seen = found(tmp_path, at(column, {**values, 450: values[300]}))
    assert seen.odd == (300, 310), "once each, and only what is odd"


def test_of_many_odd_words_as_many_are_kept_as_make_a_column_of_words(tmp_path: Path) -> None:
    seen = found(tmp_path, at("number", {row: f"w{row}" for row in range(200, 300)}))
    assert seen.odd == tuple(range(200, 221))


def test_a_number_other_than_0_and_1_is_found_among_numbers_by_type(tmp_path: Path) -> None:
    frame = plain().with_columns(flag=pl.when(pl.int_range(N) == 333).then(7).otherwise(pl.col("flag")))
    assert found(tmp_path, frame, "a.parquet").odd == (333,)


def test_rare_classes_are_found_with_two_rows_each_and_all_rows_are_counted(tmp_path: Path) -> None:
    frame = at("y", {100: "rare", 200: "rare", 300: "rare", 400: "single"})
    seen = found(tmp_path, frame)
    assert seen.odd == (100, 200, 400)
    assert seen.labels["y"] == {"0": 166, "1": 165, "2": 165, "rare": 3, "single": 1}


def test_a_class_of_which_the_sample_has_one_row_gets_a_second(tmp_path: Path) -> None:
    assert found(tmp_path, at("y", {10: "rare", 100: "rare", 200: "rare"})).odd == (10, 100)


def test_rows_without_a_target_are_counted_in_any_piece(tmp_path: Path) -> None:
    frame = at("y", {row: None for row in [*range(100, 200), 499]})
    seen = found(tmp_path, frame)
    assert (seen.rows, seen.dropped) == (N - 101, 101)
    assert sum(seen.labels["y"].values()) == N - 101


def test_a_target_of_many_values_is_no_set_of_classes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": np.arange(3000.0), "y": np.arange(3000.0)})
    frame.write_parquet(tmp_path / "a.parquet")
    scan = open_scan(tmp_path / "a.parquet")
    assert scan is not None
    raw, _ = read_blocks(scan, Blocks(100, 0.1, 0.5), 100)
    seen = survey(scan, scan.table(raw, 0), ["y"], {}, Blocks(100), 1000)
    assert seen.labels == {"y": {}} and seen.odd == () and seen.rows == 3000
