"""Rules on what goes in and what comes out: inputs, the first loss, and the gap between training and validation."""

from dataclasses import dataclass

import numpy as np

from trainwell.diagnosis.case import SMOOTHING, Case, Threshold, running_mean
from trainwell.diagnosis.edits import dropout, initialiser, narrower, norm, offered, rate, weight_decay
from trainwell.diagnosis.finding import Finding, Remedy

FAR = Threshold(
    10.0,
    healthy="about 1",
    origin="ten times what standardising gives; stricter published rules (UMLAUT: |x| > 1) flag healthy trainings",
)
TINY = Threshold(0.01, healthy="about 1", origin="a hundredth of what standardising gives (our assumption)")
VERY = 10.0
"""So many times further than a threshold is critical."""

OFF = Threshold(
    10.0,
    healthy="0.5 … 7",
    origin="measured: under 1 % of healthy recipes are above; TheDeepChecker's 2 would flag a fifth of them",
)
OFF_ALONE = Threshold(
    4.0,
    healthy="0.7 … 2.3",
    origin="measured over the healthy programs of testing.programs, whose first weights are mostly torch's own",
)
DISTANT = Threshold(
    1e3,
    healthy="0.3 … 100",
    origin="size of the targets over that of the outputs, and at least over 1 (our assumption)",
)
NOTABLE = 3.0
"""Times chance from which a first loss is worth an information."""

RISE = Threshold(
    1.25,
    healthy="1 … 2.1",
    origin="measured with HARM and APART, which tell overfitting from a noisy rise; SageMaker takes 1.1",
)
HARM, APART = 0.15, 2.0
"""A rise counts when it costs this share of the chance loss, and validation is so many times training."""

BY_HEART = Threshold(
    20.0,
    healthy="0.5 … 23",
    origin="measured with HARM: validation loss over training loss; planted mostly ≥ 45",
)
SLIGHT_RISE, WIDE, FAR_APART = 1.05, 0.5, 4.0
"""Rows were learned by heart: it shows in a slight rise, or in a gap of half the chance loss without any; where the gap
is so wide, a slight rise that lasts is enough from so many times the training loss on (our assumptions)."""

LOST, SLIP, FALLS = 0.1, 0.02, 0.9
"""Or the metric loses this share of its best value, and so much at the least, while the training loss falls to this
share (our assumptions)."""

LASTING, FEW = 5, 12
"""Evaluations since the best one, before which a rise may be chance (our assumption; patience is 10). Of so FEW in all
two suffice, if they are a THIRD of the training and both beyond a slight rise, or the metric is worse as well."""

THIRD = 1 / 3
ASTRAY = 2.0
"""Times its best, from which a training loss itself has gone astray (our assumption)."""

CLIMB, MOSTLY = 0.1, 0.8
"""A rise at every judgement since the best counts from this share of the chance loss, if the training loss fell at so
MOSTLY of them (our assumptions)."""

KNOWN = 0.1
"""Share of the loss of chance below which rows are known by heart, if of others nothing is (our assumption)."""

STRONG, LESS = 1.5, 0.95
"""A rise so strong, while the training loss falls to this share, needs no training loss far below (noisy rows)."""


SCALED = 5.0
"""Times the deviation of the targets that first outputs may have before any training (our assumption)."""

QUICKLY, SOON, NEAR, MOST_DROPPED = 0.03, 0.1, 4.0, 0.7
"""Share of the updates after which a loss that is below that of chance has cost nothing, and after which little of
numbers that lie a few deviations from 0; deviations between 0 and the
targets' mean that a bias soon learns; dropout that is told as such (our assumptions)."""


def unscaled_inputs(case: Case) -> Finding | None:
    """Some input has a mean or deviation far from what standardising gives, or all are tiny."""
    if case.input_scale is None:
        return None
    mean, std = case.input_scale["largest_mean"], case.input_scale["largest_std"]
    far, tiny = max(mean, std) > FAR.value, 0 < std < TINY.value and mean < FAR.value
    if not (far or tiny):
        return None
    what = (
        f"a mean of {mean:.3g} and a deviation of {std:.3g} are among them"
        if far
        else f"no deviation is above {std:.1g}"
    )
    bound, figure, measured = (
        (FAR, "largest |mean| or deviation of an input", max(mean, std))
        if far
        else (TINY, "largest deviation of an input", std)
    )
    beyond = max(measured / bound.value, bound.value / measured)
    return Finding(
        "unscaled-inputs",
        "critical" if beyond > VERY and not case.learned else "warning",
        f"The inputs are not scaled: {what}, where about 0 and 1 suit the first weights and the rate.",
        member=case.member,
        step=0,
        evidence=bound.evidence(figure, measured, **case.input_scale),
        remedies=offered(
            Remedy(
                "scale-inputs",
                "standardise each input by the training part: subtract its mean, divide by its deviation",
            ),
            norm(case),
        ),
    )


