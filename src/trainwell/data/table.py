"""A table: named columns of equal length, and what to call it in messages. From frames, arrays and lists in memory."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from trainwell.base import DataError


@dataclass(frozen=True)
class Table:
    """Columns as polars holds them; missing values are null, never NaN.

    `source` and the number of the first row, where it is a piece of something larger, name rows in messages.
    """

    frame: pl.DataFrame
    source: str
    first_row: int = 1

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.frame.height

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(self.frame.columns)


def table_from_frame(frame: pl.DataFrame, source: str) -> Table:
    """Columns brought to few types: Int64, Float64, Boolean, String, Date, Datetime; NaN becomes null.

    Raises:
        DataError: no rows, or a column that holds lists, records or objects.
    """
    if not frame.height or not frame.width:
        raise DataError(f"'{source}' has no {'rows' if frame.width else 'columns'}: it needs at least one.")
    return Table(pl.DataFrame([_tidy(column, source) for column in frame]), source)


def _tidy(column: pl.Series, source: str) -> pl.Series:
    kind = column.dtype
    if kind.is_float() or kind.is_decimal():
        return column.cast(pl.Float64).fill_nan(None)
    if kind.is_integer():
        whole = column.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == column.null_count() else column.cast(pl.Float64)
    if kind in (pl.Categorical, pl.Enum, pl.Null):
        return column.cast(pl.String)
    if kind == pl.Duration:
        return column.dt.total_microseconds().cast(pl.Float64).rename(column.name) / 1e6
    if kind == pl.Time:
        return column.cast(pl.Int64).cast(pl.Float64) / 1e9
    if isinstance(kind, pl.Datetime):
        return column.dt.replace_time_zone(None).cast(pl.Datetime("us"))
    if kind in (pl.Boolean, pl.String, pl.Date):
        return column
    raise DataError(
        f"Column '{column.name}' of '{source}' holds {kind}: a column needs one number, word or date a row."
    )


def table_from_arrays(X: Any, y: Any = None, names: Sequence[str] | None = None) -> Table:
    """A table of features X (frame, array (N, D), list of rows, mapping of columns) and y under the name "target".

    A y of several columns becomes "target0", "target1", …; features without names are "x0", "x1", ….
    """
    columns = _columns_of(X, names)
    if y is not None:
        columns += _target_columns(y)
    return table_from_columns(columns, "the given data")


def table_from_columns(columns: Sequence[tuple[str, Any]], source: str) -> Table:
    """A table of named arrays, lists or series of equal length.

    Raises:
        DataError: a name given twice, different lengths, values that are no column.
    """
    for name, times in Counter(name for name, _ in columns).items():
        if times > 1:
            raise DataError(f"Column names must differ, but '{name}' names {times} columns of '{source}'. Rename one.")
    frame = [_series(name, values, source) for name, values in columns]
    lengths = {len(series): series.name for series in frame}
    if len(lengths) > 1:
        (a, first), (b, second) = list(lengths.items())[:2]
        raise DataError(f"Columns must be equally long, but '{first}' has {a} rows and '{second}' {b}. Cut one.")
    return table_from_frame(pl.DataFrame(frame), source)


def is_pandas(value: Any) -> bool:
    """Whether this is a pandas object, found without importing pandas."""
    return type(value).__module__.split(".")[0] == "pandas"


def _columns_of(X: Any, names: Sequence[str] | None) -> list[tuple[str, Any]]:
    if isinstance(X, Table):
        X = X.frame
    if isinstance(X, pl.DataFrame):
        columns = [(column.name, column) for column in X]
    elif isinstance(X, Mapping):
        columns = [(str(name), values) for name, values in X.items()]
    elif is_pandas(X) and hasattr(X, "columns"):
        columns = [(str(name), X.iloc[:, i]) for i, name in enumerate(X.columns)]
    else:
        matrix = _matrix(X)
        columns = [(f"x{i}", matrix[:, i]) for i in range(matrix.shape[1])]
    if names is None:
        return columns
    if len(names) != len(columns):
        raise DataError(f"{len(names)} names are given for {len(columns)} columns. Give one name for each column.")
    return [(str(name), values) for name, (_, values) in zip(names, columns, strict=True)]


def _matrix(X: Any) -> np.ndarray:
    matrix = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    if matrix.ndim < 2:
        raise DataError(
            f"Features must be a table of rows and columns, but have {matrix.ndim} axes. Reshape your data: "
            "X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one row."
        )
    return matrix.reshape(len(matrix), int(np.prod(matrix.shape[1:])))


def _target_columns(y: Any) -> list[tuple[str, Any]]:
    if isinstance(y, pl.Series) or (is_pandas(y) and not hasattr(y, "columns")):
        return [("target", y)]
    if isinstance(y, pl.DataFrame) or is_pandas(y):
        columns = [values for _, values in _columns_of(y, None)]
    else:
        array = np.asarray(y)
        columns = [array] if array.ndim == 1 else list(_matrix(array).T)
    return [("target" if len(columns) == 1 else f"target{i}", values) for i, values in enumerate(columns)]


def _series(name: str, values: Any, source: str) -> pl.Series:
    if isinstance(values, pl.Series):
        return values.rename(name)
    if is_pandas(values):
        values = _from_pandas(values)
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"Column '{name}' of '{source}' must be one value a row, but has the shape {array.shape}.")
    if array.dtype.kind == "O":
        return _from_objects(name, array)
    if array.dtype.kind == "S":
        return pl.Series(name, [value.decode("utf-8", "replace") for value in array])
    if array.dtype.kind == "U":
        return pl.Series(name, array.tolist(), dtype=pl.String)
    if array.dtype.kind in "Mm":
        return pl.Series(name, array.astype(f"{'datetime64' if array.dtype.kind == 'M' else 'timedelta64'}[us]"))
    if array.dtype.kind not in "biuf":
        raise DataError(f"Column '{name}' of '{source}' holds {array.dtype}. Complex data not supported: use numbers.")
    return pl.Series(name, np.ascontiguousarray(array.astype(np.float64) if array.dtype.kind == "f" else array))


def _from_pandas(series: Any) -> np.ndarray:
    """Values of a pandas column; NaN, NaT and NA become None where the type cannot hold them."""
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_localize(None)
    if getattr(series.dtype, "kind", "O") in "biufMm" and isinstance(series.dtype, np.dtype):
        return series.to_numpy()
    missing = series.isna().to_numpy()
    if getattr(series.dtype, "kind", "O") in "biuf" and not missing.any():
        return series.to_numpy(dtype=series.dtype.kind + "8" if series.dtype.kind in "iuf" else bool)
    values = series.to_numpy(dtype=object).copy()
    values[missing] = None
    return values


def _from_objects(name: str, array: np.ndarray) -> pl.Series:
    """Python objects: of one type as that type, numbers together as numbers, anything else as its text."""
    values = [None if value is None or value != value else value for value in array.tolist()]
    types = {type(value) for value in values} - {type(None)}
    if not types or types == {str}:
        return pl.Series(name, values, dtype=pl.String)
    if types == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if all(issubclass(kind, int | np.integer) and kind is not bool for kind in types):
        return pl.Series(name, values, strict=False)
    if all(issubclass(kind, int | float | np.number) for kind in types):
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    if all(kind.__module__ == "datetime" or kind.__name__ == "Timestamp" for kind in types):
        return pl.Series(name, values, strict=False)
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
