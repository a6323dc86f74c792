"""Conformance suite of the losses: each member is judged by its own outputs, targets, hyperparameters and weights.

    for name in LOSSES:
        for law in LAWS.values():
            law(name)

A law raises `AssertionError` with a sentence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainwell.base import Registry
from trainwell.ingredients.losses import LOSSES, balanced_positives, balanced_weights, one_hot

MEMBERS, OUTPUTS, SAMPLES = 5, 4, 32
FAR = 1e4  # as far as outputs may go (row A10)
ME = 2
OTHERS = [k for k in range(MEMBERS) if k != ME]


@dataclass(frozen=True)
class Batch:
    """What a loss is given: outputs z (K, C, B), targets (1 or K, ...), hyperparameters (K, 1), weights (K, C)."""

    z: Tensor
    y: Tensor
    h: Mapping[str, Tensor]
    weights: Tensor | None

    @classmethod
    def of(
        cls, name: str, *, seed: int = 1, own: bool = True, step: float = 0.2, dtype: torch.dtype = torch.float64
    ) -> "Batch":
        """Members that differ in everything; without `own`, all have the same targets."""
        loss, generator = LOSSES[name], torch.Generator().manual_seed(seed)
        z = 3 * torch.randn(MEMBERS, OUTPUTS, SAMPLES, generator=generator, dtype=torch.float64)
        y = _targets(loss.output, MEMBERS if own else 1, generator)
        h = {key: _values(key, value, step).to(dtype) for key, value in loss.standard.items()}
        weights = None
        if "balance" in h:
            counts = torch.tensor([[5.0, 60.0, 15.0, 20.0]], dtype=dtype)
            if loss.output == "softmax":
                weights = balanced_weights(counts, h["balance"])
            else:
                weights = balanced_positives(counts, counts.sum(1, keepdim=True), h["balance"])
        return cls(z.to(dtype), y.to(dtype) if y.is_floating_point() else y, h, weights)

    def rows(self, rows: list[int]) -> "Batch":
        """Some of the members, copied."""
        h = {key: column[rows] for key, column in self.h.items()}
        return Batch(self.z[rows], self.y[rows], h, None if self.weights is None else self.weights[rows])

    def run(self, name: str) -> list[Tensor]:
        """Per-sample losses, totals (K,), and the gradient of each member's total by its outputs."""
        z = self.z.clone().requires_grad_()
        losses = LOSSES[name].function(z, self.y, self.h, self.weights)
        total = LOSSES[name].total(losses)
        return [losses.detach(), total.detach(), torch.autograd.grad(total.sum(), z)[0]]


def _targets(output: str, members: int, generator: torch.Generator) -> Tensor:
    if output == "softmax":
        return torch.randint(OUTPUTS, (members, SAMPLES), generator=generator)
    if output == "sigmoid":
        return torch.randint(2, (members, OUTPUTS, SAMPLES), generator=generator).double()
    return torch.randn(members, OUTPUTS, SAMPLES, generator=generator, dtype=torch.float64)


def _values(key: str, standard: float, step: float) -> Tensor:
    """A hyperparameter's values (K, 1), all different and allowed, the standard one first."""
    column = (standard + step * torch.arange(MEMBERS, dtype=torch.float64) / MEMBERS).unsqueeze(1)
    assert all(LOSSES.hypers[key].allows(float(value)) for value in column), f"{key}: out of range"
    return column


def alone_as_in_company(name: str) -> None:
    """A member alone has the losses and gradients that it has among others (to 1e-13)."""
    batch = Batch.of(name)
    crowd = batch.run(name)
    for k in range(MEMBERS):
        for there, here in zip(crowd, batch.rows([k]).run(name), strict=True):
            close = torch.allclose(there[k], here[0], rtol=1e-13, atol=1e-15)
            assert close, f"{name}: member {k} alone is not what it is among others"


def others_do_not_matter(name: str) -> None:
    """Other outputs, targets, hyperparameters and weights of the others, even NaN, leave a member bit for bit."""
    here = Batch.of(name)
    for value in (None, float("nan")):
        there = Batch.of(name, seed=2, step=0.4)
        for mine, other in _pairs(here, there):
            other[ME] = mine[ME]
            if value is not None and other.is_floating_point():
                other[OTHERS] = value
        same = all(torch.equal(a[ME], b[ME]) for a, b in zip(here.run(name), there.run(name), strict=True))
        assert same, f"{name}: a member depends on the others"


def _pairs(here: Batch, there: Batch) -> list[tuple[Tensor, Tensor]]:
    pairs = [(here.z, there.z), (here.y, there.y), *((here.h[key], there.h[key]) for key in here.h)]
    return pairs if here.weights is None or there.weights is None else [*pairs, (here.weights, there.weights)]


def a_nan_stays_in_its_row(name: str) -> None:
    """NaN in one member's outputs makes its losses and its total NaN, and those of no other member."""
    batch = Batch.of(name)
    batch.z[ME] = float("nan")
    losses, total, slope = batch.run(name)
    assert losses[ME].isnan().all() and total[ME].isnan(), f"{name}: NaN is hidden"
    finite = all(t[OTHERS].isfinite().all() for t in (losses, total, slope))
    assert finite, f"{name}: NaN of one member reaches another"


