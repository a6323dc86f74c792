"""The contract of a stage."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trainwell.recipe.workshop import Workshop


@dataclass(frozen=True)
class Result:
    """What a stage found: whether its check passed (None: nothing to pass), evidence, values for later stages."""

    passed: bool | None
    evidence: dict[str, Any]
    carry: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A stage.

    Attributes:
        preflight: it is also run by `trainwell check`.
        alone: it trains no population: of several processes, process 0 runs it and tells the others.
    """

    run: Callable[[Workshop], Result]
    preflight: bool
    alone: bool = False
