"""Facts of what a user's forward pass does beside computing; part of `remedies.facts`."""

from collections.abc import Callable

from torch import Tensor, nn

from trainwell.diagnosis import Finding, Remedy
from trainwell.remedies.look import Look
from trainwell.remedies.surgery_passes import along_rows, cut_off, switched


def cut_gradients(look: Look) -> Finding | None:
    """Parameters behind a `no_grad` or `detach` of the forward pass."""
    names = _asked(cut_off, look)
    if not names:
        return None
    return Finding(
        "parameters-not-updated", "warning",
        f"The forward pass cuts off the gradients of {len(names)} parameters, among them {names[0]}.",
        layer=names[0].rpartition(".")[0] or None, step=0, evidence={"parameters": float(len(names))},
        remedies=(Remedy("keep-the-gradients", "what is before the cut learns too", {"module.gradients": "kept"}),),
    )  # fmt: skip


def batch_leak(look: Look) -> Finding | None:
    """Layers for sequences that run along the rows of the batch."""
    names = _asked(along_rows, look)
    if not names:
        return None
    return Finding(
        "batch-leak", "critical", f"{names[0]} runs from row to row of the batch, not along time.",
        layer=names[0], step=0, evidence={"layers": float(len(names))},
        remedies=(Remedy("batch-first", "each row is a sequence of its own", {"module.batch_first": True}),),
    )  # fmt: skip


def wrong_mode(look: Look) -> Finding | None:
    """Layers that a forward pass puts into evaluation mode, so that they never learn statistics, or never drop."""
    names = _asked(switched, look)
    if not names:
        return None
    return Finding(
        "wrong-mode", "warning", f"The forward pass puts {names[0] or 'the module'} into evaluation mode.",
        layer=names[0] or None, step=0, evidence={"layers": float(len(names))},
        remedies=(Remedy("keep-the-mode", "norms and dropout work in training", {"module.mode": "kept"}),),
    )  # fmt: skip


def _asked(question: Callable[[nn.Module, Tensor], list[str]], look: Look) -> list[str]:
    """What a few passes tell; nothing where the module raises, as batch norm does on rows that are too few."""
    try:
        return question(look.module, look.rows.x)
    except Exception:  # noqa: BLE001  whatever the user's module may raise
        return []