def shared_targets_are_own_targets(name: str) -> None:
    """Targets (1, ...) for all members give what the same targets (K, ...) give, bit for bit."""
    shared = Batch.of(name, own=False)
    own = replace(shared, y=shared.y.expand(MEMBERS, *shared.y.shape[1:]).contiguous())
    same = all(torch.equal(a, b) for a, b in zip(shared.run(name), own.run(name), strict=True))
    assert same, f"{name}: shared targets are not taken as each member's own"


def hyperparameters_are_per_member(name: str) -> None:
    """On equal outputs and targets, members differ by each hyperparameter alone."""
    batch = Batch.of(name, own=False)
    z = batch.z[:1].expand(MEMBERS, -1, -1)
    standard = {key: torch.full_like(column, LOSSES[name].standard[key]) for key, column in batch.h.items()}
    for key, column in batch.h.items():
        weights = batch.weights if key == "balance" else None
        losses = LOSSES[name].function(z, batch.y, {**standard, key: column}, weights)
        alike = [k for k in range(1, MEMBERS) if torch.equal(losses[0], losses[k])]
        assert not alike, f"{name}: {key} changes nothing in members {alike}"


def smoothing_left_out_is_smoothing_off(name: str) -> None:
    """Without label smoothing among the hyperparameters, the losses are those with 0."""
    batch = Batch.of(name)
    if "label_smoothing" not in batch.h:
        return
    off = replace(batch, h={**batch.h, "label_smoothing": torch.zeros_like(batch.h["label_smoothing"])})
    out = replace(batch, h={key: column for key, column in batch.h.items() if key != "label_smoothing"})
    same = all(torch.equal(a, b) for a, b in zip(off.run(name), out.run(name), strict=True))
    assert same, f"{name}: label smoothing left out is not label smoothing off"


def extreme_outputs_stay_finite(name: str) -> None:
    """Losses, totals and gradients are finite for outputs of ±1e4, right or wrong, and where all outputs are right."""
    for dtype in (torch.float32, torch.float64):
        batch = Batch.of(name, dtype=dtype)
        for z in (FAR * batch.z.sign(), torch.zeros_like(batch.z), _right(name, batch)):
            finite = all(t.isfinite().all() for t in replace(batch, z=z).run(name))
            assert finite, f"{name}: not finite for outputs of ±{FAR:g} in {dtype}"


def _right(name: str, batch: Batch) -> Tensor:
    """Outputs that leave no doubt: those of the targets."""
    if LOSSES[name].output == "identity":
        return batch.y.clone()
    shares = one_hot(batch.y, OUTPUTS) if LOSSES[name].output == "softmax" else batch.y
    return (FAR * (2 * shares - 1)).to(batch.z.dtype)


def right_costs_nothing_and_wrong_something(name: str) -> None:
    """0 where the output is the target, above 0 where it is not."""
    batch = Batch.of(name)
    batch = replace(batch, h={key: c for key, c in batch.h.items() if key != "label_smoothing"})
    losses = batch.run(name)[0]
    assert (losses > 0).all(), f"{name}: a wrong output costs nothing"
    right, total, _ = replace(batch, z=_right(name, batch)).run(name)
    assert (right == 0).all() and (total == 0).all(), f"{name}: a right output costs something"


def gradients_are_those_of_differences(name: str) -> None:
    """The gradient of each member's total, against centred differences (float64, relative error 1e-6)."""
    batch = Batch.of(name)
    slope, step = batch.run(name)[2], 1e-6
    for c, b in ((0, 0), (1, 5), (3, SAMPLES - 1)):
        ends = []
        for sign in (1, -1):
            z = batch.z.clone()
            z[:, c, b] += sign * step
            ends.append(replace(batch, z=z).run(name)[1])
        close = torch.allclose(slope[:, c, b], (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-9)
        assert close, f"{name}: the gradient is not that of differences"


def it_is_documented(name: str) -> None:
    """The first line gives the formula, the row of the requirements, and who wrote it when."""
    line = LOSSES.summary(name)
    assert "(row" in line and any(word.rstrip(").").isdigit() for word in line.split()[-2:]), f"{name}: no source"
    assert any(sign in line for sign in "²|√Σ−") and len(line) <= 121, f"{name}: no formula, or too long for a list"


LAWS: Registry[Callable[[str], None]] = Registry(
    "law",
    {
        "alone-as-in-company": alone_as_in_company,
        "others-do-not-matter": others_do_not_matter,
        "a-nan-stays-in-its-row": a_nan_stays_in_its_row,
        "shared-targets-are-own-targets": shared_targets_are_own_targets,
        "hyperparameters-are-per-member": hyperparameters_are_per_member,
        "smoothing-left-out-is-smoothing-off": smoothing_left_out_is_smoothing_off,
        "extreme-outputs-stay-finite": extreme_outputs_stay_finite,
        "right-costs-nothing-and-wrong-something": right_costs_nothing_and_wrong_something,
        "gradients-are-those-of-differences": gradients_are_those_of_differences,
        "it-is-documented": it_is_documented,
    },
)
