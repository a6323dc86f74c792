"""What to try: the remedies of what was found, and those that are always worth a short run: a diagnosis may miss."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from trainwell.diagnosis import Finding, Remedy
from trainwell.remedies.facts import natural
from trainwell.remedies.look import Look
from trainwell.remedies.surgery import CHANGES, STANDARD_RATES
from trainwell.remedies.surgery_shape import narrowest, squares

RATE_FACTORS = (10.0, 0.1, 100.0, 0.01)
"""A decade and two to both sides; a rate that is right within a factor of three is rarely the fault (Bengio 2012)."""
NEAR = 3.0
FEW_UPDATES = 50  # of which a training needs larger ones
ADAPTIVE = ("adam", "adamw", "rmsprop", "nadam", "radam", "adagrad", "adamax")
DEEP = 4  # layers with weights, from which on a norm helps signals through
REPEATED = 3  # layers of one shape, from which on some may be left out or passed around
NARROW_LAYER, USUAL_LAYER = 8, 32
"""Units below which a hidden layer is widened, and up to which. Assumptions of ours."""
WIDE_GAP = 10.0  # smallest gains between rows learned from and others, from which on restraint is worth a try


def candidates(look: Look, findings: Iterable[Finding], gap: float = 0.0) -> list[Remedy]:
    """Remedies in the order in which they are worth a try; each change once, none that is there already.

    Args:
        gap: how much better the training scores on the rows it learned from, in units of the smallest gain that counts.
    """
    found = list(findings)
    offered = [remedy for finding in found for remedy in possible(finding)]
    together = _together(found)
    steps = [*_rates(look), *_optimizers(look)]
    if look.updates < FEW_UPDATES:  # larger steps first
        steps.sort(key=lambda remedy: -_step(look, remedy))
    always = [*steps, *_regularisers(look), *_structure(look), *_shape(look), *_losses(look)]
    together += _restraints(look) if gap > WIDE_GAP else []
    unique: list[Remedy] = []
    for remedy in [*offered, *together, *always]:
        if all(remedy.change != other.change for other in unique):
            unique.append(remedy)
    return unique


def possible(finding: Finding) -> list[Remedy]:
    """Its remedies whose changes can be made here."""
    return [remedy for remedy in finding.remedies if remedy.change and set(remedy.change) <= set(CHANGES)]


def _together(findings: list[Finding]) -> list[Remedy]:
    """The first remedies of all that was found, at once: several faults are common."""
    change: dict[str, Any] = {}
    for remedy in (_whole(possible(finding)) for finding in findings if possible(finding)):
        for path, value in (remedy.change or {}).items():
            change.setdefault(path, value)
    several = len([f for f in findings if possible(f)]) > 1
    return [Remedy("all-found", "all that was found, at once", change)] if several else []


def _whole(remedies: list[Remedy]) -> Remedy:
    """The smallest; of a wrong loss the one that puts loss and outputs right at once, since others may be wrong too."""
    return next((remedy for remedy in remedies if remedy.name == "loss-of-the-task"), remedies[0])


def _rates(look: Look) -> list[Remedy]:
    if look.rate <= 0:
        return [_rate(STANDARD_RATES["sgd"])]
    kind = "adam" if look.optimizer in ADAPTIVE else "momentum" if look.group.get("momentum") else "sgd"
    usual = (STANDARD_RATES[kind], STANDARD_RATES[kind] / 10, STANDARD_RATES[kind] * 10)
    wanted = [look.rate * factor for factor in RATE_FACTORS]
    wanted += [rate for rate in usual if not _beside(rate, [look.rate, *wanted])]
    return [_rate(float(f"{rate:.3g}")) for rate in wanted]


def _step(look: Look, remedy: Remedy) -> float:
    """How large the steps of a remedy are, in units of the given ones; those of Adam count as ten times the given."""
    change = remedy.change or {}
    return (
        10.0 if "optimizer.name" in change else change.get("optimizer.learning_rate", look.rate) / max(look.rate, 1e-30)
    )


def _beside(rate: float, others: list[float]) -> bool:
    return any(rate / NEAR < other < rate * NEAR for other in others)


def _rate(rate: float) -> Remedy:
    return Remedy("rate", "steps of a size that learns", {"optimizer.learning_rate": rate})


def _optimizers(look: Look) -> list[Remedy]:
    offered = []
    if look.optimizer not in ADAPTIVE:
        for rate in (1e-3, 1e-2):
            change = {"optimizer.name": "adam", "optimizer.learning_rate": rate}
            offered.append(Remedy("adam", "each weight gets a step of its own size", change))
    momentum = look.group.get("momentum")
    if momentum is not None and not 0.8 <= momentum <= 0.97:
        offered.append(Remedy("momentum", "steps add up along valleys", {"optimizer.momentum": 0.9}))
    return offered


def _regularisers(look: Look) -> list[Remedy]:
    offered = []
    if any(rate > 0 for rate in look.dropouts):
        offered.append(Remedy("no-dropout", "all units are heard", {"regularisation.dropout": 0.0}))
    if float(look.group.get("weight_decay", 0.0)) > 0:
        offered.append(Remedy("no-decay", "weights may grow", {"optimizer.weight_decay": 0.0}))
    return offered


def _structure(look: Look) -> list[Remedy]:
    offered = []
    layers = list(look.module.modules())
    hidden = [name for name in look.activations if name in ("sigmoid", "tanh")]
    weighted = 0 if look.body is None else len(look.body.weighted)
    if hidden and weighted > 2:
        offered.append(Remedy("relu", "slopes of 1 let gradients through", {"module.activation": "relu"}))
        both = {"module.activation": "relu", "module.initialiser": "auto"}
        offered.append(Remedy("relu-initialised", "slopes of 1, and weights that suit them", both))
    if weighted >= DEEP:
        offered.append(Remedy("initialise", "signals keep their size", {"module.initialiser": "auto"}))
        offered.append(Remedy("norm", "signals keep their size on the way", {"module.norm": "batch"}))
    if any(type(layer) is nn.RNN for layer in layers):
        offered.append(Remedy("lstm", "gates keep gradients over long sequences", {"module.recurrent": "lstm"}))
    if any(isinstance(layer, nn.RNNBase) for layer in layers) and look.training.clip_norm is None:
        offered.append(Remedy("clip", "no step is larger than the usual ones", {"regularisation.clip_norm": 1.0}))
    return offered


def _restraints(look: Look) -> list[Remedy]:
    """Against rows learned by heart."""
    epochs = look.training.epochs
    offered = [Remedy("dropout", "no unit can rely on another", {"regularisation.dropout": 0.3})]
    offered += [
        Remedy("decay", "large weights must be worth it", {"optimizer.weight_decay": decay})
        for decay in (1e-2, 1e-1)
        if float(look.group.get("weight_decay", 0.0)) < decay
    ]
    if epochs > 2:
        offered.append(Remedy("fewer-epochs", "later ones only learn rows by heart", {"training.epochs": epochs // 3}))
    return offered


def _shape(look: Look) -> list[Remedy]:
    """Wider where a layer is narrow, shallower or with paths around layers where there are many."""
    offered: list[Remedy] = []
    narrow = narrowest(look.module, look.body)
    if 0 < narrow < NARROW_LAYER:
        offered.append(Remedy("wider", "what is to be told must fit through each layer", {"module.width": USUAL_LAYER}))
    alike = len(squares(look.module, look.body))
    if look.body is not None and alike >= REPEATED:
        fewer = {"module.depth": len(look.body.weighted) - alike}
        offered.append(Remedy("fewer-layers", "fewer layers hand signals on better", fewer))
        offered.append(
            Remedy("residual-links", "signals and gradients pass around each layer", {"module.residual": True})
        )
    return offered


def _losses(look: Look) -> list[Remedy]:
    """The task's own loss, where the user's is unknown or another."""
    if look.loss in ("cross_entropy", "binary_cross_entropy") and look.end == "identity":
        return []
    if look.loss == "mse" and look.aim.task == "numbers" and look.end == "identity":
        return []
    return [Remedy("loss-of-the-task", "loss and outputs that suit the task", change) for change in natural(look)]
