"""First weights that look at data: the second phase of some initialisers, on a batch of real inputs (rows I8, I9)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from trainwell.base import stream_seed
from trainwell.data.batches import BatchSource, Samples
from trainwell.engine.first_weights import initialiser_settings, measure_lengths
from trainwell.engine.population import Population
from trainwell.ingredients import INITIALISERS

PROBED = 256  # training rows that are looked at; the papers take one batch


class PopulationProbe:
    """A population as data-dependent initialisers see it: its layers' weights, and what they make of a batch."""

    def __init__(self, population: Population, batch: Samples) -> None:
        self._population, self._batch = population, batch
        self._blueprint = replace(population.blueprint, weight_norm="none")  # lengths are measured afterwards
        self.layers = self._blueprint.layers
        with torch.no_grad():
            self.weights = {name: population.weights[f"{name}.weight"].detach() for name in self.layers}
            self.biases = {name: population.weights[f"{name}.bias"].detach() for name in self.layers}
        shape = population.blueprint.outputs, batch.x.shape[2]
        draws = [torch.Generator().manual_seed(stream_seed(s.init, "projection")) for s in population.seeds]
        self._projection = torch.stack([torch.randn(shape, generator=g) for g in draws]).to(batch.x)

    def _forward(self, seen: dict[str, Tensor]) -> Tensor:
        p = self._population
        return self._blueprint.forward(
            p.weights,
            {name: view.clone() for name, view in p.running.items()},
            self._batch.x,
            self._batch.categories,
            hypers=p.columns,
            training=True,
            pre_tap=seen.__setitem__,
        )

    def signals(self, names: Sequence[str]) -> Mapping[str, Tensor]:
        """Pre-activations (K, H, B) of these layers."""
        seen: dict[str, Tensor] = {}
        with torch.no_grad():
            self._forward(seen)
        return {name: seen[name] for name in names}

    def slopes(self) -> Mapping[str, Tensor]:
        """Gradients (K, H, D) of the outputs' random projection, by layer."""
        leaves = [self._population.weights[f"{name}.weight"] for name in self.layers]
        slopes = torch.autograd.grad((self._forward({}) * self._projection).sum(), leaves)
        return dict(zip(self.layers, slopes, strict=True))


def prepare_first_weights(population: Population, feed: BatchSource, groups: Tensor | None) -> None:
    """Let the schemes that look at data have their second phase, on the first training rows of each member's group."""
    plans = population.plans
    names = [plan.chosen("initialiser.name") for plan in plans]
    for name in dict.fromkeys(names):
        scheme = INITIALISERS[name]
        if scheme.prepare is None:
            continue
        batch = feed.samples.take(feed.train[:, :PROBED]).to(population.device).of_members(groups)
        mine = torch.tensor([other == name for other in names], device=population.device)
        like = population.columns["learning_rate"]
        own = [
            {"gain": plan.initialiser.gain, **scheme.standard, **initialiser_settings(plan, "output").hypers}
            for plan in plans
        ]
        h = {key: like.new_tensor([[values[key]] for values in own]) for key in ("gain", *scheme.standard)}
        scheme.prepare(PopulationProbe(population, batch), mine, h, plans[0].network.activation)
    if any(INITIALISERS[name].prepare is not None for name in names):
        measure_lengths({n: v.detach() for n, v in population.weights.items()}, population.blueprint)
        population.restart()
