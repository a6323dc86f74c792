"""All rules over one member or many: causes before symptoms, equal findings of several members told once."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from trainwell.base import Registry
from trainwell.diagnosis.case import Case
from trainwell.diagnosis.finding import SEVERITIES, Finding
from trainwell.diagnosis.rules_axis import batch_leak
from trainwell.diagnosis.rules_curve import loss_not_the_metric, not_learning, underfitting
from trainwell.diagnosis.rules_fit import initial_loss_off, overfitting, unscaled_inputs
from trainwell.diagnosis.rules_gradient import exploding_gradient, non_finite, vanishing_gradient
from trainwell.diagnosis.rules_layers import growing_activations, layers_out_of_step, shrinking_activations
from trainwell.diagnosis.rules_loop import (
    bias_before_norm,
    gradients_accumulate,
    missing_activation,
    parameters_not_updated,
    symmetric_units,
    wrong_mode,
)
from trainwell.diagnosis.rules_loss import double_softmax, loss_output_mismatch, target_shape_mismatch
from trainwell.diagnosis.rules_rate import learning_rate_too_large, learning_rate_too_small, loss_sums
from trainwell.diagnosis.rules_seen import class_imbalance, constant_input, label_noise
from trainwell.diagnosis.rules_split import data_drift, duplicate_rows, train_test_leak
from trainwell.diagnosis.rules_strength import (
    batch_too_large,
    batch_too_small,
    missing_regularisation,
    too_much_regularisation,
    weights_collapse,
    weights_grow,
)
from trainwell.diagnosis.rules_stretch import loss_spike, plateau, slow_start
from trainwell.diagnosis.rules_swing import oscillating_loss
from trainwell.diagnosis.rules_units import dead_units, saturated_units

Rule = Callable[[Case], Finding | None]

PROGRAM = (
    "constant-input",
    "target-shape-mismatch",
    "loss-output-mismatch",
    "double-softmax",
    "batch-leak",
    "gradients-accumulate",
    "loss-sums",
    "parameters-not-updated",
    "symmetric-units",
    "missing-activation",
)
"""Faults of the program itself: whatever else is seen may follow from them."""

BEFORE = tuple(kind for kind in PROGRAM if kind not in ("parameters-not-updated", "gradients-accumulate"))
"""Those that show before anything is updated."""

THROWN = ("unscaled-inputs", "learning-rate-too-large", "exploding-gradient")
"""What throws weights about."""

CAUSES: dict[str, tuple[str, ...]] = {
    "initial-loss-off": (*BEFORE, "growing-activations", "unscaled-inputs", "exploding-gradient"),
    "learning-rate-too-large": (*PROGRAM, "unscaled-inputs", "exploding-gradient", "initial-loss-off"),
    "learning-rate-too-small": PROGRAM,
    "exploding-gradient": (*PROGRAM, "growing-activations", "unscaled-inputs", "learning-rate-too-large"),
    "saturated-units": (*PROGRAM, *THROWN),
    "dead-units": (*PROGRAM, *THROWN),
    "vanishing-gradient": (
        *PROGRAM, "shrinking-activations", "unscaled-inputs", "saturated-units", "dead-units",
        "learning-rate-too-large",
    ),
    "non-finite": (*PROGRAM, *THROWN, "initial-loss-off"),
    "overfitting": ("missing-regularisation", "duplicate-rows"),
    "oscillating-loss": (*PROGRAM, "batch-too-small", *THROWN),
    "underfitting": (
        *PROGRAM, "learning-rate-too-small", "too-much-regularisation", "batch-too-large", "vanishing-gradient",
        *THROWN,
    ),
    "not-learning": (
        *PROGRAM, "learning-rate-too-small", "too-much-regularisation", "vanishing-gradient", "dead-units",
        "saturated-units", "weights-collapse", "wrong-mode", "batch-too-small", "initial-loss-off", *THROWN,
    ),
    "cannot-overfit-batch": (
        *PROGRAM, "initial-loss-off", "shrinking-activations", "vanishing-gradient", "dead-units", "saturated-units",
        "gradient-check-failed", "batch-leak", *THROWN,
    ),
    "weights-collapse": ("too-much-regularisation", "learning-rate-too-large"),
    "weights-grow": (*PROGRAM, *THROWN),
    "slow-start": (*PROGRAM, "vanishing-gradient", "saturated-units", "unscaled-inputs"),
    "plateau": (
        *PROGRAM, "exploding-gradient", "vanishing-gradient", "saturated-units", "dead-units",
        "learning-rate-too-small",
    ),
    "loss-spike": THROWN,
}  # fmt: skip
"""By kind: what may bring it about, if it was there before."""


def diagnose(case: Case) -> list[Finding]:
    """What is wrong with one member: causes first, then what follows from them, then mere information."""
    found = [finding for rule in RULES.values() if (finding := rule(case)) is not None]
    return explained(sorted(found, key=_place))


def explained(ordered: Sequence[Finding]) -> list[Finding]:
    """Findings in this order, each with the cause that was there before it."""
    return [_explained(finding, ordered[:i]) for i, finding in enumerate(ordered)]


def diagnose_all(cases: Sequence[Case]) -> list[Finding]:
    """What is wrong with any of these members; one kind and layer is told once, with its worst evidence."""
    groups: dict[tuple[str, str | None], list[Finding]] = defaultdict(list)
    for case in cases:
        for finding in diagnose(case):
            groups[finding.kind, finding.layer].append(finding)
    merged = [_merged(findings, len(cases)) for findings in groups.values()]
    return sorted(merged, key=_place)


def _place(finding: Finding) -> tuple[bool, int, int]:
    """Information last; else by the step at which it was there, and at one step by the order of the table."""
    return finding.severity == "info", finding.step or 0, list(RULES).index(finding.kind)


def _explained(finding: Finding, earlier: Sequence[Finding]) -> Finding:
    """A symptom names its cause and is not graver than a warning; NaN stays what it is."""
    causes = [f.kind for f in earlier if f.kind in CAUSES.get(finding.kind, ()) and f.severity != "info"]
    if not causes or "caused_by" in finding.evidence or finding.severity == "info":
        return finding
    message = f"{finding.message.removesuffix('.')} (probably because of {causes[0]})."
    severity = "critical" if finding.kind == "non-finite" else "warning"
    return replace(finding, severity=severity, message=message, evidence=finding.evidence | {"caused_by": causes[0]})


def _merged(findings: Sequence[Finding], members: int) -> Finding:
    """One finding for several members: the worst, with how many it concerns."""
    worst = max(findings, key=lambda finding: (SEVERITIES.index(finding.severity), _excess(finding)))
    if members == 1:
        return worst
    concerned = {finding.member for finding in findings}
    text = f"In {len(concerned)} of {members} members: {worst.message}"
    whose = worst.member if len(concerned) == 1 else None
    return replace(
        worst, message=text, member=whose, evidence=worst.evidence | {"members": f"{len(concerned)} of {members}"}
    )


def _excess(finding: Finding) -> float:
    """How many times beyond its threshold a figure lies, on whichever side."""
    measured, threshold = finding.evidence.get("measured"), finding.evidence.get("threshold")
    if isinstance(measured, str) or isinstance(threshold, str) or not measured or not threshold:
        return float("inf")
    return max(measured / threshold, threshold / measured)


RULES: Registry[Rule] = Registry(
    "rule",
    {
        # in the order from cause to symptom, for what is there from the same step on
        "constant-input": constant_input,
        "duplicate-rows": duplicate_rows,
        "train-test-leak": train_test_leak,
        "data-drift": data_drift,
        "class-imbalance": class_imbalance,
        "label-noise": label_noise,
        "target-shape-mismatch": target_shape_mismatch,
        "loss-output-mismatch": loss_output_mismatch,
        "double-softmax": double_softmax,
        "batch-leak": batch_leak,
        "gradients-accumulate": gradients_accumulate,
        "loss-sums": loss_sums,
        "parameters-not-updated": parameters_not_updated,
        "symmetric-units": symmetric_units,
        "missing-activation": missing_activation,
        "wrong-mode": wrong_mode,
        "unscaled-inputs": unscaled_inputs,
        "growing-activations": growing_activations,
        "shrinking-activations": shrinking_activations,
        "exploding-gradient": exploding_gradient,
        "initial-loss-off": initial_loss_off,
        "learning-rate-too-large": learning_rate_too_large,
        "learning-rate-too-small": learning_rate_too_small,
        "too-much-regularisation": too_much_regularisation,
        "batch-too-small": batch_too_small,
        "batch-too-large": batch_too_large,
        "layers-out-of-step": layers_out_of_step,
        "weights-collapse": weights_collapse,
        "weights-grow": weights_grow,
        "saturated-units": saturated_units,
        "dead-units": dead_units,
        "vanishing-gradient": vanishing_gradient,
        "non-finite": non_finite,
        "missing-regularisation": missing_regularisation,
        "overfitting": overfitting,
        "oscillating-loss": oscillating_loss,
        "underfitting": underfitting,
        "slow-start": slow_start,
        "plateau": plateau,
        "loss-spike": loss_spike,
        "bias-before-norm": bias_before_norm,
        "not-learning": not_learning,
        "loss-not-the-metric": loss_not_the_metric,
    },
)
