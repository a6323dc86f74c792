"""Whether the gradient that autograd gives is that of the loss, by centred differences in float64."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from trainwell.base import InputError
from trainwell.diagnosis.case import Threshold
from trainwell.diagnosis.finding import Finding, Remedy
from trainwell.diagnosis.subject import Subject, Trial, undisturbed

DIFFERENT = Threshold(
    1e-2,
    healthy="1e-10 … 1e-6",
    origin="TheDeepChecker: relative error > 0.01; in float64 right gradients are far below",
)
TENSORS, STEP = 32, 1e-6

STEPWISE = frozenset("round sign floor ceil trunc heaviside bucketize fake_quantize_per_tensor_affine".split())
FLAT = 1e-6
"""Share of the gradient below which the numerical one is 0."""


def gradient_check_failed(trial: Trial) -> Finding | None:
    """Centred differences in float64 against autograd, along a random direction in each parameter (row B4).

    Where they differ, they must do so with fresh weights of the usual size too: at weights that are all alike, or so
    small that a step crosses every kink, right gradients differ as well. Where the forward pass or the loss takes steps
    (rounds, takes a sign, lets part of a sum go without gradient), its gradient is meant to be another function's.
    """
    subject = trial.subject.only(torch.arange(min(4, max(1, trial.subject.samples)))).double()
    model = trial.subject.copied().double()
    with sdpa_kernel(SDPBackend.MATH):  # others misread a mask that stays in float32
        worst, where = _worst(subject, model)
        if not worst > DIFFERENT.value or _worst(subject, _redrawn(model))[0] <= DIFFERENT.value:
            return None
        if _takes_steps(subject):
            return None
    return Finding(
        "gradient-check-failed",
        "critical",
        f"The gradient by {where} differs from the numerical one by {worst:.2g} of its size: "
        "an operation's way back is wrong, or it is no function that has a gradient.",
        layer=where.rpartition(".")[0] or None,
        step=0,
        evidence=DIFFERENT.evidence("relative error of the gradient", worst),
        remedies=(Remedy("correct-backward", "compare the operation's backward with its formula"),),
    )


def _worst(subject: Subject, model: nn.Module) -> tuple[float, str]:
    """The largest relative error over the parameters, and of which; what is NaN tells nothing.

    Raises:
        InputError: the loss is not computed in float64.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad][:TENSORS]
    still = {id(m.weight): m.padding_idx for m in model.modules() if isinstance(m, nn.Embedding)}
    with undisturbed():
        loss = subject.loss(model)
        if loss.dtype != torch.float64:
            raise InputError(f"the loss is in {str(loss.dtype).removeprefix('torch.')}, whatever its inputs are")
        slopes = torch.autograd.grad(loss.mean(), [p for _, p in named], allow_unused=True)
    found = [
        (_difference(subject, model, p, g, still.get(id(p))), name)
        for (name, p), g in zip(named, slopes, strict=True)
        if g is not None
    ]
    return max(((error, name) for error, name in found if error == error), default=(0.0, ""))


class _Steps(TorchFunctionMode):
    """Notes functions without a gradient of their own, and numbers of 64 bits that are cut to fewer."""

    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "").strip("_")
        of_inside = bool(args) and isinstance(args[0], Tensor) and args[0].requires_grad and not args[0].is_leaf
        self.found |= name in STEPWISE or (name == "detach" and of_inside)
        output = func(*args, **(kwargs or {}))
        if of_inside and args[0].dtype == torch.float64 and isinstance(output, Tensor):
            self.found |= output.is_floating_point() and output.dtype != torch.float64
        return output


def _takes_steps(subject: Subject) -> bool:
    steps = _Steps()
    model = subject.copied().double()
    with undisturbed(), steps:
        subject.loss(model)
    return steps.found


@torch.no_grad()
def _redrawn(model: nn.Module) -> nn.Module:
    """The module at a point where nothing is special: matrices of deviation 1/√fan_in, the rest moved a little."""
    draw = torch.Generator().manual_seed(1)
    for p in model.parameters():
        noise = torch.randn(p.shape, generator=draw, dtype=torch.float64).to(p.device)
        if p.dim() > 1:
            p.copy_(noise / p[0].numel() ** 0.5)
        else:
            p.add_(0.1 * noise)
    return model


def _difference(subject: Subject, model: nn.Module, p: Tensor, g: Tensor, padding: int | None) -> float:
    """Relative error along one direction, the smaller of two step sizes: a kink spoils one of them at most.

    Args:
        padding: a row that gets no gradient on purpose.
    """
    draw = torch.Generator().manual_seed(p.numel())
    direction = torch.randn(p.shape, generator=draw, dtype=torch.float64).to(p.device)
    if padding is not None:
        direction[padding] = 0.0
    direction /= direction.norm().clamp_min(1e-30)
    exact, errors = float((g * direction).sum()), []
    for size in (STEP, STEP / 30):
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                p.add_(direction, alpha=sign * size)
            with undisturbed():  # with gradients, since attention takes another way without them
                sides.append(float(subject.loss(model).detach().double().mean()))
            with torch.no_grad():
                p.add_(direction, alpha=-sign * size)
        numeric = (sides[0] - sides[1]) / (2 * size)
        surrogate = abs(numeric) < FLAT * abs(exact)  # of a step, which is flat, the gradient is made up on purpose
        errors.append(0.0 if surrogate else abs(numeric - exact) / max(abs(numeric), abs(exact), 1e-4))
    return min(errors, key=lambda error: (error != error, error))
