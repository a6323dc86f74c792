"""Remedies that several rules offer: edits of the plan, each with its reason.

They are offers: what the user fixed may be edited too. None stands for a remedy that does not apply to the plan.
"""

from trainwell.diagnosis.case import Case
from trainwell.diagnosis.finding import Remedy
from trainwell.ingredients import initialiser_for


def rate(case: Case, factor: float, why: str) -> Remedy:
    """The learning rate times a factor, to three digits."""
    value = float(f"{case.plan.optimizer.learning_rate * factor:.3g}")
    name = "smaller-rate" if factor < 1 else "larger-rate"
    return Remedy(f"{name}-{max(factor, 1 / factor):.0f}", why, {"optimizer.learning_rate": value})


def clip(case: Case) -> Remedy | None:
    """Gradient clipping at the usual 1.0, where there is none that tight."""
    now = case.plan.get("regularisation.clip_norm")
    if now is not None and now <= 1.0:
        return None
    return Remedy(
        "clip-gradients", "no single update can throw the weights far away", {"regularisation.clip_norm": 1.0}
    )


def activation(case: Case, name: str, why: str) -> Remedy | None:
    """Another non-linearity, with the initialiser that follows from it."""
    if case.plan.network.activation == name:
        return None
    return Remedy(f"use-{name.replace('_', '-')}", why, {"network.activation": name, "initialiser.name": "auto"})


def initialiser(case: Case) -> Remedy | None:
    """The first weights that fit the activation."""
    own = case.plan.initialiser
    if own.gain == 1.0 and own.name in ("auto", initialiser_for(case.plan.network.activation)):
        return None
    why = f"weights drawn for {case.plan.network.activation} keep the signal's size from layer to layer"
    return Remedy("fitting-initialiser", why, {"initialiser.name": "auto", "initialiser.gain": 1.0})


def norm(case: Case) -> Remedy | None:
    """Normalisation of each layer's signal."""
    if case.plan.network.norm != "none" or case.plan.network.depth == 0:
        return None
    kind = "batch" if case.plan.training.batch_size >= 16 else "layer"  # a small batch tells mean and variance badly
    return Remedy(
        f"{kind}-norm", "each layer's signal is brought back to mean 0 and deviation 1", {"network.norm": kind}
    )


def residual(case: Case) -> Remedy | None:
    """A way past each layer."""
    if case.plan.network.residual or case.plan.network.depth < 3:
        return None
    return Remedy("residual-links", "the gradient can pass each layer unchanged", {"network.residual": True})


def shallower(case: Case, why: str) -> Remedy | None:
    """Half as many hidden layers."""
    depth = case.plan.network.depth
    return Remedy("fewer-layers", why, {"network.depth": depth // 2}) if depth >= 4 else None


def dropout(case: Case) -> Remedy | None:
    """More dropout, up to a half."""
    now = case.plan.regularisation.dropout
    if now >= 0.5:
        return None
    value = 0.2 if now < 0.2 else min(0.5, round(now + 0.2, 2))
    return Remedy(
        "dropout", "units cannot rely on one another to learn rows by heart", {"regularisation.dropout": value}
    )


def weight_decay(case: Case) -> Remedy:
    """Stronger decay: tenfold, or a first one."""
    now, name = case.plan.optimizer.weight_decay, case.plan.optimizer.name
    first = 0.05 if name == "adamw" else 1e-3  # decoupled decay acts through the rate, hence the larger number
    value = float(f"{max(10 * now, first):.3g}")
    return Remedy(
        "weight-decay", "large weights, which fit single rows, cost something", {"optimizer.weight_decay": value}
    )


def narrower(case: Case) -> Remedy | None:
    """Half the width."""
    width = case.plan.network.width
    return (
        Remedy("narrower", "fewer parameters can store fewer rows", {"network.width": width // 2})
        if width >= 16
        else None
    )


def offered(*remedies: Remedy | None) -> tuple[Remedy, ...]:
    """Those that apply, in this order."""
    return tuple(remedy for remedy in remedies if remedy is not None)
