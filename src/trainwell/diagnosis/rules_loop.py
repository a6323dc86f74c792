"""Rules on the loop and the module of a user's own training: what is never updated, summed up, or in the wrong mode."""

from trainwell.diagnosis.case import Case, Threshold, called
from trainwell.diagnosis.edits import edit, offered
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.rules_curve import not_learning
from trainwell.diagnosis.rules_gradient import clipped_to_nothing, without_gradient

MOSTLY = Threshold(
    0.5, healthy="0", origin="more often than not; once may be an experiment of the user's (our assumption)"
)
HITS = 2
"""Looks at which the old gradient was still in the sum; one could be chance."""

LAGS = Threshold(0.3, healthy="0.6 … 1", origin="way of the statistics for evaluation from 0 and 1 (our assumption)")
SETTLED, DEARER = 50, 1.5
"""Updates in which they should have gone it, and times the training loss that the validation loss is (assumptions)."""

LOSSY = 0.7
"""Rate of dropout from which a network that learns badly is blamed on it; Srivastava et al. 2014 use 0.2 to 0.5."""


def gradients_accumulate(case: Case) -> Finding | None:
    """At an update the gradient was that of the batch plus all of the one before it."""
    program = case.program
    if program is None:
        return None
    hits, looks = program.accumulating
    if hits < HITS or hits <= MOSTLY.value * looks:
        return None
    return Finding(
        "gradients-accumulate",
        "critical" if not case.learned else "warning",
        f"At {hits} of {looks} updates that were looked at the gradient of the update before was still in the sum.",
        member=case.member,
        step=2,
        evidence=MOSTLY.evidence("share of looks with an old gradient", hits / looks, looks=float(looks)),
        remedies=(
            Remedy("zero-grad", "call optimizer.zero_grad() before every backward()", {"training.zero_grad": True}),
        ),
    )


def parameters_not_updated(case: Case) -> Finding | None:
    """Parameters that get no gradient, are in no optimizer, are frozen as they were first drawn, or at all where
    nothing is learned."""
    program = case.program
    if program is None:
        return None
    stuck = program.stuck
    reasons = [
        (stuck.unreached, "get no gradient: the loss does not depend on them, or a detach lies between"),
        (stuck.forgotten, "are in no optimizer, though they look as they were first drawn"),
        (stuck.frozen, "are frozen, though they look as they were first drawn"),
    ]
    if stuck.unregistered:
        held = "are in a list or dict of Python: torch does not know of their parameters; use nn.ModuleList"
        reasons.insert(0, (stuck.unregistered, held))
    if stuck.idle:
        reasons.insert(0, (("all parameters",), "stay as they are: the optimizer never made a step"))
    if silent := _silent(case):
        zero = not case.finite("loss")[1].any()
        why = "is the loss a difference of equal things" if zero else "is it emptied between backward() and step()"
        reasons.insert(0, (("all parameters",), f"get a gradient of exactly 0: {why}?"))
    named = [(names, why) for names, why in reasons if names]
    if not named and stuck.everything:
        named = [(("all parameters",), "are frozen or in no optimizer")]
    if not named and stuck.still and not_learning(case) is not None:
        named = [(stuck.still, "are frozen, and nothing is learned on top of them")]
    if not named:
        return None
    names, why = named[0]
    count = sum(len(names) for names, _ in named)
    return Finding(
        "parameters-not-updated",
        "critical" if stuck.everything or stuck.idle or silent else "warning",
        f"{_listed(names)} {why}" + ("" if why.endswith("?") else "."),
        layer=names[0].rpartition(".")[0] or None,
        member=case.member,
        step=1,
        evidence={
            "figure": "parameters that never change",
            "measured": float(count),
            "threshold": 0.0,
            "healthy": "0",
            "which": _listed([name for names, _ in named for name in names], 8),
        },
        remedies=offered(
            edit(
                case, "train-all", "all parameters learn, and are handed to the optimizer", {"module.trainable": "all"}
            ),
        ),
    )


def _silent(case: Case) -> bool:
    """Whether no layer ever got a gradient, though outputs differ, and not because it was clipped to nothing."""
    if case.program is None or case.program.constant_output or clipped_to_nothing(case):
        return False
    if case.program.loss.kind in ("cross-entropy", "nll") and not case.finite("loss")[1].any():
        return False  # a softmax over one output
    return without_gradient(case)


HEED_THE_MODE = "pass training=self.training to F.dropout, and a rate of 0 to attention, or use nn.Dropout"


