"""Arrays in an .npz file, read by rows: each is a stretch of its archive, packed or not."""

import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from trainwell.base import DataError
from trainwell.data.blocks import Blocks, Places
from trainwell.data.footers import Parts
from trainwell.data.table import Table, table_from_arrays, table_from_columns, table_from_frame

_CELL = 8  # bytes in a table
_NAMES = "feature_names"


@dataclass(frozen=True)
class _Member:
    """An array in the archive: where its first number is in the unpacked member, and where that is in the archive.

    `member` is None where it is packed.
    """

    name: str
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype
    columns_first: bool
    member: int | None

    def open(self, path: Path, opened: ExitStack) -> Callable[[int, int], np.ndarray]:
        """What gives a range of rows, one behind the other."""
        if self.member is not None:
            order = "F" if self.columns_first else "C"
            array = np.memmap(path, self.dtype, "r", self.member + self.start, self.shape, order)
            return lambda start, stop: np.asarray(array[start:stop])
        archive = opened.enter_context(zipfile.ZipFile(path))
        file = opened.enter_context(archive.open(f"{self.name}.npy"))
        row = int(np.prod(self.shape[1:])) * self.dtype.itemsize

        def read(start: int, stop: int) -> np.ndarray:
            file.seek(self.start + start * row)
            data = file.read((stop - start) * row)
            return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

        return read


@dataclass
class ArrayScan:
    """X (N, …) and y (N,) or (N, C), or a one-dimensional array for each column."""

    source: str
    columns: tuple[str, ...]
    rows: int
    row_bytes: float
    path: Path
    members: tuple[_Member, ...]
    names: list[str] | None
    parts: Parts = Parts(0, 0)
    typed: bool = True

    def pieces(
        self, blocks: Blocks | Places, most: int, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, pl.DataFrame]]:
        """See `data.scan.Scan`; all columns are given."""
        try:
            with ExitStack() as opened:
                read = {member.name: member.open(self.path, opened) for member in self.members}
                for start, stop in blocks.runs(0, self.rows, most):
                    yield start, self._frame({name: rows(start, stop) for name, rows in read.items()})
        except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"'{self.source}' is damaged: its arrays can't be read to the end. Write it again."
            ) from None

    def _frame(self, arrays: dict[str, np.ndarray]) -> pl.DataFrame:
        if "X" in arrays:
            return table_from_arrays(arrays["X"], arrays.get("y"), self.names).frame
        return table_from_columns(list(arrays.items()), self.source).frame

    def table(self, raw: pl.DataFrame, place: int, like: pl.DataFrame | None = None) -> Table:
        """See `data.scan.Scan`."""
        return Table(table_from_frame(raw, self.source).frame, self.source, place + 1)


def open_arrays(path: Path) -> ArrayScan:
    """The archive, of which the heads of its arrays have been read.

    Raises:
        ValueError: of a kind that is only read whole, or not at all.
    """
    with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as loaded:
        names = [str(name) for name in loaded[_NAMES]] if _NAMES in loaded.files and "X" in loaded.files else None
        wanted = [name for name in loaded.files if "X" not in loaded.files or name in ("X", "y")]
        members = tuple(_member(archive, name) for name in wanted)
    rows = members[0].shape[0]
    if rows < 1 or any(member.shape[0] != rows for member in members):
        raise ValueError("read whole")
    scan = ArrayScan(path.name, (), rows, 0.0, path, members, names)
    head = scan._frame({m.name: np.zeros((1, *m.shape[1:]), m.dtype) for m in members})
    scan.columns, scan.row_bytes = tuple(head.columns), float(_CELL * head.width)
    return scan


def _member(archive: zipfile.ZipFile, name: str) -> _Member:
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        member = _place(archive, f"{name}.npy")
        if (fortran and member is None) or dtype.hasobject or not shape:
            raise ValueError("read whole")
        return _Member(name, file.tell(), shape, dtype, fortran, member)


def _place(archive: zipfile.ZipFile, name: str) -> int | None:
    """Where a member's bytes begin in the archive, if they stand there as they are."""
    about = archive.getinfo(name)
    if about.compress_type != zipfile.ZIP_STORED or archive.fp is None:
        return None
    archive.fp.seek(about.header_offset + 26)  # a local file header: 30 bytes, the name, and what comes beside
    name_length, extra_length = struct.unpack("<HH", archive.fp.read(4))
    return about.header_offset + 30 + name_length + extra_length
