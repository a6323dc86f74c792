"""The work of `list` and `explain`: what there is to choose from, and what a finding means."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from trainwell.base import InputError, Registry, did_you_mean
from trainwell.data import BUNDLED, COLUMN_KINDS, TASKS
from trainwell.diagnosis import KINDS, explain_text
from trainwell.diagnosis.probes import PROBES
from trainwell.ingredients import ACTIVATIONS, INITIALISERS, LOSSES, NORMS, OPTIMIZERS, REGULARISERS, SCHEDULES
from trainwell.recipe.stages import STAGES
from trainwell.remedies import CHANGES
from trainwell.vitals import MEASURES


def list_family(family: str | None) -> None:
    """Print the names of a family with a line each, or all families.

    Raises:
        InputError: no such family.
    """
    if family is None:
        print("\n".join(f"{name}: {', '.join(members())}" for name, members in FAMILIES.items()))
        return
    if family not in FAMILIES:
        near = did_you_mean(family, FAMILIES)
        raise InputError(f"Unknown family '{family}'.{near} Known: {', '.join(FAMILIES)}.")
    print(columns(FAMILIES[family]()))


def explain_kind(kind: str | None) -> None:
    """Print the page of a kind of finding, or all kinds with a line each.

    Raises:
        InputError: no such kind.
    """
    sys.stdout.write(columns(FAMILIES["findings"]()) + "\n" if kind is None else explain_text(kind))


def columns(lines: Mapping[Any, str]) -> str:
    """Names and their lines in two columns.

    >>> print(columns({"relu": "max(0, x)", "identity": "x"}))
    relu      max(0, x)
    identity  x
    """
    width = max(map(len, lines), default=0)
    return "\n".join(f"{name:{width}}  {line}".rstrip() for name, line in lines.items())


def _of_registry(registry: Registry[Any]) -> Callable[[], dict[str, str]]:
    return lambda: {name: registry.summary(name) + _hypers(registry.standard(name)) for name in registry}


def _hypers(standard: Mapping[str, float]) -> str:
    """The hyperparameters of an ingredient with their standard values, in brackets."""
    return f" [{', '.join(f'{name} {value:g}' for name, value in standard.items())}]" if standard else ""


FAMILIES: dict[str, Callable[[], Mapping[Any, str]]] = {
    "activations": _of_registry(ACTIVATIONS),
    "checks": lambda: {name: PROBES.summary(name) for name in PROBES},
    "columns": lambda: dict(COLUMN_KINDS),
    "data": lambda: dict.fromkeys(BUNDLED, ""),
    "findings": lambda: {name: kind.meaning for name, kind in KINDS.items()},
    "initialisers": _of_registry(INITIALISERS),
    "losses": _of_registry(LOSSES),
    "norms": _of_registry(NORMS),
    "optimizers": _of_registry(OPTIMIZERS),
    "regularisers": _of_registry(REGULARISERS),
    "remedies": lambda: {name: CHANGES.summary(name) for name in CHANGES},
    "schedules": _of_registry(SCHEDULES),
    "stages": lambda: {name: (stage.run.__doc__ or "").split("\n")[0] for name, stage in STAGES.items()},
    "tasks": lambda: dict(TASKS),
    "vitals": _of_registry(MEASURES),
}
