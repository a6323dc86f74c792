"""Healthy trainings with other aims than one class or number: rebuilding, several at once, spread."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, AdamW, Optimizer

import trainwell
from trainwell.diagnosis import Finding
from trainwell.testing.programs.healthy_networks import dense_with, images_with
from trainwell.testing.programs.materials import Material, figure, material
from trainwell.testing.programs.program import Ended, Program

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def train(
    model: nn.Module,
    optimizer: Optimizer,
    m: Material,
    step: Step,
    epochs: int,
    held: Callable[[], Tensor] | None = None,
) -> list[Finding]:
    """A loop around a step, which gives the loss, outputs and targets; `held` is the loss on other rows."""
    with trainwell.watch(model, optimizer) as w:
        for _epoch in range(epochs):
            model.train()
            for index in torch.randperm(len(m.x)).split(32):
                x = m.x[index]
                optimizer.zero_grad()
                loss, out, target = step(x, m.y[index])
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=target, outputs=out)
            if held is not None:
                model.eval()
                with torch.no_grad():
                    w.validate(loss=held())
    model.eval()
    return w.findings


def rebuilt(data: str, noise: float, validated: bool, bottleneck: int = 12) -> Ended:
    """An autoencoder, which may see noisy inputs; sound where it keeps most of the variance."""
    m = material(data)
    model: nn.Module = dense_with((m.inputs, 48, bottleneck, 48, m.inputs), act=nn.Tanh)
    if data == "images":
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(4, 8, 2, stride=2), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1),
        )  # fmt: skip
    optimizer = Adam(model.parameters(), lr=3e-3)

    def step(x: Tensor, _y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = model(x + noise * torch.randn_like(x))
        return F.mse_loss(out, x), out, x

    held = (lambda: F.mse_loss(model(m.test_x), m.test_x)) if validated else None
    findings = train(model, optimizer, m, step, 15, held)
    with torch.no_grad():
        value = float(1 - F.mse_loss(model(m.test_x), m.test_x) / m.test_x.var())
    return Ended(findings, value, value >= 0.5)


class VAE(nn.Module):
    """A variational autoencoder (Kingma & Welling 2014)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(inputs, 48), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(48, 8), nn.Linear(48, 8)
        self.decoder = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, inputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decoder(z), mean, log_variance


