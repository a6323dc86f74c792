from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import trainwell
from trainwell.diagnosis import KINDS, Finding
from trainwell.testing.programs import healthy, sick
from trainwell.testing.programs.fault import ALL
from trainwell.testing.programs.healthy_recipes import RECIPES
from trainwell.testing.programs.loops import LOOPS, job, reached
from trainwell.testing.programs.loops_faulty import FAULTY
from trainwell.testing.programs.materials import SOURCES, figure, material
from trainwell.testing.programs.networks import network
from trainwell.testing.programs.program import Program

pytestmark = [
    pytest.mark.covers("D15"),
    pytest.mark.filterwarnings("ignore:Using a target size:UserWarning"),  # a planted fault warns by itself
]
NO_FAULT = {"all-is-well"}  # said where there is nothing to find
EVERY = 41  # of a sample


class Silent:
    """A watch that only counts: the programs are tested here, not the rules."""

    last: "Silent"

    def __init__(self, model: nn.Module, optimizer: Any = None, **options: Any) -> None:
        assert isinstance(model, nn.Module) and set(options) <= {"loss_fn", "task", "every", "out"}
        self.findings: list[Finding] = []
        self.losses: list[float] = []
        self.validations: list[float] = []
        Silent.last = self

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, loss: Tensor, *, inputs: Tensor, targets: Tensor, outputs: Tensor) -> None:
        assert loss.dim() == 0
        self.losses.append(float(loss.detach()))

    def validate(self, *, loss: float | Tensor, **metrics: float) -> None:
        self.validations.append(float(loss))


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(model: nn.Module, loss_fn: Callable[..., Tensor], x: Tensor, y: Tensor, *, optimizer: Any = None) -> Any:
        assert len(x) == len(y)
        return []

    monkeypatch.setattr(trainwell, "watch", Silent, raising=False)
    monkeypatch.setattr(trainwell, "check", check, raising=False)


def title(program: Program) -> str:
    return program.name


def test_no_two_programs_have_one_name() -> None:
    assert [name for name, times in Counter(p.name for p in [*sick(), *healthy()]).items() if times > 1] == []


def test_every_kind_of_the_vocabulary_is_planted_in_dense_convolutional_and_recurrent_networks() -> None:
    places = defaultdict(set)
    for program in sick():
        places[program.planted].add(program.architecture)
    assert set(places) == set(KINDS) - NO_FAULT
    assert {k: v for k, v in places.items() if not v >= {"dense", "convolutional", "recurrent"}} == {}


def test_every_kind_is_planted_in_at_least_five_programs_on_at_least_three_sets() -> None:
    programs, sets = Counter(p.planted for p in sick()), defaultdict(set)
    for program in sick():
        sets[program.planted].add(program.data)
    assert min(programs.values()) >= 5 and min(len(names) for names in sets.values()) >= 3


def test_what_is_true_as_well_is_in_the_vocabulary() -> None:
    assert {kind for program in sick() for kind in program.also} <= set(KINDS)
    assert all(program.planted is None and program.also == () for program in healthy())


def test_there_are_more_than_120_healthy_programs_to_watch_through_either_door() -> None:
    doors = Counter(program.door for program in healthy())
    assert doors["watch"] >= 120 and doors["check"] >= 40


def test_no_two_healthy_recipes_are_alike() -> None:
    told = [(r.data, str(r.model()), str(r.rule), r.rate, r.loop, r.epochs, r.batch_size, str(r.loss)) for r in RECIPES]
    assert len(set(told)) == len(told)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("program", sick()[::EVERY], ids=title)
def test_a_sick_program_runs_and_tells_its_losses(program: Program) -> None:
    Silent.last = Silent(nn.Identity())
    assert program.run(0) == []
    assert program.door == "check" or Silent.last.losses


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("program", healthy()[::EVERY], ids=title)
def test_a_healthy_program_is_as_good_as_it_says(program: Program) -> None:
    end = program.end(0)
    assert end.sound and (program.door == "check" or Silent.last.losses)


@pytest.mark.usefixtures("silent")
def test_a_run_follows_from_its_seed() -> None:
    program = next(p for p in healthy() if p.door == "watch")
    losses = []
    for seed in (0, 0, 1):
        program.run(seed)
        losses.append(tuple(Silent.last.losses))
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("name", LOOPS)
def test_without_a_fault_each_loop_trains_soundly(name: str) -> None:
    torch.manual_seed(0)
    m = material("digits")
    sane = job(m, network(m))
    before = reached(sane)
    LOOPS[name](sane)
    assert before < 0.4 and reached(sane) >= m.bar
    assert bool(Silent.last.validations) == (name in ("loaders", "late zero", "every fifty"))


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("kind", ["vanishing-gradient", "dead-units", "learning-rate-too-small", "not-learning"])
def test_what_is_planted_does_harm(kind: str) -> None:
    program = next(p for p in sick() if p.planted == kind and p.data == "digits" and p.door == "watch")
    assert program.end(0).figure < 0.5 < material("digits").bar


@pytest.mark.usefixtures("silent")
def test_gradients_that_are_never_cleared_are_sums() -> None:
    m = material("wine")
    model = nn.Linear(13, 3)
    sane = job(m, model, optimizer=torch.optim.SGD(model.parameters(), lr=0.0))
    sane.epochs, sane.batch_size = 3, len(m.x)
    FAULTY["no zero"](sane)
    model.zero_grad()
    loss = sane.loss_fn(model(m.x), m.y)
    three = 3 * torch.autograd.grad(loss, model.weight)[0]
    FAULTY["no zero"](sane)
    assert model.weight.grad is not None
    torch.testing.assert_close(model.weight.grad, three)


def test_every_material_is_scaled_and_its_parts_are_different_rows() -> None:
    for name in SOURCES:
        m = material(name)
        assert abs(float(m.x.mean())) < 0.05 and 0.8 < float(m.x.std()) < 1.1
        assert m.x.isfinite().all() and len(m.x) == len(m.y) and len(m.test_x) == len(m.test_y)
        known = {row.numpy().tobytes() for row in m.x}
        assert sum(row.numpy().tobytes() in known for row in m.test_x) == 0
        assert m.y.dtype == (torch.int64 if m.task == "multiclass" else torch.float32)
    assert {SOURCES[name][1] for name in ALL} == {"dense", "convolutional", "recurrent"}


def test_figures_are_accuracy_and_the_share_of_variance() -> None:
    assert figure(torch.tensor([[1.0, 0], [0, 1], [1, 0], [1, 0]]), torch.tensor([0, 1, 1, 0])) == 0.75
    y = torch.tensor([[0.0], [2.0], [4.0]])  # variance 8/3
    assert figure(torch.tensor([0.0, 2.0, 2.0]), y) == pytest.approx(1 - (4 / 3) / (8 / 3))
