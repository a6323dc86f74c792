"""Conformance suite: a member's life does not depend on its company, on onlookers, or on stops.

    for case in cases():
        for law in LAWS.values():
            law(case)

A law raises `AssertionError` with a sentence. The cases are derived from the registries, so that a new activation,
loss, optimizer or schedule is held to the laws as soon as it stands in its table. `crossed()` are fewer: each has an
entry of every family.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.base import Registry, Seeds
from trainwell.base.streams import stream
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, Processes, Stop, load_checkpoint, save_checkpoint, train
from trainwell.ingredients import LOSSES, REGULARISERS
from trainwell.networks import Blueprint
from trainwell.plan import NAMED, Plan, hypers

INPUTS, CLASSES, WIDTH = 6, 3, 16
ROWS, TRAIN, BATCH, EPOCHS = 60, 40, 16, 18  # a last batch of 8; 54 steps, an evaluation every third
CROWD, FEW = 64, 7
TOLERANCE = 1e-9
SHORT = 15  # steps of the laws that compare bits
LONGER = 24  # steps of the law that rounding may grow in
CULLED_AT = 25  # no evaluation falls on this step
ALIKE = {
    "initialiser.name": ("zeros", "constant")
}  # units then learn alike or not at all, and would hide what others do
KILLED_AT = (8, 24, CULLED_AT, 36)  # steps; some are evaluations, the last is the end


@dataclass(frozen=True)
class Case:
    """A kind of population; its members differ in every hyperparameter that is a column.

    Attributes:
        edits: plan values that all members share.
        cardinalities: embedded columns. inputs: dense inputs.
        own_batches: each member has training rows, an order and noise of its own; else all share them.
        regularisers: used by two members of three, in various strengths.
    """

    name: str
    edits: Mapping[str, Any] = field(default_factory=dict)
    cardinalities: tuple[int, ...] = ()
    own_batches: bool = False
    regularisers: tuple[str, ...] = ()
    inputs: int = INPUTS

    def __str__(self) -> str:
        return self.name

    @cached_property
    def _plans(self) -> dict[tuple[int, int], Plan]:
        return {}

    def plan(self, member: int, world: int = 0) -> Plan:
        """The plan of a member; `world` chooses among other sets of hyperparameters."""
        if (member, world) not in self._plans:  # made once: it takes longer than a step
            self._plans[member, world] = self._plan(member, world)
        return self._plans[member, world]

    def _plan(self, member: int, world: int) -> Plan:
        rng = stream("members", world, member)
        own = {
            "optimizer.learning_rate": 10 ** rng.uniform(-3, -1.5),
            "optimizer.weight_decay": 10 ** rng.uniform(-4, -1),
            "initialiser.gain": rng.uniform(0.5, 1.5),
            "schedule.warmup": rng.uniform(0, 0.2),
            "regularisation.dropout": 0.0,
            **{
                f"regularisation.{name}": rng.uniform(0.05, 0.5)
                for turn, name in enumerate(self.regularisers)
                if (member + turn) % 3
            },
        }
        plan = Plan().edited({**STANDARD, **own, **self.edits}, by="user", why="conformance")
        return plan.edited(_own_hypers(plan, rng) | dict(self.edits), by="user", why="conformance")

    def blueprint(self) -> Blueprint:
        """The structure."""
        outputs = 2 if self._output == "sigmoid" else CLASSES
        return Blueprint.of(self.plan(0), self.inputs, outputs, self.cardinalities)

    @property
    def _output(self) -> str:
        return LOSSES[self.plan(0).loss.name].output

    def samples(self, dtype: torch.dtype) -> Samples:
        """Rows that can be learned: targets follow from x."""
        draw = torch.Generator().manual_seed(7)
        x = torch.randn(ROWS, self.inputs, generator=draw, dtype=torch.float64)
        columns = [torch.randint(c, (ROWS,), generator=draw) for c in self.cardinalities]
        categories = torch.stack(columns, 1) if columns else torch.zeros(ROWS, 0, dtype=torch.int64)
        scores = x @ torch.randn(self.inputs, CLASSES, generator=draw, dtype=torch.float64)
        if self._output == "softmax":
            return Samples(x.to(dtype), categories, scores.argmax(dim=1))
        y = (scores[:, :2] > 0) if self._output == "sigmoid" else scores
        return Samples(x.to(dtype), categories, y.to(dtype))

    def course(
        self,
        who: Sequence[int],
        plans: Sequence[Plan] | None = None,
        *,
        dtype: torch.dtype = torch.float64,
        processes: Processes | None = None,
    ) -> Course:
        """These members, in this order, at the beginning of their training."""
        plans = [self.plan(k) for k in who] if plans is None else plans
        seeds = [Seeds.of(0, k, shared_data=not self.own_batches) for k in who]
        streams = list(who) if self.own_batches else [0]
        rows = [torch.randperm(ROWS, generator=torch.Generator().manual_seed(g)) for g in streams]
        feed = Feed(
            self.samples(dtype),
            torch.stack([r[:TRAIN] for r in rows]),
            torch.stack([r[TRAIN:] for r in rows]),
            [s.order for s in (seeds if self.own_batches else seeds[:1])],
            plans[0].training.batch_size,
            drop_last=plans[0].training.drop_last,
        )
        groups = range(len(who)) if self.own_batches else [0] * len(who)
        return Course(self.blueprint(), plans, seeds, feed, groups, dtype=dtype, processes=processes)


def _own_hypers(plan: Plan, rng: np.random.Generator) -> dict[str, float]:
    """A value of its own, near the standard one, for each hyperparameter of the plan's ingredients."""
    own: dict[str, float] = {}
    for path, name in hypers().items():
        hyper, standard = NAMED[name].hypers[path.partition(".")[2]], plan.standard(path)
        if standard is None or hyper.structural:
            continue
        near = standard * rng.uniform(0.85, 1.15) if standard else rng.uniform(0, 0.1)
        value = round(near) if hyper.whole else near
        own[path] = value if hyper.allows(value) else standard
    return own


