"""What a user asks for, and what they are shown meanwhile: plain values."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from trainwell.base import BudgetError
from trainwell.plan import Plan
from trainwell.recipe.cut import Cut

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
SMALLEST_BUDGET = 1.0


@dataclass(frozen=True)
class Request:
    """One call of `fit` or `check`.

    Attributes:
        data: anything `read_table` takes, or a `Table`. targets: names of the columns to predict.
        plan: values the user fixed; settings: further ones as text, as `--set` gives them.
        budget: seconds for everything, None: two minutes. trials: plans to draw, None: the plan's number.
        test: data to judge by, else `test_size` of the rows. out: the run directory, None: a new one under runs/.
        only_check: stop before the search (the command `check`).
        make: of a user's module, which is trained on `data`: (X, y), or a Dataset; `targets` are not named then.
        started: `time.monotonic()` at which the budget began, None: now.
        rows: of the whole data, of which a resumed run has those that the budget allowed; None: `data` is all.
        allowed: bytes of memory that the data may take, None: what is free.
        cut: of a resumed run whose rows are streamed, how their file was cut up; `data` is then its sample.
    """

    data: Any
    targets: tuple[str, ...] = ()
    task: str = "auto"
    plan: Plan | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    budget: float | None = None
    trials: int | None = None
    seed: int | None = None
    test: Any = None
    test_size: float = 0.2
    out: Path | None = None
    device: str = "auto"
    only_check: bool = False
    make: Callable[[], nn.Module] | None = None
    started: float | None = None
    rows: int | None = None
    cut: Cut | None = None
    allowed: int | None = None


@dataclass(frozen=True)
class Progress:
    """Where a run stands: stage `index` of `of`, its fraction done, the best so far, seconds spent and left."""

    stage: str
    index: int
    of: int
    text: str
    fraction: float
    best: str | None
    seconds: float
    seconds_left: float | None


Show = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Show nothing."""


def parse_budget(text: str | float) -> float:
    """Seconds of a duration such as 60s, 5m, 1h or 90.

    Raises:
        BudgetError: not a duration, or less than a second.

    >>> parse_budget("5m"), parse_budget("90")
    (300.0, 90.0)
    """
    match = re.fullmatch(r"\s*([-+]?\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(text).lower())
    if match is None or match[2] not in UNITS:
        raise BudgetError(f"Budget '{text}' is not a duration; write 60s, 5m or 1h.")
    seconds = float(match[1]) * UNITS[match[2]]
    if not math.isfinite(seconds) or seconds < SMALLEST_BUDGET:
        raise BudgetError(f"Budget '{text}' must be at least {SMALLEST_BUDGET:g} second; write 60s, 5m or 1h.")
    return seconds
