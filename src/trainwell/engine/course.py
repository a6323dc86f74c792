"""The state of a training in progress: the population, what each member has reached, and how it ended.

Everything that a later step depends on is here and goes into a checkpoint; random streams need no state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.base import Outcome, Seeds
from trainwell.base.outcomes import OutcomeKind
from trainwell.data.batches import BatchSource
from trainwell.engine.memory import keep_freed_memory
from trainwell.engine.moment import Gradients
from trainwell.engine.population import Population
from trainwell.engine.probe import prepare_first_weights
from trainwell.engine.processes import Alone, Processes
from trainwell.engine.weighting import class_weights
from trainwell.networks import Blueprint
from trainwell.networks.structure import Structure
from trainwell.plan import Plan

PROBE = (
    1024  # training rows on which the training loss is measured in evaluation mode (assumption: enough to see a gap)
)
EVALUATIONS = 64  # a run is judged at most about this often: on small data an evaluation costs as much as an epoch


@dataclass
class Best:
    """The best evaluation of every member that ever was in the population, by identity (K₀ rows)."""

    theta: Tensor
    statistics: Tensor
    loss: Tensor
    metric: Tensor
    step: Tensor
    waited: Tensor

    @classmethod
    def of(cls, population: Population) -> "Best":
        """Nothing evaluated yet: the first weights, at an infinite loss."""
        k, like = len(population), {"device": population.device, "dtype": population.theta.dtype}
        whole = torch.zeros(k, dtype=torch.int64, device=population.device)
        return cls(
            population.theta.clone(),
            population.statistics.clone(),
            torch.full((k,), float("inf"), **like),
            torch.full((k,), -float("inf"), **like),
            whole,
            whole.clone(),
        )

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {f"best.{name}": tensor for name, tensor in self.__dict__.items()}


class Course:
    """The training of one population on one feed.

    Args:
        blueprint, plans, seeds: the members, identities 0 … K₀−1.
        feed: batches and validation rows.
        groups: the data group of each member.
        classes: names of the classes or labels, for weights that the user gives by name.
        monitor: what "better" means at an evaluation: the validation `loss`, or `metric` with the loss deciding ties.
        processes: those that train this course together, each on its part of every batch; None: this one alone.

    Attributes:
        population: the rows still training.
        best: best weights and figures, by identity.
        outcomes: how each member ended, by identity.
        changes: made so far by onlookers.
        gradients: some numbers of those of the newest step, where an onlooker compares them with those of the next.
        probed: up to 1024 training rows of each group, evenly spaced, on which the training loss is judged; held beside
            the feed's samples, which may be on disk. probe: (G, n) where each group's are.
    """

    def __init__(
        self,
        blueprint: Structure,
        plans: Sequence[Plan],
        seeds: Sequence[Seeds],
        feed: BatchSource,
        groups: Sequence[int],
        *,
        classes: Sequence[str] = (),
        monitor: str = "loss",
        processes: Processes | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        keep_freed_memory()
        self.processes: Processes = Alone() if processes is None else processes
        training = plans[0].training
        self.epochs, self.patience = training.epochs, training.patience
        self.total_steps = training.epochs * feed.steps_per_epoch
        rows = "·".join(map(str, feed.train.shape))
        self.processes.same(
            {
                "population": f"{len(plans)} members of {blueprint.layout.size:,} parameters",
                "feed": f"{rows} training rows in batches of {feed.batch_size}",
            }
        )
        weights = class_weights(plans, feed, groups, blueprint.outputs, classes)
        self.population = Population(
            blueprint,
            plans,
            seeds,
            class_weights=weights,
            updates=self.total_steps,
            part=self.processes.part(feed),
            dtype=dtype,
            device=device,
        )
        self.blueprint: Any = blueprint  # a Structure, of a kind that who made it knows
        self.plans, self.seeds, self.feed = list(plans), list(seeds), self.processes.feed(feed)
        self.monitor = monitor
        own = None if len(feed.orders) == 1 else torch.tensor(list(groups), device=self.population.device)
        if isinstance(blueprint, Blueprint):  # other structures bring first weights of their own
            prepare_first_weights(self.population, feed, own)
        self.group_of = torch.tensor(list(groups), device=self.population.device)
        often = round(feed.steps_per_epoch / training.evaluations_per_epoch)
        self.evaluate_every = max(1, often, self.total_steps // EVALUATIONS)
        rows = feed.train[:, :: -(-feed.train.shape[1] // PROBE)]
        self.probed = feed.samples.only(rows.reshape(-1)).to(self.population.device)
        self.probe = torch.arange(rows.numel(), device=self.population.device).reshape(rows.shape)
        self.best = Best.of(self.population)
        self.outcomes: list[Outcome] = [Outcome("running", 0, 0) for _ in plans]
        self._active: tuple[Tensor, list[Outcome], Tensor, bool] | None = None
        self.changes = 0
        self.gradients: Gradients | None = None

    @property
    def groups(self) -> Tensor | None:
        """The data group of each row, or None when all rows see the same batch."""
        return None if len(self.feed.orders) == 1 else self.group_of[self.population.members]

    @property
    def running(self) -> bool:
        """Whether any member still trains."""
        return self._known_active()[1] and self.population.step < self.total_steps

    def end(self, members: Sequence[int], kind: OutcomeKind) -> None:
        """Members leave the matrix; what they reached stays in `best`."""
        leaving = set(members)
        self.name_outcome(members, kind)
        rows = [i for i, member in enumerate(self.population.members.tolist()) if member not in leaving]
        if len(rows) < len(self.population):
            self.population.keep(torch.tensor(rows, dtype=torch.int64, device=self.population.device))

    def name_outcome(self, members: Sequence[int], kind: OutcomeKind) -> None:
        """Say how members ended that were still training; their rows stay where they are.

        This alone is done with a diverged member: were its row taken out, the others would lie elsewhere in memory,
        and the last bit of their sums could change. NaN stays in its row.
        """
        for member in members:
            if self.outcomes[member].kind == "running":
                self.outcomes[member] = Outcome(kind, self.population.step, int(self.best.step[member]))

    @property
    def active(self) -> Tensor:
        """(K,) which rows still train; False for diverged ones."""
        return self._known_active()[0]

    def _known_active(self) -> tuple[Tensor, bool]:
        """Which rows still train, and whether any does; looked up anew only after one has ended."""
        known = self._active
        if known is None or known[0] is not self.population.members or known[1] != self.outcomes:
            kinds = [self.outcomes[member].kind == "running" for member in self.population.members.tolist()]
            rows = torch.tensor(kinds, dtype=torch.bool, device=self.population.device)
            self._active = known = self.population.members, list(self.outcomes), rows, any(kinds)
        return known[2], known[3]

    def tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint needs beside the arguments of the constructor and the outcomes."""
        p = self.population
        state = {f"state.{name}": matrix for name, matrix in p.state.items()}
        columns = {f"column.{name}": column for name, column in p.columns.items()}
        counts = {"step": torch.tensor([p.step]), "portion": torch.tensor([p.passes.portions.size])}
        whole = {"theta": p.theta, "statistics": p.statistics, "members": p.members, **counts}
        if (seen := self.gradients) is not None and seen.members is p.members:
            whole["gradients"] = seen.numbers
        return {**whole, **state, **columns, **self.best.tensors()}

    def share(self) -> None:
        """Bring all processes to the state that process 0 has."""
        tensors, outcomes = self.processes.first(self.tensors(), self.outcomes)
        if not self.processes.writes:
            self.restore(tensors, outcomes)

    def restore(self, tensors: dict[str, Tensor], outcomes: Sequence[Outcome]) -> None:
        """Continue from a checkpoint, bit for bit; ValueError when it is another course's."""
        if tensors["best.theta"].shape != self.best.theta.shape or len(outcomes) != len(self.outcomes):
            raise ValueError("a checkpoint of other members")
        p = self.population
        tensors = {name: tensor.to(p.device) for name, tensor in tensors.items()}
        here = p.members.tolist()
        p.keep(torch.tensor([here.index(m) for m in tensors["members"].tolist()], dtype=torch.int64, device=p.device))
        p.load(tensors["theta"], tensors["statistics"])
        p.step, p.passes.portions.size = int(tensors["step"]), int(tensors["portion"])
        for name in p.state:
            p.state[name].copy_(tensors[f"state.{name}"])
        p.columns = {name: tensors[f"column.{name}"].clone() for name in p.columns}
        p._bind()
        self.best = Best(
            **{name.removeprefix("best."): t.clone() for name, t in tensors.items() if name.startswith("best.")}
        )
        self.outcomes = list(outcomes)
        self.gradients = Gradients(p.members, tensors["gradients"]) if "gradients" in tensors else None