STANDARD: dict[str, Any] = {
    "network.width": WIDTH,
    "network.activation": "tanh",
    "loss.name": "cross_entropy",
    "training.batch_size": BATCH,
    "training.epochs": EPOCHS,
    "training.patience": 1000,
}


def cases() -> list[Case]:
    """Every entry of the registries by itself, and every switch of the structure."""
    named = [Case(f"{r.family} {name}", {path: name}) for path, r in NAMED.items() for name in r]
    return [*named, *(Case(f"regulariser {name}", regularisers=(name,)) for name in REGULARISERS), *structures()]


def crossed() -> list[Case]:
    """Every entry of the registries in some case, one of each family at a time, and every switch of the structure."""
    entries = {path: [name for name in r if name not in ALIKE.get(path, ())] for path, r in NAMED.items()}
    regularisers = list(REGULARISERS)
    found = []
    for i in range(max(map(len, (*entries.values(), regularisers)))):
        edits = {path: names[i % len(names)] for path, names in entries.items()}
        regulariser = regularisers[i % len(regularisers)]
        found.append(Case(" ".join([*edits.values(), regulariser]), edits, regularisers=(regulariser,)))
    return [*found, *structures()]


def structures() -> list[Case]:
    """Every switch of the structure, and all at once."""
    structure = {"network.norm": "batch", "network.residual": True, "network.depth": 3}
    everything = {**structure, "schedule.name": "one-cycle"}
    return [
        Case("no hidden layer", {"network.depth": 0}),
        Case("norm behind, own weights", {"network.norm": "batch", "network.norm_place": "after"}),
        Case("weight norm", {"network.weight_norm": "weight"}),
        Case("centred weight norm", {"network.weight_norm": "centred", "network.activation": "prelu"}),
        Case("classes balanced", {"loss.balance": 0.7}, own_batches=True),
        Case("residual", {"network.residual": True, "network.depth": 3}),
        Case("residual, as wide as the input", {"network.residual": True}, inputs=WIDTH),
        Case("noise of its own", regularisers=("dropout", "input_noise", "mixup"), own_batches=True),
        Case("embeddings", cardinalities=(4, 9)),
        Case("embeddings, own batches", cardinalities=(4, 9), own_batches=True),
        Case("own batches", own_batches=True),
        Case("last batch dropped", {"training.drop_last": True, "training.epochs": 27}),
        Case("products in bfloat16", {"training.precision": "bfloat16"}),
        Case("odd width", {"network.width": 5, "network.activation": "silu"}),
        Case("everything", everything, (4, 9), True, tuple(REGULARISERS)),
    ]


@dataclass
class Life:
    """What became of the members of a course: losses (steps, K₀), NaN once a member has left, and the end."""

    losses: Tensor
    course: Course


def live(course: Course, *, until: int | None = None, watched: bool = False) -> Life:
    """Train; `watched` by an onlooker who looks at every layer at every step, and scribbles over what it sees."""
    losses = torch.full((course.total_steps, len(course.plans)), float("nan"), dtype=torch.float64)
    for moment in train(course, until=until, wants_layers=lambda step: watched):
        losses[moment.step - 1, moment.members] = moment.loss.double()
        for layer in moment.layers or ():
            for tensor in (layer.weight, layer.gradient, layer.before, layer.activation):
                if tensor is not None:
                    tensor.fill_(float("nan"))
    return Life(losses, course)


def alone_as_in_company(case: Case) -> None:
    """A member trained alone and the same member among 63 others have the same losses (float64, to 1e-9)."""
    k = CROWD // 2
    crowd, alone = (live(case.course(who), until=LONGER).losses[:LONGER] for who in (range(CROWD), [k]))
    apart = (alone[:, 0] - crowd[:, k]).abs().max()
    _hold(bool(apart <= TOLERANCE), case, f"member {k} alone and in company differ by {float(apart):.1e} in loss")


def order_does_not_matter(case: Case) -> None:
    """Members in another order have the same losses (float64, to 1e-9: bits depend on where a row lies in memory)."""
    order = [3, 0, 6, 2, 5, 1, 4]
    here, there = (live(case.course(who), until=SHORT) for who in (range(FEW), order))
    apart = (here.losses[:SHORT, order] - there.losses[:SHORT]).abs().max()
    _hold(bool(apart <= TOLERANCE), case, f"members in another order differ by {float(apart):.1e} in loss")


