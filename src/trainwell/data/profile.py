from collections.abc import Mapping, Sequence
from trainwell.data.facts import Facts
from trainwell.data.kinds import ColumnKind
from trainwell.data.table import Table


def profile(
    table: Table, targets: Sequence[str], *, task: str = "auto", kinds: Mapping[str, ColumnKind] | None = None
) -> tuple[Table, Facts]:
    raise NotImplementedError
