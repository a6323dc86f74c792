"""The population: networks in training as the rows of one matrix θ (K, P).

Layer weights are views into θ, their gradients views into G of the same shape; optimizer state are matrices of the same
shape; hyperparameters are columns (K, 1). A row's values never enter another row's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from trainwell.base import InputError, Seeds, did_you_mean
from trainwell.base.layout import Columns
from trainwell.data.batches import Samples
from trainwell.data.parts import Part
from trainwell.engine.ahead import AHEAD, Ahead
from trainwell.engine.columns import columns_of, one_structure, signal_hypers
from trainwell.engine.first_weights import fill_first
from trainwell.engine.noise import NoiseStreams
from trainwell.engine.objective import Given, objective
from trainwell.engine.passes import Passes, leaves
from trainwell.engine.updates import updater
from trainwell.ingredients import LOSSES, OPTIMIZERS, REGULARISERS, reduce_on_plateau
from trainwell.networks import Noise, Tap
from trainwell.networks.members import always_noisy, as_module, samples_first
from trainwell.networks.structure import Structure
from trainwell.plan import Plan

AVERAGE, AVERAGE_STATISTICS = "average", "average.statistics"


class Population:
    """K members of one blueprint.

    Args:
        blueprint: their structure.
        plans: one a member; they agree in structure, all else becomes a column.
        seeds: the random streams of each member.
        members: identities of the rows, 0 … K−1 unless given.
        class_weights: (K, C) weights of the classes in the loss, or None.
        updates: how many updates are planned; tells whether compiling pays.
        part: of several processes that train together, which samples of each step's batch this one is given; None: all.

    Attributes:
        theta, gradient: (K, P). statistics: (K, S), running statistics of batch norm.
        state: the optimizer's matrices (K, P) and scalars (K, 1), and the running average of θ if a member keeps one.
        columns: hyperparameters by name, (K, 1) each.
        step: updates made.
        passes: how gradients are computed.
    """

    def __init__(
        self,
        blueprint: Structure,
        plans: Sequence[Plan],
        seeds: Sequence[Seeds],
        *,
        members: Sequence[int] | None = None,
        class_weights: Tensor | None = None,
        updates: int = 1,
        part: Callable[[int], Part] | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        plan = one_structure(plans)
        device = torch.device(device)
        self.blueprint: Any = blueprint  # a Structure, of a kind that who made it knows
        self.plans, self.seeds = list(plans), list(seeds)
        self.members = torch.tensor(range(len(plans)) if members is None else list(members), device=device)
        self.layout, self.statistics_layout = blueprint.layout, blueprint.statistics
        self.loss = LOSSES[plan.loss.name]
        self.optimizer = OPTIMIZERS[plan.optimizer.name]
        self.columns = columns_of(plans, dtype=dtype, device=device)
        self.class_weights = None if class_weights is None else class_weights.to(device, dtype)
        self.step, self.part = 0, part
        size = len(plans) * self.layout.size
        self._update = updater(plan.optimizer.name, elements=size, steps=updates, alone=len(plans) == 1)
        batch = plan.training.batch_size if part is None else part(0).samples
        sizes = {"members": len(plans), "batch": batch, "updates": updates}
        self.passes = Passes(blueprint, plan, **sizes, dtype=dtype, device=device)
        self.theta = torch.zeros(len(plans), self.layout.size, dtype=dtype, device=device)
        self.statistics = torch.zeros(len(plans), self.statistics_layout.size, dtype=dtype, device=device)
        fill_first(self.theta, self.statistics, blueprint, plans, seeds)
        self.state = self._first_state()
        self._bind()

    def __len__(self) -> int:
        return self.theta.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the matrices live."""
        return self.theta.device

    def _first_state(self) -> dict[str, Tensor]:
        state = self.optimizer.start(self.theta)
        if any(bool((self.columns[n] != r.off).any()) for n, r in REGULARISERS.items() if r.stage == "average"):
            state |= {AVERAGE: self.theta.clone(), AVERAGE_STATISTICS: self.statistics.clone()}
        return state

    def restart(self) -> None:
        """Begin anew from the present θ: state and average as before the first update."""
        self.state, self.step = self._first_state(), 0

    def _bind(self) -> None:
        """Make the leaves of autograd views into θ, and their gradients views into G."""
        self.gradient = torch.zeros_like(self.theta)
        self.weights = leaves(self.layout.views(self.theta))
        self.passes.bind(self.theta, self.gradient, self.statistics)
        self.running = self.statistics_layout.views(self.statistics)
        self._ahead: tuple[tuple[int, int, int], Ahead] | None = None
        self._next_rates: Tensor | None = None
        b = self.blueprint
        kind = {"always": always_noisy(b), "samples_first": samples_first(b)}
        self._noise = NoiseStreams(self.seeds, self.columns, self.device, part=self.part, **kind)
        used = [name for name, r in REGULARISERS.items() if bool((self.columns[name] != r.off).any())]
        self._stages = {
            stage: [name for name in used if REGULARISERS[name].stage == stage]
            for stage in ("gradient", "weights", "average")
        }

    def forward(self, batch: Samples, *, training: bool = False, shown: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Outputs (K, C, B) without noise, by running statistics; of `shown` weights and statistics if given.

        With `training`, by the statistics of the batch, which go into the running ones.
        """
        weights, running = self.weights, self.running
        if shown is not None:
            weights, running = self.layout.views(shown[0]), self.statistics_layout.views(shown[1])
        return self.blueprint.forward(
            weights, running, batch.x, batch.categories, hypers=self.columns, training=training
        )

    def losses(self, z: Tensor, y: Tensor, *, smooth: bool) -> Tensor:
        """Per-sample losses (K, B); without `smooth`, as judged: label smoothing and class weights off."""
        if smooth:
            return self.loss.function(z, y, self.columns, self.class_weights)
        off = {"label_smoothing": torch.zeros_like(self.columns["learning_rate"])}
        return self.loss.function(z, y, {**self.columns, **off}, None)

    def _given(self, batch: Samples) -> Given:
        return Given(batch, None, self.columns, self.class_weights, self.passes.autocast)

    def _noise_of(self, batch: Samples, rows: slice | None) -> Noise | None:
        return self._noise.at(self.step, batch.x, self.blueprint.fan_ins[0], rows)

    def objective(self, batch: Samples) -> Tensor:
        """What each member minimises in the present step (K,), as a function of its weights."""
        given = replace(self._given(batch), noise=self._noise_of(batch, None))
        return objective(self.blueprint, self.loss, given, self.weights, self.running)

    def backward(self, batch: Samples, *, tap: Tap | None = None) -> Tensor:
        """Fill G with each member's gradient of its objective; give these losses (K,).

        Its objective is its own mean loss on the batch (G = 1 or K, …), under its own noise of the present step.

        Raises:
            RunError: memory is too small even for one member.
        """
        return self.passes.fill(self._given(batch), lambda rows: self._noise_of(batch, rows), tap=tap)

    @torch.no_grad()
    def update(self, rate: Tensor, total: int = 1) -> None:
        """One optimizer step at these rates (K, 1) of `total` planned, and what regularises around it. Uses G up."""
        self.step += 1
        θ, g, h = self.theta, self.gradient, self.columns
        for name in self._stages["gradient"]:
            REGULARISERS[name].apply(θ, g, h[name], self.layout)
        step_columns = self._step_columns(rate)
        self._update(θ, g, self.state, step_columns, self.layout)
        for name in self._stages["weights"]:
            REGULARISERS[name].apply(θ, h[name], self.layout)
        if AVERAGE in self.state:
            self._average(total)

    def _step_columns(self, rate: Tensor) -> Columns:
        """What the optimizer needs of this step; looked up where the rates are those that `rates` gave for it."""
        if rate is self._next_rates and self._ahead is not None and not self.optimizer.scalars:
            return self._ahead[1].columns(self.optimizer, self.columns, self.step - 1)
        t = torch.tensor(float(self.step), dtype=self.theta.dtype, device=self.device)
        return self.optimizer.columns({**self.columns, "learning_rate": rate}, self.state, t)

    def _average(self, total: int) -> None:
        weight = torch.ones_like(self.columns["learning_rate"])
        for name in self._stages["average"]:
            newest = REGULARISERS[name].apply(self.step, total, self.columns[name])
            assert newest is not None  # what regularisers of this stage give
            weight = torch.minimum(weight, newest)
        self.state[AVERAGE].lerp_(self._optimizer_shows(), weight)
        self.state[AVERAGE_STATISTICS].lerp_(self.statistics, weight)

    def _optimizer_shows(self) -> Tensor:
        shown = self.optimizer.shown
        return self.theta if shown is None else shown(self.theta, self.state, self.columns)

    @torch.no_grad()
    def shown(self) -> tuple[Tensor, Tensor]:
        """Weights (K, P) and statistics (K, S) to judge and to keep: the running averages where members keep one."""
        if AVERAGE in self.state and self.step > 0:
            return self.state[AVERAGE], self.state[AVERAGE_STATISTICS]
        return self._optimizer_shows(), self.statistics

    def rates(self, total: int, steps_per_epoch: int = 1) -> Tensor:
        """The scheduled learning rates (K, 1) of the next update in a run of `total` updates."""
        length = max(total, self.step + 1)
        key = self.step // AHEAD, length, steps_per_epoch
        if self._ahead is None or self._ahead[0] != key:
            names = [plan.schedule.name for plan in self.plans]
            self._ahead = key, Ahead.of(names, self.columns, self.step, length, steps_per_epoch)
        ahead = self._ahead[1]
        self._next_rates = ahead.rates[self.step - ahead.first]
        return self._next_rates

    def note_validation(self, loss: Tensor) -> None:
        """Tell schedules that look at the validation loss (K,) how it stands."""
        if "reduced" in self.columns:
            self._ahead = None
            self.columns |= reduce_on_plateau(loss.unsqueeze(1), self.columns, self.columns)

    def keep(self, rows: Tensor) -> None:
        """Let only these rows (indices, in this order) stay in the matrix."""
        self.theta, self.statistics = self.theta[rows].clone(), self.statistics[rows].clone()
        self.state = {name: matrix[rows].clone() for name, matrix in self.state.items()}
        self.columns = {name: column[rows].clone() for name, column in self.columns.items()}
        self.class_weights = None if self.class_weights is None else self.class_weights[rows].clone()
        self.members = self.members[rows].clone()
        chosen = rows.tolist()
        self.plans, self.seeds = [self.plans[i] for i in chosen], [self.seeds[i] for i in chosen]
        self._bind()

    def copy_row(self, source: int, target: int) -> None:
        """Overwrite one row's weights, statistics and optimizer state by another's; columns stay."""
        self.mix_row({source: 1.0}, target)

    def mix_row(self, shares: Mapping[int, float], target: int) -> None:
        """Overwrite one row's weights, statistics and optimizer state by the weighted mean of rows; columns stay.

        Rows without a share are not read: a diverged one harms nobody.
        """
        rows = torch.tensor(list(shares), device=self.device)
        for matrix in (self.theta, self.statistics, *self.state.values()):
            weights = torch.tensor(list(shares.values()), dtype=matrix.dtype, device=self.device)
            matrix[target] = (weights.unsqueeze(1) * matrix[rows]).sum(dim=0)

    def edit(self, rows: Tensor, column: str, value: float) -> None:
        """Set a hyperparameter of these rows.

        Raises:
            InputError: there is no such column.
        """
        if column not in self.columns:
            raise InputError(f"Unknown column '{column}'.{did_you_mean(column, self.columns)}")
        self.columns[column][rows] = value
        self._bind()

    def load(self, theta: Tensor, statistics: Tensor) -> None:
        """Overwrite all weights and statistics in place."""
        self.theta.copy_(theta)
        self.statistics.copy_(statistics)

    def member(self, row: int) -> Any:  # a DenseNetwork, or of the user's own class
        """One member as a plain `torch.nn.Module` with the same outputs, in evaluation mode."""
        theta, statistics = self.shown()
        weights = {name: view[row] for name, view in self.layout.views(theta).items()}
        running = {name: view[row] for name, view in self.statistics_layout.views(statistics).items()}
        return as_module(self.blueprint, weights, running, signal_hypers(self.plans[row]))
