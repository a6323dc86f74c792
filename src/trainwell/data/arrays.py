"""Encoded rows in files: written piece by piece from Parquet, read by ranges or by memory map, never whole in memory.

A folder holds `x.npy` (N, D), `y.npy` (N,) or (N, C), and `categories.npy` (N, E) where there are embedded columns.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
import torch

from trainwell.base import DataError
from trainwell.data.batches import Samples
from trainwell.data.prepare import Encoded
from trainwell.data.table import Table, table_from_frame

PIECE = 65_536  # rows encoded at once
Encode = Callable[[Table], Encoded]


@dataclass(frozen=True, eq=False)
class Arrays:
    """Rows in a folder of `.npy` files.

    Attributes:
        samples: all rows, over read-only memory maps: what is looked at is loaded, and the system may drop it again.
        files: path and place of the first number of each array, by its name in `samples`.
    """

    samples: Samples
    files: dict[str, tuple[Path, int]]

    @classmethod
    def open(cls, folder: Path) -> "Arrays":
        """The arrays that `to_arrays`, or `numpy.save`, wrote into a folder.

        Raises:
            DataError: a file is missing or damaged, or the files differ in rows.
        """
        files: dict[str, tuple[Path, int]] = {}
        tensors: dict[str, torch.Tensor] = {}
        for name in ("x", "categories", "y"):
            path = folder / f"{name}.npy"
            if name == "x" or path.exists():
                array = _mapped(path)
                files[name] = path, array.offset
                with warnings.catch_warnings(action="ignore"):  # torch has no read-only tensors; nobody writes here
                    tensors[name] = torch.from_numpy(array)
        rows = {name: len(tensor) for name, tensor in tensors.items()}
        if len(set(rows.values())) > 1:
            raise DataError(f"The arrays in '{folder}' differ in rows ({rows}); write them again.")
        nothing = torch.zeros(rows["x"], 0, dtype=torch.int64)
        return cls(Samples(tensors["x"], tensors.get("categories", nothing), tensors.get("y")), files)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in all arrays."""
        return sum(array[0].nbytes for array in self.parts.values())

    @property
    def parts(self) -> dict[str, torch.Tensor]:
        """The arrays that stand in files, by name."""
        return {name: getattr(self.samples, name) for name in self.files}

    def read(self, name: str, start: int, into: np.ndarray) -> None:
        """Fill `into` with the rows from `start` on, past the memory map: nothing stays but what is asked for.

        Raises:
            DataError: the file has become shorter.
        """
        path, offset = self.files[name]
        view = into.data.cast("B")
        with path.open("rb", buffering=0) as file:
            file.seek(offset + start * into[0].nbytes)
            while view:
                got = file.readinto(view)
                if not got:
                    raise DataError(f"The file '{path}' has become shorter while it was read; write it again.")
                view = view[got:]


def _mapped(path: Path) -> np.memmap:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"The array '{path}' is missing or damaged; write it with numpy.save.") from error
    if not array.flags.c_contiguous or array.dtype.kind not in "fiub":
        raise DataError(f"The array '{path}' must hold numbers, row after row; write it with numpy.save.")
    return array


def to_arrays(
    parquet: Path | Sequence[Path],
    out: Path,
    encode: Encode,
    *,
    columns: Sequence[str] | None = None,
    rows: int = PIECE,
) -> Arrays:
    """Encode the rows of Parquet files into a folder of arrays, `rows` at a time.

    The files take their names when all is written: a folder is whole, or it can't be opened.

    Args:
        parquet: one file, or several, one after the other.
        encode: from rows to numbers, for instance of a preparation that was fitted on a part that fits into memory:
            `lambda table: preparation.encode(table, with_target=True)`.
        columns: only these are read.

    Raises:
        DataError: not readable, or without rows; and what `encode` raises.
    """
    out.mkdir(parents=True, exist_ok=True)
    source, writers = str(parquet), dict[str, _Writer]()
    try:
        scan = pl.scan_parquet(parquet if isinstance(parquet, Path) else list(parquet))
        scan = scan if columns is None else scan.select(columns)
        count = scan.select(pl.len()).collect().item()
        for start in range(0, max(1, count), rows):
            encoded = encode(table_from_frame(scan.slice(start, rows).collect(), source))
            for name in ("x", "categories", "y"):
                array = getattr(encoded, name)
                if array is not None and array[0].size:
                    if name not in writers:
                        writers[name] = _Writer.of(out / f"{name}.npy", array, count)
                    writers[name].add(array)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"'{source}' can't be read as Parquet or written to '{out}': {_line(error)}") from error
    finally:
        for writer in writers.values():
            writer.file.close()
    for name in ("x", "categories", "y"):
        (out / f"{name}.npy").unlink(missing_ok=True)
    for name in ("categories", "y", "x"):  # without x nothing opens
        if name in writers:
            os.replace(writers[name].path.with_suffix(".partial"), writers[name].path)
    return Arrays.open(out)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@dataclass(frozen=True)
class _Writer:
    """An `.npy` file of known length in the making."""

    path: Path
    file: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def of(cls, path: Path, first: np.ndarray, count: int) -> "_Writer":
        file = path.with_suffix(".partial").open("wb")
        header = {"descr": first.dtype.str, "fortran_order": False, "shape": (count, *first.shape[1:])}
        np.lib.format.write_array_header_1_0(file, header)
        return cls(path, file, first.shape[1:], first.dtype)

    def add(self, array: np.ndarray) -> None:
        assert array.shape[1:] == self.shape and array.dtype == self.dtype, "pieces are encoded alike"
        self.file.write(np.ascontiguousarray(array).data)
