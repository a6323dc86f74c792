from collections.abc import Sequence
from typing import Any

from trainwell.data.table import Table

BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes", "adult", "adult-test")


def read_table(source: Any) -> Table:
    raise NotImplementedError


def table_from_arrays(X: Any, y: Any = None, names: Sequence[str] | None = None) -> Table:
    raise NotImplementedError