def wrong_mode(case: Case) -> Finding | None:
    """Updates made in evaluation mode, or judgements in training mode, of a module for which that matters; or batch
    norm that takes in evaluation mode what it began with, by a momentum that is too small."""
    program = case.program
    if program is not None and program.dropped:
        return _drops_always(case, program.dropped)
    if program is None or not program.modal:
        return None
    (wrong, updates), (noisy, judged) = program.training_in_eval, program.judged_in_train
    in_eval = updates >= 8 and wrong > MOSTLY.value * updates
    in_train = judged >= 2 and noisy > MOSTLY.value * judged
    if not (in_eval or in_train):
        return _lags(case)
    share = wrong / updates if in_eval else noisy / judged
    what = (
        f"{wrong} of {updates} updates were made in evaluation mode: dropout and batch statistics are off in training"
        if in_eval
        else f"{noisy} of {judged} judgements were made in training mode: with dropout, or statistics of the batch"
    )
    fix = "call model.train() before the batches of an epoch" if in_eval else "call model.eval() before a judgement"
    figure = "share of updates in evaluation mode" if in_eval else "share of judgements in training mode"
    return Finding(
        "wrong-mode",
        "warning",
        f"{what}.",
        member=case.member,
        step=updates,
        evidence=MOSTLY.evidence(figure, share),
        remedies=(Remedy("set-the-mode", fix, {"training.mode": "train"}),),
    )


def _lags(case: Case) -> Finding | None:
    """What batch norm takes in evaluation mode is still near its first values, and judgements are the worse for it."""
    (_, held), (_, train) = case.finite("validation_loss"), case.finite("train_loss")
    assert case.program is not None
    layer, share = case.program.lagging
    dearer = len(held) > 0 and len(train) == len(held) and float(held[-1]) > DEARER * float(train[-1])
    if not (share < LAGS.value and case.updates >= SETTLED and dearer):
        return None
    return Finding(
        "wrong-mode",
        "warning",
        f"In evaluation mode {layer} takes means and deviations that went {share:.0%} of their way from the first "
        "ones: its momentum is so small that they lag behind those of the batches.",
        layer=layer,
        member=case.member,
        step=case.updates,
        evidence=LAGS.evidence("1 − (1 − momentum)ⁿ after n batches", share),
        remedies=(Remedy("momentum", "leave the momentum of batch norm at 0.1: in torch it is the share of the new"),),
    )


def _drops_always(case: Case, function: str) -> Finding:
    """Dropout does not heed evaluation mode."""
    return Finding(
        "wrong-mode",
        "warning",
        f"In evaluation mode {function} still drops units: the judgements are of random outputs.",
        member=case.member,
        step=0,
        evidence={"figure": "functions that drop units", "measured": 1.0, "threshold": 0.0, "healthy": "0"},
        remedies=(Remedy("set-the-mode", HEED_THE_MODE),),
    )


def symmetric_units(case: Case) -> Finding | None:
    """Layers whose units begin alike and get the same gradient, so that they stay alike."""
    program = case.program
    if program is None or not program.symmetric:
        return None
    names = program.symmetric
    return Finding(
        "symmetric-units",
        "critical" if not case.learned else "warning",
        f"All units of {_listed(names)} begin with the same weights and get the same gradient: "
        "each of these layers is worth one unit.",
        layer=names[0],
        member=case.member,
        step=1,
        evidence={
            "figure": "layers of which all units are alike",
            "measured": float(len(names)),
            "threshold": 0.0,
            "healthy": "0",
        },
        remedies=offered(
            edit(
                case,
                "random-weights",
                "units that begin apart can learn different things",
                {"initialiser.name": "auto"},
            ),
        ),
    )


def missing_activation(case: Case) -> Finding | None:
    """Two or more layers with weights, and no function between input and output: together they are one linear map."""
    program = case.program
    if program is None or program.bends is None or not program.weighted:
        return None
    straight, pairs = program.chains
    linear = program.bends == 0 and program.weighted > 1 and pairs > 0  # without pairs something unseen lies between
    if not (linear or (straight > 0 and (straight == pairs or (straight > 1 and 2 * straight >= pairs)))):
        return None
    what = f"{program.weighted} layers" if linear else f"{straight + 1} of {program.weighted} layers"
    return Finding(
        "missing-activation",
        "warning",
        f"{what} follow one another without a non-linearity: together they are one linear map.",
        member=case.member,
        step=1,
        evidence={
            "figure": "layers fed by another one directly",
            "measured": float(max(straight, linear)),
            "threshold": 0.0,
            "healthy": "0",
        },
        remedies=(
            edit(case, "add-relu", "layers with a bend between them can fit curves", {"module.add_activation": "relu"}),
        ),
    )


def bias_before_norm(case: Case) -> Finding | None:
    """A bias directly before a batch norm, which subtracts it again: harmless, and idle."""
    program = case.program
    if program is None or not program.idle_biases:
        return None
    names = program.idle_biases
    return Finding(
        "bias-before-norm",
        "info",
        f"The bias of {_listed(names)} does nothing: the batch norm after it subtracts it again.",
        layer=names[0],
        member=case.member,
        step=1,
        evidence={"figure": "idle biases", "measured": float(len(names)), "threshold": 0.0, "healthy": "0"},
        remedies=(Remedy("no-bias", "bias=False in the layer before the norm saves the parameters"),),
    )


def _listed(names: tuple[str, ...] | list[str], most: int = 3) -> str:
    shown = ", ".join(map(called, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
