"""What was measured during a training, as numpy arrays: tidy rows of (step, member, layer, signal, value). No torch."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

SCHEMA = {"step": pl.Int64, "member": pl.Int32, "layer": pl.String, "signal": pl.String, "value": pl.Float64}
Key = tuple[str, str, int]  # signal, layer, member


class Record:
    """Signals of the members of one training.

    Signals of the whole network have the layer "". The standard signals are `loss` (training, each recorded step),
    `train_loss`, `validation_loss`, `validation_metric`, `learning_rate`, and the vitals by their names.

    >>> record = Record()
    >>> record.add(1, "", "loss", [0, 1], [0.7, 0.6])
    >>> record.add(2, "", "loss", [0, 1], [0.5, 0.4])
    >>> steps, values = record.series("loss", member=1)
    >>> values.tolist()
    [0.6, 0.4]
    """

    def __init__(self) -> None:
        # Plain numbers one after another: nothing for Python's garbage collector to walk through during a training.
        self._rows: dict[Key, tuple[array[int], array[float]]] = defaultdict(_nothing)

    def add(
        self,
        step: int,
        layer: str,
        signal: str,
        members: Sequence[int] | np.ndarray,
        values: Sequence[float] | np.ndarray,
    ) -> None:
        """Note one value a member."""
        for member, value in zip(_plain(members), _plain(values), strict=True):
            steps, noted = self._rows[signal, layer, member]
            steps.append(step)
            noted.append(value)

    def add_run(self, steps: Iterable[int], signal: str, member: int, values: Iterable[float]) -> None:
        """Note many values of one signal of the whole network, in the order of their steps."""
        known, noted = self._rows[signal, "", member]
        known.extend(steps)
        noted.extend(values)

    def series(self, signal: str, *, member: int, layer: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of one signal of one member, in the order of measuring; empty when never measured."""
        steps, values = self._rows.get((signal, layer, member), ((), ()))
        return np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64)

    def signals(self, *, member: int) -> list[str]:
        """Names of what was measured of this member, in order of appearance."""
        return list(dict.fromkeys(signal for signal, _, m in self._rows if m == member))

    def layers(self, signal: str, *, member: int) -> list[str]:
        """The layers for which a signal was measured, from input to output."""
        return [layer for (name, layer, who) in self._rows if name == signal and who == member]

    def members(self) -> list[int]:
        """All members with a measurement."""
        return sorted({member for (_, _, member) in self._rows})

    def frame(self) -> pl.DataFrame:
        """The tidy table."""
        rows = [
            (s, member, layer, signal, v)
            for (signal, layer, member), series in self._rows.items()
            for s, v in zip(*series, strict=True)
        ]
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "Record":
        """The record of a tidy table."""
        record = cls()
        record.extend(frame)
        return record

    def extend(self, frame: pl.DataFrame) -> None:
        """Add the rows of a tidy table."""
        for step, member, layer, signal, value in frame.select(list(SCHEMA)).iter_rows():
            self.add(step, layer, signal, [member], [value])

    def write(self, path: Path) -> None:
        """Write `vitals.parquet`."""
        self.frame().write_parquet(path, compression="zstd")


def _nothing() -> tuple["array[int]", "array[float]"]:
    return array("q"), array("d")


def _plain(values: Sequence[Any] | np.ndarray) -> Sequence[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values
