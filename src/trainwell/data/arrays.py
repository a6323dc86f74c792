"""Encoded rows in files: written piece by piece, read by ranges or by memory map, never whole in memory.

A folder holds `x.npy` (N, D), `y.npy` (N,) or (N, C), and `categories.npy` (N, E) where there are embedded columns; and
what `write_arrays` wrote also `arrays.json`, by which damage is found.
"""

import json
import os
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import torch

from trainwell.base import DataError
from trainwell.data.batches import Samples
from trainwell.data.prepare import Encoded
from trainwell.data.table import Table, table_from_frame

PIECE = 65_536  # rows encoded at once
NAMES = ("x", "categories", "y")
ABOUT = "arrays.json"
Encode = Callable[[Table], Encoded]


@dataclass(frozen=True, eq=False)
class Arrays:
    """Rows in a folder of `.npy` files.

    Attributes:
        samples: all rows, over read-only memory maps: what is looked at is loaded, and the system may drop it again.
        files: path and place of the first number of each array, by its name in `samples`.
        parts: rows of each part that was written, one part after the other.
    """

    samples: Samples
    files: dict[str, tuple[Path, int]]
    parts: tuple[int, ...]

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False) -> "Arrays":
        """The arrays that `write_arrays`, or `numpy.save`, wrote into a folder.

        Args:
            verify: read all of it, and compare it with the checksums of the writing.

        Raises:
            DataError: a file is missing or damaged, or the files differ in rows.
        """
        files: dict[str, tuple[Path, int]] = {}
        tensors: dict[str, torch.Tensor] = {}
        for name in NAMES:
            path = folder / f"{name}.npy"
            if name == "x" or path.exists():
                array = _mapped(path)
                if array.size:
                    files[name] = path, path.stat().st_size - array.nbytes
                with warnings.catch_warnings(action="ignore"):  # torch has no read-only tensors; nobody writes here
                    tensors[name] = torch.from_numpy(array)
        rows = {name: len(tensor) for name, tensor in tensors.items()}
        if len(set(rows.values())) > 1:
            raise DataError(f"The arrays in '{folder}' differ in rows ({rows}); write them again.")
        about = _about(folder)
        if verify and about.get("checksums") != {path.name: _checksum(path) for path in sorted(folder.glob("*.npy"))}:
            raise DataError(f"The arrays in '{folder}' are not what was written; write them again.")
        nothing = torch.zeros(rows["x"], 0, dtype=torch.int64)
        samples = Samples(tensors["x"], tensors.get("categories", nothing), tensors.get("y"))
        return cls(samples, files, tuple(about.get("parts", (rows["x"],))))

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in all arrays."""
        return sum(array[0].nbytes for array in self.tensors.values())

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
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


def _mapped(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"The array '{path}' is missing or damaged; write it with numpy.save.") from error
    if not array.flags.c_contiguous or array.dtype.kind not in "fiub":
        raise DataError(f"The array '{path}' must hold numbers, row after row; write it with numpy.save.")
    return array


def _about(folder: Path) -> dict[str, Any]:
    """What was noted when the arrays were written; nothing where that is missing or damaged."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def to_arrays(
    parquet: Path | Sequence[Path],
    out: Path,
    encode: Encode,
    *,
    columns: Sequence[str] | None = None,
    rows: int = PIECE,
) -> Arrays:
    """Encode the rows of Parquet files into a folder of arrays, `rows` at a time, as `write_arrays` does.

    Args:
        parquet: one file, or several, one after the other.
        encode: from rows to numbers, for instance of a preparation that was fitted on a part that fits into memory:
            `lambda table: preparation.encode(table, with_target=True)`.
        columns: only these are read.

    Raises:
        DataError: not readable, or without rows; and what `encode` raises.
    """
    source = str(parquet)
    try:
        scan = pl.scan_parquet(parquet if isinstance(parquet, Path) else list(parquet))
        scan = scan if columns is None else scan.select(columns)
        count = scan.select(pl.len()).collect().item()
        tables = (table_from_frame(scan.slice(at, rows).collect(), source) for at in range(0, max(1, count), rows))
        return write_arrays(([encode(table)] for table in tables), out)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"'{source}' can't be read as Parquet or written to '{out}': {_line(error)}") from error


def write_arrays(pieces: Iterable[Sequence[Encoded]], out: Path) -> Arrays:
    """Write encoded rows into a folder of arrays as they come: of each piece the rows of the first part, the second, ….

    In the files the parts stand one after the other. The files take their names when all is written: a folder is
    whole, or it can't be opened.

    Raises:
        DataError: there are no pieces.
        OSError: they can't be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    writers: dict[tuple[str, int], _Writer] = {}
    parts: list[int] = []
    try:
        for piece in pieces:
            parts = parts or [0] * len(piece)
            for part, encoded in enumerate(piece):
                parts[part] += len(encoded.x)
                for name in NAMES:
                    array = getattr(encoded, name)
                    if array is not None and (array.shape[1:] != (0,) or name == "x"):
                        if (name, part) not in writers:
                            writers[name, part] = _Writer.of(out / f"{name}.{part}.partial", array)
                        writers[name, part].add(array)
        if not writers:
            raise DataError("There are no rows to be encoded.")
        _join(writers, sum(parts))
    except BaseException:
        for writer in writers.values():
            writer.file.close()
            writer.path.unlink(missing_ok=True)
        raise
    for name in (*(f"{name}.npy" for name in NAMES), ABOUT):
        (out / name).unlink(missing_ok=True)
    for name in sorted({name for name, _ in writers}):  # x comes last; without it nothing opens
        os.replace(writers[name, 0].path, out / f"{name}.npy")
    checksums = {path.name: _checksum(path) for path in sorted(out.glob("*.npy"))}
    (out / ABOUT).write_text(json.dumps({"parts": parts, "checksums": checksums}), encoding="utf-8")
    return Arrays.open(out)


def _join(writers: dict[tuple[str, int], "_Writer"], rows: int) -> None:
    """Bring the parts of each array together in the file of the first."""
    for (name, part), writer in sorted(writers.items()):
        if part:
            writer.file.seek(0)
            shutil.copyfileobj(writer.file, writers[name, 0].file, 1 << 20)
            writer.file.close()
            writer.path.unlink()
    for (_, part), writer in writers.items():
        if not part:
            writer.head(rows)
            writer.file.close()


def _checksum(path: Path) -> str:
    """CRC-32 of a file."""
    total = 0
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            total = zlib.crc32(data, total)
    return f"{total:08x}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@dataclass(frozen=True)
class _Writer:
    """An array, or a part of one, in the making; of a first part (file name …0.partial) with a head."""

    path: Path
    file: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def of(cls, path: Path, like: np.ndarray) -> "_Writer":
        writer = cls(path, path.open("w+b"), like.shape[1:], like.dtype)
        if path.name.endswith(".0.partial"):
            writer.head(0)
        return writer

    def head(self, rows: int) -> None:
        """Write the head of the file, which leaves space for any number of rows."""
        self.file.seek(0)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (rows, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, header)

    def add(self, array: np.ndarray) -> None:
        """Append rows."""
        assert array.shape[1:] == self.shape and array.dtype == self.dtype, "pieces are encoded alike"
        self.file.write(np.ascontiguousarray(array).tobytes())
