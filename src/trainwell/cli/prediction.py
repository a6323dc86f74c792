"""The work of `predict`: rows in, labels, numbers or probabilities out, as a file or as text."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from trainwell.base import InputError
from trainwell.recipe import load_run

Writer = Callable[[pl.DataFrame, Path], None]


def predict_table(run: Path, data: str, *, proba: bool, out: Path | None) -> None:
    """Predict `data` with the run and write a row for each of its rows.

    Raises:
        InputError: no run, data that does not fit it, or an output of an unknown kind.
    """
    write = None if out is None else _writer(out)
    predictions = load_run(run).table(data, proba=proba)
    if out is None or write is None:
        sys.stdout.write(predictions.write_csv())
        return
    try:
        write(predictions, out)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"--out '{out}' cannot be written: {reason}. Name another file.") from error
    print(out)


def _writer(out: Path) -> Writer:
    if out.suffix.lower() not in WRITERS:
        raise InputError(f"--out '{out}' has an unknown ending '{out.suffix}'. Known: {' '.join(WRITERS)}.")
    if not out.parent.is_dir():
        raise InputError(f"--out '{out}': there is no folder '{out.parent}'. Make it first.")
    return WRITERS[out.suffix.lower()]


def _write_npz(frame: pl.DataFrame, out: Path) -> None:
    """One array a column, under its name; no pickled objects."""
    arrays = {name: np.array(frame[name].to_list()) for name in frame.columns}
    with out.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


WRITERS: dict[str, Writer] = {
    ".csv": lambda frame, out: frame.write_csv(out),
    ".parquet": lambda frame, out: frame.write_parquet(out),
    ".npz": _write_npz,
}
