import json

import numpy as np
import polars as pl
import pytest

from trainwell.base import DataError
from trainwell.data import Table, profile, read_table

RANDOM = np.random.default_rng(0)
N = 400
X = RANDOM.normal(size=N)
Y = RANDOM.normal(size=N)
CLASSES = RANDOM.choice(["p", "q", "r"], N)


def facts_of(**columns: object):
    return profile(Table(pl.DataFrame(columns), "t.csv"), ["y"])[1]


def test_facts_are_plain_json_values_with_every_column() -> None:
    facts = profile(read_table("adult"), ["income"])[1]
    tree = json.loads(json.dumps(facts.as_dict(), allow_nan=False))
    assert [column["name"] for column in tree["features"]] == read_table("adult").frame.columns[:-1]
    assert tree["class_counts"] == [24720, 7841]
    kinds = {column.name: column.kind for column in facts.features}
    assert [name for name, kind in kinds.items() if kind == "number"] == [
        "age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week",
    ]  # fmt: skip
    assert {kind for kind in kinds.values()} == {"number", "category"}
    assert facts.duplicates == 24  # as pandas' duplicated() counts them
    assert facts.leaks == ()


def test_a_user_can_name_the_kind_of_a_column() -> None:
    facts = profile(read_table("iris"), ["target"], kinds={"petal_width_(cm)": "category"})[1]
    assert [column.kind for column in facts.features] == ["number", "number", "number", "category"]


def test_the_target_in_other_units_is_a_leak() -> None:
    facts = facts_of(x=X, cents=Y * 100 + 3, opposite=-Y, near=Y + 0.3 * X, y=Y)
    assert facts.leaks == ("cents", "opposite")
    assert any("'cents' has a correlation of 1.0000 with the target 'y'" in note for note in facts.notes)


def test_a_category_that_determines_the_class_is_a_leak() -> None:
    code = {"p": "A", "q": "B", "r": "C"}
    finer = [code[c] + str(i % 4) for i, c in enumerate(CLASSES)]
    noisy = ["A" if i == 0 else code[c] for i, c in enumerate(CLASSES)]
    noisy[0] = "A" if CLASSES[0] != "p" else "B"
    facts = facts_of(x=X, code=[code[c] for c in CLASSES], finer=finer, noisy=noisy, y=CLASSES)
    assert facts.leaks == ("code", "finer")
    assert any(note.startswith("'code' determines the target 'y'. Is it known") for note in facts.notes)


def test_two_classes_are_compared_with_numbers_as_0_and_1() -> None:
    y = np.where(Y > 0, "yes", "no")
    assert facts_of(x=X, copy=(Y > 0) * 5.0 + X * 1e-6, y=y).leaks == ("copy",)


def test_duplicate_rows_are_counted_and_said() -> None:
    facts = facts_of(x=np.append(X[:-3], X[:3]), y=np.append(Y[:-3], Y[:3]))
    assert facts.duplicates == 3
    assert any(note.startswith("3 of 400 rows (0.8%) equal an earlier row") for note in facts.notes)


def test_uneven_classes_and_few_rows_are_said() -> None:
    facts = facts_of(x=X, y=["rare"] * 10 + ["usual"] * (N - 10))
    assert "The classes are uneven: 'rare' has 10 rows, the most frequent one 39 times as many." in facts.notes
    assert any("Only 20 rows" in note for note in facts_of(x=X[:20], y=Y[:20]).notes)


def test_columns_that_cannot_help_are_listed_by_reason() -> None:
    facts = facts_of(x=X, gone=[None] * N, lost=[None] * N, same=[1] * N, limit=np.where(X > 1, np.inf, X), y=Y)
    assert [column.name for column in facts.used] == ["x", "limit"]
    assert "Not used: 'gone', 'lost': all its values are missing." in facts.notes
    assert "Not used: 'same': all its values are equal." in facts.notes
    assert any(note.startswith("'limit': ") and "infinity, treated as missing" in note for note in facts.notes)


def test_a_table_with_no_usable_feature_is_refused_with_the_reasons() -> None:
    with pytest.raises(DataError) as error:
        facts_of(same=[1] * N, gone=[None] * N, y=Y)
    assert "No usable feature is left in 't.csv' ('same': all its values are equal; 'gone': all its" in str(error.value)


def test_numbers_of_any_size_are_described_without_a_warning() -> None:
    facts = facts_of(x=X * 1e300, tiny=X * 1e-310, y=Y)
    assert all(column.used for column in facts.features)
    json.dumps(facts.as_dict(), allow_nan=False)