def others_do_not_matter(case: Case) -> None:
    """With other weights and other hyperparameters in all other rows, a member lives the same life, bit for bit."""
    me = FEW // 2
    other = [case.plan(k, world=int(k != me)) for k in range(FEW)]
    here, there = case.course(range(FEW), dtype=torch.float32), case.course(range(FEW), other, dtype=torch.float32)
    theta = there.population.theta.flip(0) * 1.5
    theta[me] = here.population.theta[me]
    there.population.load(theta, there.population.statistics.clone())
    lives = live(here, until=SHORT), live(there, until=SHORT)
    _same(case, "a member with other neighbours", *lives, [(me, me)])


def a_nan_stays_in_its_row(case: Case) -> None:
    """Members driven to NaN (by a huge rate, by NaN weights) leave 62 others bit-identical, also once they are gone."""
    burnt, poisoned = CROWD // 3, CROWD // 2
    well = live(case.course(range(CROWD), dtype=torch.float32), until=SHORT)
    plans = [case.plan(k) for k in range(CROWD)]
    plans[burnt] = plans[burnt].edited({"optimizer.learning_rate": 1e38}, by="user", why="to be lost")
    course = case.course(range(CROWD), plans, dtype=torch.float32)
    course.population.theta[poisoned] = float("nan")
    life = live(course, until=SHORT)
    for why, lost in {"a huge rate": burnt, "NaN weights": poisoned}.items():
        kind = course.outcomes[lost].kind
        _hold(kind == "diverged", case, f"a member with {why} should have diverged, but the outcome is '{kind}'")
    others = [(k, k) for k in range(CROWD) if k not in (burnt, poisoned)]
    _same(case, "beside members with a huge rate and with NaN weights, members", well, life, others)


def observation_changes_nothing(case: Case) -> None:
    """With or without an onlooker, who may even write into what is shown: the same weights, bit for bit."""
    calm, seen = (
        live(case.course(range(FEW), dtype=torch.float32), until=SHORT, watched=watched) for watched in (False, True)
    )
    _same(case, "members under observation", calm, seen, [(k, k) for k in range(FEW)])


def a_stop_loses_nothing(case: Case) -> None:
    """Killed again and again and resumed from the checkpoint written then: the same end, bit for bit."""
    short = {"training.patience": 2, "training.epochs": 12}
    plans = [case.plan(k).edited(short, by="user", why="short") for k in range(FEW)]

    def fresh() -> Course:
        return case.course(range(FEW), plans, dtype=torch.float32)

    def train_on(course: Course, killed_at: int | None = None) -> Course:
        for moment in train(course):
            if moment.step == CULLED_AT:
                moment.send(Stop([0], "culled"))
            if moment.step == killed_at:
                break
        return course

    whole, part = train_on(fresh()), fresh()
    with TemporaryDirectory() as folder:
        for step in KILLED_AT:
            save_checkpoint(train_on(part, step), Path(folder) / "checkpoint")
            part = fresh()
            load_checkpoint(part, Path(folder) / "checkpoint")
    _same_end(case, f"killed at steps {KILLED_AT} and resumed, ", whole, train_on(part))


def _same_end(case: Case, what: str, whole: Course, resumed: Course) -> None:
    for name, tensor in whole.best.tensors().items():
        _hold(torch.equal(tensor, resumed.best.tensors()[name]), case, f"{what}the run ends with another {name}")
    for member, (one, other) in enumerate(zip(whole.outcomes, resumed.outcomes, strict=True)):
        _hold(one == other, case, f"{what}member {member} {other}; else it {one}")


def _same(case: Case, what: str, here: Life, there: Life, pairs: Sequence[tuple[int, int]]) -> None:
    """Losses and best weights of the paired members are bit-identical."""
    for a, b in pairs:
        same = torch.equal(here.losses[:, a].nan_to_num(-1), there.losses[:, b].nan_to_num(-1))
        _hold(same, case, f"{what} have other losses (member {a})")
        same = torch.equal(here.course.best.theta[a], there.course.best.theta[b])
        _hold(same, case, f"{what} have other best weights (member {a})")
        ends = here.course.outcomes[a], there.course.outcomes[b]
        _hold(ends[0] == ends[1], case, f"{what} end otherwise: {ends[0]}; {ends[1]}")


def _hold(truth: bool, case: Case, otherwise: str) -> None:
    if not truth:
        raise AssertionError(f"{case}: {otherwise}")


LAWS: Registry[Callable[[Case], None]] = Registry(
    "law",
    {
        "alone-as-in-company": alone_as_in_company,
        "order-does-not-matter": order_does_not_matter,
        "others-do-not-matter": others_do_not_matter,
        "a-nan-stays-in-its-row": a_nan_stays_in_its_row,
        "observation-changes-nothing": observation_changes_nothing,
        "a-stop-loses-nothing": a_stop_loses_nothing,
    },
)
