"""From wherever it is to a table: files by their ending, bundled names, frames and arrays in memory."""

import gzip
import io
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainwell.base import DataError, did_you_mean
from trainwell.data.bundled import BUNDLED as BUNDLED
from trainwell.data.delimited import read_delimited
from trainwell.data.table import Table, is_pandas, table_from_arrays, table_from_columns, table_from_frame


def read_table(source: Any) -> Table:
    """The table in a file, under a bundled name, or in a frame, mapping of columns or array.

    Raises:
        DataError: nothing there, an ending or type that is not known, or a file that cannot be read.

    >>> read_table("iris").columns[-1]
    'target'
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return BUNDLED[str(source)]() if str(source) in BUNDLED else _read_file(Path(source).expanduser())
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if isinstance(source, pl.DataFrame):
        return table_from_frame(source, "the given frame")
    if isinstance(source, Mapping | np.ndarray | list) or is_pandas(source):
        return table_from_arrays(source)
    known = "a path, a bundled name, a pandas or polars frame, a mapping of columns, or an array"
    raise DataError(f"Data must be {known}, but is of the type {type(source).__name__}. Convert it to one of them.")


def _read_file(path: Path) -> Table:
    source = path.name
    if path.is_dir():
        inside = next((p.name for p in sorted(path.iterdir()) if _reader(p) is not None), None)
        hint = f", for example '{path / inside}'" if inside else f": {' '.join(READERS)}"
        raise DataError(f"'{path}' is a folder. Give a file{hint}.")
    if not path.is_file():
        raise DataError(f"No such file: '{path}'.{_nearest_file(path)}")
    reader = _reader(path)
    if reader is None:
        raise DataError(_unknown_ending(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}. Check its permissions.") from None
    if path.suffix == ".gz" or data.startswith(b"\x1f\x8b"):
        data = _unzipped(data, source)
    if not data:
        raise DataError(f"'{source}' is empty: it needs column names and rows.")
    return reader(data, source)


def _reader(path: Path) -> Callable[[bytes, str], Table] | None:
    name = path.name.lower().removesuffix(".gz")
    return next((reader for ending, reader in READERS.items() if name.endswith(ending)), None)


def _nearest_file(path: Path) -> str:
    folder = path.parent
    here = [p.name for p in folder.iterdir() if _reader(p) is not None] if folder.is_dir() else []
    near = did_you_mean(path.name, [*here, *(BUNDLED if str(folder) == "." else ())])
    return near or f" Bundled data sets: {', '.join(BUNDLED)}."


def _unknown_ending(path: Path) -> str:
    special = {
        ".xlsx": " Export the sheet as .csv.",
        ".xls": " Export the sheet as .csv.",
        ".pkl": " Pickles are never loaded, as they can run any code: save the frame as .parquet.",
        ".pickle": " Pickles are never loaded, as they can run any code: save the frame as .parquet.",
    }
    ending = path.suffix.lower()
    return f"'{path.name}' has an unknown ending '{ending}'. Known: {' '.join(READERS)}.{special.get(ending, '')}"


def _unzipped(data: bytes, source: str) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{source}' is damaged: it does not unzip ({error}). Copy or compress it again.") from None


def read_text(data: bytes, source: str) -> Table:
    """Delimited text."""
    return Table(read_delimited(data, source), source)


def read_parquet(data: bytes, source: str) -> Table:
    """Apache Parquet."""
    return _read_columnar(pl.read_parquet, data, source, "parquet")


def read_feather(data: bytes, source: str) -> Table:
    """Feather version 2 (Arrow IPC)."""
    return _read_columnar(pl.read_ipc, data, source, "feather (version 2)")


def _read_columnar(read: Callable[[Any], pl.DataFrame], data: bytes, source: str, what: str) -> Table:
    try:
        frame = read(io.BytesIO(data))
    except (Exception, pl.exceptions.PanicException) as error:  # whatever a damaged file makes the decoder raise
        raise DataError(f"'{source}' is no readable {what} file ({_first_line(error)}). Write it again.") from None
    return table_from_frame(frame, source)


def read_npz(data: bytes, source: str) -> Table:
    """Arrays X (N, …) and y (N,) or (N, C), or one array a column, under its name. Pickled objects are refused."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: _load_array(archive, name, source) for name in archive.files}
    except DataError:
        raise
    except Exception as error:  # a damaged archive
        raise DataError(f"'{source}' is no readable .npz file ({_first_line(error)}). Write it again.") from None
    if "X" in arrays:
        names = [str(name) for name in arrays["feature_names"]] if "feature_names" in arrays else None
        return Table(table_from_arrays(arrays["X"], arrays.get("y"), names).frame, source)
    if len({array.shape for array in arrays.values()}) != 1 or next(iter(arrays.values())).ndim != 1:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise DataError(
            f"'{source}' must hold arrays X and y, or one 1-d array a column of equal length. Found: {found}."
        )
    return table_from_columns(list(arrays.items()), source)


def _load_array(archive: Any, name: str, source: str) -> np.ndarray:
    try:
        return archive[name]
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise DataError(
            f"Array '{name}' of '{source}' holds Python objects, and pickles are never loaded, as they can run any "
            "code. Save it as numbers or as text (astype(str))."
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0][:120].rstrip(".")


READERS: dict[str, Callable[[bytes, str], Table]] = {
    ".csv": read_text,
    ".tsv": read_text,
    ".txt": read_text,
    ".parquet": read_parquet,
    ".feather": read_feather,
    ".npz": read_npz,
}
