import numpy as np
import polars as pl
import pytest

from trainwell.base import DataError
from trainwell.data import Table, drop_missing_targets, profile, target_array

N = 120
FEATURE = np.random.default_rng(0).normal(size=N)


def table(**targets: object) -> Table:
    return Table(pl.DataFrame({"x": FEATURE, **targets}), "t.csv")


@pytest.mark.parametrize(
    ("values", "task", "reason"),
    [
        (["a", "b"] * 60, "binary", "words with 2 distinct values"),
        (["a", "b", "c"] * 40, "multiclass", "words with 3 distinct values"),
        ([True, False] * 60, "binary", "true or false"),
        ([0, 7] * 60, "binary", "2 distinct values"),
        ([1.0, 2.0] * 60, "binary", "2 distinct values"),
        ([0, 1, 2, 3] * 30, "multiclass", "if they are a quantity, name the task regression"),
        ([0.0, 1.0, 2.0, 3.0] * 30, "regression", "if they are names of classes, name the task multiclass"),
        (list(range(60)) * 2, "regression", "a number with 60 distinct values (0 to 59)"),
        (FEATURE * 2 + 1, "regression", "a number with 120 distinct values"),
    ],
)
def test_the_task_follows_from_the_target_with_a_reason(values: list, task: str, reason: str) -> None:
    facts = profile(table(y=values), ["y"])[1]
    assert facts.task == task
    assert reason in facts.why_task


def test_few_integers_with_few_rows_each_are_a_quantity() -> None:
    values = list(range(20)) * 2
    small = Table(pl.DataFrame({"x": FEATURE[:40], "y": values}), "t")
    assert profile(small, ["y"])[1].task == "regression"


def test_several_targets_are_labels_if_all_are_0_or_1_and_numbers_else() -> None:
    labels = profile(table(p=[0, 1] * 60, q=[True, False] * 60), ["p", "q"])[1]
    assert (labels.task, labels.classes, labels.class_counts) == ("multilabel", ("p", "q"), (60, 60))
    both = profile(table(p=[0, 1] * 60, q=FEATURE), ["p", "q"])[1]
    assert (both.task, both.classes) == ("regression", ())


def test_classes_are_sorted_in_the_users_own_type_with_their_counts() -> None:
    facts = profile(table(y=[10, 9, 10, 10] * 30), ["y"])[1]
    assert (facts.classes, facts.class_counts) == ((9, 10), (30, 90))
    assert profile(table(y=[True, False] * 60), ["y"])[1].classes == (False, True)
    assert profile(table(y=["b", "a"] * 60), ["y"])[1].classes == ("a", "b")


def test_the_array_for_splitting_is_indices_labels_or_numbers() -> None:
    classes, facts = profile(table(y=["b", "a"] * 60), ["y"])
    assert target_array(classes, facts).tolist() == [1, 0] * 60
    labels, facts = profile(table(p=[0, 1] * 60, q=[True, False] * 60), ["p", "q"])
    assert target_array(labels, facts)[:2].tolist() == [[0, 1], [1, 0]]
    values, facts = profile(table(y=FEATURE), ["y"])
    np.testing.assert_array_equal(target_array(values, facts)[:, 0], FEATURE)


def test_a_class_is_the_same_as_integer_and_as_decimal() -> None:
    kept, facts = profile(table(y=[1, 2, 3] * 40), ["y"])
    later = Table(kept.frame.with_columns(pl.col("y").cast(pl.Float64)), "later")
    assert target_array(later, facts).tolist() == [0, 1, 2] * 40


def test_numbers_written_as_text_can_be_a_regression_target() -> None:
    kept, facts = profile(table(y=[str(v) for v in FEATURE]), ["y"], task="regression")
    np.testing.assert_allclose(target_array(kept, facts)[:, 0], FEATURE)


def test_rows_without_a_target_are_dropped_and_it_is_said() -> None:
    kept, facts = profile(table(y=[None, "a", "b"] * 40), ["y"])
    assert (kept.rows, facts.rows, facts.dropped) == (80, 80, 40)
    assert "40 rows without a target left out." in facts.notes
    values = FEATURE.copy()
    values[[0, 1, 2]] = np.nan, np.inf, -np.inf
    kept, dropped = drop_missing_targets(table(y=values), ["y"])
    assert (kept.rows, dropped) == (N - 3, 3)
    np.testing.assert_array_equal(kept.frame["y"].to_numpy(), FEATURE[3:])


