"""Conformance suite of the initialisers: a member's first weights follow from its own stream and its own settings.

    for name in INITIALISERS:
        for law in LAWS.values():
            law(name)

A law raises `AssertionError` with a sentence. `DensePopulation` is a population written out plainly, for schemes that
look at data.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from trainwell.base import PlanError, Registry
from trainwell.ingredients.activations import ACTIVATIONS
from trainwell.ingredients.initialisers import INITIALISERS, InitialiserSettings

WIDTHS = (6, 9, 8, 3)  # inputs, hidden units, outputs
SAMPLES = 40
GAINS = (1.0, 0.7, 1.6)
OTHER = {"value": 0.3, "std": 0.02, "bound": 0.3, "tolerance": 100.0, "between": 0.0}  # not the standard values


class DensePopulation:
    """Dense networks with own inputs, in float64: a `Probe` of plain matrices.

    Attributes:
        weights, biases: (K, H, D) and (K, H, 1) by layer. x: inputs (K, D, B).
    """

    def __init__(self, members: Sequence[int], *, activation: str = "relu", widths: Sequence[int] = WIDTHS) -> None:
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.activation = activation
        self.layers = (*(f"hidden.{i}" for i in range(len(pairs) - 1)), "output")
        k = len(members)
        own = [torch.Generator().manual_seed(100 + member) for member in members]
        self.x = torch.stack([1.0 + 2 * torch.randn(widths[0], SAMPLES, generator=g).double() for g in own])
        self.projection = torch.stack([torch.randn(widths[-1], SAMPLES, generator=g).double() for g in own])
        named = list(zip(self.layers, pairs, strict=True))
        self.weights = {name: torch.zeros(k, out, fan_in, dtype=torch.float64) for name, (fan_in, out) in named}
        self.biases = {name: torch.full((k, out, 1), 0.1, dtype=torch.float64) for name, (_, out) in named}

    def _forward(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        φ, h, signals = ACTIVATIONS[self.activation], self.x, {}
        own = {name: torch.tensor(value, dtype=torch.float64) for name, value in φ.standard.items()}
        for name in self.layers:
            signals[name] = weights[name] @ h + self.biases[name]
            h = φ.function(signals[name], own)
        return signals

    def signals(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Pre-activations (K, H, B) of these layers."""
        signals = self._forward(self.weights)
        return {name: signals[name] for name in names}

    def slopes(self) -> dict[str, Tensor]:
        """Gradients (K, H, D) of Σ η·z of the outputs z."""
        leaves = {name: weight.clone().requires_grad_() for name, weight in self.weights.items()}
        z = self._forward(leaves)["output"]
        return dict(zip(leaves, torch.autograd.grad((self.projection * z).sum(), list(leaves.values())), strict=True))

    def row(self, k: int) -> Tensor:
        """All first values of one member, side by side."""
        parts = [part[name][k].flatten() for name in self.layers for part in (self.weights, self.biases)]
        return torch.cat(parts)


def draw(
    name: str, members: Sequence[int], gains: Sequence[float] | None = None, hypers: Mapping[str, float] | None = None
) -> DensePopulation:
    """A population whose members' weights are drawn, each from its own stream; no look at data yet."""
    population = DensePopulation(members)
    for k, member in enumerate(members):
        generator = torch.Generator().manual_seed(member)
        gain = GAINS[member % 3] if gains is None else gains[k]
        for layer in population.layers:
            first, last = layer == "hidden.0", layer == "output"
            settings = InitialiserSettings(activation="relu", dropout=0.2, hypers=hypers or {}, first=first, last=last)
            INITIALISERS[name].fill(population.weights[layer][k], gain=gain, generator=generator, settings=settings)
    return population


def begin(
    name: str,
    members: Sequence[int],
    *,
    rows: Sequence[bool] | None = None,
    hypers: Sequence[Mapping[str, float]] | None = None,
    spoil: Callable[[DensePopulation], None] | None = None,
) -> DensePopulation:
    """Draw, let `spoil` change what it likes, and look at data in the rows chosen."""
    own = [{}] * len(members) if hypers is None else hypers
    population = draw(name, members)
    if spoil is not None:
        spoil(population)
    prepare, standard = INITIALISERS[name].prepare, INITIALISERS[name].standard
    if prepare is not None:
        columns = {"gain": [GAINS[member % 3] for member in members]}
        columns |= {hyper: [given.get(hyper, value) for given in own] for hyper, value in standard.items()}
        h = {key: torch.tensor(values, dtype=torch.float64).unsqueeze(1) for key, values in columns.items()}
        prepare(population, torch.tensor(rows or [True] * len(members)), h, population.activation)
    return population


