"""Loops with a fault in them: gradients that are never cleared, steps that are never made, modes that stay wrong."""

import torch
from torch.utils.data import DataLoader, TensorDataset

import trainwell
from trainwell.diagnosis import Finding
from trainwell.testing.programs.loops import LOOPS, Job, Loop
from trainwell.testing.programs.materials import figure


def no_zero(job: Job) -> list[Finding]:
    """Nobody clears the gradients."""
    model, optimizer, criterion = job.model, job.optimizer, job.loss_fn
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(job.epochs):
            for i in range(0, len(job.x), job.batch_size):
                x, y = job.x[i : i + job.batch_size], job.y[i : i + job.batch_size]
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
    return w.findings


def no_zero_validated(job: Job) -> list[Finding]:
    """The same with a loader and a validation."""
    model, optimizer = job.model, job.optimizer
    loader = DataLoader(TensorDataset(job.x, job.y), batch_size=job.batch_size, shuffle=True)
    with trainwell.watch(model, optimizer) as w:
        for _epoch in range(job.epochs):
            model.train()
            for x, y in loader:
                out = model(x)
                loss = job.loss_fn(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            model.eval()
            with torch.no_grad():
                w.validate(loss=job.loss_fn(model(job.test_x), job.test_y).item())
    return w.findings


def zero_once(job: Job) -> list[Finding]:
    """`zero_grad` stands in the wrong loop."""
    model, optimizer, criterion = job.model, job.optimizer, job.loss_fn
    with trainwell.watch(model, optimizer, task=job.material.task) as w:
        for _epoch in range(job.epochs):
            optimizer.zero_grad()
            for index in torch.randperm(len(job.x)).split(job.batch_size):
                x, y = job.x[index], job.y[index]
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
    return w.findings


def no_step(job: Job) -> list[Finding]:
    """The optimizer is never asked to step."""
    model, optimizer, criterion = job.model, job.optimizer, job.loss_fn
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(job.epochs):
            for index in torch.randperm(len(job.x)).split(job.batch_size):
                x, y = job.x[index], job.y[index]
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                w.step(loss, inputs=x, targets=y, outputs=out)
    return w.findings


def two_shuffles(job: Job) -> list[Finding]:
    """A loader of inputs and a loader of targets, each with its own order."""
    model, optimizer, criterion = job.model, job.optimizer, job.loss_fn
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(job.epochs):
            inputs = torch.randperm(len(job.x)).split(job.batch_size)
            targets = torch.randperm(len(job.x)).split(job.batch_size)
            for these, those in zip(inputs, targets, strict=True):
                x, y = job.x[these], job.y[those]
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
    return w.findings


def two_shuffles_validated(job: Job) -> list[Finding]:
    """The same, with a validation."""
    model, optimizer, criterion = job.model, job.optimizer, job.loss_fn
    with trainwell.watch(model, optimizer, loss_fn=criterion, task=job.material.task) as w:
        for _epoch in range(job.epochs):
            model.train()
            x_all, y_all = job.x[torch.randperm(len(job.x))], job.y[torch.randperm(len(job.y))]
            for x, y in zip(x_all.split(job.batch_size), y_all.split(job.batch_size), strict=True):
                loss = criterion(out := model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            model.eval()
            with torch.no_grad():
                w.validate(loss=criterion(model(job.test_x), job.test_y))
    return w.findings


def eval_left_on(job: Job) -> list[Finding]:
    """`model.eval()` for the validation, and never `model.train()` again."""
    return _modes(job, train_first=False, eval_first=True)


def judged_in_training_mode(job: Job) -> list[Finding]:
    """The validation forgets `model.eval()`."""
    return _modes(job, train_first=True, eval_first=False)


def _modes(job: Job, *, train_first: bool, eval_first: bool) -> list[Finding]:
    model, optimizer, criterion = job.model, job.optimizer, job.loss_fn
    loader = DataLoader(TensorDataset(job.x, job.y), batch_size=job.batch_size, shuffle=True)
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(job.epochs):
            if train_first:
                model.train()
            for x, y in loader:
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            if eval_first:
                model.eval()
            with torch.no_grad():
                w.validate(loss=criterion(model(job.test_x), job.test_y).item())
    return w.findings


def eval_from_the_start(job: Job) -> list[Finding]:
    """`model.eval()` stands before the loop."""
    model, optimizer, criterion = job.model, job.optimizer, job.loss_fn
    model.eval()
    with trainwell.watch(model, optimizer) as w:
        for _epoch in range(job.epochs):
            for i in range(0, len(job.x), job.batch_size):
                x, y = job.x[i : i + job.batch_size], job.y[i : i + job.batch_size]
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
    return w.findings


def metric_of_other_rows(job: Job) -> list[Finding]:
    """Predictions come from one pass over the shuffled validation rows, targets from another."""
    model, optimizer, criterion = job.model, job.optimizer, job.loss_fn
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(job.epochs):
            model.train()
            for index in torch.randperm(len(job.x)).split(job.batch_size):
                x, y = job.x[index], job.y[index]
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            model.eval()
            with torch.no_grad():
                out = model(job.test_x)
                others = job.test_y[torch.randperm(len(job.test_y))]
                w.validate(loss=criterion(out, job.test_y).item(), score=figure(out, others))
    return w.findings


FAULTY: dict[str, Loop] = {
    "no zero": no_zero,
    "no zero, validated": no_zero_validated,
    "zero once an epoch": zero_once,
    "no step": no_step,
    "two shuffles": two_shuffles,
    "two shuffles, validated": two_shuffles_validated,
    "eval left on": eval_left_on,
    "judged in training mode": judged_in_training_mode,
    "eval from the start": eval_from_the_start,
    "metric of other rows": metric_of_other_rows,
}


def loop(name: str) -> Loop:
    """A loop by its name, faulty or not."""
    return FAULTY[name] if name in FAULTY else LOOPS[name]
