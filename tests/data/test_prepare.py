import datetime
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from trainwell.base import DataError
from trainwell.data import (
    Facts,
    InputSpec,
    Preparation,
    PreparationOptions,
    Table,
    fit_preparation,
    load_preparation,
    profile,
    read_table,
    save_preparation,
)
from trainwell.data.scaling import Scaling

RANDOM = np.random.default_rng(0)
N = 300
PLAIN = PreparationOptions(encoding="plain")


def mixed() -> pl.DataFrame:
    """A column of every kind, each with gaps, and many categories in one."""
    gaps = RANDOM.random((8, N)) < 0.1
    start = datetime.datetime(2022, 1, 1)
    columns: dict[str, list] = {
        "number": RANDOM.lognormal(size=N).tolist(),
        "count": RANDOM.integers(0, 3, N).tolist(),
        "yes": RANDOM.choice(["yes", "no"], N).tolist(),
        "colour": RANDOM.choice(["red", "green", "blue"], N).tolist(),
        "town": [f"t{int(i)}" for i in RANDOM.zipf(1.5, N) % 120],
        "when": [(start + datetime.timedelta(hours=int(h))).isoformat() for h in RANDOM.integers(0, 20_000, N)],
        "text": [" ".join(RANDOM.choice(["good", "bad", "fine", "odd", f"w{i}"], 5)) for i in range(N)],
        "infinite": np.where(RANDOM.random(N) < 0.1, np.inf, RANDOM.normal(size=N)).tolist(),
    }
    for gap, name in zip(gaps, columns, strict=True):
        columns[name] = [None if missing else value for missing, value in zip(gap, columns[name], strict=True)]
    return pl.DataFrame({**columns, "y": RANDOM.choice(["a", "b", "c"], N)})


FRAME = mixed()
TABLE, FACTS = profile(Table(FRAME, "train.csv"), ["y"])
ROWS = np.arange(200)
OPTIONS = PreparationOptions(bins=8, one_hot_limit=10)


def prepared(options: PreparationOptions = OPTIONS) -> Preparation:
    return fit_preparation(TABLE, FACTS, ROWS, options)


def single(values: list, *, options: PreparationOptions = PLAIN, kind=None) -> tuple[Preparation, Facts]:
    """A preparation of the one column c."""
    frame = pl.DataFrame({"c": pl.Series(values, strict=False), "y": [0.5 * i for i in range(len(values))]})
    table, facts = profile(Table(frame, "train.csv"), ["y"], kinds={"c": kind} if kind else {})
    return fit_preparation(table, facts, np.arange(table.rows), options), facts


def encode(preparation: Preparation, values: list) -> np.ndarray:
    return preparation.encode(
        Table(pl.DataFrame({"c": pl.Series(values, strict=False)}), "new.csv"), with_target=False
    ).x


def test_every_kind_becomes_finite_numbers_of_the_stated_sizes() -> None:
    assert [column.kind for column in FACTS.features] == [
        "number", "number", "boolean", "category", "category", "datetime", "text", "number",
    ]  # fmt: skip
    preparation = prepared()
    encoded = preparation.encode(TABLE, with_target=True)
    spec = preparation.inputs
    assert encoded.x.shape == (N, spec.dense) and encoded.x.dtype == np.float32
    assert encoded.categories.shape == (N, 1) and encoded.categories.dtype == np.int64
    assert len(preparation.input_names) == len(set(preparation.input_names)) == spec.dense
    assert np.isfinite(encoded.x).all()
    assert 0 <= encoded.categories.min() and encoded.categories.max() < spec.cardinalities[0]
    assert preparation.embedded_names == ("town",)
    assert encoded.y is not None and encoded.y.dtype == np.int64


