"""Samples that see one another in a loop are found out, by copies that nobody hears of."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import trainwell


class Pooled(nn.Module):
    """Attention over steps; the weights of steps are a softmax over this axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis, self.into, self.score, self.out = axis, nn.Linear(5, 16), nn.Linear(16, 1), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.into(x).tanh()
        return self.out((h * self.score(h).softmax(self.axis)).sum(1))


class Centred(nn.Module):
    """The mean over the batch is taken away in training and in evaluation, or what was remembered of it."""

    def __init__(self, remembers: bool) -> None:
        super().__init__()
        self.remembers, self.first, self.out = remembers, nn.Linear(5, 16), nn.Linear(16, 3)
        self.register_buffer("mean", torch.zeros(16))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x.mean(1))
        centre = h.mean(0) if self.training or not self.remembers else self.mean
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * h.mean(0).detach()
        return self.out(F.relu(h - centre))


class Counting(nn.Module):
    """Outputs depend on how often it was called, not on other samples."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.body = 0, nn.Sequential(nn.Flatten(), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.body(x) * (1 + 0.001 * self.calls)


class Noisy(nn.Module):
    """With noise that stays in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x + 0.01 * torch.randn_like(x))


def dense() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(20, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 3))


def watched(model: nn.Module, *, whole: bool = False, told: bool = True) -> Any:
    """A loop over random batches, or over one for ever."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(256, 4, 5, generator=draw)
    y = x.mean(1).argmax(1).clamp_max(2)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with trainwell.watch(model, optimizer) as w:
        for _ in range(30):
            rows = torch.arange(32) if whole else torch.randint(256, (32,), generator=draw)
            optimizer.zero_grad()
            out = model(x[rows])
            loss = F.cross_entropy(out, y[rows])
            loss.backward()
            optimizer.step()
            w.step(loss, **({"inputs": x[rows], "targets": y[rows], "outputs": out} if told else {}))
    return w


def mixed(w: Any) -> bool:
    return any(f.kind == "batch-leak" and f.severity == "critical" for f in w.findings)


@pytest.mark.covers("P4")
@pytest.mark.parametrize("make", [lambda: Pooled(0), lambda: Centred(remembers=False)], ids=["softmax", "mean"])
def test_samples_that_see_one_another_are_named(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    assert mixed(watched(make()))


@pytest.mark.parametrize("make", [lambda: Pooled(1), lambda: Centred(remembers=True), Counting, Noisy, dense])
def test_samples_that_do_not_are_not(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    assert not mixed(watched(make()))


def test_where_all_rows_come_at_once_or_are_not_told_nothing_is_asked() -> None:
    torch.manual_seed(0)
    assert not mixed(watched(Pooled(0), whole=True)) and not mixed(watched(Pooled(0), told=False))


def test_a_module_that_can_not_be_run_on_what_was_told_is_left_alone() -> None:
    class Paired(Pooled):
        def forward(self, x: Tensor, scale: float | None = None) -> Tensor:
            assert scale is not None
            return super().forward(x * scale)

    torch.manual_seed(0)
    inner = Paired(0)
    optimizer, draw = torch.optim.Adam(inner.parameters(), 1e-2), torch.Generator().manual_seed(0)
    with trainwell.watch(inner, optimizer) as w:
        for _ in range(30):
            x = torch.randn(32, 4, 5, generator=draw)
            optimizer.zero_grad()
            out = inner(x, 1.0)
            loss = F.cross_entropy(out, x.mean(1).argmax(1).clamp_max(2))
            loss.backward()
            optimizer.step()
            w.step(loss, inputs=x, outputs=out)
    assert not mixed(w) and not any("look failed" in note for note in w._observer.program().notes)
