"""What the engine needs of a structure, whether it is our dense `Blueprint` or made of a user's own module."""

from typing import Protocol

from torch import Tensor

from trainwell.base.layout import Columns, Layout, Views
from trainwell.networks.dense import Noise, Tap


class Structure(Protocol):
    """Members of one structure form a population: their tensors stand in the rows of θ and of the statistics."""

    @property
    def outputs(self) -> int:
        """C."""
        ...

    @property
    def layout(self) -> Layout:
        """The trained tensors."""
        ...

    @property
    def statistics(self) -> Layout:
        """What is kept with a member and not trained."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers with a weight matrix: "name.weight" is a slot of the layout, of shape (H, D)."""
        ...

    @property
    def fan_ins(self) -> tuple[int, ...]:
        """Inputs of each layer; the first are the numbers that noise on the inputs is added to."""
        ...

    @property
    def activation(self) -> str:
        """The non-linearity behind what the layers show, but the output's."""
        ...

    def forward(
        self,
        weights: Views,
        statistics: Views,
        x: Tensor,
        categories: Tensor,
        *,
        hypers: Columns,
        training: bool,
        noise: Noise | None = None,
        tap: Tap | None = None,
    ) -> Tensor:
        """Outputs z (K, C, B) of all members; in training, statistics are updated in place."""
        ...
