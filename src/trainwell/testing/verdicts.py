"""How well the rules judge: recall on planted faults, silence on healthy trainings.

`python -m trainwell.testing.verdicts [DATA ...] [--healthy N] [--seed S]` prints the figures as JSON.
"""

import argparse
import json
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from trainwell.diagnosis import Case, diagnose
from trainwell.testing.faults import healthy, planted
from trainwell.testing.plain import train_plainly
from trainwell.testing.settings import Setting, prepared

TUNED_ON = ("iris", "breast_cancer", "diabetes", "moons", "wine", "digits", "friedman", "circles", "classes")
"""Data sets on which the rules were made: thresholds on the first four, corrected once after a look at the rest."""

HELD_OUT = ("quantiles", "hastie", "overlapping", "friedman3", "sparse")
"""Data sets that were looked at only when everything stood."""

TOLERANCE = 0.1
"""A training is healthy when its accuracy or R² comes this near to that of simple models, or above it."""


@dataclass(frozen=True)
class Verdict:
    """What was said of one training, as warnings or worse, and whether it did about as well as simple models."""

    setting: Setting
    seed: int
    kinds: tuple[str, ...]
    messages: tuple[str, ...]
    sound: bool


def judged(setting: Setting, seed: int) -> Verdict:
    """Train and diagnose; warnings and critical findings count."""
    torch.set_num_threads(1)
    case = train_plainly(setting, seed)
    grave = [finding for finding in diagnose(case) if finding.severity != "info"]
    return Verdict(
        setting, seed, tuple(f.kind for f in grave), tuple(f.message for f in grave), sound(case, setting, seed)
    )


def sound(case: Case, setting: Setting, seed: int) -> bool:
    """Whether the weights in use predict the validation part about as well as simple models. Looks at no vital."""
    steps, metrics = case.curve("validation_metric")
    used = case.outcome.best_step if case.outcome is not None else (steps[-1] if len(steps) else -1)
    reached = metrics[steps == used]
    return bool(len(reached)) and bool(reached[0] >= simple_metric(setting.data, seed) - TOLERANCE)


@cache
def simple_metric(data: str, seed: int) -> float:
    """Accuracy or R² of the better of a linear model and the 15 nearest neighbours, on the same split."""
    rows = prepared(Setting("simple", data), seed)
    x, y, held_x, held_y = (part.numpy() for part in (rows.x, rows.y, rows.validation_x, rows.validation_y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = (
            (Ridge(), KNeighborsRegressor(15))
            if rows.task == "regression"
            else (LogisticRegression(max_iter=200), KNeighborsClassifier(15))
        )
        return max(float(model.fit(x, y.ravel()).score(held_x, held_y.ravel())) for model in models)


def judge_all(settings: Sequence[Setting], seed: int, workers: int | None = None) -> list[Verdict]:
    """All verdicts; each training has its own seed, from `seed` upwards."""
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        return list(pool.map(judged, settings, range(seed, seed + len(settings)), chunksize=4))


def summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Recall by kind, what else was said of planted faults, and what was said of healthy trainings."""
    sick = [v for v in verdicts if v.setting.planted is not None]
    well = [v for v in verdicts if v.setting.planted is None and v.sound]
    found, said = defaultdict(list), defaultdict(Counter)
    for v in sick:
        kind = str(v.setting.planted)
        found[kind].append(kind in v.kinds)
        said[kind].update(v.kinds)
    true = sum(kind == v.setting.planted or kind in v.setting.also for v in sick for kind in v.kinds)
    alarms = [v for v in well if v.kinds]
    spoken = sum(len(v.kinds) for v in [*sick, *well])
    return {
        "recall": {kind: float(np.mean(hits)) for kind, hits in found.items()},
        "planted": {kind: len(hits) for kind, hits in found.items()},
        "recall_overall": float(np.mean([hit for hits in found.values() for hit in hits])) if found else None,
        "precision": true / spoken if spoken else None,
        "said_of_planted": {kind: dict(count) for kind, count in said.items()},
        "missed": [f"{v.setting.planted}: {_name(v)}: {v.kinds}" for v in sick if v.setting.planted not in v.kinds],
        "healthy": len(well),
        "left_out_as_not_healthy": sum(v.setting.planted is None and not v.sound for v in verdicts),
        "false_alarms": len(alarms),
        "false_alarm_share": len(alarms) / len(well) if well else None,
        "alarms": [f"{_name(v)}: {' '.join(v.messages)}" for v in alarms],
    }


def _name(v: Verdict) -> str:
    return f"{v.setting.name}, {v.setting.data}, seed {v.seed}"


def main() -> None:
    """Print the figures for some data sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*", default=list(HELD_OUT))
    parser.add_argument("--healthy", type=int, default=120, help="healthy trainings")
    parser.add_argument("--seed", type=int, default=100)
    given = parser.parse_args()
    settings = [*planted(given.data), *healthy(given.healthy, given.seed, given.data)]
    print(json.dumps(summary(judge_all(settings, given.seed)), indent=1))


if __name__ == "__main__":
    main()
