"""Rules on axes: samples of a batch that see one another in the network or in the loss."""

from trainwell.diagnosis.case import Case, Threshold, called
from trainwell.diagnosis.finding import Finding, Remedy

MIXED = Threshold(1e-4, healthy="0 … 1e-6", origin="relative change of other samples' outputs (our assumption)")

KEEP_THE_AXIS = Remedy(
    "keep-the-axis", "look for a view, reshape, softmax or norm over the batch axis, and for batch_first of a LSTM"
)


def batch_leak(case: Case) -> Finding | None:
    """A layer runs along the batch, a softmax is taken over the samples, or a copy's outputs tell it."""
    program = case.program
    if program is None:
        return None
    if program.along:
        layer, what = program.along[0], f"{called(program.along[0])} runs along them, not along time"
        fix = Remedy(
            "batch-first",
            "make the layer with batch_first=True, or give it (time, samples, features)",
            {"module.batch_first": True},
        )
    elif program.loss.across and program.targets is not None and program.targets.classes > 1:
        layer, what = "output", "a softmax is taken over them, not over the classes of each"
        fix = Remedy("softmax-over-classes", "take the softmax over the last axis, dim=1")
    else:
        return mixed(program.mixed, case.member)
    return Finding(
        "batch-leak",
        "critical",
        f"Samples of a batch are mixed: {what}.",
        layer=layer,
        member=case.member,
        step=1,
        evidence={"figure": "layers that mix samples", "measured": 1.0, "threshold": 1.0, "healthy": "0"},
        remedies=(fix,),
    )


def mixed(change: float, member: int, step: int = 1) -> Finding | None:
    """In evaluation mode outputs change, by so much of their size, with other samples of the batch."""
    if not change > MIXED.value:
        return None
    return Finding(
        "batch-leak",
        "critical",
        f"Samples of a batch are mixed: other first samples change the outputs of the last ones by {change:.2g} "
        "of their size, in evaluation mode.",
        member=member,
        step=step,
        evidence=MIXED.evidence("relative change of other samples' outputs", change),
        remedies=(KEEP_THE_AXIS,),
    )
