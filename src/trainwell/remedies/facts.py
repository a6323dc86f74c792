"""Findings about a user's training before it runs, each with the changes that may cure it, smallest first.

Contract: a fact is a function from a `Look` to a `Finding`, or None; `FACTS` is the table; `examined` asks all.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.base import Registry
from trainwell.diagnosis import Finding, Remedy
from trainwell.remedies.anatomy import WEIGHTED
from trainwell.remedies.facts_passes import batch_leak, cut_gradients, wrong_mode
from trainwell.remedies.initialising import fans, spread
from trainwell.remedies.look import Look
from trainwell.remedies.pairing import BROADCAST, ELEMENTWISE

Fact = Callable[[Look], Finding | None]

FAR, WIDE, NARROW = 3.0, 5.0, 0.1
"""Inputs and targets with a mean or deviation beyond these are taken for unscaled; pixels from 0 to 1 are within."""
SPREADS = (0.1, 5.0)
"""Deviation of weights × √fan in; all of torch's, Glorot's and He's initialisers give 0.5 to 1.8."""
LOW_BIAS = 3.0  # × 1/√fan in; torch's biases stay within 1, trained networks rarely have larger ones at the start
FEW_ROWS, MANY_SHARE = 4, 0.5  # rows in a batch, and share of all rows
PASSES = 8  # updates an epoch that are enough to learn by, where the usual batch costs too many
USUAL_BATCH = 32  # Bengio 2012; Masters & Luschi 2018: 2 to 32 does best over many tasks
SCALE_INPUTS = Remedy(
    "standardise-inputs", "rate and first weights suit deviation 1", {"data.scale_inputs": "standardise"}
)
SCALE_TARGETS = Remedy(
    "standardise-targets", "errors of the size 1 suit common rates", {"data.scale_targets": "standardise"}
)
INITIALISE = Remedy("initialise", "signals keep their size, and units differ", {"module.initialiser": "auto"})
BATCH = Remedy("usual-batch", "a batch of 32 balances noise and cost", {"training.batch_size": USUAL_BATCH})
RANGES = {"sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, float("inf"))}


def examined(look: Look) -> list[Finding]:
    """All facts of a training, causes first."""
    return [finding for fact in FACTS.values() if (finding := fact(look)) is not None]


def natural(look: Look) -> list[dict[str, Any]]:
    """Loss and output that suit the task, as changes of what is there; those that keep the outputs' shape first."""
    aim, ways = look.aim, []
    undo = _undone(look)
    if aim.task == "numbers":
        return [{"loss.name": "mse"} | undo]
    if aim.task == "labels":
        return [{"loss.name": "binary_cross_entropy"} | undo]
    if aim.task == "sequence":
        return [{"loss.name": "cross_entropy"} | undo]
    if aim.classes == 2 and look.outputs == 1:
        ways.append({"loss.name": "binary_cross_entropy"} | undo)
    wider = {} if look.outputs >= aim.classes else {"module.outputs": aim.classes}
    ways.append({"loss.name": "cross_entropy"} | undo | wider)
    return ways


def _undone(look: Look) -> dict[str, Any]:
    if look.end not in ("own", "identity", "log_softmax"):
        return {"module.output": "identity"}
    return {"module.output": "logarithm"} if look.end == "own" and _probabilities(look) else {}


def _probabilities(look: Look) -> bool:
    if look.body is None or look.body.outputs.dim() != 2:
        return False
    p = look.body.outputs
    inside = bool(((p >= 0) & (p <= 1)).all())
    return inside and (p.shape[1] == 1 or bool((p.sum(dim=1) - 1).abs().max() < 1e-4))


def _loss_remedies(look: Look) -> tuple[Remedy, ...]:
    why = "loss and outputs that suit the task"
    return tuple(Remedy("loss-of-the-task", why, change) for change in natural(look))


def target_shape_mismatch(look: Look) -> Finding | None:
    """The loss fails, or compares every output with every target."""
    if look.body is None:
        return None
    out, target = tuple(look.body.outputs.shape), tuple(look.rows.y.shape)
    if look.error:
        message = f"The loss fails on outputs {out} and targets {target}: {look.error}."
        return Finding("target-shape-mismatch", "critical", message, step=0, remedies=_loss_remedies(look))
    if look.loss.endswith(BROADCAST):
        message = f"Outputs {out} and targets {target} broadcast: each output is compared with every target."
        return Finding("target-shape-mismatch", "critical", message, step=0, remedies=_loss_remedies(look))
    return None


def loss_output_mismatch(look: Look) -> Finding | None:
    """The loss isn't one of the task, or the last function doesn't suit the loss or the targets."""
    if look.body is None or look.error:
        return None
    kind, message = "loss-output-mismatch", ""
    logits = ("cross_entropy", "cross_entropy of columns", "binary_cross_entropy")
    squashed = look.end in ("softmax", "sigmoid", "tanh", "relu", "softplus") or (
        look.end == "own" and _probabilities(look)
    )
    if look.outputs == 1 and look.end == "softmax":
        message = "A softmax over a single output is always 1: the outputs don't depend on the inputs."
    elif look.aim.task != "numbers" and look.loss in ELEMENTWISE:
        message = f"The targets are classes, but the loss is {look.loss}, which takes them for quantities."
    elif look.loss in logits and squashed:
        kind = "double-softmax" if look.end in ("softmax", "sigmoid", "own") else kind
        message = f"The loss takes logits, but the module ends in a {look.end if look.end != 'own' else 'softmax'}."
    elif look.loss == "nll" and look.end != "log_softmax" and not _logarithms(look):
        message = f"The loss takes logarithms of probabilities, but the module ends in {look.end}."
    elif look.loss == "probabilities" and look.end == "identity":
        message = "The loss takes probabilities, but the module gives logits."
    elif look.aim.task == "numbers" and _out_of_range(look):
        message = f"The targets go beyond what the {look.end} at the end of the module can give."
    elif look.aim.task == "numbers" and look.loss in ("cross_entropy", "binary_cross_entropy", "nll"):
        message = f"The targets are quantities, but the loss is {look.loss}, which is for classes."
    if not message:
        return None
    change = {"module.output": "identity"}
    first = (Remedy("no-last-function", "outputs as the loss wants them", change),) if look.end in RANGES else ()
    return Finding(kind, "critical", message, step=0, remedies=(*first, *_loss_remedies(look)))


def _logarithms(look: Look) -> bool:
    return look.body is not None and bool((look.body.outputs <= 1e-6).all())


def _out_of_range(look: Look) -> bool:
    if look.end not in RANGES or look.training.scale_targets:
        return look.end in RANGES and look.training.scale_targets
    low, high = RANGES[look.end]
    return bool(((look.rows.y < low) | (look.rows.y > high)).any())


def unscaled_inputs(look: Look) -> Finding | None:
    """Inputs far from mean 0 and deviation 1."""
    if not off_scale(look.means, look.stds):
        return None
    mean, std = float(look.means.abs().max()), float(look.stds.max())
    return Finding(
        "unscaled-inputs", "warning", f"Inputs reach a mean of {mean:.3g} and a deviation of {std:.3g}.", step=0,
        evidence={"mean": mean, "std": std, "threshold": WIDE},
        remedies=(SCALE_INPUTS,),
    )  # fmt: skip


def off_scale(means: Tensor, stds: Tensor) -> bool:
    """Whether any mean is far, any deviation wide, or all are narrow."""
    if not len(means):
        return False
    varied = stds[stds != 1]
    narrow = len(varied) > 0 and bool((varied < NARROW).all())
    return bool((means.abs() > FAR).any() or (stds > WIDE).any()) or narrow


def unscaled_targets(look: Look) -> Finding | None:
    """Targets of numbers far from the size of the first outputs."""
    if look.aim.task != "numbers" or look.training.scale_targets or not look.rows.y.is_floating_point():
        return None
    y = look.rows.y.reshape(len(look.rows.y), -1).double()
    mean, std = y.mean(dim=0), y.std(dim=0)
    if not off_scale(mean, std):
        return None
    far, wide = float(mean.abs().max()), float(std.max())
    return Finding(
        "initial-loss-off", "warning",
        f"Targets have a mean of {far:.3g} and a deviation of {wide:.3g}: the first outputs are far off.",
        step=0, evidence={"mean": far, "std": wide},
        remedies=(SCALE_TARGETS,),
    )  # fmt: skip


def missing_activation(look: Look) -> Finding | None:
    """Linear layers that follow one another with nothing between are one linear layer."""
    if look.body is None or not look.body.linear_pairs:
        return None
    a, b = look.body.linear_pairs[0]
    return Finding(
        "missing-activation", "warning", f"Nothing non-linear is between layers {a} and {b}: together they are one.",
        layer=a, step=0, evidence={"pairs": float(len(look.body.linear_pairs))},
        remedies=(Remedy("activations-between", "makes two layers more than one", {"module.add_activation": "relu"}),),
    )  # fmt: skip


def first_weights(look: Look) -> Finding | None:
    """Layers with constant, tiny or huge weights, or with biases that shut all units off."""
    for name, layer in look.module.named_modules():
        weight = layer.weight if isinstance(layer, WEIGHTED) else None
        if not isinstance(weight, Tensor) or weight.numel() < 2 or not weight.requires_grad:
            continue
        size = spread(weight)
        bias = (
            layer.bias.detach().abs().mean() * fans(weight)[0] ** 0.5
            if isinstance(layer.bias, Tensor)
            else torch.zeros(())
        )
        if SPREADS[0] <= size <= SPREADS[1] and float(bias) <= LOW_BIAS:
            continue
        kind = "symmetric-units" if size < 1e-6 else "dead-units" if float(bias) > LOW_BIAS else "initial-loss-off"
        return Finding(
            kind, "warning",
            f"{name or 'The module'}: the size of first weights are {size:.3g}, biases {float(bias):.3g} / √fan in.",
            layer=name or None, step=0, evidence={"deviation": size, "bias": float(bias)},
            remedies=(INITIALISE,),
        )  # fmt: skip
    return None


def not_updated(look: Look) -> Finding | None:
    """Parameters that are frozen, or not in the optimizer."""
    frozen = [name for name, p in look.module.named_parameters() if not p.requires_grad]
    optimizer = look.training.optimizer(look.module)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    missing = [n for n, p in look.module.named_parameters() if p.requires_grad and id(p) not in held]
    if not frozen and not missing:
        return None
    names = [*frozen, *missing]
    return Finding(
        "parameters-not-updated", "warning", f"{len(names)} parameters are not trained, among them {names[0]}.",
        layer=names[0].rpartition(".")[0] or None, step=0, evidence={"parameters": float(len(names))},
        remedies=(Remedy("train-all", "every layer learns", {"module.trainable": "all"}),),
    )  # fmt: skip


def batch_size(look: Look) -> Finding | None:
    """Batches of very few rows, or of most of them."""
    size, rows = look.training.batch_size, look.updates * look.training.batch_size / look.training.epochs
    if size >= FEW_ROWS and (size <= MANY_SHARE * rows or rows < 2 * USUAL_BATCH):
        return None
    kind = "batch-too-small" if size < FEW_ROWS else "batch-too-large"
    between = {"training.batch_size": max(USUAL_BATCH, round(rows / PASSES))}
    cheaper = Remedy("smaller-batch", "more updates from the same rows", between)
    return Finding(
        kind, "info", f"Batches of {size} rows, of {rows:.0f}.", step=0, evidence={"rows": float(size)},
        remedies=(BATCH,) if kind == "batch-too-small" else (cheaper, BATCH),
    )  # fmt: skip


def regularised(look: Look) -> Finding | None:
    """A rate of dropout or a decay that leaves little to learn with."""
    decay, rate = float(look.group.get("weight_decay", 0.0)), max(look.dropouts, default=0.0)
    if decay < 0.1 and rate <= 0.6:
        return None
    changes: list[Remedy] = []
    if rate > 0.6:
        changes.append(Remedy("less-dropout", "units are heard again", {"regularisation.dropout": 0.1}))
    if decay >= 0.1:
        changes.append(
            Remedy("less-decay", "weights may grow to what the data ask for", {"optimizer.weight_decay": 0.0})
        )
    severe = "warning" if rate > 0.6 or "adamw" not in look.optimizer else "info"
    message = f"Dropout of {rate:.3g} and a weight decay of {decay:.3g} leave little to learn with."
    evidence: dict[str, float | str] = {"dropout": rate, "weight_decay": decay}
    return Finding("too-much-regularisation", severe, message, step=0, evidence=evidence, remedies=tuple(changes))


FACTS: Registry[Fact] = Registry(
    "fact",
    {
        "target-shape-mismatch": target_shape_mismatch,
        "loss-output-mismatch": loss_output_mismatch,
        "unscaled-inputs": unscaled_inputs,
        "unscaled-targets": unscaled_targets,
        "missing-activation": missing_activation,
        "first-weights": first_weights,
        "not-updated": not_updated,
        "cut-gradients": cut_gradients,
        "wrong-mode": wrong_mode,
        "batch-leak": batch_leak,
        "batch-size": batch_size,
        "regularised": regularised,
    },
)