@pytest.mark.covers("P1")
@pytest.mark.parametrize("scaling", ["robust", "standard"])
def test_numbers_have_mean_0_and_variance_1_over_the_training_rows(scaling: Scaling) -> None:
    frame = pl.DataFrame({"a": RANDOM.normal(7, 300, N), "b": RANDOM.lognormal(0, 2, N), "y": RANDOM.normal(size=N)})
    table, facts = profile(Table(frame, "train.csv"), ["y"])
    x = fit_preparation(table, facts, ROWS, replace(PLAIN, scaling=scaling)).encode(table, with_target=False).x
    np.testing.assert_allclose(x[ROWS].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(x[ROWS].var(axis=0), 1, rtol=1e-5)
    rest = np.setdiff1d(np.arange(N), ROWS)  # which had no say
    assert (np.abs(x[rest].mean(axis=0)) > 1e-4).all()


@pytest.mark.covers("P1")
def test_other_rows_change_nothing_in_the_preparation() -> None:
    others = np.setdiff1d(np.arange(N), ROWS)
    changed = FRAME.with_row_index().with_columns(
        pl.when(pl.col("index").is_in(others)).then(pl.col("number") * 1000 - 7).otherwise("number").alias("number"),
        pl.when(pl.col("index").is_in(others)).then(pl.lit("violet")).otherwise("colour").alias("colour"),
        pl.when(pl.col("index").is_in(others)).then(pl.lit(None)).otherwise("town").alias("town"),
        pl.when(pl.col("index").is_in(others)).then(pl.lit("other words")).otherwise("text").alias("text"),
    ).drop("index")  # fmt: skip
    table, facts = profile(Table(changed, "train.csv"), ["y"])
    again = fit_preparation(table, facts, ROWS, OPTIONS)
    probe = Table(FRAME, "probe")
    a, b = prepared().encode(probe, with_target=True), again.encode(probe, with_target=True)
    assert a.x.tobytes() == b.x.tobytes()
    assert a.categories.tobytes() == b.categories.tobytes()


def test_a_row_is_encoded_alike_alone_and_among_others() -> None:
    preparation = prepared()
    together = preparation.encode(TABLE, with_target=True)
    for row in range(0, N, 7):
        alone = preparation.encode(Table(TABLE.frame[row : row + 1], "one"), with_target=True)
        assert alone.x.tobytes() == together.x[row : row + 1].tobytes()
        assert alone.categories.tobytes() == together.categories[row : row + 1].tobytes()


def test_blocks_of_rows_are_joined_in_order() -> None:
    preparation = prepared()
    tall = Table(pl.concat([FRAME] * 300), "tall")
    encoded, once = preparation.encode(tall, with_target=True), preparation.encode(Table(FRAME, "t"), with_target=True)
    np.testing.assert_array_equal(encoded.x.reshape(300, N, -1), np.broadcast_to(once.x, (300, *once.x.shape)))
    assert encoded.y is not None and once.y is not None
    np.testing.assert_array_equal(encoded.y, np.tile(once.y, 300))


def test_saved_and_loaded_it_encodes_to_the_same_bytes(tmp_path: Path) -> None:
    preparation = prepared()
    save_preparation(preparation, tmp_path)
    loaded = load_preparation(tmp_path)
    a, b = preparation.encode(TABLE, with_target=True), loaded.encode(TABLE, with_target=True)
    assert a.x.tobytes() == b.x.tobytes()
    assert a.categories.tobytes() == b.categories.tobytes()
    assert a.y is not None and b.y is not None and a.y.tobytes() == b.y.tobytes()
    assert (loaded.inputs, loaded.input_names, loaded.classes) == (
        preparation.inputs,
        preparation.input_names,
        ("a", "b", "c"),
    )
    assert loaded.options == preparation.options


def test_a_missing_number_is_the_median_of_training_and_is_marked() -> None:
    preparation, _ = single([1.0, 2.0, 4.0, 5.0, None])
    x = encode(preparation, [None, 3.0, float("inf")])
    assert preparation.input_names == ("c", "c is missing")
    assert x[0, 0] == x[1, 0] == x[2, 0]
    assert x[:, 1].tolist() == [1, 0, 1]


def test_a_number_without_gaps_in_training_has_no_mark() -> None:
    preparation, _ = single([1.0, 2.0, 4.0, 5.0])
    assert preparation.input_names == ("c",)
    assert np.isfinite(encode(preparation, [None])).all()


def test_bins_stand_beside_the_plain_number_unless_it_has_few_values() -> None:
    options = PreparationOptions(bins=4)
    wide, _ = single([float(i) for i in range(100)], options=options)
    assert wide.input_names[0] == "c" and len(wide.input_names) == 5
    np.testing.assert_allclose(encode(wide, [99 / 2])[0, 1:], [1, 1, 0, 0], atol=1e-6)
    few, _ = single([1.0, 2.0, 3.0] * 20, options=options)
    assert few.input_names == ("c",)


def test_seen_and_unseen_categories_one_hot() -> None:
    preparation, _ = single(["a", "b", "a", None] * 5)
    assert preparation.input_names == ("c = a", "c = b", "c is missing")
    assert encode(preparation, ["b", "z", None, " a "]).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]
    unmarked, _ = single(["a", "b", "a"] * 5)
    assert encode(unmarked, [None]).tolist() == [[0, 0]]


