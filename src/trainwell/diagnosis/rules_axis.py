"""Rules on axes: samples of a batch that see one another in the network or in the loss."""

from trainwell.diagnosis.case import Case, called
from trainwell.diagnosis.finding import Finding, Remedy


def batch_leak(case: Case) -> Finding | None:
    """A layer runs along the batch, or a softmax is taken over the samples."""
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
        return None
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
