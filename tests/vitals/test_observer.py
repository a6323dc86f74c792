"""What is seen of a user's loop: modes of its parts, parameters without a gradient, rates, and looks that wait."""

import numpy as np
import pytest
import torch
from torch import nn

from trainwell.vitals.looked import MOST
from trainwell.vitals.observer import Observer


class Tuned(nn.Module):
    """A body that is kept, and a head that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5)), nn.Linear(8, 2)
        self.body.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


def train(model: nn.Module, steps: int, *, every: int | str = "auto", loss=None) -> Observer:
    """Some steps on noise."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.01)
    observer = Observer(model, [optimizer], every=every)
    for _ in range(steps):
        x = torch.randn(16, 4)
        optimizer.zero_grad()
        value = model(x).square().mean() if loss is None else loss(model, x)
        value.backward()
        optimizer.step()
        observer.step(value, inputs=x)
    return observer


@pytest.mark.parametrize(("head", "wrong"), [(True, 0), (False, 12)])
def test_a_module_of_which_a_part_was_set_to_training_is_not_left_in_evaluation(head: bool, wrong: int) -> None:
    model = Tuned().eval()
    model.head.train(head)
    assert train(model, 12).program().training_in_eval == (wrong, 12)


def test_a_bias_that_only_shifts_what_a_slope_is_taken_of_needs_no_gradient() -> None:
    def slope(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = x.requires_grad_()
        return (torch.autograd.grad(model(x).sum(), x, create_graph=True)[0] - 1).square().mean()

    energy = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    assert train(energy, 8, loss=slope).program().stuck.unreached == ()
    idle = Tuned()
    idle.more = nn.Linear(8, 2)
    assert set(train(idle, 8).program().stuck.unreached) == {"more.weight", "more.bias"}


def test_rates_are_noted_at_judgements_too_and_once_a_step() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    observer = Observer(model, [optimizer], every=5)
    for step in range(1, 11):
        loss = model(torch.randn(8, 4)).square().mean()
        loss.backward()
        optimizer.step()
        observer.step(loss)
        if step in (3, 6):
            observer.validate({"loss": 1.0})
            optimizer.param_groups[0]["lr"] /= 10
    steps, rates = observer.record.series("learning_rate", member=0)
    assert steps.tolist() == [1, 3, 6] and rates == pytest.approx([0.1, 0.1, 0.01])


@pytest.mark.parametrize("steps", [3, MOST - 1, MOST, 2 * MOST + 1])
def test_looks_that_wait_are_noted_when_the_record_is_read(steps: int) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    outputs: list[np.ndarray] = []
    model[1].register_forward_hook(lambda module, given, output: outputs.append(output.detach().numpy().copy()))
    observer = train(model, steps, every=1)
    assert len(outputs) == steps
    at, means = observer.record.series("activation-mean", member=0, layer="0")
    assert at.tolist() == list(range(1, steps + 1))
    np.testing.assert_allclose(means, [a.mean() for a in outputs], rtol=1e-5)
    _, dead = observer.record.series("dead-fraction", member=0, layer="0")
    np.testing.assert_allclose(dead, [(a.max(0) <= 0).mean() for a in outputs])
    _, spread = observer.record.series("signal-std", member=0, layer="0")
    np.testing.assert_allclose(spread, [a.std(0).mean() for a in outputs], rtol=1e-5)
    assert observer.record.layers("gradient-norm", member=0) == ["0", "2"]


class Boundary(nn.Module):
    """One module for places inside, and for a boundary on which all is alike."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x)


@pytest.mark.parametrize("runs", [2, 7])
def test_of_a_layer_that_runs_more_than_once_the_largest_deviation_counts(runs: int) -> None:
    seen: list[float] = []

    def loss(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        inside = model(x)
        seen.append(float(inside.detach().std(correction=0)))
        return inside.square().mean() + sum(model(torch.ones(16, 4)).square().mean() for _ in range(runs - 1))

    observer = train(Boundary(), 4, every=1, loss=loss)
    _, deviations = observer.record.series("signal-std", member=0, layer="out")
    np.testing.assert_allclose(deviations, seen, rtol=1e-5)


def test_a_record_that_is_read_in_the_midst_of_a_look_changes_nothing() -> None:
    def means(read: int) -> list[float]:
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        optimizer = torch.optim.SGD(model.parameters(), 0.01)
        observer = Observer(model, [optimizer], every=1)
        for step in range(8):
            loss = model(torch.randn(16, 4)).square().mean()
            if step == read:
                assert observer.record.members() == [0]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            observer.step(loss)
        return observer.record.series("activation-mean", member=0, layer="0")[1].tolist()

    assert means(read=2) == means(read=9)


def test_units_that_begin_alike_are_told_though_rounding_sets_their_gradients_apart() -> None:
    def bag(constant: bool) -> Observer:
        torch.manual_seed(0)
        net = nn.Sequential(nn.EmbeddingBag(60, 24), nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 5))
        for p in net.parameters():
            if constant and p.dim() == 2:
                nn.init.constant_(p, 0.2)
        words, classes = torch.randint(60, (50, 10)), torch.randint(5, (50,))
        optimizer = torch.optim.Adam(net.parameters(), 5e-3)
        observer = Observer(net, [optimizer])
        for _ in range(4):
            optimizer.zero_grad()
            value = nn.functional.cross_entropy(net(words), classes)
            value.backward()
            optimizer.step()
            observer.step(value, inputs=words, targets=classes)
        return observer

    assert bag(constant=True).program().symmetric == ("1",)
    assert bag(constant=False).program().symmetric == ()


@pytest.mark.parametrize(("rows", "batch"), [(1, 1), (2, 2), (16, 0)])
def test_single_samples_are_known_from_the_loss_where_no_inputs_are_told(rows: int, batch: int) -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    observer = Observer(model, [optimizer])
    for _ in range(4):
        optimizer.zero_grad()
        value = nn.functional.mse_loss(model(torch.randn(rows, 4)), torch.randn(rows, 1))
        value.backward()
        optimizer.step()
        observer.step(value)
    assert observer.program().batch == batch


def test_old_gradients_are_looked_for_only_where_gradients_are_numbers() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    observer = Observer(model, [optimizer], every=1)
    for step in range(30):
        loss = model(torch.randn(16, 4)).square().mean() * (float("nan") if step > 9 else 1.0)
        loss.backward()  # and nothing empties them
        optimizer.step()
        observer.step(loss)
    hits, looks = observer.program().accumulating
    assert hits == looks <= 10


def test_a_part_that_stays_in_evaluation_is_judged_in_evaluation_whatever_the_whole_says() -> None:
    body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)).eval().requires_grad_(False)
    for mode, noisy in ((False, 0), (True, 3)):
        model = nn.Sequential(body.train(mode), nn.Linear(8, 2))
        observer = train(model, 6)
        model.train()
        body.train(mode)
        for _ in range(3):
            with torch.no_grad():
                model(torch.randn(16, 4))
            observer.validate({"loss": 1.0})
        assert observer.program().judged_in_train == (noisy, 3)


def test_of_a_module_with_weights_of_its_own_the_inputs_are_what_it_is_given() -> None:
    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.out = nn.Parameter(torch.full((4, 4), 30.0)), nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(x @ self.weight)

    scale = train(Sums(), 6).input_scale
    assert scale is not None and scale["largest_std"] < 2


def test_sorted_targets_of_a_large_batch_are_seen_from_end_to_end() -> None:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    observer = Observer(model, [optimizer], every=1)
    y = torch.linspace(0, 1, 5000)[:, None]
    for _ in range(3):
        outputs = model(y)
        loss = (outputs - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        observer.step(loss, inputs=y, targets=y, outputs=outputs)
    targets = observer.program().targets
    assert targets is not None and targets.high - targets.low > 0.95 and targets.count < 2000


@pytest.mark.parametrize("within", [False, True])
def test_passes_within_a_function_transform_are_left_alone(within: bool) -> None:
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.func.vmap(self.one)(x) if within else self.one(x)

    def loss(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        outputs = model(x.view(4, 4, 4)) if within else torch.func.vmap(model)(x.view(4, 4, 4))
        return outputs.square().mean()

    observer = train(Many(), 8, every=1, loss=loss)
    assert observer.steps == 8 and not any("failed" in note for note in observer.program().notes)


def test_a_look_that_fails_within_a_pass_does_not_end_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object) -> None:
        raise RuntimeError("a tensor of a kind that nobody thought of")

    monkeypatch.setattr("trainwell.vitals.inside.Inside._measure", fails)
    observer = train(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), 8)
    assert observer.steps == 8 and len(observer.record.series("loss", member=0)[1]) == 8
    assert any("a tensor of a kind" in note for note in observer.program().notes)


def test_classes_are_counted_in_the_steps_between_looks_too() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    observer = Observer(model, [optimizer], every=16)
    for step in range(1, 65):
        x, y = torch.randn(16, 4), torch.full((16,), int(step % 16 not in (0, 1)))  # a look sees the rare class
        loss = nn.functional.cross_entropy(out := model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        observer.step(loss, inputs=x, targets=y, outputs=out)
    targets = observer.program().targets
    assert targets is not None and targets.counts[1] / targets.count > 0.7


class Cell(nn.Module):
    """A recurrence written by hand."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.enter, self.back, self.out = nn.Linear(1, 16), nn.Linear(16, 16, bias=False), nn.Linear(16, 1)
        nn.init.orthogonal_(self.back.weight, gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.back(torch.zeros(len(x), 16))
        for step in range(x.shape[1]):
            h = self.back(self.enter(x[:, step : step + 1]) + h)
        return self.out(h)


@pytest.mark.parametrize(("gain", "least", "most"), [(2.0, 2**17, 2**20), (1.0, 0.5, 6.0)])
def test_a_cell_that_hands_on_more_at_each_step_is_seen(gain: float, least: float, most: float) -> None:
    torch.manual_seed(0)
    model = Cell(gain)
    optimizer = torch.optim.SGD(model.parameters(), 1e-12)
    observer = Observer(model, [optimizer])
    for _ in range(4):
        x = torch.randn(32, 20)
        optimizer.zero_grad()
        loss = (model(x) - x[:, :1]).square().mean()
        loss.backward()
        optimizer.step()
        observer.step(loss, inputs=x)
    _, growth = observer.record.series("run-growth", member=0, layer="back")
    assert least < growth[0] < most


def test_vectors_of_names_are_judged_as_they_were_first_drawn() -> None:
    """What a training makes of them later is its weights, and no preparation of the inputs."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 8), nn.Flatten(), nn.Linear(24, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    observer = Observer(model, [optimizer])
    for step in range(1, 18):
        optimizer.zero_grad()
        loss = model(x := torch.randint(9, (16, 3))).square().mean()
        loss.backward()
        optimizer.step()
        if step == 2:
            with torch.no_grad():
                next(model.parameters()).mul_(1e3)
        observer.step(loss, inputs=x)
    assert observer.input_scale is not None and observer.input_scale["largest_std"] < 10