def test_many_categories_become_an_index_whose_0_is_rare_or_unseen() -> None:
    values = [f"c{i}" for i in range(20)] * 2 + ["once", None]
    preparation, _ = single(values, options=PreparationOptions(one_hot_limit=5))
    assert preparation.inputs == InputSpec(0, (22,))
    table = Table(pl.DataFrame({"c": ["c0", "c9", "once", "never", None]}), "new")
    codes = preparation.encode(table, with_target=False).categories[:, 0].tolist()
    assert codes == [1, 20, 0, 0, 21]


def test_the_most_frequent_thousand_of_many_categories_are_kept() -> None:
    values = [f"c{i}" for i in range(1500) for _ in range(3 if i < 1000 else 2)]
    preparation, _ = single(values)
    assert preparation.inputs.cardinalities == (1001,)
    new = Table(pl.DataFrame({"c": ["c999", "c1000"]}), "new")
    codes = preparation.encode(new, with_target=False).categories[:, 0]
    assert codes[0] > 0 and codes[1] == 0


def test_a_category_is_found_again_as_number_or_text() -> None:
    preparation, _ = single([1, 2, 3] * 5, kind="category")
    for values in ([2], [2.0], ["2"]):
        assert encode(preparation, values).tolist() == [[0, 1, 0]]
    codes, _ = single(["1.50", "2", "x"] * 5)
    assert encode(codes, [1.5]).tolist() == [[1, 0, 0]]
    assert encode(codes, ["1.50"]).tolist() == [[1, 0, 0]]


def test_booleans_are_0_and_1_and_the_share_of_training_where_missing() -> None:
    preparation, _ = single(["yes", "no", "no", "no"] * 5)
    assert encode(preparation, ["YES", "no", None, "perhaps"])[:, 0].tolist() == [1, 0, 0.25, 0.25]


def test_dates_have_their_calendar_parts_as_sine_and_cosine() -> None:
    days = [datetime.date(2023, 1, 1) + datetime.timedelta(days=i) for i in range(730)]
    preparation, _ = single([day.isoformat() for day in days])
    x = encode(preparation, ["2024-04-01", None])
    value = dict(zip(preparation.input_names, x[0].tolist(), strict=True))
    angle = {"month": 3 / 12, "day": 0 / 31, "weekday": 0 / 7}  # April; the first; a Monday
    for part, turn in angle.items():
        assert value[f"c {part} sine"] == pytest.approx(np.sin(2 * np.pi * turn), abs=1e-6)
        assert value[f"c {part} cosine"] == pytest.approx(np.cos(2 * np.pi * turn), abs=1e-6)
    assert "c time sine" not in value
    assert np.isfinite(x[1]).all()


