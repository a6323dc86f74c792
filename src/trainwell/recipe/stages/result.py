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
    """A stage; `preflight` ones are also run by `trainwell check`."""

    run: Callable[[Workshop], Result]
    preflight: bool
