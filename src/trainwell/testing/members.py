"""Conformance suite: a member's life does not depend on its company, on onlookers, or on stops.

    for case in cases():
        for law in LAWS.values():
            law(case)

A law raises `AssertionError` with a sentence. The cases are derived from the registries, so that a new activation,
loss, optimizer or schedule is held to the laws as soon as it stands in its table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.base import Registry, Seeds
from trainwell.base.streams import stream
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, Stop, load_checkpoint, save_checkpoint, train
from trainwell.ingredients import ACTIVATIONS, INITIALISERS, LOSSES, NORMS, OPTIMIZERS, REGULARISERS, SCHEDULES
from trainwell.networks import Blueprint
from trainwell.plan import NAMED, Plan, hypers

INPUTS, CLASSES, WIDTH = 6, 3, 16
ROWS, TRAIN, BATCH, EPOCHS = 60, 40, 16, 18  # a last batch of 8; 54 steps, an evaluation every third
CROWD, FEW = 64, 7
TOLERANCE = 1e-9
SHORT = 15  # steps of the laws that compare bits
KILLED_AT = (8, 24, 54)  # steps; some are evaluations, the last is the end
CULLED_AT = 25  # no evaluation falls on this step


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

    def plan(self, member: int, world: int = 0) -> Plan:
        """The plan of a member; `world` chooses among other sets of hyperparameters."""
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
        self, who: Sequence[int], plans: Sequence[Plan] | None = None, *, dtype: torch.dtype = torch.float64
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
        return Course(self.blueprint(), plans, seeds, feed, groups, dtype=dtype)


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
    """Every entry of the registries, and every switch of the structure."""
    named = [
        *(Case(f"activation {name}", {"network.activation": name}) for name in ACTIVATIONS),
        *(Case(f"loss {name}", {"loss.name": name}) for name in LOSSES),
        *(Case(f"optimizer {name}", {"optimizer.name": name}) for name in OPTIMIZERS),
        *(Case(f"schedule {name}", {"schedule.name": name}) for name in SCHEDULES),
        *(Case(f"initialiser {name}", {"initialiser.name": name}) for name in INITIALISERS),
        *(Case(f"norm {name}", {"network.norm": name}) for name in NORMS),
        *(Case(f"regulariser {name}", regularisers=(name,)) for name in REGULARISERS),
    ]
    structure = {"network.norm": "batch", "network.residual": True, "network.depth": 3}
    everything = {**structure, "schedule.name": "one-cycle"}
    return [
        *named,
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
    crowd = live(case.course(range(CROWD)))
    k = CROWD // 2
    apart = (live(case.course([k])).losses[:, 0] - crowd.losses[:, k]).abs().max()
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
    """A member driven to NaN (by a huge rate, by NaN weights) leaves 63 others bit-identical, also once it is gone."""
    lost = CROWD // 3
    well = live(case.course(range(CROWD), dtype=torch.float32), until=SHORT)
    huge = [case.plan(k) for k in range(CROWD)]
    huge[lost] = huge[lost].edited({"optimizer.learning_rate": 1e38}, by="user", why="to be lost")
    burnt, poisoned = (
        case.course(range(CROWD), huge, dtype=torch.float32),
        case.course(range(CROWD), dtype=torch.float32),
    )
    poisoned.population.theta[lost] = float("nan")
    for why, course in {"a huge rate": burnt, "NaN weights": poisoned}.items():
        life = live(course, until=SHORT)
        kind = course.outcomes[lost].kind
        _hold(kind == "diverged", case, f"a member with {why} should have diverged, but the outcome is '{kind}'")
        _same(case, f"beside a member with {why}, members", well, life, [(k, k) for k in range(CROWD) if k != lost])


def observation_changes_nothing(case: Case) -> None:
    """With or without an onlooker, who may even write into what is shown: the same weights, bit for bit."""
    calm, seen = (
        live(case.course(range(FEW), dtype=torch.float32), until=SHORT, watched=watched) for watched in (False, True)
    )
    _same(case, "members under observation", calm, seen, [(k, k) for k in range(FEW)])


def a_stop_loses_nothing(case: Case) -> None:
    """Killed at any step and resumed from the checkpoint written there: the same end, bit for bit."""
    plans = [case.plan(k).edited({"training.patience": 2}, by="user", why="short") for k in range(FEW)]

    def fresh() -> Course:
        return case.course(range(FEW), plans, dtype=torch.float32)

    def train_on(course: Course, folder: Path | None = None) -> None:
        for moment in train(course):
            if folder is not None and moment.step in KILLED_AT:
                save_checkpoint(course, folder / str(moment.step))
            if moment.step == CULLED_AT:
                moment.send(Stop([0], "culled"))

    whole = fresh()
    with TemporaryDirectory() as folder:
        train_on(whole, Path(folder))
        for step in sorted(int(path.name) for path in Path(folder).iterdir()):
            resumed = fresh()
            load_checkpoint(resumed, Path(folder) / str(step))
            train_on(resumed)
            _same_end(case, f"killed at step {step} and resumed, ", whole, resumed)


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
