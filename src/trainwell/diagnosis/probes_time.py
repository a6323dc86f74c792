"""Whether a module for sequences sees, at a step, the later steps that hold what it is to predict there."""

import torch
from torch import Tensor

from trainwell.diagnosis.case import Threshold
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.subject import Trial, undisturbed

SEEN = Threshold(1e-3, healthy="0 … 1e-6", origin="relative change of outputs with later inputs (our assumption)")
FEWEST, SHIFTED = 4, 0.95
"""Steps of a sequence; share of targets that are the input of the step after."""


def future_seen(trial: Trial) -> Finding | None:
    """Targets are the inputs of the next step, and outputs change with inputs that come later."""
    subject, x, y = trial.subject, trial.subject.x, trial.subject.targets
    if x is None or not isinstance(y, Tensor) or x.dim() < 2 or y.shape[:2] != x.shape[:2] or x.shape[1] < FEWEST:
        return None
    if y.shape != x.shape or not float((y[:, :-1] == x[:, 1:]).double().mean()) > SHIFTED:
        return None
    steps, half = x.shape[1], x.shape[1] // 2
    other = x.clone()
    other[:, half + 1 :] = (x.roll(1, 0) if len(x) > 1 else x.roll(1, 1))[:, half + 1 :]
    model, outputs = subject.copied().eval(), list[Tensor]()
    for inputs in (x, other):
        with undisturbed(), torch.no_grad():
            z = by_step(model(inputs), len(x), steps)
        if z is None:
            return None
        outputs.append(z)
    change = (outputs[0] - outputs[1])[:, : half + 1].abs().max() / outputs[0].abs().max().clamp_min(1e-12)
    if not float(change) > SEEN.value:
        return None
    return Finding(
        "train-test-leak",
        "critical",
        f"The module sees the future: outputs at a step change by {float(change):.2g} of their size with later inputs, "
        "and these hold the targets of that step.",
        step=0,
        evidence=SEEN.evidence("relative change of outputs with later inputs", float(change)),
        remedies=(Remedy("causal-mask", "let a step attend to itself and earlier ones only, in one direction"),),
    )


def by_step(outputs: object, samples: int, steps: int) -> Tensor | None:
    """Outputs as (B, T, …), from (B, T, …), (B, C, T) or (B · T, …); None where steps can't be told."""
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point() or outputs.dim() < 2:
        return None
    if outputs.shape[:2] == (samples, steps):
        return outputs
    if outputs.dim() == 3 and len(outputs) == samples and outputs.shape[2] == steps:
        return outputs.movedim(2, 1)
    return outputs.unflatten(0, (samples, steps)) if len(outputs) == samples * steps else None
