"""Rules on loss, outputs and targets of a user's own training: do they belong together (rows A10, A11, D9)."""

import numpy as np

from trainwell.diagnosis.case import Case, Threshold
from trainwell.diagnosis.edits import edit, offered
from trainwell.diagnosis.finding import Finding, Remedy, Severity
from trainwell.vitals.program import Program

ENDLESS = float("inf")
BOUNDED = {
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, ENDLESS),
    "softplus": (0.0, ENDLESS),
    "softmax": (0.0, 1.0),
}
"""What an output function can give."""

BEYOND = Threshold(
    0.02,
    healthy="0",
    origin="share of the targets' span that outputs can't reach; DeepDiagnosis compares the ranges (our bound)",
)
PROBABILITY = ("softmax", "sigmoid")
LOGIT_LOSSES = ("cross-entropy", "binary-logits")
LOSS_FOR = {"multiclass": "cross_entropy", "binary": "binary_cross_entropy", "regression": "mse"}


def target_shape_mismatch(case: Case) -> Finding | None:
    """Outputs and targets broadcast: every output was compared with every target."""
    program = case.program
    if program is None or not program.loss.broadcasts or program.loss.kind not in ("squared", "absolute", "huber"):
        return None
    shape, compared = program.loss.shape, program.loss.compared
    return Finding(
        "target-shape-mismatch",
        "critical",
        f"The outputs {shape} were compared with the targets as {compared}: every output with every target.",
        member=case.member,
        step=1,
        evidence={
            "figure": "numbers compared over outputs",
            "measured": _size(compared) / _size(shape),
            "threshold": 1.0,
            "healthy": "1",
        },
        remedies=(edit(case, "equal-shapes", "each output meets its own target", {"data.target_shape": "outputs"}),),
    )


def double_softmax(case: Case) -> Finding | None:
    """Probabilities go into a loss that expects logits, and turns them into probabilities once more."""
    program = case.program
    if program is None or program.loss.output not in PROBABILITY or program.loss.kind not in LOGIT_LOSSES:
        return None
    if program.loss.kind == "cross-entropy" and program.loss.output == "sigmoid":
        return None  # told as loss-output-mismatch
    name = program.loss.output
    return Finding(
        "double-softmax",
        "critical" if not case.learned else "warning",
        f"The outputs passed {name}, and the loss ({program.loss.kind}) expects logits and applies it once more: "
        "gradients are small and the loss can't come near 0.",
        layer="output",
        member=case.member,
        step=1,
        evidence=_told(f"{name} before a loss from logits", "no function before it", program),
        remedies=(
            edit(case, "logits", f"without {name} the loss gets what it expects", {"module.output": "identity"}),
        ),
    )


RUNAWAY = Threshold(
    100.0,
    healthy="0 … 20",
    origin="a loss below 0 over the size of the first ones, that at least trebled in the second half (our assumption)",
)
FEWEST, TREBLED = 20, 3.0