def variational(beta: float) -> Ended:
    """Squared error and divergence, summed over pixels."""
    m = material("images")
    flat, model = m.x.flatten(1), VAE(64)
    optimizer = Adam(model.parameters(), lr=2e-3)

    def step(x: Tensor, _y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = x.flatten(1)
        out, mean, log_variance = model(x)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()
        return F.mse_loss(out, x, reduction="sum") / len(x) + beta * divergence, out, x

    findings = train(model, optimizer, m, step, 15)
    with torch.no_grad():
        value = float(1 - F.mse_loss(model(flat)[0], flat) / flat.var())
    return Ended(findings, value, value >= 0.3)


def binary(weighted: bool, data: str = "breast_cancer") -> Ended:
    """One logit and BCE, with a weight on the rarer class or without."""
    m = material(data)
    target, test = (y.clamp(max=1).float().unsqueeze(1) for y in (m.y, m.test_y))
    model = dense_with((m.inputs, 24, 12, 1))
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=(1 - target.mean()) / target.mean() if weighted else None)
    optimizer = Adam(model.parameters(), lr=2e-3)
    with trainwell.watch(model, optimizer, loss_fn=loss_fn, task="binary") as w:
        for _epoch in range(15):
            for index in torch.randperm(len(m.x)).split(32):
                x, y = m.x[index], target[index]
                out = model(x)
                loss = loss_fn(out, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                w.step(loss, inputs=x, targets=y, outputs=out)
            with torch.no_grad():
                w.validate(loss=loss_fn(model(m.test_x), test))
    with torch.no_grad():
        value = float(((model(m.test_x) > 0) == test.bool()).float().mean())
    return Ended(w.findings, value, value >= 0.9)


def multi_label(dropout: float) -> Ended:
    """Four properties of a digit at once."""
    m, model = material("digits"), dense_with((64, 64, 4), dropout=dropout)
    table = torch.tensor([[c % 2, c > 4, c in (0, 6, 8, 9), c % 3 == 0] for c in range(10)]).float()
    optimizer, loss_fn = Adam(model.parameters(), lr=3e-3), nn.BCEWithLogitsLoss()

    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = model(x)
        return loss_fn(out, table[y]), out, table[y]

    findings = train(model, optimizer, m, step, 12, lambda: loss_fn(model(m.test_x), table[m.test_y]))
    with torch.no_grad():
        value = float(((model(m.test_x) > 0) == table[m.test_y].bool()).float().mean())
    return Ended(findings, value, value >= 0.9)


class TwoHeads(nn.Module):
    """One body, a class and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.body = images_with(10, norm="batch")[:-1]
        self.digit, self.ink = nn.Linear(64, 10), nn.Linear(64, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x)
        return self.digit(h), self.ink(h)


def two_tasks(weight: float) -> Ended:
    """Cross-entropy and squared error in one sum."""
    m, model = material("images"), TwoHeads()
    optimizer = AdamW(model.parameters(), lr=3e-3)

    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        digit, ink = model(x)
        return F.cross_entropy(digit, y) + weight * F.mse_loss(ink, x.mean((2, 3)) * 5), digit, y

    findings = train(model, optimizer, m, step, 6)
    with torch.no_grad():
        value = figure(model(m.test_x)[0], m.test_y)
    return Ended(findings, value, value >= m.bar)


def spread(data: str) -> Ended:
    """A mean and a variance for each row (Nix & Weigend 1994)."""
    m, model = material(data), dense_with((10, 32, 2), act=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=3e-3)

    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = model(x)
        return F.gaussian_nll_loss(out[:, :1], y, out[:, 1:].exp()), out, y

    findings = train(model, optimizer, m, step, 20 if data == "friedman" else 12)
    with torch.no_grad():
        value = figure(model(m.test_x)[:, :1], m.test_y)
    return Ended(findings, value, value >= m.bar)


def quantiles() -> Ended:
    """Three quantiles by pinball loss; sound where as many numbers lie between as should."""
    m, model, levels = material("friedman"), dense_with((10, 48, 3)), torch.tensor([0.1, 0.5, 0.9])
    optimizer = Adam(model.parameters(), lr=3e-3)

    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = model(x)
        return torch.maximum(levels * (y - out), (levels - 1) * (y - out)).mean(), out, y

    findings = train(model, optimizer, m, step, 20)
    with torch.no_grad():
        value = figure(model(m.test_x)[:, 1:2], m.test_y)
    return Ended(findings, value, value >= m.bar)


def taught() -> Ended:
    """A small network learns from a large one's probabilities (Hinton et al. 2015)."""
    m, teacher, model = material("digits"), dense_with((64, 128, 10)), dense_with((64, 16, 10))
    optimizer = Adam(teacher.parameters(), lr=3e-3)
    for _epoch in range(6):
        for index in torch.randperm(len(m.x)).split(32):
            optimizer.zero_grad()
            F.cross_entropy(teacher(m.x[index]), m.y[index]).backward()
            optimizer.step()

    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = model(x)
        with torch.no_grad():
            soft = torch.softmax(teacher(x) / 2, dim=1)
        return F.kl_div(F.log_softmax(out / 2, dim=1), soft, reduction="batchmean") + F.cross_entropy(out, y), out, y

    findings = train(model, Adam(model.parameters(), lr=5e-3), m, step, 12)
    with torch.no_grad():
        value = figure(model(m.test_x), m.test_y)
    return Ended(findings, value, value >= 0.88)


AIMS: dict[str, Callable[[], Ended]] = {
    "autoencoder": lambda: rebuilt("digits", 0.0, True),
    "denoising autoencoder": lambda: rebuilt("digits", 0.3, False, 20),
    "convolutional autoencoder": lambda: rebuilt("images", 0.0, True),
    "autoencoder of measurements": lambda: rebuilt("breast_cancer", 0.1, True, 6),
    "variational autoencoder": lambda: variational(1.0),
    "variational autoencoder, β 4": lambda: variational(4.0),
    "binary": lambda: binary(False),
    "binary, weighted": lambda: binary(True),
    "one against the rest": lambda: binary(True, "wine"),
    "multi-label": lambda: multi_label(0.0),
    "multi-label, dropout": lambda: multi_label(0.3),
    "two tasks": lambda: two_tasks(1.0),
    "two tasks, one light": lambda: two_tasks(0.1),
    "mean and variance": lambda: spread("friedman"),
    "mean and variance, diabetes": lambda: spread("diabetes"),
    "quantiles": quantiles,
    "distillation": taught,
}


def aims() -> list[Program]:
    """All of them."""
    return [
        Program(f"healthy, {name}", None, (), lambda _seed, do=do: do(), "watch", name) for name, do in AIMS.items()
    ]
