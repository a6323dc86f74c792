"""Healthy trainings with what practitioners add to a loop: schedules, clipping, accumulation, averages, groups."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW, lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

import trainwell
from trainwell.testing.programs.healthy_networks import ResNet, dense_with, images_with
from trainwell.testing.programs.materials import Material, figure, material
from trainwell.testing.programs.networks import ConvNet, Net, Recurrent
from trainwell.testing.programs.program import Ended, Program

Schedule = Callable[[torch.optim.Optimizer, int], lr_scheduler.LRScheduler]


def judged(model: nn.Module, m: Material) -> float:
    """Accuracy or R² on the rows kept to judge by."""
    model.eval()
    with torch.no_grad():
        return figure(model(m.test_x), m.test_y)


def batches(m: Material, size: int = 32) -> DataLoader[tuple[Tensor, ...]]:
    """Shuffled batches."""
    return DataLoader(TensorDataset(m.x, m.y), batch_size=size, shuffle=True)


def scheduled(data: str, make: Callable[[], nn.Module], rate: float, schedule: Schedule, each_step: bool) -> Ended:
    """A schedule of the rate, moved each step or each epoch; a validation after each epoch."""
    m, model, epochs = material(data), make(), 10
    optimizer = SGD(model.parameters(), lr=rate, momentum=0.9)
    loader = batches(m)
    scheduler = schedule(optimizer, epochs * len(loader) if each_step else epochs)
    criterion = nn.CrossEntropyLoss() if m.task == "multiclass" else nn.MSELoss()
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(epochs):
            model.train()
            for x, y in loader:
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                if each_step:
                    scheduler.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            if not each_step:
                scheduler.step()
            model.eval()
            with torch.no_grad():
                out = model(m.test_x)
                w.validate(loss=criterion(out, m.test_y).item(), metric=figure(out, m.test_y))
    value = judged(model, m)
    return Ended(w.findings, value, value >= m.bar)


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    """To 0 along a cosine."""
    return lr_scheduler.CosineAnnealingLR(optimizer, steps)


def one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    """Up and down once."""
    return lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)


def steps_down(optimizer: torch.optim.Optimizer, epochs: int) -> lr_scheduler.LRScheduler:
    """A tenth after each third."""
    return lr_scheduler.StepLR(optimizer, step_size=max(1, epochs // 3 + 1), gamma=0.1)


def warm_up(optimizer: torch.optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    """A tenth of the steps upwards, then down in a line."""
    return lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, (s + 1) / (0.1 * steps)) * max(0.0, 1 - s / steps))


def exponential(optimizer: torch.optim.Optimizer, epochs: int) -> lr_scheduler.LRScheduler:
    """A little less each epoch."""
    return lr_scheduler.ExponentialLR(optimizer, gamma=0.85)


def restarts(optimizer: torch.optim.Optimizer, epochs: int) -> lr_scheduler.LRScheduler:
    """Cosines with a warm restart in the middle."""
    return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=epochs // 2, eta_min=1e-3)


def accumulated(data: str, micro: int) -> Ended:
    """Gradients of several small batches before each step."""
    m, model = material(data), Net(64, 64, 10) if data == "digits" else Recurrent(1, 1)
    criterion = nn.CrossEntropyLoss() if m.task == "multiclass" else nn.MSELoss()
    optimizer = Adam(model.parameters(), lr=3e-3)
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(15):
            optimizer.zero_grad()
            for i, (x, y) in enumerate(batches(m, 8)):
                out = model(x)
                loss = criterion(out, y)
                (loss / micro).backward()
                if (i + 1) % micro == 0:
                    optimizer.step()
                    optimizer.zero_grad()
                    w.step(loss, inputs=x, targets=y, outputs=out)
    value = judged(model, m)
    return Ended(w.findings, value, value >= m.bar)


def clipped(data: str, by_value: bool) -> Ended:
    """Gradients clipped before the step."""
    m = material(data)
    model = (
        Recurrent(m.inputs, m.outputs, kind="gru") if m.architecture == "recurrent" else Net(m.inputs, 32, m.outputs)
    )
    loss_fn = F.cross_entropy if m.task == "multiclass" else F.mse_loss
    optimizer = Adam(model.parameters(), lr=5e-3)
    with trainwell.watch(model, optimizer) as w:
        for _epoch in range(12):
            for x, y in batches(m):
                optimizer.zero_grad()
                out = model(x)
                loss = loss_fn(out, y)
                loss.backward()
                if by_value:
                    nn.utils.clip_grad_value_(model.parameters(), 0.5)
                else:
                    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
    value = judged(model, m)
    return Ended(w.findings, value, value >= m.bar)


def half_precision(data: str) -> Ended:
    """Autocast to bfloat16."""
    m = material(data)
    model = ConvNet(10) if data == "images" else Net(m.inputs, 64, m.outputs)
    criterion, optimizer = nn.CrossEntropyLoss(), AdamW(model.parameters(), lr=3e-3)
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(6):
            model.train()
            for x, y in batches(m):
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    out = model(x)
                    loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            model.eval()
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                w.validate(loss=criterion(model(m.test_x), m.test_y).item())
    value = judged(model, m)
    return Ended(w.findings, value, value >= m.bar)


def averaged(data: str) -> Ended:
    """A running average of the weights, which is judged."""
    m, model = material(data), dense_with((material(data).inputs, 48, 48, material(data).outputs))
    criterion = nn.CrossEntropyLoss() if m.task == "multiclass" else nn.MSELoss()
    average, optimizer = copy.deepcopy(model), Adam(model.parameters(), lr=3e-3)
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(12):
            for x, y in batches(m):
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y)
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                        mean.lerp_(now, 0.05)
                w.step(loss, inputs=x, targets=y, outputs=out)
            with torch.no_grad():
                w.validate(loss=criterion(average(m.test_x), m.test_y))
    value = judged(average, m)
    return Ended(w.findings, value, value >= m.bar)


def fine_tuned(data: str, frozen: bool) -> Ended:
    """A network trained on one half of the rows; then a new head, and its body frozen or ten times slower."""
    m = material(data)
    body = (
        images_with(10, norm="batch")[:-1] if data == "images" else nn.Sequential(dense_with((64, 64, 32)), nn.ReLU())
    )
    features = 64 if data == "images" else 32
    first = nn.Sequential(body, nn.Linear(features, 10))
    optimizer = Adam(first.parameters(), lr=3e-3)
    for _epoch in range(4):
        for x, y in batches(m):
            optimizer.zero_grad()
            F.cross_entropy(first(x), y).backward()
            optimizer.step()
    head = nn.Linear(features, 2)  # even or odd
    model = nn.Sequential(body, head)
    if frozen:
        body.requires_grad_(False)
        optimizer = Adam(head.parameters(), lr=1e-2)
    else:
        groups = [{"params": body.parameters(), "lr": 3e-4}, {"params": head.parameters(), "lr": 3e-3}]
        optimizer = Adam(groups)
    criterion = nn.CrossEntropyLoss()
    with trainwell.watch(model, optimizer, loss_fn=criterion) as w:
        for _epoch in range(6):
            model.train()
            if frozen:
                body.eval()
            for x, y in batches(m):
                optimizer.zero_grad()
                out = model(x)
                loss = criterion(out, y % 2)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y % 2, outputs=out)
            model.eval()
            with torch.no_grad():
                w.validate(loss=criterion(model(m.test_x), m.test_y % 2).item())
    with torch.no_grad():
        value = figure(model(m.test_x), m.test_y % 2)
    return Ended(w.findings, value, value >= 0.88)


def mixed(data: str) -> Ended:
    """Mixup (Zhang et al. 2018): sums of two rows and of their targets."""
    m, model = material(data), ResNet(10, 8) if data == "images" else dense_with((64, 96, 64, 10))
    optimizer = AdamW(model.parameters(), lr=3e-3)
    with trainwell.watch(model, optimizer) as w:
        for _epoch in range(8):
            for x, y in batches(m):
                share, order = 0.8, torch.randperm(len(x))
                target = share * F.one_hot(y, 10) + (1 - share) * F.one_hot(y[order], 10)
                inputs = share * x + (1 - share) * x[order]
                optimizer.zero_grad()
                out = model(inputs)
                loss = F.cross_entropy(out, target)
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=inputs, targets=target, outputs=out)
    value = judged(model, m)
    return Ended(w.findings, value, value >= m.bar)


def plateau_schedule(data: str) -> Ended:
    """The rate halves when the validation stands still."""
    m, model = material(data), Net(material(data).inputs, 32, material(data).outputs)
    criterion = nn.CrossEntropyLoss() if m.task == "multiclass" else nn.MSELoss()
    optimizer = Adam(model.parameters(), lr=5e-3)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    with trainwell.watch(model, optimizer, task=m.task) as w:
        for _epoch in range(12):
            for x, y in batches(m):
                out = model(x)
                loss = criterion(out, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            with torch.no_grad():
                val_loss = criterion(model(m.test_x), m.test_y).item()
            scheduler.step(val_loss)
            w.validate(loss=val_loss)
    value = judged(model, m)
    return Ended(w.findings, value, value >= m.bar)


TRICKS: dict[str, tuple[str, Callable[[], Ended]]] = {
    "cosine": ("digits", lambda: scheduled("digits", lambda: Net(64, 64, 10), 0.03, cosine, True)),
    "one cycle": ("images", lambda: scheduled("images", lambda: ConvNet(10), 0.02, one_cycle, True)),
    "steps": ("digits", lambda: scheduled("digits", lambda: dense_with((64, 64, 10)), 0.03, steps_down, False)),
    "warm-up": ("rows", lambda: scheduled("rows", lambda: Recurrent(8, 10, kind="gru"), 0.1, warm_up, True)),
    "exponential": ("friedman", lambda: scheduled("friedman", lambda: Net(10, 48, 1), 0.01, exponential, False)),
    "restarts": ("images", lambda: scheduled("images", lambda: ResNet(10, 8), 0.05, restarts, False)),
    "accumulation 4": ("digits", lambda: accumulated("digits", 4)),
    "accumulation 2": ("next value", lambda: accumulated("next value", 2)),
    "clipped norm": ("rows", lambda: clipped("rows", False)),
    "clipped value": ("friedman", lambda: clipped("friedman", True)),
    "bfloat16": ("digits", lambda: half_precision("digits")),
    "bfloat16 convolutions": ("images", lambda: half_precision("images")),
    "average": ("digits", lambda: averaged("digits")),
    "average of a regression": ("friedman", lambda: averaged("friedman")),
    "frozen backbone": ("digits", lambda: fine_tuned("digits", True)),
    "frozen convolutions": ("images", lambda: fine_tuned("images", True)),
    "two groups": ("digits", lambda: fine_tuned("digits", False)),
    "two groups, convolutions": ("images", lambda: fine_tuned("images", False)),
    "mixup": ("digits", lambda: mixed("digits")),
    "mixup of images": ("images", lambda: mixed("images")),
    "plateau schedule": ("friedman", lambda: plateau_schedule("friedman")),
    "plateau schedule, classes": ("breast_cancer", lambda: plateau_schedule("breast_cancer")),
}


def tricks() -> list[Program]:
    """All of them."""
    return [
        Program(f"healthy, {name}", None, (), lambda _seed, do=do: do(), "watch", material(data).architecture, data)
        for name, (data, do) in TRICKS.items()
    ]
