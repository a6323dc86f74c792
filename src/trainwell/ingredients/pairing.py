"""Rule of thumb as code: which output and loss fit a task, which first weights fit an activation (rows A10, A11).

Contract: `check_pairing` takes names and gives what does not fit, the worst first, as the kind of finding that comes of
it. Losses here take the outputs before softmax or sigmoid, so that what a network itself applies to them (`output`)
should be nothing: "identity".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from trainwell.base import PlanError, did_you_mean
from trainwell.ingredients.activations import ACTIVATIONS
from trainwell.ingredients.initialisers import INITIALISERS, initialiser_for as initialiser_for
from trainwell.ingredients.losses import LOSSES, loss_for as loss_for

SHARES = ("softmax", "log_softmax")  # functions of all outputs of a sample together
VARIANCE = {"glorot": 1.0, "lecun": 1.0, "orthogonal": 1.0, "he": 2.0, "fan": 1 / 3}  # × fan, by a scheme's first word
SYMMETRIC = ("zeros", "constant")


@dataclass(frozen=True)
class Mismatch:
    """Two choices that do not belong together.

    Attributes:
        kind: the finding that it leads to (a word of `diagnosis.KINDS`).
        severity: "refuse": the training cannot be right; "warn": it costs quality or speed.
        message: one line: the rule, the values, the way out.
    """

    kind: str
    severity: Literal["refuse", "warn"]
    message: str


def output_for(task: str) -> str:
    """The function that turns a network's outputs into predictions (row A10).

    >>> output_for("binary"), output_for("multiclass"), output_for("regression")
    ('sigmoid', 'softmax', 'identity')

    Raises:
        PlanError: there is no such task.
    """
    return LOSSES[loss_for(task)].output


def check_pairing(
    hidden: str, initialiser: str, output: str, loss: str, task: str, *, gain: float = 1.0
) -> list[Mismatch]:
    """What does not fit, the worst first; nothing where all fits.

    Args:
        hidden: activation of the hidden layers.
        initialiser: the scheme of their first weights, or "auto".
        output: what the network applies to its outputs before the loss: an activation, "softmax" or "log_softmax".
        loss: a loss of this package, or "auto".
        task: binary, multilabel, multiclass or regression.
        gain: factor on the deviation of first weights. Another than 1 is taken for a decision, and not judged.

    Raises:
        PlanError: an unknown name.

    >>> [m.kind for m in check_pairing("relu", "he_normal", "softmax", "cross_entropy", "multiclass")]
    ['double-softmax']
    """
    own = loss_for(task)
    loss = own if loss == "auto" else loss
    if output not in ACTIVATIONS and output not in SHARES:
        known = (*ACTIVATIONS, *SHARES)
        raise PlanError(f"Unknown output '{output}'.{did_you_mean(output, known)} Known: {', '.join(known)}.")
    found = [*_of_task(loss, output, task), *_of_output(loss, output, task), *_of_weights(hidden, initialiser, gain)]
    return sorted(found, key=lambda m: m.severity != "refuse")


def _of_task(loss: str, output: str, task: str) -> Iterator[Mismatch]:
    """A loss made for other tasks."""
    tasks = LOSSES[loss].tasks
    if task in tasks:
        return
    slow = output == "sigmoid" and LOSSES[loss].output == "identity"
    why = ": its slope fades where a sigmoid is saturated, however wrong" if slow else ""
    says = f"The loss {loss} is for {' and '.join(tasks)}, not {task}{why}; use {loss_for(task)}"
    yield Mismatch("loss-output-mismatch", "refuse", f"{says}{' on the output before the sigmoid' if slow else ''}.")


def _of_output(loss: str, output: str, task: str) -> Iterator[Mismatch]:
    """An output that is not what the loss expects."""
    wanted = LOSSES[loss].output
    if output == "identity" or task not in LOSSES[loss].tasks:
        return
    if wanted == "identity":
        yield from _of_numbers(loss, output)
    elif output == wanted:
        yield Mismatch(
            "double-softmax",
            "refuse",
            f"The loss {loss} applies {wanted} itself, and the network has one too: leave it out of the network.",
        )
    elif (output, wanted) != ("log_softmax", "softmax"):  # softmax of ln softmax is softmax again
        yield Mismatch(
            "loss-output-mismatch",
            "refuse",
            f"The loss {loss} wants any number as an output, not those of {output}: leave {output} out of the network.",
        )


def _of_numbers(loss: str, output: str) -> Iterator[Mismatch]:
    """An output of a regression that cannot be any number."""
    if output in SHARES:
        says = "numbers that depend on each other"
        yield Mismatch(
            "loss-output-mismatch",
            "refuse",
            f"A regression ({loss}) wants any number as an output, but {output} gives {says}: use identity.",
        )
        return
    low, high = ACTIVATIONS[output].range
    if (low, high) != (float("-inf"), float("inf")):
        yield Mismatch(
            "loss-output-mismatch",
            "warn",
            f"A regression ({loss}) wants any number as an output, but {output} gives only {low:.3g} to {high:.3g}: "
            "use identity.",
        )


def _of_weights(hidden: str, initialiser: str, gain: float) -> Iterator[Mismatch]:
    """First weights that do not keep the variance of signals under the hidden activation (rows I1, I12)."""
    own = initialiser_for(hidden)
    initialiser = own if initialiser == "auto" else initialiser
    INITIALISERS[initialiser]  # an unknown name ends here
    if initialiser in SYMMETRIC:
        says = f"With first weights that are all equal ({initialiser}) units stay copies of each other: use {own}."
        yield Mismatch("symmetric-units", "warn", says)
        return
    factor = VARIANCE.get(initialiser.split("_")[0])
    wanted = VARIANCE[own.split("_")[0]]
    if factor is None or gain != 1.0 or factor == wanted:
        return
    kind, verb = ("shrinking-activations", "fade") if factor < wanted else ("growing-activations", "grow")
    says = f"Under {hidden} signals {verb} with depth when first weights are drawn by {initialiser}: use {own}"
    advice = f", or a gain of {(wanted / factor) ** 0.5:.3g}."
    yield Mismatch(kind, "warn", says + advice)
