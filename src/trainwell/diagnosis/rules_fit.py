"""Rules on what goes in and what comes out: inputs, the first loss, and the gap between training and validation."""

import numpy as np

from trainwell.diagnosis.case import Case, Threshold, running_mean
from trainwell.diagnosis.edits import dropout, initialiser, narrower, norm, offered, rate, weight_decay
from trainwell.diagnosis.finding import Finding, Remedy

FAR = Threshold(
    10.0,
    healthy="0.1 … 3",
    origin="ten times what standardising gives (deviation 1, mean 0); stricter published rules (|x| > 1, UMLAUT) flag healthy runs",
)
TINY = Threshold(0.01, healthy="0.1 … 3", origin="a hundredth of what standardising gives (our assumption)")
VERY = 10.0
"""So many times further than a threshold is critical."""

OFF = Threshold(
    10.0,
    healthy="0.7 … 9",
    origin="measured: healthy recipes reach 9 (13.7 in one of 120); TheDeepChecker's 2 would flag a quarter of them",
)
NOTABLE = 3.0
"""Times chance from which a first loss is worth an information."""

RISE = Threshold(
    1.25,
    healthy="1 … 1.2",
    origin="measured: planted ≥ 1.9 for classes, healthy recipes without early stopping ≤ 1.16 but for one (1.3)",
)
GAP = 1.5
"""Validation over training loss, below which a rise is noise of the validation part rather than learning by heart."""

SLIGHT_RISE, WIDE_GAP = 1.05, 10.0
"""A small rise is overfitting too when the training loss is less than a tenth: rows were learned by heart (regression)."""

LASTING = 5
"""Evaluations since the best one, before which a rise may be chance (our assumption; patience is 10)."""


def unscaled_inputs(case: Case) -> Finding | None:
    """Some input has a mean or deviation far from what standardising gives, or all are tiny."""
    if case.input_scale is None:
        return None
    mean, std = case.input_scale["largest_mean"], case.input_scale["largest_std"]
    far, tiny = max(mean, std) > FAR.value, 0 < std < TINY.value and mean < FAR.value
    if not (far or tiny):
        return None
    what = f"a mean of {mean:.3g} and a deviation of {std:.3g} are among them" if far else f"no deviation is above {std:.1g}"
    bound, figure, measured = (FAR, "largest |mean| or deviation of an input", max(mean, std)) if far else (TINY, "largest deviation of an input", std)
    beyond = max(measured / bound.value, bound.value / measured)
    return Finding(
        "unscaled-inputs",
        "critical" if beyond > VERY and not case.learned else "warning",
        f"The inputs are not scaled: {what}, where about 0 and 1 suit the first weights and the rate.",
        member=case.member,
        step=0,
        evidence=bound.evidence(figure, measured, **case.input_scale),
        remedies=offered(
            Remedy("scale-inputs", "standardise each input by the training part: subtract its mean, divide by its deviation"),
            norm(case),
        ),
    )


def initial_loss_off(case: Case) -> Finding | None:
    """The loss of the untrained network is many times that of chance: the first outputs are large and wrong."""
    steps, losses = case.curve("loss")
    if case.chance_loss is None or not len(losses) or steps[0] > 1:
        return None
    ratio = float(losses[0]) / max(case.chance_loss, 1e-12)
    if not ratio > NOTABLE:
        return None
    smooth = running_mean(np.nan_to_num(losses, nan=np.inf))
    below = np.flatnonzero(smooth < case.chance_loss)
    wasted = f"{below[0]} updates" if len(below) else "all updates so far"
    return Finding(
        "initial-loss-off",
        "warning" if ratio > OFF.value else "info",
        f"The untrained network has a loss of {losses[0]:.3g}, {ratio:.3g} times that of chance ({case.chance_loss:.3g}): its "
        f"first outputs are much too large, and {wasted} go into unlearning them.",
        layer="output",
        member=case.member,
        step=1,
        evidence=OFF.evidence("first loss over that of chance", ratio, first_loss=float(losses[0]), chance_loss=case.chance_loss),
        remedies=offered(
            initialiser(case),
            Remedy("small-output", "draw the output layer's first weights small, so that the network starts at chance"),
        ),
    )


def overfitting(case: Case) -> Finding | None:
    """The weights in use do clearly worse on the validation part than earlier ones did, while the training loss is low.

    Where the best weights were restored nothing is lost: then it is an information.
    """
    (steps, held), (_, train) = case.finite("validation_loss"), case.finite("train_loss")
    if len(held) < LASTING + 1 or len(train) != len(held):
        return None
    smooth = running_mean(held)
    steps, train = steps[len(held) - len(smooth) :], running_mean(train)
    best, last = int(np.argmin(smooth)), len(smooth) - 1
    rise, gap = float(smooth[last] / max(smooth[best], 1e-12)), float(smooth[last] / max(train[last], 1e-12))
    clear = (rise > RISE.value and gap > GAP) or (rise > SLIGHT_RISE and gap > WIDE_GAP)
    if not clear or last - best < LASTING:
        return None
    restored = case.outcome is not None and case.outcome.best_step < steps[last]
    after = f"; the weights of step {case.outcome.best_step} were restored" if restored and case.outcome else ""
    return Finding(
        "overfitting",
        "info" if restored else "warning",
        f"From step {steps[best]} on the network learned the training rows by heart: its validation loss rose {rise:.3g}-fold, "
        f"to {gap:.3g} times its training loss{after}.",
        member=case.member,
        step=int(steps[best]),
        evidence=RISE.evidence("validation loss over its best", rise, validation_over_training=gap, restored="yes" if restored else "no"),
        remedies=offered(
            Remedy("early-stopping", "stop soon after the best evaluation and keep its weights", {"training.patience": 10}),
            dropout(case),
            weight_decay(case),
            narrower(case),
            rate(case, 1 / 3, "smaller steps reach the best weights later, and more exactly"),
        ),
    )


FIT_RULES = {
    "unscaled-inputs": unscaled_inputs,
    "initial-loss-off": initial_loss_off,
    "overfitting": overfitting,
}
