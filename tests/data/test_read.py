import gzip
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import datasets

from trainwell.base import DataError
from trainwell.data import BUNDLED, read_table

FRAME = pl.DataFrame({"n": [1, 2, None], "f": [1.5, None, 3.25], "s": ["x", None, "z"]})


def test_every_file_type_gives_the_same_table(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    FRAME.write_csv(tmp_path / "t.tsv", separator="\t")
    FRAME.write_parquet(tmp_path / "t.parquet")
    FRAME.write_ipc(tmp_path / "t.feather")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    (tmp_path / "T2.CSV").write_bytes((tmp_path / "t.csv").read_bytes())
    for path in sorted(tmp_path.iterdir()):
        table = read_table(path)
        assert table.frame.equals(FRAME), path.name
        assert table.source == path.name
    assert read_table(str(tmp_path / "t.csv")).frame.equals(FRAME)


def test_files_that_pandas_wrote_are_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1, 2], "s": ["x", None], "c": pd.Categorical(["a", "b"])})
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_feather(tmp_path / "t.feather")
    for path in sorted(tmp_path.iterdir()):
        assert read_table(path).frame.rows() == [(1, "x", "a"), (2, None, "b")]


def test_npz_with_x_and_y_and_with_named_columns(tmp_path: Path) -> None:
    np.savez(tmp_path / "xy.npz", X=np.arange(4.0).reshape(2, 2), y=np.array(["a", "b"]))
    assert read_table(tmp_path / "xy.npz").frame.rows() == [(0.0, 1.0, "a"), (2.0, 3.0, "b")]
    np.savez_compressed(tmp_path / "named.npz", X=np.zeros((2, 1)), y=[1, 2], feature_names=["width"])
    assert read_table(tmp_path / "named.npz").columns == ("width", "target")
    np.savez(tmp_path / "columns.npz", age=[1, 2], word=["a", "b"])
    assert read_table(tmp_path / "columns.npz").frame.rows() == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer", "diabetes"])
def test_a_bundled_set_holds_the_values_of_scikit_learn(name: str) -> None:
    table, reference = read_table(name), getattr(datasets, f"load_{name}")()
    np.testing.assert_array_equal(table.frame.drop("target").to_numpy(), reference.data)
    target = table.frame["target"].to_numpy()
    if name in ("digits", "diabetes"):
        np.testing.assert_array_equal(target, reference.target)
    else:
        assert target.tolist() == [reference.target_names[i] for i in reference.target]


def test_adult_has_the_published_rows_classes_and_missing_values() -> None:
    """Figures: adult.names of the UCI repository (24.08 % above 50K in training) and its count of "?" by column."""
    train, test = read_table("adult").frame, read_table("adult-test").frame
    assert (train.height, test.height, train.width) == (32561, 16281, 15)
    assert (train["income"] == ">50K").sum() == 7841
    assert (test["income"] == ">50K").sum() == 3846
    missing = {name: train[name].null_count() for name in train.columns if train[name].null_count()}
    assert missing == {"workclass": 1836, "occupation": 1843, "native_country": 583}


def test_the_shipped_files_are_small_and_attributed() -> None:
    import trainwell.data as data

    folder = Path(data.__file__).parent / "bundled"
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 1_000_000
    text = (folder / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert all(word in text for word in ("UCI", "Becker", "Kohavi", "1996", "CC BY 4.0", "Changes"))


def test_bundled_names_are_those_of_the_contract() -> None:
    assert set(BUNDLED) == {"digits", "iris", "wine", "breast_cancer", "diabetes", "adult", "adult-test"}


def test_importing_the_layer_imports_nothing_heavy() -> None:
    code = (
        "import sys, trainwell.data; print([m for m in ('pandas', 'pyarrow', 'sklearn', 'torch') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert ran.stdout.strip() == "[]", ran.stderr


class _Booby:
    """Unpickling this would leave a trace."""

    def __reduce__(self) -> tuple:
        return (exec, ("import builtins; builtins.booby = True",))


def bad_files(folder: Path) -> dict[str, bytes]:
    np.savez(folder / "objects.npz", X=np.array([[_Booby()]], dtype=object), y=np.array([1]))
    np.savez(folder / "shapes.npz", a=np.zeros((2, 3)), b=np.zeros(4))
    FRAME.write_parquet(folder / "whole.parquet")
    return {
        "empty.csv": b"",
        "empty.parquet": b"",
        "sheet.xlsx": b"PK",
        "frame.pkl": pickle.dumps([1]),
        "notes.docx": b"x",
        "cut.csv.gz": gzip.compress(b"a,b\n1,2\n" * 100)[:-4],
        "not.csv.gz": b"a,b\n1,2\n",
        "cut.parquet": (folder / "whole.parquet").read_bytes()[:100],
        "junk.feather": b"ARROW1 and then nothing of use",
        "junk.npz": b"PK\x03\x04 and then nothing of use",
        "junk.csv": bytes(range(256)) * 10,
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("whole.parqet", "No such file: '{folder}/whole.parqet'. Did you mean 'whole.parquet'?"),
        ("nothing-like-it.csv", "Bundled data sets: digits, iris"),
        (".", "is a folder. Give a file, for example"),
        ("empty.csv", "'empty.csv' is empty"),
        ("empty.parquet", "'empty.parquet' is empty"),
        (
            "sheet.xlsx",
            "'sheet.xlsx' has an unknown ending '.xlsx'. Known: .csv .tsv .txt .parquet .feather .npz. Export",
        ),
        ("frame.pkl", "Pickles are never loaded, as they can run any code: save the frame as .parquet."),
        ("notes.docx", "has an unknown ending '.docx'. Known: .csv"),
        ("cut.csv.gz", "'cut.csv.gz' is damaged: it does not unzip"),
        ("not.csv.gz", "'not.csv.gz' is damaged: it does not unzip"),
        ("cut.parquet", "'cut.parquet' is no readable parquet file"),
        ("junk.feather", "'junk.feather' is no readable feather (version 2) file"),
        ("junk.npz", "'junk.npz' is no readable .npz file"),
        ("junk.csv", "'junk.csv' is not text"),
        ("objects.npz", "Array 'X' of 'objects.npz' holds Python objects, and pickles are never loaded"),
        ("shapes.npz", "must hold arrays X and y, or one 1-d array a column of equal length. Found: a (2, 3), b (4,)."),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, name: str, message: str) -> None:
    for other, data in bad_files(tmp_path).items():
        (tmp_path / other).write_bytes(data)
    with pytest.raises(DataError) as error:
        read_table(tmp_path / name)
    assert message.format(folder=tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not hasattr(__import__("builtins"), "booby")


def test_a_misspelt_bundled_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(DataError, match="No such file: 'digit'. Did you mean 'digits'?"):
        read_table("digit")