NAMED = pl.DataFrame({"age": [1, 2], "income": [3, 4]})


@pytest.mark.parametrize(
    ("given", "targets", "task", "message"),
    [
        (NAMED, ["incme"], "auto", "No column 'incme' in 't.csv'. Did you mean 'income'? Columns: 'age', 'income'."),
        (NAMED.rename({"age": "5", "income": "2.5"}), ["y"], "auto", "Does the file lack its line of column names?"),
        (NAMED, [], "auto", "Name the column to predict: one of 'age', 'income'."),
        (NAMED, ["age", "age"], "auto", "Target 'age' is named twice"),
        (NAMED, ["age", "income"], "auto", "has no columns but its target"),
        (NAMED.head(1), ["age"], "auto", "'t.csv' has one row (1 sample). Training needs at least 2"),
        (NAMED.with_columns(y=pl.Series([None, 1])), ["y"], "auto", "has one row (1 sample) with a target; 1 lack it."),
        (NAMED.with_columns(y=pl.lit(None, pl.Int64)), ["y"], "auto", "Target 'y' of 't.csv' is missing in all 2 rows"),
        (NAMED.with_columns(y=7), ["y"], "auto", "Target 'y' is constant: all 2 rows are '7'"),
        (NAMED, ["age"], "clasification", "Unknown task 'clasification'. Known: auto, binary"),
        (NAMED, ["age"], "regresion", "Unknown task 'regresion'. Did you mean 'regression'?"),
        (
            NAMED.with_columns(y=pl.Series(["3", "b"])),
            ["y"],
            "regression",
            "target 'y' holds 'b' in row 2. Name the task",
        ),
        (NAMED.with_columns(y=pl.date(2024, 1, pl.col("age"))), ["y"], "auto", "Target 'y' holds dates. Turn it"),
        (NAMED, ["age"], "multilabel", "Task multilabel needs targets that are 0 or 1, but 'age' holds '2'"),
        (NAMED.with_columns(y=pl.Series(["a", "b"])), ["y", "age"], "auto", "but 'y' holds 'a'. Train one network"),
        (
            NAMED.with_columns(y=pl.Series(["a", "b"])),
            ["y", "age"],
            "binary",
            "Task binary needs one target, but 2 are",
        ),
        (
            NAMED.with_columns(y=pl.Series(["a", "b"])),
            ["y"],
            "auto",
            "2 rows or more, but of target 'y' 'a', 'b' have one",
        ),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(
    given: pl.DataFrame, targets: list, task: str, message: str
) -> None:
    with pytest.raises(DataError) as error:
        profile(Table(given, "t.csv"), targets, task=task)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_for_two_classes_refuses_five() -> None:
    with pytest.raises(
        DataError, match="needs 2 classes, but target 'y' has 5: 'a', 'b', 'c', 'd', 'e'. Name the task"
    ):
        profile(table(y=list("abcde") * 24), ["y"], task="binary")


def test_a_class_with_one_row_is_named() -> None:
    with pytest.raises(DataError, match="of target 'y' 'lonely' has one. Add rows of such a class, merge it"):
        profile(table(y=["a"] * (N - 1) + ["lonely"]), ["y"])


def test_a_hundred_thousand_classes_look_like_an_identifier() -> None:
    rows = 100_000
    big = Table(pl.DataFrame({"x": range(rows), "y": [f"c{i}" for i in range(rows)]}), "t")
    with pytest.raises(DataError, match="has 100,000 classes in 100,000 rows: it looks like an identifier or a number"):
        profile(big, ["y"])


def test_a_test_file_without_the_target_is_refused() -> None:
    with pytest.raises(DataError, match="'t.csv' lacks the target 'income'. Did you mean 'incme'"):
        drop_missing_targets(Table(NAMED.rename({"income": "incme"}), "t.csv"), ["income"])
