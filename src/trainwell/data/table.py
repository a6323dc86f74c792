"""A table: named columns of equal length, and what to call it in messages."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Table:
    """Columns as polars holds them; missing values are null, never NaN. `source` names it in messages."""

    frame: pl.DataFrame
    source: str

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.frame.height

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(self.frame.columns)
