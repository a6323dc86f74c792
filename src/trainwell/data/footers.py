"""What the ends of Parquet and Feather files say about their parts: how much must be in memory to read any of them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Parts:
    """A file is read in parts: the rows of a typical one (0: not said), and its bytes when unpacked."""

    rows: int
    bytes: int


def parquet_parts(path: Path) -> Parts:
    """The first row group; ValueError, IndexError or the like where the footer is damaged."""
    with path.open("rb") as file:
        file.seek(-8, 2)
        length, magic = struct.unpack("<I4s", file.read(8))
        if magic != b"PAR1":
            raise ValueError("no plain Parquet footer")
        file.seek(-8 - length, 2)
        thrift = _Thrift(file.read(length))
    for number, kind in thrift.fields():
        if number == 4 and kind == _LIST:  # row_groups
            count, _ = thrift.list_head()
            return _row_group(thrift) if count else Parts(0, 0)
        thrift.skip(kind)
    raise ValueError("a Parquet footer without row groups")


def _row_group(thrift: "_Thrift") -> Parts:
    found = {2: 0, 3: 0}  # total_byte_size, num_rows
    for number, kind in thrift.fields():
        if number in found:
            found[number] = thrift.integer()
        else:
            thrift.skip(kind)
    return Parts(found[3], found[2])


_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


class _Thrift:
    """A reader of Thrift's compact protocol (thrift-compact-protocol.md), as far as footers need it."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def integer(self) -> int:
        """A zigzag integer."""
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """(number, kind) of each field of a structure; whoever asks must read or skip it before the next."""
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            yield number, head & 15

    def list_head(self) -> tuple[int, int]:
        """(length, kind of the elements) of a list."""
        head = self._byte()
        return (self._varint() if head >> 4 == 15 else head >> 4), head & 15

    def skip(self, kind: int) -> None:
        """Pass over a value."""
        if kind in (_TRUE, _FALSE):
            return
        if kind in (_BYTE, _DOUBLE):
            self._at += 1 if kind == _BYTE else 8
        elif kind == _BINARY:
            length = self._varint()
            self._at += length
        elif kind in (_LIST, _SET):
            length, element = self.list_head()
            for _ in range(length):
                self.skip(_BYTE if element in (_TRUE, _FALSE) else element)
        elif kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner)
        elif kind == _MAP:
            raise ValueError("a map, which footers don't have")
        else:
            self._varint()


def feather_parts(path: Path, rows: int) -> Parts:
    """The largest record batch of a file of so many rows (Arrow IPC, Block structures in the footer)."""
    with path.open("rb") as file:
        file.seek(-10, 2)
        length, magic = struct.unpack("<i6s", file.read(10))
        if magic != b"ARROW1":
            raise ValueError("no Arrow footer")
        file.seek(-10 - length, 2)
        footer = file.read(length)
    table = struct.unpack_from("<I", footer)[0]
    fields = table - struct.unpack_from("<i", footer, table)[0]
    offset = struct.unpack_from("<H", footer, fields + 4 + 2 * 3)[0]  # field 3: recordBatches
    vector = table + offset
    vector += struct.unpack_from("<I", footer, vector)[0]
    count = struct.unpack_from("<I", footer, vector)[0]
    sizes = np.frombuffer(footer, "<i8", 3 * count, vector + 4)[2::3]
    if not count:
        return Parts(0, 0)
    return Parts(round(rows * float(sizes.max() / max(1, sizes.sum()))), int(sizes.max()))