def test_a_date_by_type_and_one_by_text_are_the_same() -> None:
    texts = [f"2023-{month:02d}-{day:02d} 0{day % 10}:30" for month in range(1, 13) for day in range(1, 28)]
    preparation, _ = single(texts)
    typed = [datetime.datetime.fromisoformat(text) for text in texts]
    np.testing.assert_array_equal(encode(preparation, texts), encode(preparation, typed))


def test_words_of_a_text_are_hashed_and_counted() -> None:
    texts = [f"the {a} of day {i}" for i, a in enumerate(["good end", "bad start", "rather long middle"] * 20)]
    preparation, facts = single(texts)
    assert facts.features[0].kind == "text"
    x = encode(preparation, ["good end", "end good", "something else altogether", None])
    bag = x[:, -128:]
    np.testing.assert_allclose(np.linalg.norm(bag, axis=1), [1, 1, 1, 0], rtol=1e-6)
    np.testing.assert_array_equal(x[0], x[1])
    assert x[2, 1] > x[0, 1]  # more words


def test_regression_targets_are_standardised_by_the_training_rows_and_decoded() -> None:
    frame = pl.DataFrame({"x": RANDOM.normal(size=100), "p": RANDOM.normal(50, 9, 100), "q": RANDOM.normal(size=100)})
    table, facts = profile(Table(frame, "t"), ["p", "q"])
    preparation = fit_preparation(table, facts, np.arange(60), PLAIN)
    y = preparation.encode(table, with_target=True).y
    assert y is not None and y.dtype == np.float32
    np.testing.assert_allclose(y[:60].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(y[:60].std(axis=0), 1, atol=1e-6)
    decoded = preparation.decode(y)
    assert decoded.columns == ["p", "q"]
    np.testing.assert_allclose(decoded.to_numpy(), frame.select("p", "q").to_numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("labels", [["no", "yes"], [3, 8], [False, True], [0.5, 1.5]])
def test_labels_come_back_in_the_users_own_type(labels: list, tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": RANDOM.normal(size=40), "y": [labels[1], labels[0]] * 20})
    table, facts = profile(Table(frame, "t"), ["y"])
    preparation = fit_preparation(table, facts, np.arange(40), PLAIN)
    save_preparation(preparation, tmp_path)
    for each in (preparation, load_preparation(tmp_path)):
        y = each.encode(table, with_target=True).y
        assert y is not None and y.tolist() == [1, 0] * 20
        assert each.decode(y).equals(frame.select("y"))
        assert each.classes == tuple(labels) and type(each.classes[0]) is type(labels[0])


@pytest.mark.parametrize("kind", [pl.Int64, pl.Boolean])
def test_several_labels_are_0_and_1_columns(kind: type[pl.DataType]) -> None:
    columns = {name: pl.Series(RANDOM.integers(0, 2, 40)).cast(kind) for name in ("p", "q", "r")}
    frame = pl.DataFrame({"x": RANDOM.normal(size=40), **columns})
    table, facts = profile(Table(frame, "t"), ["p", "q", "r"])
    preparation = fit_preparation(table, facts, np.arange(40), PLAIN)
    y = preparation.encode(table, with_target=True).y
    assert y is not None and y.shape == (40, 3) and y.dtype == np.float32
    assert preparation.decode(y).equals(frame.select("p", "q", "r"))


NEW = FRAME.head(3)
SOON = NEW.with_columns(when=pl.Series(["soon", None, None]))


@pytest.mark.parametrize(
    ("new", "with_target", "message"),
    [
        (
            NEW.rename({"number": "Numbr"}),
            False,
            "'new.csv' lacks the column 'number', which the network was trained on. Did you mean 'Numbr'? Add it",
        ),
        (NEW.drop("number", "town"), False, "lacks the column 'number' (and 1 more)"),
        (
            NEW.with_columns(number=pl.Series(["1", "2", "abc"])),
            False,
            "Column 'number' of 'new.csv' must be a number, as in training, but row 3 holds 'abc'. Mend",
        ),
        (SOON, False, "must be a date written as %Y-%m-%dT%H:%M:%S, as in training, but row 1 holds 'soon'"),
        (NEW.with_columns(when=pl.Series([1, 2, 3])), False, "but row 1 holds '1'"),
        (
            NEW.with_columns(yes=pl.date(2024, 1, 1)),
            False,
            "Column 'yes' of 'new.csv' must be yes or no, as in training",
        ),
        (NEW.drop("y"), True, "lacks the column 'y'"),
        (
            NEW.with_columns(y=pl.Series(["a", "d", "b"])),
            True,
            "Target 'y' of 'new.csv' must be one of the classes in training, but is 'd' in row 2.",
        ),
        (NEW.with_columns(y=pl.Series(["a", None, "b"])), True, "but is missing in row 2. Mend or remove the row."),
    ],
)
def test_new_data_of_another_form_are_refused(new: pl.DataFrame, with_target: bool, message: str) -> None:
    with pytest.raises(DataError) as error:
        prepared().encode(Table(new, "new.csv"), with_target=with_target)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_new_data_may_hold_numbers_as_text_and_other_columns() -> None:
    new = NEW.with_columns(number=pl.Series(["1.5", "?", None]), extra=1)
    x = prepared().encode(Table(new, "new.csv"), with_target=False).x
    same = prepared().encode(Table(NEW.with_columns(number=pl.Series([1.5, None, None])), "n"), with_target=False).x
    np.testing.assert_array_equal(x, same)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=5, max_size=30), st.floats())
def test_any_numbers_become_finite_inputs(values: list[float], new: float) -> None:
    frame = pl.DataFrame(
        {"c": values, "d": [float(i) for i in range(len(values))], "y": [0.5 * i for i in range(len(values))]}
    )
    table, facts = profile(Table(frame.with_columns(pl.col("c").fill_nan(None)), "t"), ["y"], kinds={"c": "number"})
    for scaling in ("robust", "standard"):
        options = PreparationOptions(bins=4, scaling=scaling)
        preparation = fit_preparation(table, facts, np.arange(table.rows), options)
        probe = Table(pl.DataFrame({"c": [new], "d": [new]}), "new")
        assert np.isfinite(preparation.encode(table, with_target=False).x).all()
        if scaling == "robust":
            assert np.isfinite(preparation.encode(probe, with_target=False).x).all()


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match="bins must be 1 or more, but is 0"):
        PreparationOptions(bins=0)
    with pytest.raises(DataError, match="encoding must be plain or piecewise-linear, but is 'quantile'"):
        PreparationOptions(encoding="quantile")  # pyright: ignore[reportArgumentType]


def test_bundled_sets_are_prepared_from_end_to_end() -> None:
    for name, size in (("digits", 10), ("iris", 3), ("breast_cancer", 2), ("diabetes", 0)):
        table, facts = profile(read_table(name), ["target"])
        preparation = fit_preparation(table, facts, np.arange(0, table.rows, 2), PreparationOptions())
        encoded = preparation.encode(table, with_target=True)
        assert len(preparation.classes) == size
        assert np.isfinite(encoded.x).all()


def test_adult_is_read_profiled_and_encoded_quickly() -> None:
    started = time.perf_counter()
    table, facts = profile(read_table("adult"), ["income"])
    encoded = fit_preparation(table, facts, np.arange(26_000), PreparationOptions()).encode(table, with_target=True)
    assert encoded.x.shape[0] == 32_561
    assert time.perf_counter() - started < 3  # 0.4 s on two idle cores; the bound leaves room for busy ones