def alone_as_in_company(name: str) -> None:
    """A member alone has the first weights that it has among others (to 1e-12; bit for bit without a look at data)."""
    crowd, alone = begin(name, range(5)).row(3), begin(name, [3]).row(0)
    if INITIALISERS[name].prepare is None:
        assert torch.equal(crowd, alone), f"{name}: a member alone and among others starts from other weights"
    apart = float((crowd - alone).abs().max())
    assert apart <= 1e-12 * float(crowd.abs().max()), f"{name}: a member alone and among others differs by {apart:.1e}"


def others_do_not_matter(name: str) -> None:
    """Other weights, inputs and hyperparameters of the others, even NaN, leave a member bit for bit as it was."""
    mine = begin(name, range(5)).row(2)
    others = [other for other in range(5) if other != 2]
    different = [{hyper: OTHER[hyper] for hyper in INITIALISERS[name].standard} if k != 2 else {} for k in range(5)]

    def louder(population: DensePopulation) -> None:
        population.x[others] *= 7.0
        population.weights["hidden.0"][others] *= 3.0

    def broken(population: DensePopulation) -> None:
        population.weights["hidden.0"][others] = float("nan")

    for spoil in (louder, broken):
        told = begin(name, range(5), hypers=different, spoil=spoil).row(2)
        assert torch.equal(mine, told), f"{name}: the first weights of a member depend on the others"


def unchosen_rows_keep_their_bits(name: str) -> None:
    """The look at data changes only the members that chose the scheme."""
    before = draw(name, range(4))
    after = begin(name, range(4), rows=[True, False, True, False])
    for k in (1, 3):
        assert torch.equal(before.row(k), after.row(k)), f"{name}: a member that did not choose it was changed"


def the_gain_scales(name: str) -> None:
    """Twice the gain doubles every draw, exactly."""
    one, two = draw(name, [0, 1], [1.0, 1.0]), draw(name, [0, 1], [2.0, 2.0])
    for layer in one.layers:
        assert torch.equal(2 * one.weights[layer], two.weights[layer]), f"{name}: the gain does not scale the weights"


def every_hyperparameter_counts(name: str) -> None:
    """Two members that differ in one hyperparameter alone start from different weights."""
    for hyper in INITIALISERS[name].standard:
        usual = begin(name, range(2)).row(1) if INITIALISERS[name].prepare else draw(name, range(2)).row(1)
        given = {hyper: OTHER[hyper]}
        one = (
            begin(name, range(2), hypers=[{}, given])
            if INITIALISERS[name].prepare
            else draw(name, range(2), hypers=given)
        )
        assert not torch.equal(usual, one.row(1)), f"{name}: {hyper} changes nothing"


def only_fans_are_overridden(name: str) -> None:
    """A scheme that scales by a fan follows the one asked for; another refuses."""
    scheme = INITIALISERS[name]

    def drawn(fan: str) -> Tensor:
        weight = torch.zeros(8, 2, dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        scheme.fill(weight, gain=1.0, generator=generator, settings=InitialiserSettings(fan=fan))  # pyright: ignore[reportArgumentType]
        return weight

    if scheme.fan is None:
        try:
            drawn("out")
        except PlanError:
            return
        raise AssertionError(f"{name}: has no fan, but follows one")
    means = {"in": 2.0, "out": 8.0, "avg": 5.0}
    for fan, n in means.items():
        ratio = drawn(fan) / drawn("auto")
        expected = torch.full_like(ratio, (means[scheme.fan] / n) ** 0.5)
        assert torch.allclose(ratio, expected, rtol=1e-12), f"{name}: does not scale by fan_{fan}"


def it_is_documented(name: str) -> None:
    """The first line begins with the formula, and ends with the row or the source."""
    line = INITIALISERS.summary(name)
    begins = line.startswith(("w = ", "w ~ ", "W = "))
    assert begins and line.endswith((")", ").")) and "(" in line, f"{name}: '{line}' lacks formula or source"


LAWS: Registry[Callable[[str], None]] = Registry(
    "law",
    {
        law.__name__.replace("_", "-"): law
        for law in (
            alone_as_in_company,
            others_do_not_matter,
            unchosen_rows_keep_their_bits,
            the_gain_scales,
            every_hyperparameter_counts,
            only_fans_are_overridden,
            it_is_documented,
        )
    },
)
