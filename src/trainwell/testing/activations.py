"""Conformance suite of the activations: φ element by element, each member with its own hyperparameters.

    for name in ACTIVATIONS:
        for law in LAWS.values():
            law(name)

A law raises `AssertionError` with a sentence.
"""

from collections.abc import Callable
from math import inf, isfinite

import torch
from torch import Tensor

from trainwell.base import Registry
from trainwell.base.layout import Columns
from trainwell.ingredients.activations import ACTIVATIONS

MEMBERS, UNITS, SAMPLES = 5, 6, 32  # rows of whole vectors: in a ragged end the last bit may differ
FAR = 1e4  # as far as outputs may go (row A10)


def signals(seed: int = 1, dtype: torch.dtype = torch.float64, samples: int = SAMPLES) -> Tensor:
    """Pre-activations (K, H, B), some beyond every bend; `UNITS` is a multiple of the standard number of pieces."""
    generator = torch.Generator().manual_seed(seed)
    return (4 * torch.randn(MEMBERS, UNITS, samples, generator=generator, dtype=torch.float64)).to(dtype)


def hypers(name: str, *, step: float = 0.2, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Different values for all members: (K, 1, 1), learned ones (K, H, 1) for all units, structural ones a number."""
    φ, made = ACTIVATIONS[name], {}
    for key, value in φ.standard.items():
        if ACTIVATIONS.hypers[key].structural:
            made[key] = torch.tensor(value)
            continue
        units = UNITS if key in φ.learned else 1
        made[key] = value * (1 + step * torch.arange(MEMBERS * units, dtype=dtype).view(MEMBERS, units, 1) / units)
        assert all(ACTIVATIONS.hypers[key].allows(float(v)) for v in made[key].flatten()), f"{name}: {key} out of range"
    return made


def standard(name: str) -> dict[str, Tensor]:
    """The standard values as plain numbers, float64."""
    return {key: torch.tensor(value, dtype=torch.float64) for key, value in ACTIVATIONS[name].standard.items()}


def run(name: str, z: Tensor, h: Columns) -> list[Tensor]:
    """φ, the gradient of Σφ² by z, and φ′."""
    leaf = z.clone().requires_grad_()
    value = ACTIVATIONS[name].function(leaf, h)
    slope = torch.autograd.grad(value.square().sum(), leaf)[0]
    return [value.detach(), slope, ACTIVATIONS[name].derivative(z, h)]


def _rows(h: Columns, rows: list[int]) -> dict[str, Tensor]:
    return {key: value[rows] if value.dim() else value for key, value in h.items()}


def alone_as_in_company(name: str) -> None:
    """A member alone has the values and gradients that it has among others, bit for bit (odd batches: to 1e-13)."""
    for dtype, samples in ((torch.float32, SAMPLES), (torch.float64, SAMPLES), (torch.float64, SAMPLES + 1)):
        z, h = signals(dtype=dtype, samples=samples), hypers(name, dtype=dtype)
        crowd = run(name, z, h)
        for k in range(MEMBERS):
            alone = run(name, z[[k]], _rows(h, [k]))
            pairs = [(there[k], here[0]) for there, here in zip(crowd, alone, strict=True)]
            near = all(torch.allclose(a, b, rtol=1e-13, atol=1e-13) for a, b in pairs)
            same = near if samples != SAMPLES else all(torch.equal(a, b) for a, b in pairs)
            assert same, f"{name}: member {k} alone is not what it is among others"


def others_do_not_matter(name: str) -> None:
    """Other signals and hyperparameters of the others, even NaN, leave a member bit for bit as it was."""
    me, others = MEMBERS // 2, [k for k in range(MEMBERS) if k != MEMBERS // 2]
    mine = run(name, signals(), hypers(name))
    for value in (FAR, float("nan")):
        z, h = signals(2), hypers(name, step=0.4)
        z[others] = value
        z[me] = signals()[me]
        for key, column in h.items():
            if column.dim():
                column[me] = hypers(name)[key][me]
                column[others] = column[others] if isfinite(value) else value
        same = all(torch.equal(a[me], b[me]) for a, b in zip(mine, run(name, z, h), strict=True))
        assert same, f"{name}: a member depends on the others"


def a_nan_stays_in_its_row(name: str) -> None:
    """NaN in one member's signals is NaN in what it hands on, and in no other member."""
    z = signals()
    z[1] = float("nan")
    value = run(name, z, hypers(name))[0]
    assert value[1].isnan().all(), f"{name}: NaN is hidden"
    assert value[[0, 2, 3, 4]].isfinite().all(), f"{name}: NaN of one member reaches another"


def hyperparameters_are_per_member(name: str) -> None:
    """On equal signals, members differ by each hyperparameter alone; units too, where each has its own."""
    z, h = signals()[:1].expand(MEMBERS, -1, -1).contiguous(), hypers(name)
    for key, column in h.items():
        if not column.dim():
            continue
        value = ACTIVATIONS[name].function(z, {**standard(name), key: column})
        alike = [k for k in range(1, MEMBERS) if torch.equal(value[0], value[k])]
        assert not alike, f"{name}: {key} changes nothing in members {alike}"
        if key in ACTIVATIONS[name].learned:
            rows = ACTIVATIONS[name].function(z[:, :1].expand(-1, UNITS, -1), {**standard(name), key: column})[0]
            assert len({tuple(row.tolist()) for row in rows}) == UNITS, f"{name}: units share their {key}"


def the_derivative_is_autograds(name: str) -> None:
    """φ′ in closed form is the gradient of φ by autograd, near bends, on them and far out (float64, to 1e-8)."""
    bends = torch.tensor([0.0, 1e-30, 1, 3, 6, 100, FAR], dtype=torch.float64)
    z = torch.cat([torch.linspace(-9, 9, 3602, dtype=torch.float64), bends, -bends, bends + 1e-9, bends - 1e-9])
    z = torch.stack([z, -z.flip(0) / 3], dim=1).view(1, 1, -1, 2).flatten(1, 2).expand(MEMBERS, -1, -1)
    learned = {key: value[:, :1] for key, value in hypers(name).items() if key in ACTIVATIONS[name].learned}
    for h in (standard(name), {**hypers(name), **learned}):
        leaf = z.clone().requires_grad_()
        slope = torch.autograd.grad(ACTIVATIONS[name].function(leaf, h).sum(), leaf)[0]
        apart = float((slope - ACTIVATIONS[name].derivative(z, h)).abs().max())
        assert apart <= 1e-8, f"{name}: the closed form of φ′ differs from autograd's by {apart:.1e}"


def extreme_signals_stay_finite(name: str) -> None:
    """Values, gradients and φ′ are finite for signals of ±1e4."""
    for dtype in (torch.float32, torch.float64):
        z = torch.tensor([-FAR, -100, -1e-30, 0, 1e-30, 100, FAR, 1], dtype=dtype).view(1, -1, 1)
        for h in (_rows(hypers(name, dtype=dtype), [0]), _rows(hypers(name, dtype=dtype), [MEMBERS - 1])):
            own = {key: value[:, :1] if value.dim() else value for key, value in h.items()}
            leaf = z.clone().requires_grad_()
            value = ACTIVATIONS[name].function(leaf, own)
            slope = torch.autograd.grad(value.sum(), leaf)[0]
            finite = all(t.isfinite().all() for t in (value, slope, ACTIVATIONS[name].derivative(z, own)))
            assert finite, f"{name}: not finite for signals of ±{FAR:g} in {dtype}"


def values_fill_the_range(name: str) -> None:
    """Values stay within the range, and come near both of its ends; bounds are the values far out."""
    φ = ACTIVATIONS[name]
    z = torch.cat([torch.linspace(-9, 9, 90_001, dtype=torch.float64), torch.tensor([-FAR, FAR], dtype=torch.float64)])
    z = torch.stack([z, z], dim=0).T.reshape(1, -1, 1)  # each value twice: pieces of a unit are equal
    value = φ.function(z, standard(name))
    for end, reached in zip(φ.range, (float(value.min()), float(value.max())), strict=True):
        good = abs(reached) >= 1e2 if end in (-inf, inf) else abs(reached - end) <= 2e-4
        assert good, f"{name}: values go to {reached:.6g}, the range says {end:.6g}"
    assert φ.range[0] - 1e-12 <= float(value.min()) and float(value.max()) <= φ.range[1] + 1e-12, f"{name}: beyond"
    if φ.bounds is not None:
        ends = φ.function(torch.tensor([-FAR, -FAR, FAR, FAR], dtype=torch.float64).view(1, 4, 1), standard(name))
        close = [abs(float(e) - b) < 2e-4 for e, b in zip((ends.min(), ends.max()), φ.bounds, strict=True)]
        assert all(close), f"{name}: a unit far out does not come near its bounds {φ.bounds}"


def silent_means_zero_below_zero(name: str) -> None:
    """`silent` holds exactly where φ(z) = 0 for all z < 0."""
    z = -torch.logspace(-3, 1, 50, dtype=torch.float64).view(1, 50, 1)
    zero = bool((ACTIVATIONS[name].function(z, standard(name)) == 0).all())
    assert zero == ACTIVATIONS[name].silent, f"{name}: silent is {ACTIVATIONS[name].silent}, but it should be {zero}"


def it_is_documented(name: str) -> None:
    """The first line gives the formula, the row of the requirements, and who wrote it when."""
    line = ACTIVATIONS.summary(name)
    assert line.startswith("φ(z)"), f"{name}: the first line should begin with the formula"
    assert "(row A" in line and any(word.rstrip(").").isdigit() for word in line.split()[-2:]), f"{name}: no source"
    assert len(line) <= 120, f"{name}: the first line is too long for a list"


LAWS: Registry[Callable[[str], None]] = Registry(
    "law",
    {
        "alone-as-in-company": alone_as_in_company,
        "others-do-not-matter": others_do_not_matter,
        "a-nan-stays-in-its-row": a_nan_stays_in_its_row,
        "hyperparameters-are-per-member": hyperparameters_are_per_member,
        "the-derivative-is-autograds": the_derivative_is_autograds,
        "extreme-signals-stay-finite": extreme_signals_stay_finite,
        "values-fill-the-range": values_fill_the_range,
        "silent-means-zero-below-zero": silent_means_zero_below_zero,
        "it-is-documented": it_is_documented,
    },
)
