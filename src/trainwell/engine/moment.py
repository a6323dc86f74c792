"""What the training loop shows at each step, and what an onlooker may ask of it. Members first in every tensor."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from trainwell.base import InputError
from trainwell.base.outcomes import OutcomeKind
from trainwell.ingredients import ACTIVATIONS

MOST_NUMBERS = 1024  # of a gradient; enough to compare it with another one
MOST_SAMPLES = 1024  # of what a layer hands on; enough to tell means and shares of units

NEAR_BOUND = (1 - 0.95**0.5) / 2
"""Of the distance between its bounds; nearer, a unit counts as saturated.

There the slope of sigmoid and tanh is under 5 % of its largest value: |z| > 4.4 and |z| > 2.2. Looser than the |z| ≥ 5
of DeepDiagnosis, so that saturation is seen while it comes; the rule asks for most units before it speaks.
"""


@dataclass(frozen=True)
class LayerView:
    """One layer at one step.

    Attributes:
        name: "hidden.0" … "output".
        activation_name: the non-linearity after it ("relu", "identity" for the output).
        weight: (K, H, D) after the update.
        gradient: (K, H, D) of this step, or None when nothing was trained.
        before: (K, H, D) the weights before the update, or None.
        activation: (K, B, H) what the layer hands on, or None; more axes between count as samples too.

    What several measures ask of the activations is computed once, over at most `MOST_SAMPLES` of the samples.
    """

    name: str
    activation_name: str
    weight: Tensor
    gradient: Tensor | None = None
    before: Tensor | None = None
    activation: Tensor | None = None

    @cached_property
    def units(self) -> Tensor | None:
        """(K, samples, H): the activations of evenly spaced samples."""
        if self.activation is None:
            return None
        units = self.activation if self.activation.dim() == 3 else self.activation.flatten(1, -2)
        return units[:, :: -(-units.shape[1] // MOST_SAMPLES)] if units.shape[1] > MOST_SAMPLES else units

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor] | None:
        """(K, H) each: mean of every unit over the samples, and its variance."""
        if self.units is None:
            return None
        mean = self.units.mean(1)
        centred = self.units - mean.unsqueeze(1)
        return mean, centred.square_().mean(1)  # torch's own takes nine times as long over this axis

    @cached_property
    def samples(self) -> int:
        """Over how many these are taken; 0 without activations."""
        return 0 if self.units is None else self.units.shape[1]

    @cached_property
    def highest(self) -> Tensor | None:
        """(K, H): the largest output of every unit."""
        return None if self.units is None else self.units.amax(1)

    @cached_property
    def lowest(self) -> Tensor | None:
        """(K, H): the smallest output of every unit."""
        return None if self.units is None else self.units.amin(1)

    @cached_property
    def near(self) -> Tensor | None:
        """(K, H): share of the samples for which a unit is near a bound of its activation; None where it has none."""
        if self.units is None or (bounds := ACTIVATIONS[self.activation_name].bounds) is None:
            return None
        low, high = bounds
        margin = NEAR_BOUND * (high - low)
        return ((self.units < low + margin) | (self.units > high - margin)).to(self.units.dtype).mean(1)

    def without_samples(self, asked: Sequence[str]) -> "LayerView":
        """The same without its activations: of what they tell, only what is asked for, by name of the property."""
        light = replace(self, activation=None)
        light.__dict__.update((name, getattr(self, name)) for name in asked)
        return light


@dataclass(frozen=True)
class Gradients:
    """Evenly spaced numbers (K, n) of the gradients of one step, and its members."""

    members: Tensor
    numbers: Tensor


def some_numbers(gradient: Tensor) -> Tensor:
    """(K, P) to (K, n), a copy."""
    return gradient[:, :: -(-gradient.shape[1] // MOST_NUMBERS)].clone()


@dataclass(frozen=True)
class Evaluation:
    """Validation of every member at one step: `loss` and `metric` (K,), metric larger is better."""

    loss: Tensor
    metric: Tensor
    train_loss: Tensor
    improved: Tensor


def _nobody_listens(change: "Change") -> None:
    raise InputError(f"{change} was sent to a moment of no training; send it to one that `train` yields.")


@dataclass
class Moment:
    """One step of a population.

    Attributes:
        step: updates made so far, this one included; step 0 is before the first update.
        epoch: passes over the training part completed, as a fraction.
        members: (K,) identities of the rows; they stay when others leave.
        loss: (K,) each member's mean loss on its batch, before the update.
        learning_rate: (K,) used in this step.
        active: (K,) False for members that have diverged: their rows stay, but mean nothing.
        evaluation: set at the steps where validation was measured.
        layers: set at the steps that `wants_layers` asked for.
        gradients: (K, n) twice, set at those steps too: some numbers of the gradients of the step before, and of this
            one; not where members left between, or a saved training goes on.
        send: makes a change in the training, at once; this moment's values stay what they were. What is saved after it
            has the change.
    """

    step: int
    epoch: float
    members: Tensor
    loss: Tensor
    learning_rate: Tensor
    active: Tensor
    evaluation: Evaluation | None = None
    layers: Sequence[LayerView] | None = None
    gradients: tuple[Tensor, Tensor] | None = None
    send: Callable[["Change"], None] = _nobody_listens


@dataclass(frozen=True)
class Stop:
    """Stop these members (by identity)."""

    members: Sequence[int]
    kind: OutcomeKind = "interrupted"


@dataclass(frozen=True)
class Edit:
    """Set a hyperparameter column of these members."""

    members: Sequence[int]
    column: str
    value: float


@dataclass(frozen=True)
class Copy:
    """Overwrite one member's row (weights and optimizer state) by another's."""

    source: int
    target: int


@dataclass(frozen=True)
class Mix:
    """Overwrite one member's row by the weighted mean of some rows: averages, crossovers of a population.

    Attributes:
        target: whose row. shares: of each member's row, by identity; they add up to 1.
    """

    target: int
    shares: Mapping[int, float]

    def __post_init__(self) -> None:
        total = sum(self.shares.values())
        if abs(total - 1) > 1e-6:
            raise InputError(f"The shares of a mix must add up to 1, but add up to {total:g}; divide each by that.")


Change = Stop | Edit | Copy | Mix
WantsLayers = Callable[[int], bool]


def never(step: int) -> bool:
    """No layers are shown."""
    return False


def as_mask(members: Tensor, chosen: Sequence[int]) -> Tensor:
    """(K,) True where a row's identity is among the chosen."""
    return torch.isin(members, torch.as_tensor(list(chosen), device=members.device))
