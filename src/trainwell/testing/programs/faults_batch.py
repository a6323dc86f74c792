"""Mistakes in a module that a batch shows: samples that see one another, wrong derivatives, nothing to learn from."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.testing.programs.fault import SLOW, Fault
from trainwell.testing.programs.loops import Job, job
from trainwell.testing.programs.materials import Material
from trainwell.testing.programs.networks import last_linear, network, written


class OverTheBatch(nn.Module):
    """Something taken over samples that should be taken over features."""

    def __init__(self, m: Material, way: str) -> None:
        super().__init__()
        self.first, self.second, self.way = nn.Linear(m.x[0].numel(), 24), nn.Linear(24, m.outputs), way

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x.flatten(1)))
        if self.way == "mean":
            h = h - h.mean(0)
        elif self.way == "softmax":
            h = h * torch.softmax(h, dim=0)
        else:
            h = h + torch.softmax(h @ h.T, dim=1) @ h
        return self.second(h)


class TimeFirst(nn.Module):
    """A recurrent layer that takes the batch for time."""

    def __init__(self, m: Material) -> None:
        super().__init__()
        self.lstm = nn.LSTM(m.inputs, 24)
        self.fc = nn.Linear(24, m.outputs)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(x)
        return self.fc(out[:, -1])


def batch_leak(m: Material, i: int) -> Job:
    """Samples that see one another."""
    if m.architecture == "recurrent":
        return job(m, TimeFirst(m))
    body = OverTheBatch(m, ("mean", "softmax", "attention")[i % 3])
    if m.architecture == "dense":
        return job(m, body)
    conv = nn.Conv2d if m.x.dim() == 4 else nn.Conv1d
    return job(m, nn.Sequential(conv(m.inputs, m.inputs, 3, padding=1), nn.ReLU(), body))


class Half(torch.autograd.Function):
    """x² with a wrong derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grads[0] * x


class Bent(torch.autograd.Function):
    """A leaky unit whose backward forgets what is below 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x > 0, x, 0.5 * x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grads[0] * (x > 0)


class Own(nn.Module):
    """An activation with a backward of its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: Tensor) -> Any:
        return Half.apply(x) if self.number % 2 else Bent.apply(x)


def gradient_check_failed(m: Material, i: int) -> Job:
    """An activation whose backward is wrong."""
    return job(m, network(m, act=lambda: Own(i)))


class Ignores(nn.Module):
    """A network whose input never arrives."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(torch.zeros_like(x))


def cannot_overfit_batch(m: Material, i: int) -> Job:
    """Nothing can be learned: inputs that never arrive, outputs that end in a ReLU below 0."""
    if i % 2 and m.task == "multiclass":
        model = written(m)
        nn.init.constant_(last_linear(model).bias, -20.0)
        return job(m, nn.Sequential(model, nn.ReLU()))
    return job(m, Ignores(network(m)))


UNLEARNED = (*SLOW, "learning-rate-too-small", "vanishing-gradient")

BATCH_FAULTS: dict[str, list[Fault]] = {
    "batch-leak": [Fault(batch_leak, doors=("check",), also=SLOW)],
    "gradient-check-failed": [Fault(gradient_check_failed, doors=("check",), also=SLOW)],
    "cannot-overfit-batch": [
        Fault(cannot_overfit_batch, doors=("check",),
              also=(*UNLEARNED, "loss-output-mismatch", "constant-input", "dead-units", "initial-loss-off",
                    "parameters-not-updated"))
    ],
}  # fmt: skip
