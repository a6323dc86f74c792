"""Loops as people write them, each watched as the contract says; a program with a fault in its loop has its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

import trainwell
from trainwell.base import Registry
from trainwell.diagnosis import Finding
from trainwell.testing.programs.materials import Material, figure
from trainwell.testing.programs.program import Ended

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Job:
    """What a loop needs: module, loss, optimizer, rows, epochs, size of a batch."""

    material: Material
    model: nn.Module
    loss_fn: Loss
    optimizer: Optimizer
    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    epochs: int = 10
    batch_size: int = 32
    loop: str | None = None
    notes: dict[str, Any] = field(default_factory=dict)


Loop = Callable[[Job], list[Finding]]


def plain(job: Job) -> list[Finding]:
    """Slices of the rows, no validation."""
    model, optimizer, criterion = job.model, job.optimizer, job.loss_fn
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(job.epochs):
            for i in range(0, len(job.x), job.batch_size):
                inputs, labels = job.x[i : i + job.batch_size], job.y[i : i + job.batch_size]
                optimizer.zero_grad()
                outputs = model(inputs)
                loss = criterion(outputs, labels)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=inputs, targets=labels, outputs=outputs)
    return w.findings


def loaders(job: Job) -> list[Finding]:
    """A `DataLoader`, and a validation after each epoch."""
    model, optimizer, criterion = job.model, job.optimizer, job.loss_fn
    train_loader = DataLoader(TensorDataset(job.x, job.y), batch_size=job.batch_size, shuffle=True)
    val_loader = DataLoader(TensorDataset(job.test_x, job.test_y), batch_size=128)
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(job.epochs):
            model.train()
            for x, y in train_loader:
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            model.eval()
            val_loss, outs = 0.0, []
            with torch.no_grad():
                for x, y in val_loader:
                    out = model(x)
                    val_loss += criterion(out, y).item() * len(x)
                    outs.append(out)
            w.validate(loss=val_loss / len(job.test_x), score=figure(torch.cat(outs), job.test_y))
    return w.findings


def late_zero(job: Job) -> list[Finding]:
    """Gradients are cleared after the step, the optimizer is not named, and the validation has a loss only."""
    model, optimizer, loss_fn = job.model, job.optimizer, job.loss_fn
    with trainwell.watch(model) as w:
        for _ in range(job.epochs):
            model.train()
            order = torch.randperm(len(job.x))
            for index in order.split(job.batch_size):
                x, y = job.x[index], job.y[index]
                pred = model(x)
                loss = loss_fn(pred, y)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                w.step(loss, inputs=x, targets=y, outputs=pred)
            model.eval()
            with torch.no_grad():
                val_loss = loss_fn(model(job.test_x), job.test_y)
            w.validate(loss=val_loss)
        return w.findings


def drawn(job: Job) -> list[Finding]:
    """So many steps on batches drawn at random; the task is told, the loss function is not; no validation."""
    model, opt = job.model, job.optimizer
    steps = job.epochs * max(1, len(job.x) // job.batch_size)
    with trainwell.watch(model, opt, task=job.material.task) as w:
        for _step in range(steps):
            idx = torch.randint(len(job.x), (job.batch_size,))
            xb, yb = job.x[idx], job.y[idx]
            out = model(xb)
            loss = job.loss_fn(out, yb)
            model.zero_grad()
            loss.backward()
            opt.step()
            w.step(loss, inputs=xb, targets=yb, outputs=out)
    return w.findings


def every_fifty(job: Job) -> list[Finding]:
    """A validation every fifty steps, with all that may be told."""
    model, optimizer, steps = job.model, job.optimizer, 0
    loader = DataLoader(TensorDataset(job.x, job.y), batch_size=job.batch_size, shuffle=True, drop_last=True)
    with trainwell.watch(model, optimizer, loss_fn=job.loss_fn, task=job.material.task) as w:
        for _epoch in range(job.epochs):
            for data, target in loader:
                optimizer.zero_grad()
                output = model(data)
                loss = job.loss_fn(output, target)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=data, targets=target, outputs=output)
                steps += 1
                if steps % 50 == 0:
                    model.eval()
                    with torch.no_grad():
                        output = model(job.test_x)
                        w.validate(loss=job.loss_fn(output, job.test_y).item(), metric=figure(output, job.test_y))
                    model.train()
    return w.findings


LOOPS: Registry[Loop] = Registry(
    "loop", {"plain": plain, "loaders": loaders, "late zero": late_zero, "drawn": drawn, "every fifty": every_fifty}
)


def reached(job: Job) -> float:
    """Accuracy or R² of the module as it is, on the rows kept to judge by; NaN where it has no such figure."""
    job.model.eval()
    with torch.no_grad():
        try:
            return figure(job.model(job.test_x), job.material.test_y)
        except (RuntimeError, IndexError):  # outputs of another shape
            return float("nan")


def watched(job: Job, loop: Loop) -> Ended:
    """Train and watch."""
    findings = loop(job)
    value = reached(job)
    return Ended(findings, value, value >= job.material.bar)


def checked(job: Job) -> Ended:
    """Check the first batch, as it would be before the training."""
    x, y = job.x[: job.batch_size], job.y[: job.batch_size]
    return Ended(trainwell.check(job.model, job.loss_fn, x, y, optimizer=job.optimizer), float("nan"))


def job(m: Material, model: nn.Module, rate: float | None = None, optimizer: Optimizer | None = None) -> Job:
    """A sane training of this module: cross-entropy or squared error, Adam, enough epochs; faults then edit it."""
    loss_fn = nn.CrossEntropyLoss() if m.task == "multiclass" else nn.MSELoss()
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=rate or sane_rate(m))
    steps = 600 if m.architecture == "recurrent" and m.task == "regression" else 300
    epochs = max(6, steps * 32 // len(m.x))
    return Job(m, model, loss_fn, optimizer, m.x, m.y, m.test_x, m.test_y, epochs)


def sane_rate(m: Material) -> float:
    """A rate of Adam that suits our small networks."""
    return 5e-3 if m.architecture == "recurrent" else 2e-3
