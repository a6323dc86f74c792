"""What was measured, as tidy rows, and back."""

from pathlib import Path

import polars as pl
import pytest

from trainwell.engine import Record


@pytest.fixture
def record() -> Record:
    record = Record()
    record.add(1, "", "loss", [0, 5], [0.7, 0.6])
    record.add(3, "hidden.0", "gradient-norm", [5], [2.0])
    record.add(3, "output", "gradient-norm", [5], [float("inf")])
    record.add(3, "", "loss", [5], [0.4])
    return record


def test_a_series_has_the_steps_and_values_of_one_member_in_order(record: Record) -> None:
    steps, values = record.series("loss", member=5)
    assert steps.tolist() == [1, 3] and values.tolist() == [0.6, 0.4]
    assert record.series("loss", member=0)[1].tolist() == [0.7]


def test_what_was_never_measured_is_an_empty_series_and_asking_adds_nothing(record: Record) -> None:
    before = record.frame()
    for signal, member, layer in (("loss", 9, ""), ("colour", 5, ""), ("loss", 5, "output")):
        steps, values = record.series(signal, member=member, layer=layer)
        assert len(steps) == len(values) == 0
    assert record.frame().equals(before) and record.members() == [0, 5]


def test_layers_come_from_input_to_output(record: Record) -> None:
    assert record.layers("gradient-norm", member=5) == ["hidden.0", "output"]
    assert record.layers("gradient-norm", member=0) == []


def test_each_value_belongs_to_one_member(record: Record) -> None:
    with pytest.raises(ValueError, match="shorter|longer"):
        record.add(4, "", "loss", [0, 1], [0.1])


def test_a_record_survives_its_file_with_infinite_values(record: Record, tmp_path: Path) -> None:
    record.write(tmp_path / "vitals.parquet")
    frame = pl.read_parquet(tmp_path / "vitals.parquet")
    assert frame.columns == ["step", "member", "layer", "signal", "value"] and len(frame) == 5
    again = Record.from_frame(frame)
    assert again.frame().equals(record.frame())
    assert again.series("gradient-norm", member=5, layer="output")[1].tolist() == [float("inf")]


def test_a_record_goes_on_where_a_table_ends(record: Record) -> None:
    later = Record()
    later.extend(record.frame())
    later.add(5, "", "loss", [5], [0.3])
    assert later.series("loss", member=5)[0].tolist() == [1, 3, 5]


def test_an_empty_record_is_a_table_without_rows() -> None:
    assert Record().frame().shape == (0, 5) and Record().members() == []
