"""Rules on the data itself: what an expert sees in the rows before any training.

Contract: a rule is a function of a `DataCase` that gives findings; it stands under its kind in the table at the foot.
What is common in data from which networks learn well is an information; a warning is what an expert would stop at.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from trainwell.base import Registry
from trainwell.diagnosis.case import Threshold
from trainwell.diagnosis.data_case import DataCase, data_case
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.rules_data_labels import class_imbalance, label_noise
from trainwell.diagnosis.rules_data_parts import data_drift, duplicate_rows, train_test_leak

DataRule = Callable[[DataCase], list[Finding]]

CONSTANT = Threshold(
    1.0,
    healthy="0 … 0.2",
    origin="share of the inputs: TheDeepChecker tells any; corner pixels are constant in every set of images",
)
SHOWN = 5
"""Inputs that a message names."""


def data_findings(
    x: Any,
    y: Any,
    task: str,
    *,
    names: Sequence[str] = (),
    classes: Sequence[object] = (),
    test: tuple[Any, Any] | None = None,
    validation: tuple[Any, Any] | None = None,
    **more: Any,
) -> list[Finding]:
    """What is odd about these rows: warnings first, and of one severity causes before what follows from them.

    Args:
        x: (N, …) numbers of the training rows, NaN where missing; classes as numbers. y: their targets.
        task: "binary", "multiclass", "multilabel" or "regression".
        names: of the inputs, in the order of x as (N, D). classes: labels in their sorted order.
        test, validation: rows and targets of the other parts.
        more: `constant`, `drawn`, `seconds` and `seed` of `DataCase`.

    Raises:
        InputError: x is no numbers, or the parts do not fit one another.
    """
    case = data_case(x, y, task, names=names, classes=classes, test=test, validation=validation, **more)
    if not len(case.train):
        return []
    found = [finding for rule in DATA_RULES.values() for finding in rule(case)]
    return sorted(_explained(found), key=lambda finding: finding.severity == "info")


def constant_input(case: DataCase) -> list[Finding]:
    """An input has one value in all training rows: information, unless all inputs are constant."""
    x = case.train.x
    same = np.flatnonzero(_one_value(x))
    names = [*case.constant, *(case.names[i] for i in same)]
    inputs = x.shape[1] + len(case.constant)
    if not names or len(case.train) < 2:
        return []
    everything = len(names) == inputs
    some = f"{', '.join(names[:SHOWN])}{' and others' if len(names) > SHOWN else ''}"
    text = f"{len(names)} of {inputs} inputs have one value in all training rows ({some}), and tell nothing."
    share = len(names) / inputs
    return [
        Finding(
            "constant-input",
            "warning" if everything else "info",
            f"All {inputs} inputs have one value in all training rows: nothing can be learned." if everything else text,
            evidence=CONSTANT.evidence("share of constant inputs", share, inputs=float(inputs), names=some),
            remedies=(Remedy("leave-out", "an input without differences only costs time; of a column, look why"),),
        )
    ]


def _one_value(x: np.ndarray) -> np.ndarray:
    """(D,) bool; to be missing in some rows counts as a value."""
    return ((x == x[0]) | (np.isnan(x) & np.isnan(x[0]))).all(axis=0)


def _explained(found: list[Finding]) -> list[Finding]:
    """Twins that stand on both sides of a split follow from duplicates, where there are as many of these."""
    twins = next((finding for finding in found if finding.kind == "duplicate-rows"), None)
    if twins is None:
        return found
    return [_because(finding, twins) if "twin_share" in finding.evidence else finding for finding in found]


def _because(leak: Finding, twins: Finding) -> Finding:
    across, within = leak.evidence["twin_share"], twins.evidence["measured"]
    if isinstance(across, str) or isinstance(within, str) or within < across / 4:  # of a pair one row counts within
        return leak
    text = f"{leak.message.removesuffix('.')} (probably because of duplicate-rows)."
    return replace(leak, message=text, evidence=leak.evidence | {"caused_by": "duplicate-rows"})


DATA_RULES: Registry[DataRule] = Registry(
    "rule on data",
    {
        # in the order from cause to symptom
        "constant-input": constant_input,
        "duplicate-rows": duplicate_rows,
        "train-test-leak": train_test_leak,
        "data-drift": data_drift,
        "class-imbalance": class_imbalance,
        "label-noise": label_noise,
    },
)