def initial_loss_off(case: Case) -> Finding | None:
    """The loss of the untrained network is many times that of chance: the first outputs are large and wrong."""
    steps, losses = case.curve("loss")
    if case.chance_loss is None or not len(losses) or steps[0] > 1:
        return None
    if case.program is not None and not case.program.loss.alone:
        return None  # a penalty or another loss is in it
    if (small := _far_targets(case)) is not None:
        return small
    chance = max(case.chance_loss, _uniform(case))
    ratio = float(losses[0]) / max(chance, 1e-12)
    if not NOTABLE < ratio < np.inf:  # what is infinite is told as such
        return None
    bound = OFF if case.program is None else OFF_ALONE
    smooth = running_mean(np.nan_to_num(losses, nan=np.inf))
    below = np.flatnonzero(smooth < chance)
    wasted = f"{steps[below[0]]} updates" if len(below) else "all updates so far"
    quickly = len(below) > 0 and steps[below[0]] <= QUICKLY * case.updates
    soon = len(below) > 0 and steps[below[0]] <= SOON * case.updates and case.learned
    excused = quickly or _dropped(case) or ((case.untrained or soon) and ratio < bound.value * _offset(case))
    cost = "" if case.untrained else f", and {wasted} go into unlearning them"
    return Finding(
        "initial-loss-off",
        "warning" if ratio > bound.value and not excused else "info",
        f"The untrained network's loss is {losses[0]:.3g}, {ratio:.3g} times that of chance ({chance:.3g}): "
        f"its first outputs are far off{cost}.",
        layer="output",
        member=case.member,
        step=1,
        evidence=bound.evidence("first loss over that of chance", ratio, chance_loss=chance),
        remedies=offered(
            initialiser(case),
            Remedy("small-output", "draw the output layer's first weights small, so that the network starts at chance"),
        ),
    )


def _offset(case: Case) -> float:
    """How many times the loss of chance a first loss of numbers may be: a scale and a mean are soon learned."""
    program = case.program
    targets = None if program is None else program.targets
    if program is None or targets is None or program.loss.kind not in ("squared", "absolute", "huber"):
        return 1.0
    away, squared = abs(targets.mean) / max(targets.std, 1e-12), program.loss.kind == "squared"
    return 1.0 if away > NEAR else (SCALED**2 if squared else SCALED) + (away**2 if squared else away)


def _dropped(case: Case) -> bool:
    """Whether dropout makes the outputs of the passes that are trained on as large as they are."""
    return case.program is not None and case.program.dropout >= MOST_DROPPED


def _far_targets(case: Case) -> Finding | None:
    """Targets of a regression a thousand times as large as any output, and never reached."""
    program = case.program
    targets = None if program is None else program.targets
    if program is None or targets is None or program.output_range is None or case.learned:
        return None
    size = (targets.mean**2 + targets.std**2) ** 0.5
    ratio = size / max(*map(abs, program.output_range), 1.0)
    if program.task != "regression" or not ratio > DISTANT.value:
        return None
    return Finding(
        "initial-loss-off",
        "warning",
        f"The targets are of the size {size:.3g}, {ratio:.3g} times that of any output: the training goes into the "
        "outputs' scale.",
        layer="output",
        member=case.member,
        step=1,
        evidence=DISTANT.evidence("size of the targets over that of the outputs", ratio, targets=size),
        remedies=(
            Remedy("scale-targets", "targets of deviation 1 suit usual rates", {"data.scale_targets": "standardise"}),
        ),
    )


def _uniform(case: Case) -> float:
    """Loss of a network that knows nothing, not even how frequent the classes are: ln C (row B2)."""
    program = case.program
    if program is None or program.loss.terms != 1:
        return 0.0
    if program.loss.kind in ("binary", "binary-logits"):
        return float(np.log(2))
    return float(np.log(max(1, program.loss.classes)))


def overfitting(case: Case) -> Finding | None:
    """The weights in use do worse on the validation part than earlier ones, or know the training rows by heart.

    Where the best weights were restored and are free of it, nothing is lost: then it is an information.
    """
    gaps = _gaps(case)
    if gaps is None:
        return None
    steps = gaps.steps
    used = len(steps) - 1
    if case.outcome is not None:
        used = int(np.argmin(np.abs(steps - case.outcome.best_step)))
    now, in_the_end = gaps.overfits(used), gaps.overfits(len(steps) - 1)
    if not (now or in_the_end):
        return None
    place, best = (used if now else len(steps) - 1), int(np.argmin(gaps.held))
    if gaps.astray(place):
        return None
    rise, ratio = gaps.held[place] / gaps.held[best], gaps.held[place] / gaps.train[place]
    bound, figure, measured = (
        (RISE, "validation loss over its best", rise)
        if rise > RISE.value
        else (BY_HEART, "validation loss over training loss", ratio)
    )
    after = "" if now or case.outcome is None else f"; the weights of step {case.outcome.best_step} were restored"
    return Finding(
        "overfitting",
        "warning" if now else "info",
        f"From step {steps[best]} on the network learned the training rows by heart: its validation loss is {rise:.3g} "
        f"times its best, and {ratio:.3g} times its training loss{after}.",
        member=case.member,
        step=int(steps[best]),
        evidence=bound.evidence(figure, float(measured), restored="no" if now else "yes", gap=float(gaps.gap[place])),
        remedies=offered(
            Remedy(
                "early-stopping", "stop soon after the best evaluation and keep its weights", {"training.patience": 10}
            ),
            dropout(case),
            weight_decay(case),
            narrower(case),
            rate(case, 1 / 3, "smaller steps reach the best weights later, and more exactly"),
        ),
    )


