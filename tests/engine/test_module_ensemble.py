"""Trained members of a user's module: the mean of plain modules, and files without code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from trainwell.base import RunError, Seeds
from trainwell.data.batches import Feed, Samples
from trainwell.engine import Course, ModuleEnsemble, ensemble_of, train
from trainwell.engine.evaluate import outputs
from trainwell.networks import ModuleBlueprint
from trainwell.plan import Plan

DRAW = torch.Generator().manual_seed(1)
X, Y = torch.randn(60, 2, 6, generator=DRAW), torch.randint(0, 3, (60,), generator=DRAW)
Make = Callable[[], nn.Module]


class Net(nn.Module):
    """Batch norm, dropout, a frozen layer, a tied one, a buffer of its own."""

    shift: Tensor

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(2, width, 3), nn.BatchNorm1d(width)
        self.frozen, self.dropout = nn.Linear(4, 4).requires_grad_(False), nn.Dropout(0.3)
        self.again = self.frozen
        self.register_buffer("shift", torch.randn(1))
        self.last = nn.Linear(4 * width, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.again(torch.relu(self.norm(self.first(x))) + self.shift)
        return self.last(self.dropout(h).flatten(1))


def lazy() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))


def trained(make: Make = Net, *, own_rates: bool = False) -> Course:
    blueprint = ModuleBlueprint(make, X, own_rates=own_rates)
    plan = Plan().edited({"loss.name": "cross_entropy", "training.epochs": 3}, by="user", why="test")
    plans = [plan.edited({"regularisation.dropout": rate}, by="user", why="test") for rate in (0.1, 0.2, 0.4)]
    rows = torch.arange(60)[None]
    feed = Feed(Samples(X, torch.zeros(60, 0), Y, samples_first=True), rows[:, :40], rows[:, 40:], [1], 10)
    course = Course(blueprint, plans, [Seeds.of(0, k) for k in range(3)], feed, [0] * 3)
    for _ in train(course):
        pass
    return course


@pytest.fixture(scope="module")
def course() -> Course:
    return trained()


@pytest.fixture
def ensemble(course: Course) -> ModuleEnsemble:
    found = ensemble_of(course, [2, 0])
    assert isinstance(found, ModuleEnsemble)
    return found


@pytest.mark.covers("B10")
def test_it_predicts_the_mean_of_plain_modules_which_are_the_best_members(
    course: Course, ensemble: ModuleEnsemble
) -> None:
    each = torch.stack([torch.softmax(ensemble.member(m)(X), 1) for m in range(2)]).detach()
    torch.testing.assert_close(ensemble.member_predictions(course.feed.samples), each)
    torch.testing.assert_close(ensemble.predict(course.feed.samples), each.double().mean(0))
    shown = course.best.theta, course.best.statistics
    z = outputs(course.population, course.feed.samples, torch.arange(60), None, shown)
    torch.testing.assert_close(each, torch.softmax(z[[2, 0]], 1).transpose(1, 2), rtol=1e-4, atol=1e-5)


def test_a_member_is_of_the_users_class_with_its_own_rate_of_dropout(ensemble: ModuleEnsemble) -> None:
    first, second = ensemble.member(0), ensemble.member(1)
    assert isinstance(first, Net) and isinstance(second, Net) and not first.training
    assert (first.dropout.p, second.dropout.p) == (0.4, 0.1)
    assert first.again is first.frozen and not first.frozen.weight.requires_grad
    assert not first.last.weight.equal(second.last.weight) and not first.shift.equal(second.shift)
    own = ensemble_of(trained(own_rates=True), [0]).member(0)
    assert isinstance(own, Net) and own.dropout.p == 0.3


def test_it_reads_back_equal_from_tensors_by_name(course: Course, ensemble: ModuleEnsemble, tmp_path: Path) -> None:
    ensemble.save(tmp_path / "model")
    again = ModuleEnsemble.load(tmp_path / "model", Net)
    assert again.predict(course.feed.samples).equal(ensemble.predict(course.feed.samples))
    assert again.rates == ensemble.rates == (0.4, 0.1)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["blueprint.json", "weights.safetensors"]
    tensors = load_file(tmp_path / "model" / "weights.safetensors")
    assert tensors["first.weight"].shape == (2, 8, 2, 3) and "norm.running_mean" in tensors
    assert json.loads((tmp_path / "model" / "blueprint.json").read_text())["kind"] == "module"


def test_lazy_layers_take_their_sizes_from_the_file(tmp_path: Path) -> None:
    course = trained(lazy)
    ensemble_of(course, [1]).save(tmp_path)
    again = ModuleEnsemble.load(tmp_path, lazy)
    torch.testing.assert_close(
        again.predict(course.feed.samples), ensemble_of(course, [1]).predict(course.feed.samples)
    )


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Net(9), "size mismatch for "),
        (lambda: nn.Linear(2, 3), "its 'weight' was not in the run"),
        (lambda: nn.Sequential(), "it has no 'first."),
    ],
)
def test_another_module_is_told_from_the_runs(
    ensemble: ModuleEnsemble, tmp_path: Path, make: Make, sentence: str
) -> None:
    ensemble.save(tmp_path)
    with pytest.raises(RunError, match=f"^The module does not fit the run's networks: {sentence}") as caught:
        ModuleEnsemble.load(tmp_path, make)
    assert "\n" not in str(caught.value) and "Give the factory that the run was trained with." in str(caught.value)


def rewritten(**values: object) -> Callable[[Path], object]:
    return lambda f: (f / "blueprint.json").write_text(
        json.dumps({**json.loads((f / "blueprint.json").read_text()), **values})
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / "weights.safetensors").unlink(),
        lambda f: (f / "weights.safetensors").write_bytes(b"123"),
        lambda f: (f / "blueprint.json").write_text("{"),
        lambda f: (f / "blueprint.json").write_text("[]"),
        rewritten(rates=[0.1]),
        rewritten(rates=[]),
        rewritten(output="hardmax"),
        rewritten(kind="dense"),
    ],
)
def test_damaged_files_are_named(ensemble: ModuleEnsemble, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    ensemble.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(RunError, match="is incomplete or damaged; train it again or resume the run"):
        ModuleEnsemble.load(tmp_path, Net)


def test_no_rows_give_no_predictions(ensemble: ModuleEnsemble) -> None:
    assert ensemble.predict(Samples(X[:0], torch.zeros(0, 0), samples_first=True)).shape == (0, 3)
