"""Whether a module for sequences sees what it is to predict at a step: there, or in the later steps."""

import torch
from torch import Tensor, nn

from trainwell.base.randomness import own_randomness
from trainwell.vitals.foreign import silent_copy

FEWEST, SHIFTED = 4, 0.95
"""Steps of a sequence; share of targets that are the input of the step after, or of the same one."""

FEW_TOLD, FILLED = 16, 0.8
"""Places of a batch that are to be told; share of one name among the others, above which they are filled up with it."""


def predicts_next(x: Tensor, y: Tensor) -> bool:
    """Whether targets (B, T) or (B, T, D) are the inputs of the step after."""
    return _alike(x, y) and x.shape[1] >= FEWEST and float((y[:, :-1] == x[:, 1:]).double().mean()) > SHIFTED


def _alike(x: Tensor, y: Tensor) -> bool:
    """Whether targets can be held against the inputs number by number."""
    return x.dim() > 1 and y.shape == x.shape and y.device == x.device


def holds_the_answer(x: Tensor, y: Tensor) -> bool:
    """Whether names to be told at some places (B, T), of which the others are marked, as by −100, stand in the inputs.

    Where all other places hold one name, they are filled up, and rows may be told as they are.
    """
    if not _alike(x, y) or x.dim() != 2 or x.is_floating_point() or y.is_floating_point():
        return False
    told = y >= 0
    others = x[~told]
    if not FEW_TOLD <= int(told.sum()) <= len(others) or float((x == y)[told].double().mean()) <= SHIFTED:
        return False
    return float((others == others.mode().values).double().mean()) < FILLED


def future_change(model: nn.Module, x: Tensor) -> float:
    """By how much of their size outputs at the first half of the steps change with the inputs of the others, at most.

    A copy of the module is run, in evaluation mode; 0 where its outputs can't be told apart by steps.

    Raises:
        Exception: the module can't be copied, or run, whatever it may say.
    """
    steps, half = x.shape[1], x.shape[1] // 2
    other = x.clone()
    other[:, half + 1 :] = (x.roll(1, 0) if len(x) > 1 else x.roll(1, 1))[:, half + 1 :]
    twin, outputs = silent_copy(model), list[Tensor]()
    for inputs in (x, other):
        with own_randomness("future"), torch.no_grad():
            z = by_step(twin(inputs), len(x), steps)
        if z is None:
            return 0.0
        outputs.append(z)
    change = (outputs[0] - outputs[1])[:, : half + 1].abs().max() / outputs[0].abs().max().clamp_min(1e-12)
    return float(change)


def by_step(outputs: object, samples: int, steps: int) -> Tensor | None:
    """Outputs as (B, T, …), from (B, T, …), (B, C, T) or (B · T, …); None where steps can't be told."""
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point() or outputs.dim() < 2:
        return None
    if outputs.shape[:2] == (samples, steps):
        return outputs
    if outputs.dim() == 3 and len(outputs) == samples and outputs.shape[2] == steps:
        return outputs.movedim(2, 1)
    return outputs.unflatten(0, (samples, steps)) if len(outputs) == samples * steps else None