def runaway(case: Case) -> Finding | None:
    """The loss falls below 0, ever faster: its sign is wrong, or nothing keeps it from falling."""
    _, losses = case.finite("loss")
    if case.program is None or len(losses) < FEWEST:
        return None
    part, middle = max(1, len(losses) // 20), len(losses) // 2
    first, end = float(np.abs(losses[:part]).mean()), float(losses[-part:].mean())
    before = max(-float(losses[middle - part : middle + part].mean()), first, 1e-12)
    size = -end / max(first, 1e-12)
    if size < RUNAWAY.value or -end < TREBLED * before:
        return None
    return Finding(
        "loss-output-mismatch",
        "critical",
        f"The loss falls without end: it came to {end:.3g}, and falls ever faster. Its sign is wrong, or nothing keeps "
        "it from falling.",
        layer="output",
        member=case.member,
        step=case.updates,
        evidence=RUNAWAY.evidence("size of the last losses below 0 over that of the first", size),
        remedies=(
            Remedy("bounded-loss", "minimise the negative of what is to grow, and keep what divides away from 0"),
        ),
    )


def loss_output_mismatch(case: Case) -> Finding | None:
    """A loss that does not suit the targets or what the outputs can be, or that has no bottom."""
    return _misfit(case) or runaway(case)


def _misfit(case: Case) -> Finding | None:
    program = case.program
    if program is None:
        return None
    for judge in (
        _one_unit,
        _wrong_range,
        _classes_by_distance,
        _not_log_probabilities,
        _squashed_logits,
        _unreachable,
        _not_a_rate,
    ):
        told = judge(program)
        if told is not None:
            severity, message, why, change = told
            return Finding(
                "loss-output-mismatch",
                severity,
                message,
                layer="output",
                member=case.member,
                step=1,
                evidence=_told(f"{program.loss.kind} of {program.loss.output}", "outputs and loss that fit", program),
                remedies=offered(None if change is None else edit(case, "fitting-loss-and-output", why, change)),
            )
    return None


Told = tuple[Severity, str, str, dict[str, object] | None]


def _one_unit(program: Program) -> Told | None:
    """A softmax over a single unit is always 1."""
    loss = program.loss
    if loss.kind == "cross-entropy" and len(loss.compared) > 1 and loss.compared[1] > 1:
        return None  # over a list of samples, as a ranking does it
    columns = loss.shape[1] if len(loss.shape) > 1 else 1
    over_one = columns == 1 and (loss.output in ("softmax", "log_softmax") or loss.kind in ("cross-entropy", "nll"))
    if not over_one or len(loss.shape) > 2:
        return None
    return (
        "critical",
        "A softmax over a single output is always 1, so that nothing can be learned.",
        "one output with a sigmoid inside the loss, or one output for each class",
        {"module.output": "identity", "loss.name": "binary_cross_entropy"},
    )


def _wrong_range(program: Program) -> Told | None:
    """Targets outside [0, 1] in a binary cross-entropy."""
    targets = program.targets
    if program.loss.kind not in ("binary", "binary-logits") or targets is None or _made_over(program):
        return None
    if targets.low >= 0 and targets.high <= 1:
        return None
    several = targets.classes > 2
    return (
        "critical",
        f"Binary cross-entropy takes targets from 0 to 1, but they go from {targets.low:.3g} to {targets.high:.3g}.",
        "a loss for what the targets are",
        {"loss.name": "cross_entropy" if several else "binary_cross_entropy"},
    )


def _made_over(program: Program) -> bool:
    """Whether the loss compares outputs with something else than the targets as they are given."""
    numbers = _size(program.loss.shape[1:]) if len(program.loss.shape) > 1 else 1.0
    return program.targets is not None and numbers != program.targets.columns


def _classes_by_distance(program: Program) -> Told | None:
    """Classes learned as if they were quantities."""
    targets = program.targets
    if program.loss.kind not in ("squared", "absolute", "huber") or targets is None or targets.constant:
        return None
    named = program.given_task in ("binary", "multiclass", "classification", "multilabel")
    task = program.given_task if named else targets.task
    if task not in ("binary", "multiclass", "classification", "multilabel"):
        return None
    what = "one column for each class" if targets.one_hot else f"{max(targets.classes, 2)} classes"
    how = f"outputs through {program.loss.output}" if program.loss.output in BOUNDED else "outputs"
    return (
        "warning",
        f"The targets are {what}, but the loss takes the {program.loss.kind} distance of {how}: its gradient fades "
        "where a sample is most wrong, or orders classes that have no order.",
        "cross-entropy punishes what is surely wrong, and its gradient is output minus target",
        {"loss.name": "cross_entropy" if targets.classes > 2 or targets.one_hot else "binary_cross_entropy"},
    )


def _not_log_probabilities(program: Program) -> Told | None:
    """NLL of something else than log-probabilities; or a divergence of them."""
    if program.loss.kind == "divergence":
        return (
            "critical",
            f"The divergence takes log-probabilities, but gets outputs through {program.loss.output}: it falls below "
            "0, and is least where one class gets everything.",
            "log_softmax gives what KLDivLoss takes first; its targets are probabilities",
            {"module.output": "log_softmax"},
        )
    if program.loss.kind != "nll" or program.loss.output not in ("identity", "softmax", "sigmoid", "relu", "tanh"):
        return None
    return (
        "critical",
        f"The negative log-likelihood takes log-probabilities, but gets outputs through {program.loss.output}: "
        "it can be lowered without end, or hardly at all.",
        "cross-entropy takes logits and does both steps, exactly",
        {"module.output": "identity", "loss.name": "cross_entropy"},
    )


def _not_a_rate(program: Program) -> Told | None:
    """Rates where a Poisson loss takes their logarithms, or outputs below 0 where it takes rates."""
    kind, output = program.loss.kind, program.loss.output
    if kind == "poisson-log" and output in ("softplus", "relu", "sigmoid", "exp", "softmax"):
        return (
            "warning",
            f"The Poisson loss takes the logarithm of a rate, but gets outputs through {output}, which are rates.",
            "log_input=False takes rates; without the function the output is a logarithm",
            {"module.output": "identity"},
        )
    if kind == "poisson" and output == "identity":
        return (
            "critical",
            "The Poisson loss takes rates here (log_input=False), but the outputs can fall below 0, where it has no "
            "value.",
            "log_input=True takes any output as the logarithm of a rate",
            {"module.output": "softplus"},
        )
    return None


def _squashed_logits(program: Program) -> Told | None:
    """Logits through a function that keeps them from being large, or negative."""
    squashed = ("sigmoid", "tanh", "relu")
    wrong = program.loss.kind in LOGIT_LOSSES and program.loss.output in squashed
    wrong = wrong and not (program.loss.kind == "binary-logits" and program.loss.output == "sigmoid")
    several = len(program.loss.shape) > 1 and program.loss.shape[1] > 1
    wrong = wrong or (program.loss.kind == "binary" and program.loss.output == "softmax" and several)
    wrong = wrong or (program.loss.kind == "binary" and program.loss.output in ("relu", "tanh", "identity"))
    if not wrong:
        return None
    named = "cross_entropy" if several else "binary_cross_entropy"
    return (
        "warning",
        f"The loss ({program.loss.kind}) gets outputs through {program.loss.output}, which keeps them from what it "
        "needs.",
        "a last layer without a function can give any logit",
        {"module.output": "identity", "loss.name": named},
    )


def _unreachable(program: Program) -> Told | None:
    """Targets of a regression that the output function can't give."""
    targets = program.targets
    distance = program.loss.kind in ("squared", "absolute", "huber")
    if not distance or program.loss.output not in BOUNDED or targets is None or targets.constant:
        return None
    if _made_over(program):
        return None
    low, high = BOUNDED[program.loss.output]
    span = max(targets.high - targets.low, 1e-12)
    out = (max(0.0, low - targets.low) + max(0.0, targets.high - high)) / span
    if out <= BEYOND.value:
        return None
    return (
        "critical" if out > 0.3 else "warning",
        f"The outputs passed {program.loss.output} and can't leave [{low:g}, {high:g}], "
        f"but the targets go from {targets.low:.3g} to {targets.high:.3g}.",
        "without a function the output can take any value",
        {"module.output": "identity"},
    )


def _told(measured: str, wanted: str, program: Program) -> dict[str, float | str]:
    shape = " × ".join(map(str, program.loss.shape))
    return {"figure": "loss and output", "measured": measured, "threshold": wanted, "healthy": wanted, "outputs": shape}


def _size(shape: tuple[int, ...]) -> float:
    total = 1.0
    for length in shape:
        total *= length
    return total
