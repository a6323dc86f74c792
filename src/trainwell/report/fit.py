"""Learning curves of the final networks, and what they say together: underfit, overfit, or fit (row H7)."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainwell.report.records import Records
from trainwell.report.words import counted, is_number, number, percent

Kind = Literal["underfit", "overfit", "fit", "unknown"]

LEARNED = 0.05  # share of the first validation loss; less gained than this is not learning (our assumption)
STILL = 0.02  # share of the whole gain won in the last tenth of the epochs: it was still learning (our assumption)
ROSE = (
    1.05  # validation loss at the end over its best, from which it had turned (as the rule `overfitting`: slight rise)
)
GAP = 1.5  # validation over training loss, below which a rise is noise (as the rule `overfitting`)
FEWEST = 5  # evaluations from which a curve can be read


@dataclass(frozen=True)
class Course:
    """The evaluations of one network.

    Attributes:
        at: epochs, or updates where their number in an epoch is not known.
        best: position of the evaluation whose weights are used.
    """

    member: int
    at: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    metric: np.ndarray
    best: int


@dataclass(frozen=True)
class Fit:
    """A judgement of the curves, with its reason as a sentence."""

    kind: Kind
    sentence: str


def steps_per_epoch(records: Records) -> int | None:
    """Updates in a pass over the training part."""
    rows = records.evidence("data").get("train")
    if not rows or records.plan is None:
        return None
    size = records.plan.training.batch_size
    return max(1, rows // size if records.plan.training.drop_last else math.ceil(rows / size))


def courses(records: Records) -> list[Course]:
    """The curves of every final network that was evaluated at least once."""
    vitals, per_epoch = records.vitals, steps_per_epoch(records) or 1
    final, found = records.evidence("final"), []
    members = [m for m in vitals.members() if len(vitals.series("validation_loss", member=m)[0])]
    told = final.get("best_epochs") or ()
    for i, member in enumerate(members):
        steps, validation = vitals.series("validation_loss", member=member)
        if not np.isfinite(validation).any():
            continue
        at = steps / per_epoch
        best = int(np.nanargmin(np.where(np.isfinite(validation), validation, np.nan)))
        if len(told) == len(members) and told[i] is not None and steps_per_epoch(records):
            best = int(np.abs(at - told[i]).argmin())
        train, metric = (_on(vitals.series(s, member=member), steps) for s in ("train_loss", "validation_metric"))
        found.append(Course(member, at, train, validation, metric, best))
    return found


def _on(series: tuple[np.ndarray, np.ndarray], steps: np.ndarray) -> np.ndarray:
    """A signal at these steps; NaN where it was not measured."""
    known = dict(zip(series[0].tolist(), series[1].tolist(), strict=True))
    return np.array([known.get(step, np.nan) for step in steps.tolist()])


def judge_fit(records: Records, found: list[Course]) -> Fit:
    """What the networks' curves say together; a finding of the rules outweighs what is read here."""
    readable = [c for c in found if len(c.at) >= FEWEST and np.isfinite(c.train).any()]
    if not readable:
        return Fit("unknown", "The curves are too short to say whether the networks underfit or overfit.")
    kinds = {f.kind for f in records.findings or () if f.severity != "info"}
    first = max(_median([c.validation[0] for c in readable]), _untrained(records))
    best = _median([c.validation[c.best] for c in readable])
    last = _median([c.validation[-1] for c in readable])
    train = _median([c.train[-1] for c in readable])
    gain, gap = (first - best) / abs(first) if first else 0.0, last / max(train, 1e-12)
    if gain < LEARNED or kinds & {"not-learning", "underfitting"}:
        return Fit(
            "underfit",
            f"Underfit: the validation loss fell by {percent(max(gain, 0.0))} only, to {number(best)}.",
        )
    if last > ROSE * best and gap > GAP:
        return _overfit(readable, best, last)
    if "overfitting" in kinds:
        return Fit("overfit", "Overfit in part: a rule found networks that learned their training rows by heart.")
    late = _median([_gain_at_end(c) for c in readable])
    if late > STILL:
        share = f"{percent(late)} of its gain came in the last tenth"
        text = f"Underfit, a little: the validation loss was still falling when training ended ({share})."
        return Fit("underfit", f"{text} More epochs would help.")
    text = f"A good fit: the validation loss fell from {number(first)} to {number(best)} and levelled out"
    return Fit("fit", f"{text}; at the end it is {number(gap, 3)} times the training loss ({number(train)}).")


def _overfit(found: list[Course], best: float, last: float) -> Fit:
    epoch = _median([c.at[c.best] for c in found])
    train = _median([c.train[-1] for c in found])
    return Fit(
        "overfit",
        f"Overfit past the best epoch: about epoch {number(epoch, 3)} the validation loss was lowest ({number(best)}); "
        f"then it rose to {number(last)} while the training loss fell to {number(train)}. The weights of the best "
        f"epoch are the ones in use, so nothing is lost; more dropout, weight decay or data would let "
        f"{'it' if len(found) == 1 else 'them'} learn longer.",
    )


def _untrained(records: Records) -> float:
    """The loss before training, where it was measured: the first evaluation comes a whole epoch later."""
    loss = records.evidence("initial-loss").get("loss")
    return float(loss) if is_number(loss) else -math.inf


def _gain_at_end(course: Course) -> float:
    """Share of the gain that was won in the last tenth of the evaluations, by means of a tenth each."""
    width = max(1, len(course.at) // 10)
    held = course.validation
    before, after = np.nanmean(held[-2 * width : -width]), np.nanmean(held[-width:])
    whole = held[0] - np.nanmin(held)
    return float((before - after) / whole) if whole > 0 else 0.0


def _median(values: list[float]) -> float:
    finite = [v for v in values if math.isfinite(v)]
    return float(np.median(finite)) if finite else math.nan


def said_of(found: list[Course]) -> str:
    """How many networks and how long, for a caption."""
    longest = max(float(c.at[-1]) for c in found)
    return f"{counted(len(found), 'network')}, {number(longest, 3)} epochs at the most"