@dataclass(frozen=True)
class Gaps:
    """Running means of the validation (`held`) and training loss, and their difference over the chance loss."""

    steps: np.ndarray
    held: np.ndarray
    train: np.ndarray
    gap: np.ndarray
    scale: float
    metric: np.ndarray | None = None
    chance: float | None = None

    def overfits(self, place: int) -> bool:
        """Whether the weights of this evaluation overfit."""
        best = int(np.argmin(self.held[: place + 1]))
        rise, ratio = self.held[place] / self.held[best], self.held[place] / self.train[place]
        harm = (self.held[place] - self.held[best]) / self.scale
        strong = rise > STRONG and self.train[place] < LESS * self.train[best]
        risen = rise > RISE.value and harm > HARM and (ratio > APART or strong) and self._lasting(best, place)
        apart = ratio > BY_HEART.value and self.gap[place] > HARM
        risen = risen or (rise > SLIGHT_RISE and harm > CLIMB and ratio > APART and self._climbs(best, place))
        far = rise > SLIGHT_RISE and ratio > FAR_APART and self.gap[place] > WIDE and self._lasting(best, place)
        return bool(
            risen
            or far
            or self._metric_fell(place)
            or self._nothing_else(place)
            or (apart and (self.gap[place] > WIDE or (rise > SLIGHT_RISE and place - best >= LASTING)))
        )

    def _climbs(self, best: int, place: int) -> bool:
        """Whether the validation loss rose with every judgement since its best, while the training loss fell."""
        since = slice(best + 1, place + 1)
        rises, falls = np.diff(self.held[since]) > 0, np.diff(self.train[since]) < 0
        return len(rises) >= LASTING and bool(rises.all()) and float(falls.mean()) > MOSTLY

    def _nothing_else(self, place: int) -> bool:
        """Whether no validation loss ever was below that of chance, and the training rows are known by heart."""
        known = self.chance is not None and float(np.median(self.train[place // 2 : place + 1])) < KNOWN * self.chance
        return known and len(self.held) >= LASTING and bool((self.held[: place + 1] > self.chance).all())

    def astray(self, place: int) -> bool:
        """Whether the training loss itself is far above its best: that was no learning by heart."""
        lowest = float(self.train[: place + 1].min())
        return self.train[place] > ASTRAY * lowest and self.train[place] - lowest > HARM * self.scale

    def _metric_fell(self, place: int) -> bool:
        """Whether the metric got clearly worse while loss of the training rows fell and that of the others rose."""
        if self.metric is None:
            return False
        best = int(np.argmax(self.metric[: place + 1]))
        lost = float(self.metric[best] - self.metric[place]) > max(LOST * abs(float(self.metric[best])), SLIP)
        falls = self.train[place] < FALLS * self.train[best] and self.held[place] > self.held[best]
        return bool(lost and falls and self._lasting(best, place))

    def _lasting(self, best: int, place: int) -> bool:
        """Whether enough evaluations lie between."""
        if len(self.held) >= FEW or place - best >= LASTING:
            return place - best >= LASTING
        part = (self.steps[place] - self.steps[best]) / max(self.steps[-1], 1)
        slight = 1.0 if self._metric_slips(best, place) else SLIGHT_RISE
        return place - best >= 2 and part >= THIRD and self.held[place - 1] > slight * self.held[best]

    def _metric_slips(self, best: int, place: int) -> bool:
        """Whether the metric is worse than it was: the second witness of a rise."""
        return self.metric is not None and bool(self.metric[place] < self.metric[best])


def _gaps(case: Case) -> Gaps | None:
    """None while there are too few evaluations."""
    (steps, held), (_, train) = case.finite("validation_loss"), case.finite("train_loss")
    if len(held) < 4 or len(train) != len(held):
        return None
    window = SMOOTHING if len(held) >= FEW else 1
    smooth, low = running_mean(held, window).clip(1e-12), running_mean(train, window).clip(1e-12)
    (at, metrics), late = case.finite("validation_metric"), steps[len(held) - len(smooth) :]
    known = running_mean(metrics, window) if np.array_equal(at, steps) else None
    return Gaps(late, smooth, low, (smooth - low) / case.scale, case.scale, known, case.chance_loss)
