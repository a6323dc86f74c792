"""The population: networks in training as the rows of one matrix θ (K, P).

Layer weights are views into θ, their gradients views into G of the same shape; optimizer state are matrices of the same
shape; hyperparameters are columns (K, 1). A row's values never enter another row's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainwell.base import InputError, Seeds, did_you_mean, stream_seed
from trainwell.data.batches import Samples
from trainwell.engine.columns import columns_of, one_structure
from trainwell.ingredients import INITIALISERS, LOSSES, OPTIMIZERS, initialiser_for, schedule_factor
from trainwell.networks import Blueprint, DenseNetwork, Noise, Tap
from trainwell.plan import Plan

EMBEDDING_STD = 0.1  # assumption: small beside the unit-scaled dense inputs, large enough to tell categories apart
OUTPUT_GAIN = (
    0.1  # under "auto" the output layer starts small, so that first predictions are what chance predicts (row B2)
)


class Population:
    """K members of one blueprint.

    Args:
        blueprint: their structure.
        plans: one a member; they agree in structure, all else becomes a column.
        seeds: the random streams of each member.
        members: identities of the rows, 0 … K−1 unless given.

    Attributes:
        theta, gradient: (K, P). statistics: (K, S), running statistics of batch norm.
        state: the optimizer's matrices, (K, P) each.
        columns: hyperparameters by name, (K, 1) each.
        step: updates made.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        plans: Sequence[Plan],
        seeds: Sequence[Seeds],
        *,
        members: Sequence[int] | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        plan = one_structure(plans)
        device = torch.device(device)
        self.blueprint, self.plans, self.seeds = blueprint, list(plans), list(seeds)
        self.members = torch.tensor(range(len(plans)) if members is None else list(members), device=device)
        self.layout, self.statistics_layout = blueprint.layout, blueprint.statistics
        self.loss = LOSSES[plan.loss.name]
        self.optimizer = OPTIMIZERS[plan.optimizer.name]
        self.columns = columns_of(plans, dtype=dtype, device=device)
        self.step = 0
        self.theta = torch.zeros(len(plans), self.layout.size, dtype=dtype, device=device)
        self.statistics = torch.zeros(len(plans), self.statistics_layout.size, dtype=dtype, device=device)
        self._initialise()
        self.state = {name: torch.zeros_like(self.theta) for name in self.optimizer.state}
        self._bind()

    def __len__(self) -> int:
        return self.theta.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the matrices live."""
        return self.theta.device

    def _initialise(self) -> None:
        """Draw each member's first weights from its own stream, tensor by tensor."""
        weights, statistics = self.layout.views(self.theta), self.statistics_layout.views(self.statistics)
        for k, (plan, seeds) in enumerate(zip(self.plans, self.seeds, strict=True)):
            auto = plan.initialiser.name == "auto"
            hidden = INITIALISERS[initialiser_for(plan.network.activation) if auto else plan.initialiser.name]
            output = INITIALISERS["glorot_uniform"] if auto else hidden
            for slot in self.layout.slots:
                row = torch.empty(slot.shape, dtype=self.theta.dtype)
                generator = torch.Generator().manual_seed(stream_seed(seeds.init, slot.name))
                if slot.start == "weight":
                    last = slot.name == "output.weight"
                    gain = plan.initialiser.gain * (OUTPUT_GAIN if last and auto else 1.0)
                    (output if last else hidden).fill(row, gain=gain, generator=generator)
                elif slot.start == "embedding":
                    row.normal_(0.0, EMBEDDING_STD, generator=generator)
                else:
                    row.fill_(float(slot.start == "one"))
                weights[slot.name][k] = row.to(self.device)
        for slot in self.statistics_layout.slots:
            statistics[slot.name].fill_(float(slot.start == "one"))

    def _bind(self) -> None:
        """Make the leaves of autograd views into θ, and their gradients views into G."""
        self.gradient = torch.zeros_like(self.theta)
        self.weights = {n: v.detach().requires_grad_() for n, v in self.layout.views(self.theta).items()}
        self._slopes = list(self.layout.views(self.gradient).values())
        self.running = self.statistics_layout.views(self.statistics)
        noises = sorted({s.noise for s in self.seeds})
        self._noises = noises
        shared = len(noises) == 1
        index = [noises.index(s.noise) for s in self.seeds]
        self._noise_of = None if shared else torch.tensor(index, device=self.device)
        self._drops = bool((self.columns["dropout"] > 0).any())
        self._clips = bool(torch.isfinite(self.columns["clip_norm"]).any())

    def forward(self, batch: Samples, *, training: bool = False, tap: Tap | None = None) -> Tensor:
        """Outputs (K, C, B); with `training`, dropout and batch statistics of the present step."""
        noise = self._noise() if training and self._drops else None
        return self.blueprint.forward(
            self.weights, self.running, batch.x, batch.categories, training=training, noise=noise, tap=tap
        )

    def _noise(self) -> Noise:
        generators = [torch.Generator().manual_seed(stream_seed(seed, "noise", self.step)) for seed in self._noises]

        def uniform(layer: str, units: int, samples: int) -> Tensor:
            drawn = torch.stack([torch.rand(units, samples, generator=g, dtype=torch.float32) for g in generators])
            drawn = drawn.to(self.device)
            return drawn if self._noise_of is None else drawn[self._noise_of]

        return Noise(self.columns["dropout"].unsqueeze(2), uniform)

    def losses(self, z: Tensor, y: Tensor, *, smooth: bool) -> Tensor:
        """Per-sample losses (K, B); without `smooth`, as judged: label smoothing off."""
        smoothing = self.columns["label_smoothing"]
        return self.loss.function(z, y, smoothing if smooth else torch.zeros_like(smoothing))

    def backward(self, batch: Samples, *, tap: Tap | None = None) -> Tensor:
        """Fill G with each member's gradient of its own mean loss; give these losses (K,)."""
        assert batch.y is not None
        loss = self.losses(self.forward(batch, training=True, tap=tap), batch.y, smooth=True).mean(dim=1)
        for slope, g in zip(self._slopes, torch.autograd.grad(loss.sum(), list(self.weights.values())), strict=True):
            slope.copy_(g)
        return loss.detach()

    def update(self, rate: Tensor) -> None:
        """One optimizer step at these rates (K, 1), each member's gradient clipped to its own threshold. Uses G up."""
        self.step += 1
        if self._clips:
            norm = torch.linalg.vector_norm(self.gradient, dim=1, keepdim=True)
            limit = self.columns["clip_norm"]
            self.gradient.mul_(torch.where(norm > limit, limit / norm, 1.0))
        columns = {**self.columns, "learning_rate": rate}
        self.optimizer.update(self.theta, self.gradient, self.state, columns, self.step)

    def rates(self, total: int) -> Tensor:
        """The scheduled learning rates (K, 1) of the next update in a run of `total` updates."""
        names = [plan.schedule.name for plan in self.plans]
        warmups = self.columns["warmup"].flatten().tolist()
        factors = schedule_factor(names, warmups, self.step, max(total, self.step + 1))
        return self.columns["learning_rate"] * torch.tensor(
            factors, dtype=self.theta.dtype, device=self.device
        ).unsqueeze(1)

    def keep(self, rows: Tensor) -> None:
        """Let only these rows (indices, in this order) stay in the matrix."""
        self.theta, self.statistics = self.theta[rows].clone(), self.statistics[rows].clone()
        self.state = {name: matrix[rows].clone() for name, matrix in self.state.items()}
        self.columns = {name: column[rows].clone() for name, column in self.columns.items()}
        self.members = self.members[rows].clone()
        chosen = rows.tolist()
        self.plans, self.seeds = [self.plans[i] for i in chosen], [self.seeds[i] for i in chosen]
        self._bind()

    def copy_row(self, source: int, target: int) -> None:
        """Overwrite one row's weights, statistics and optimizer state by another's; columns stay."""
        for matrix in (self.theta, self.statistics, *self.state.values()):
            matrix[target] = matrix[source]

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

    def member(self, row: int) -> DenseNetwork:
        """One member as a plain `torch.nn.Module` with the same outputs, in evaluation mode."""
        weights = {name: view[row] for name, view in self.weights.items()}
        statistics = {name: view[row] for name, view in self.running.items()}
        return DenseNetwork.from_rows(self.blueprint, weights, statistics, self.plans[row].regularisation.dropout)
