"""What is trained, as one value: a user's five arguments, and the edits made to them.

Contract: a `Training` is frozen; a change gives another one. An edit of the module is a function module → module, made
each time the module is built; a surgeon looks at a module once, run on some rows, and gives the edit, or None.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.base.randomness import own_randomness
from trainwell.remedies.aim import Aim, Loss
from trainwell.remedies.rows import Rows

ModuleEdit = Callable[[nn.Module], nn.Module]
Surgeon = Callable[[nn.Module, Tensor], ModuleEdit | None]
OptimizerEdit = Callable[[Optimizer, nn.Module], Optimizer]
Make = Callable[[], nn.Module]
LOOKED_AT = 256  # rows that are enough to see what a module does
MakeOptimizer = Callable[[list[nn.Parameter]], Optimizer]


@dataclass(frozen=True)
class Training:
    """A user's training.

    Attributes:
        loss_name: as in `losses.LOSSES`, or "own".
        module_edits, optimizer_edits: made in this order to what the user's functions give.
        scale_inputs, scale_targets: by mean and deviation of the rows trained on; the returned module undoes them.
        clip_norm: of all gradients together, or None. schedule: "constant" or "cosine".
    """

    make_model: Make
    loss_fn: Loss
    make_optimizer: MakeOptimizer
    epochs: int
    batch_size: int
    aim: Aim
    loss_name: str = "own"
    module_edits: tuple[ModuleEdit, ...] = ()
    optimizer_edits: tuple[OptimizerEdit, ...] = ()
    scale_inputs: bool = False
    scale_targets: bool = False
    clip_norm: float | None = None
    schedule: str = "constant"

    def module(self, seed: int) -> nn.Module:
        """A fresh module under this seed, with all edits."""
        with own_randomness(seed, "cure", "init"):
            module = self.make_model()
            for edit in self.module_edits:
                module = edit(module)
            return module

    def optimizer(self, module: nn.Module) -> Optimizer:
        """The optimizer of a module, with all edits."""
        optimizer = self.make_optimizer(list(module.parameters()))
        for edit in self.optimizer_edits:
            optimizer = edit(optimizer, module)
        return optimizer

    def with_module(self, surgeon: Surgeon, rows: Rows) -> "Training | None":
        """With one more edit of the module, if it can be made and the module still runs."""
        x = rows.x[:LOOKED_AT]
        try:
            edit = surgeon(self.module(0), x)
            if edit is None:
                return None
            with own_randomness(0, "cure", "trial"), torch.no_grad():
                module = edit(self.module(0)).eval()
                module(fitting(x[:4], module))
        except Exception:  # noqa: BLE001  whatever a user's module may raise
            return None
        return replace(self, module_edits=(*self.module_edits, edit))

    def with_optimizer(self, edit: OptimizerEdit) -> "Training":
        """With one more edit of the optimizer."""
        return replace(self, optimizer_edits=(*self.optimizer_edits, edit))


class Scaled(nn.Module):
    """A module that standardises what it is given, and brings its outputs back to the target's scale."""

    def __init__(self, inner: nn.Module, x: tuple[Tensor, Tensor] | None, y: tuple[Tensor, Tensor] | None) -> None:
        super().__init__()
        self.inner = inner
        self.x_mean: Tensor
        self.x_std: Tensor
        self.y_mean: Tensor
        self.y_std: Tensor
        one, zero = torch.ones(()), torch.zeros(())
        for name, value in zip(
            ("x_mean", "x_std", "y_mean", "y_std"), (*(x or (zero, one)), *(y or (zero, one))), strict=True
        ):
            self.register_buffer(name, value)
        self.numeric = x is not None

    def inputs(self, x: Tensor) -> Tensor:
        """Inputs on the scale trained on."""
        return (x - self.x_mean) / self.x_std if self.numeric else x

    def target(self, y: Tensor) -> Tensor:
        """Targets on the scale trained on."""
        return (y - self.y_mean) / self.y_std

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.inner(self.inputs(x))
        mean, std = self.y_mean, self.y_std
        if mean.dim() == 1 and outputs.dim() == 1:
            mean, std = mean[0], std[0]
        return outputs * std + mean


def scaled(training: Training, module: nn.Module, rows: Rows) -> nn.Module:
    """The module, wrapped if the training scales, by the figures of these rows."""
    if not training.scale_inputs and not training.scale_targets:
        return module
    x = figures(rows.x, channels(rows.x, module)) if training.scale_inputs else None
    y = figures(rows.y, (0,)) if training.scale_targets else None
    return Scaled(module, x, y)


def channels(x: Tensor, module: nn.Module) -> tuple[int, ...]:
    """The axes to average over: all but that of the features, or of the channels."""
    convolves = any(isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) for layer in module.modules())
    kept = 1 if x.dim() == 2 or x.dim() == 4 or convolves else x.dim() - 1
    return tuple(axis for axis in range(x.dim()) if axis != kept)


def figures(values: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and deviation over axes, without the axis of rows; the deviation of what is constant counts as 1."""
    mean, std = values.double().mean(axes, keepdim=True), values.double().std(axes, unbiased=False, keepdim=True)
    std = torch.where(std > 1e-12 * (1 + mean.abs()), std, torch.ones_like(std))
    return mean[0].to(values.dtype), std[0].to(values.dtype)


def fitting(x: Tensor, module: nn.Module) -> Tensor:
    """Decimal inputs in the type of the module's weights, on their device."""
    own = next((p for p in module.parameters() if p.is_floating_point()), None)
    if own is None:
        return x
    return x.to(own.device, own.dtype) if x.is_floating_point() else x.to(own.device)
