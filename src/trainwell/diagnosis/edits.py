"""Remedies that several rules offer: edits of the plan, or of a user's own training, each with its reason.

They are offers: what the user fixed may be edited too. None stands for a remedy that does not apply.
"""

from typing import Any

from trainwell.diagnosis.case import Case
from trainwell.diagnosis.finding import Remedy
from trainwell.ingredients import INITIALISERS, initialiser_for

OF_A_MODULE = {
    "network.activation": "module.activation",
    "network.norm": "module.norm",
    "network.residual": "module.residual",
    "network.depth": "module.depth",
    "network.width": "module.width",
    "initialiser.name": "module.initialiser",
}
"""What an edit of the plan is called where it is one of a user's module."""


def edit(case: Case, name: str, why: str, change: dict[str, Any]) -> Remedy:
    """A remedy by its edits of the plan; for a user's own training they are named as `trainwell.cure` names them."""
    if case.plan is None:
        change = {OF_A_MODULE.get(path, path): value for path, value in change.items() if path != "initialiser.gain"}
    return Remedy(name, why, change)


def rate(case: Case, factor: float, why: str) -> Remedy | None:
    """The learning rate times a factor, to three digits."""
    now = case.learning_rate if case.plan is None else case.plan.optimizer.learning_rate
    if not now > 0:
        return None
    value = float(f"{now * factor:.3g}")
    name = "smaller-rate" if factor < 1 else "larger-rate"
    return edit(case, f"{name}-{max(factor, 1 / factor):.0f}", why, {"optimizer.learning_rate": value})


def clip(case: Case) -> Remedy | None:
    """Gradient clipping at the usual 1.0, where there is none that tight."""
    now = case.setting("regularisation.clip_norm")
    if now is not None and now <= 1.0:
        return None
    why = "no single update can throw the weights far away"
    return edit(case, "clip-gradients", why, {"regularisation.clip_norm": 1.0})


def activation(case: Case, name: str, why: str) -> Remedy | None:
    """Another non-linearity, with the initialiser that follows from it."""
    if case.setting("network.activation") == name:
        return None
    change = {"network.activation": name, "initialiser.name": "auto"}
    return edit(case, f"use-{name.replace('_', '-')}", why, change)


def initialiser(case: Case) -> Remedy | None:
    """The first weights that fit the activation."""
    φ, name, gain = (
        case.setting(path, standard)
        for path, standard in (("network.activation", "relu"), ("initialiser.name", ""), ("initialiser.gain", 1.0))
    )
    if gain == 1.0 and name in INITIALISERS and name in ("auto", initialiser_for(φ)):
        return None
    if name == "auto" and gain == 1.0:
        return None
    why = f"weights drawn for {φ} keep the signal's size from layer to layer"
    return edit(case, "fitting-initialiser", why, {"initialiser.name": "auto", "initialiser.gain": 1.0})


def norm(case: Case) -> Remedy | None:
    """Normalisation of each layer's signal."""
    if case.setting("network.norm", "none") != "none" or case.setting("network.depth", 0) == 0:
        return None
    batch = case.setting("training.batch_size", 32)
    kind = "batch" if batch >= 16 else "layer"  # a small batch tells mean and variance badly
    why = "each layer's signal is brought back to mean 0 and deviation 1"
    return edit(case, f"{kind}-norm", why, {"network.norm": kind})


def residual(case: Case) -> Remedy | None:
    """A way past each layer."""
    if case.setting("network.residual", False) or case.setting("network.depth", 0) < 3:
        return None
    return edit(case, "residual-links", "the gradient can pass each layer unchanged", {"network.residual": True})


def shallower(case: Case, why: str) -> Remedy | None:
    """Half as many hidden layers."""
    depth = case.setting("network.depth", 0)
    return edit(case, "fewer-layers", why, {"network.depth": depth // 2}) if depth >= 4 else None


def dropout(case: Case) -> Remedy | None:
    """More dropout, up to a half."""
    now = case.setting("regularisation.dropout", 0.0)
    if now >= 0.5:
        return None
    value = 0.2 if now < 0.2 else min(0.5, round(now + 0.2, 2))
    why = "units cannot rely on one another to learn rows by heart"
    return edit(case, "dropout", why, {"regularisation.dropout": value})


def weight_decay(case: Case) -> Remedy:
    """Stronger decay: tenfold, or a first one."""
    now, name = case.setting("optimizer.weight_decay", 0.0), case.setting("optimizer.name")
    first = 0.05 if name == "adamw" else 1e-3  # decoupled decay acts through the rate, hence the larger number
    value = float(f"{max(10 * now, first):.3g}")
    why = "large weights, which fit single rows, cost something"
    return edit(case, "weight-decay", why, {"optimizer.weight_decay": value})


def narrower(case: Case) -> Remedy | None:
    """Half the width."""
    width = case.setting("network.width", 0)
    if width < 16:
        return None
    return edit(case, "narrower", "fewer parameters can store fewer rows", {"network.width": width // 2})


def adam(case: Case, why: str) -> Remedy | None:
    """The Adam optimizer at its usual rate."""
    if str(case.setting("optimizer.name", "")).startswith(("adam", "nadam", "radam")):
        return None
    return edit(case, "use-adam", why, {"optimizer.name": "adam", "optimizer.learning_rate": 1e-3})


def longer(case: Case, factor: int, why: str) -> Remedy:
    """More epochs."""
    epochs = case.setting("training.epochs")
    change = None if epochs is None else {"training.epochs": int(epochs) * factor}
    return Remedy("more-epochs", why, change)


def offered(*remedies: Remedy | None) -> tuple[Remedy, ...]:
    """Those that apply, in this order."""
    return tuple(remedy for remedy in remedies if remedy is not None)
