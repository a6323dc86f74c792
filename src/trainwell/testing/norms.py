"""Conformance suite of the norms: each member is normalised by its own values, in training and when judged.

    for name in NORMS:
        for law in LAWS.values():
            law(name)

A law raises `AssertionError` with a sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.base import Registry
from trainwell.ingredients.norms import NORMS, normalise

MEMBERS, UNITS, SAMPLES, GROUPS = 5, 16, 12, 4


@dataclass
class Layer:
    """A normalised layer of a population: signals (K, H, B), γ, β and running statistics (K, H, 1)."""

    z: Tensor
    scale: Tensor
    shift: Tensor | None
    running: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, name: str, samples: int = SAMPLES) -> "Layer":
        """Members that differ in everything."""
        g = torch.Generator().manual_seed(3)
        z = torch.randn(MEMBERS, UNITS, samples, generator=g, dtype=torch.float64) * 3 + 1
        columns = [torch.rand(MEMBERS, UNITS, 1, generator=g, dtype=torch.float64) + 0.5 for _ in range(4)]
        return cls(z, columns[0], columns[1] if NORMS[name].shift else None, (columns[2], columns[3]))

    def rows(self, rows: list[int]) -> "Layer":
        """Some of the members, copied."""
        shift = None if self.shift is None else self.shift[rows]
        return Layer(self.z[rows], self.scale[rows], shift, (self.running[0][rows], self.running[1][rows]))

    def run(self, name: str, *, training: bool) -> list[Tensor]:
        """Output, gradients of z, γ, β, and the running statistics afterwards."""
        leaves = [t.clone().requires_grad_() for t in (self.z, self.scale, self.shift) if t is not None]
        running = (self.running[0].clone(), self.running[1].clone())
        shift = leaves[2] if len(leaves) > 2 else None
        out = normalise(name, leaves[0], leaves[1], shift, running, training=training, groups=GROUPS)
        slopes = torch.autograd.grad(out.pow(3).sum(), leaves, materialize_grads=True)
        return [out.detach(), *slopes, *running]


def alone_as_in_company(name: str) -> None:
    """A member alone has the outputs, gradients and statistics that it has among others (to 1e-13)."""
    for training in (True, False):
        crowd = Layer.of(name).run(name, training=training)
        alone = Layer.of(name).rows([3]).run(name, training=training)
        for there, here in zip(crowd, alone, strict=True):
            close = torch.allclose(there[3], here[0], rtol=1e-13, atol=1e-13)
            assert close, f"{name}: a member alone is not what it is among others"


def others_do_not_matter(name: str) -> None:
    """Other signals, weights and statistics of the others, even NaN, leave a member bit for bit as it was."""
    others = [k for k in range(MEMBERS) if k != 2]
    for training in (True, False):
        mine = Layer.of(name).run(name, training=training)
        for value in (1e6, float("nan")):
            layer = Layer.of(name)
            for tensor in (layer.z, layer.scale, layer.shift, *layer.running):
                if tensor is not None:
                    tensor[others] = value
            for before, after in zip(mine, layer.run(name, training=training), strict=True):
                assert torch.equal(before[2], after[2]), f"{name}: a member depends on the others"


def judging_changes_no_statistics(name: str) -> None:
    """Running statistics stay when judging; in training, only a norm that has them follows the batch."""
    for training in (True, False):
        layer = Layer.of(name)
        after = layer.run(name, training=training)[-2:]
        same = all(torch.equal(was, now) for was, now in zip(layer.running, after, strict=True))
        follows = training and NORMS[name].statistics
        assert same is not follows, f"{name}: running statistics {'stay' if same else 'change'} (training: {training})"


def one_sample_is_no_accident(name: str) -> None:
    """A batch of a single sample gives finite outputs, gradients and statistics."""
    for training in (True, False):
        parts = Layer.of(name, samples=1).run(name, training=training)
        assert all(part.isfinite().all() for part in parts), f"{name}: not finite on a single sample"


def it_is_documented(name: str) -> None:
    """The first line begins with the formula, and names a row."""
    line = NORMS.summary(name)
    assert line.startswith("ẑ = ") and "(row R" in line, f"{name}: '{line}' lacks formula or row"


LAWS: Registry[Callable[[str], None]] = Registry(
    "law",
    {
        law.__name__.replace("_", "-"): law
        for law in (
            alone_as_in_company,
            others_do_not_matter,
            judging_changes_no_statistics,
            one_sample_is_no_accident,
            it_is_documented,
        )
    },
)
