"""The options of `fit` and `check`, with their help. No heavy import: `--help` reads this file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

# As in trainwell.data.kinds, whose package takes a second to import; a test compares the two.
TaskChoice = Literal["auto", "binary", "multiclass", "multilabel", "regression"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """What `fit` and `check` may be told beside the data."""

    target: Annotated[tuple[str, ...], Parameter(consume_multiple=False)]
    """Column to predict; several for several labels or numbers."""

    task: TaskChoice = "auto"
    """What kind of prediction; auto: inferred from the target."""

    plan: Path | None = None
    """A plan.yaml with values to hold to; what it leaves open is chosen from the data."""

    settings: Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=False)] = ()
    """One value of the plan, as in --set batch_size=64; wins over --plan."""

    budget: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    """Time for everything, as in 60s, 5m, 1h; standard: 2 minutes."""

    trials: int | None = None
    """Plans drawn in the search; 0: no search."""

    seed: int | None = None
    """Where every random stream starts; standard: the plan's, 0."""

    test: str | None = None
    """Data to judge by, instead of a held-out part."""

    test_size: float | None = None
    """Share of the rows held out to judge by; standard: 0.2."""

    out: Path | None = None
    """Run directory, which must not exist yet; standard: a new one under runs/."""

    device: str = "auto"
    """Where to compute: auto (the GPU if there is one), cpu, cuda."""

    as_json: Annotated[bool, Parameter(name="--json")] = False
    """Print the result as one JSON object on standard output, and nothing else there."""

    quiet: bool = False
    """Print nothing on standard error but errors."""
