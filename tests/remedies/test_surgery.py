"""Each change makes of a training what its path says: exact values by hand, and modules that still run."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.remedies.trainings import (
    Cut,
    Listener,
    Picture,
    Sideways,
    adam,
    blobs,
    cross_entropy,
    curve,
    dense,
    sgd,
    waves,
)
from trainwell.base import PlanError
from trainwell.remedies.aim import Aim, aim_of
from trainwell.remedies.anatomy import anatomy
from trainwell.remedies.course import Course, Ledger
from trainwell.remedies.rows import Rows
from trainwell.remedies.surgery import CHANGES, STEPS, applied
from trainwell.remedies.surgery_modules import calls
from trainwell.remedies.training import Scaled, Training, scaled

IMAGES = Rows(torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 3)


def rows_of(data: Any) -> Rows:
    return Rows(*data()[0])


def training(make: Any, rows: Rows, loss: Any = cross_entropy, optimizer: Any = None, outputs: int = 3) -> Training:
    return Training(make, loss, optimizer or sgd(0.1), 5, 16, aim_of(rows.y, outputs))


def changed(before: Training, rows: Rows, changes: dict[str, Any]) -> Training:
    after = applied(before, changes, rows)
    assert after is not None
    return after


def test_every_change_has_a_size_and_an_unknown_one_is_named() -> None:
    assert set(CHANGES) == set(STEPS)
    rows = rows_of(blobs)
    with pytest.raises(PlanError, match="Did you mean 'optimizer.learning_rate'"):
        applied(training(dense(2, 8, 3), rows), {"optimizer.learningrate": 1.0}, rows)


def test_a_softmax_layer_at_the_end_is_taken_away() -> None:
    rows = rows_of(blobs)
    before = training(dense(2, 8, 3, end=nn.Softmax(1)), rows)
    after = changed(before, rows, {"module.output": "identity"})
    assert torch.allclose(after.module(3)(rows.x).softmax(1), before.module(3)(rows.x), atol=1e-6)


def test_a_softmax_called_in_forward_is_taken_away() -> None:
    before = training(Picture, IMAGES)
    after = changed(before, IMAGES, {"module.output": "identity"})
    a, b = before.module(3).eval()(IMAGES.x), after.module(3).eval()(IMAGES.x)
    assert torch.allclose(b.softmax(1), a, atol=1e-6) and not torch.allclose(a, b)
    b.sum().backward()


def test_a_probability_that_no_layer_gives_is_undone_by_its_logarithm() -> None:
    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 3), nn.Linear(2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.a(x) + self.b(x)).softmax(1)

    rows = rows_of(blobs)
    before = training(Summed, rows)
    after = changed(before, rows, {"module.output": "logarithm", "loss.name": "cross_entropy"})
    loss = after.loss_fn(after.module(0)(rows.x), rows.y)
    assert torch.allclose(loss, F.nll_loss(before.module(0)(rows.x).log(), rows.y), rtol=1e-5)


def test_a_change_that_can_not_be_made_gives_nothing() -> None:
    rows = rows_of(blobs)
    plain = training(dense(2, 8, 3), rows)
    for path, value in {
        "module.output": "identity", "module.recurrent": "lstm", "module.add_activation": "relu",
        "regularisation.dropout": 0.0, "data.scale_targets": "standardise", "loss.name": "mse",
    }.items():  # fmt: skip
        assert applied(plain, {path: value}, rows) is None, path


def test_activations_are_swapped_as_layers_and_as_calls_but_not_the_one_at_the_end() -> None:
    after = changed(training(Picture, IMAGES), IMAGES, {"module.activation": "relu"})
    module = after.module(0).eval()
    inner: Any = module.inner
    x = F.max_pool2d(F.relu(inner.first(IMAGES.x)), 2)
    expected = F.softmax(inner.out(F.relu(inner.second(x)).mean(dim=(2, 3))), dim=1)
    assert torch.allclose(module(IMAGES.x), expected)
    rows = rows_of(blobs)
    swapped: Any = changed(
        training(dense(2, 8, 3, end=nn.Sigmoid()), rows), rows, {"module.activation": "gelu"}
    ).module(0)
    assert [type(layer) for layer in swapped] == [nn.Linear, nn.GELU, nn.Linear, nn.Sigmoid]


def test_the_rate_of_dropout_is_changed_where_it_is_called() -> None:
    after = changed(training(Picture, IMAGES), IMAGES, {"regularisation.dropout": 0.0}).module(0).train()
    assert torch.equal(after(IMAGES.x), after.eval()(IMAGES.x))


def test_activations_stand_between_linear_layers_only() -> None:
    class Straight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.drop = nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 3), nn.Dropout(0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c(torch.tanh(self.b(self.drop(self.a(x)))))

    rows = rows_of(blobs)
    module = changed(training(Straight, rows), rows, {"module.add_activation": "relu"}).module(0)
    assert isinstance(module.a, nn.Sequential) and isinstance(module.b, nn.Linear)


def test_another_last_layer_a_norm_and_first_weights() -> None:
    rows = rows_of(blobs)
    make = dense(2, 16, 5, prepare=lambda m: [nn.init.ones_(p) for p in m.parameters()])
    changes = {"module.outputs": 3, "module.norm": "batch", "module.initialiser": "auto", "loss.name": "cross_entropy"}
    module: Any = changed(training(make, rows), rows, changes).module(0)
    assert module(rows.x).shape == (len(rows), 3)
    first = module[0][0]
    assert isinstance(module[0][1], nn.BatchNorm1d) and not first.bias.any()
    assert float(first.weight.detach().std()) == pytest.approx((2 / 2) ** 0.5, rel=0.3)


def test_an_lstm_takes_the_place_of_a_plain_recurrent_layer() -> None:
    rows = rows_of(waves)
    for kind, layer in (("lstm", nn.LSTM), ("gru", nn.GRU)):
        module = changed(training(Listener, rows, outputs=2), rows, {"module.recurrent": kind}).module(0)
        assert any(isinstance(m, layer) for m in module.modules())
        assert module(rows.x).shape == (len(rows), 2)


def test_frozen_parameters_are_trained_and_in_the_optimizer() -> None:
    def make() -> nn.Module:
        module = dense(2, 8, 3)()
        module[0].requires_grad_(False)
        return module

    rows = rows_of(blobs)
    only = lambda parameters: torch.optim.SGD([p for p in parameters if p.requires_grad][-1:], lr=0.1)
    after = changed(training(make, rows, optimizer=only), rows, {"module.trainable": "all"})
    module = after.module(0)
    held = {id(p) for group in after.optimizer(module).param_groups for p in group["params"]}
    assert held == {id(p) for p in module.parameters()}


def test_values_of_the_optimizer_keep_its_groups_and_their_proportions() -> None:
    def grouped(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD([{"params": parameters[:1], "lr": 0.1}, {"params": parameters[1:], "lr": 0.01}], lr=1.0)

    rows = rows_of(blobs)
    before = training(dense(2, 8, 3), rows, optimizer=grouped)
    changes = {"optimizer.learning_rate": 0.5, "optimizer.weight_decay": 0.1, "optimizer.momentum": 0.9}
    after = changed(before, rows, changes)
    optimizer = after.optimizer(after.module(0))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.05])
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.1}
    other = changed(before, rows, {"optimizer.name": "adam", "optimizer.learning_rate": 0.002})
    made = other.optimizer(other.module(0))
    assert isinstance(made, torch.optim.Adam) and made.param_groups[0]["lr"] == 0.002
    assert applied(training(dense(2, 8, 3), rows, optimizer=adam()), {"optimizer.momentum": 0.9}, rows) is None


def test_losses_take_targets_in_any_form() -> None:
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    expected = F.cross_entropy(z, labels)
    for y in (labels, labels.float(), labels[:, None], labels.int(), F.one_hot(labels).float()):
        rows = Rows(torch.zeros(6, 2), y)
        after = applied(training(dense(2, 8, 3), rows), {"loss.name": "cross_entropy"}, rows)
        assert after is not None and torch.allclose(after.loss_fn(z, y), expected)
    signs = torch.tensor([-1.0, 1.0, 1.0, -1.0, 1.0, 1.0])
    rows = Rows(torch.zeros(6, 2), signs)
    after = applied(training(dense(2, 8, 1), rows, outputs=1), {"loss.name": "binary_cross_entropy"}, rows)
    assert after is not None
    assert torch.allclose(
        after.loss_fn(z[:, :1], signs), F.binary_cross_entropy_with_logits(z[:, 0], (signs > 0).float())
    )


def test_scaling_is_part_of_the_module_and_undone_for_the_targets() -> None:
    rows = rows_of(curve)
    big = Rows(rows.x * 50 + 7, rows.y * 30 + 100)
    changes = {"data.scale_inputs": "standardise", "data.scale_targets": "standardise"}
    after = changed(training(dense(6, 8, 1), big, nn.MSELoss(), outputs=1), big, changes)
    inner = after.module(0)
    module = scaled(after, copy.deepcopy(inner), big)
    assert isinstance(module, Scaled)
    x = (big.x - big.x.mean(0)) / big.x.std(0, unbiased=False)
    expected = inner(x) * big.y.std(unbiased=False) + big.y.mean()
    assert torch.allclose(module(big.x), expected, atol=1e-3)
    assert float(module.target(big.y).mean()) == pytest.approx(0, abs=1e-4)


def test_the_function_at_the_end_is_told_by_its_values() -> None:
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    for end, name in ((nn.Softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid"), (nn.Tanh(), "tanh"), (nn.ReLU(), "relu")):
        body = anatomy(dense(2, 8, 3, end=end)(), x)
        assert body is not None and body.end == name
    body = anatomy(dense(2, 8, 3)(), x)
    assert body is not None and body.end == "identity" and body.last == "2" and body.linear_pairs == ()
    assert calls(Picture(), IMAGES.x).called == ["sigmoid", "sigmoid"] and calls(Picture(), IMAGES.x).rates == [0.9]


def test_looking_at_a_module_leaves_it_as_it_was() -> None:
    module = dense(2, 8, 3)().train()
    state = copy.deepcopy(module.state_dict())
    anatomy(module, torch.zeros(4, 2))
    assert module.training and not any(m._forward_hooks for m in module.modules())
    assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())


def test_tasks_are_read_from_targets_and_outputs() -> None:
    whole = torch.arange(40) % 4
    cases: list[tuple[torch.Tensor, int, str, int]] = [
        (whole, 4, "classes", 4),
        (whole, 1, "classes", 4),
        (whole.float(), 4, "classes", 4),
        (whole.float(), 1, "numbers", 0),
        ((whole % 2).float()[:, None], 1, "classes", 2),
        (F.one_hot(whole).float(), 4, "classes", 4),
        (torch.rand(40, 2), 2, "numbers", 0),
        (torch.tensor([[1.0, 1.0], [0.0, 1.0]] * 20), 2, "labels", 0),
        (torch.arange(40) * 7, 1, "numbers", 0),
    ]
    for y, outputs, task, classes in cases:
        aim: Aim = aim_of(y, outputs)
        assert (aim.task, aim.classes) == (task, classes)


@pytest.mark.parametrize("functional", [False, True])
def test_a_relu_behind_outputs_that_are_all_positive_is_seen(functional: bool) -> None:
    class Ended(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.relu = nn.Linear(3, 1), nn.ReLU()
            nn.init.constant_(self.last.bias, 50.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x).relu() if functional else self.relu(self.last(x))

    module, x = Ended(), torch.randn(16, 3)
    before = [p.detach().clone() for p in module.parameters()]
    body = anatomy(module, x)
    assert body is not None and body.end == "relu" and bool((body.outputs > 0).all())
    assert all(torch.equal(p, q) for p, q in zip(before, module.parameters(), strict=True))
    plain = anatomy(nn.Sequential(module.last), x)
    assert plain is not None and plain.end == "identity"


def test_hidden_layers_are_widened_in_proportion_and_inputs_and_outputs_kept() -> None:
    rows = rows_of(blobs)
    module: Any = changed(training(dense(2, 4, 8, 3), rows), rows, {"module.width": 16}).module(0)
    assert [tuple(layer.weight.shape) for layer in module if isinstance(layer, nn.Linear)] == [
        (16, 2),
        (32, 16),
        (3, 32),
    ]
    assert module(rows.x).shape == (len(rows), 3)
    picture: Any = changed(training(Picture, IMAGES), IMAGES, {"module.width": 8}).module(0)
    assert picture.first.weight.shape == (8, 1, 3, 3) and picture.second.weight.shape == (16, 8, 3, 3)
    assert picture.out.weight.shape == (3, 16) and picture(IMAGES.x).shape == (32, 3)
    heard: Any = changed(training(Listener, rows_of(waves), outputs=2), rows_of(waves), {"module.width": 24}).module(0)
    assert heard.rnn.hidden_size == 24 and heard.out.in_features == 24
    assert applied(training(dense(2, 32, 3), rows), {"module.width": 32}, rows) is None


def test_a_norm_grows_with_its_layer_and_what_else_has_weights_is_left_alone() -> None:
    rows = rows_of(blobs)
    normed = lambda: nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    module: Any = changed(training(normed, rows), rows, {"module.width": 12}).module(0)
    assert module[1].num_features == 12 and module(rows.x).shape == (len(rows), 3)

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.gate = nn.Linear(2, 4), nn.Linear(4, 3), nn.Parameter(torch.ones(4))

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.relu(self.a(x)) * self.gate)

    assert applied(training(Gated, rows), {"module.width": 12}, rows) is None


def test_layers_that_keep_the_shape_are_left_out_or_passed_around() -> None:
    rows = rows_of(blobs)
    deep = training(dense(2, 8, 8, 8, 8, 3), rows)
    module: Any = changed(deep, rows, {"module.depth": 2}).module(0)
    kept = [layer for layer in module if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in kept] == [2, 8, 8]
    assert sum(isinstance(layer, nn.ReLU) for layer in module) == 2
    around: Any = changed(deep, rows, {"module.residual": True}).module(0)
    plain: Any = deep.module(0)
    x = rows.x
    for layer in plain:
        square = isinstance(layer, nn.Linear) and layer.in_features == layer.out_features
        x = x + layer(x) if square else layer(x)
    assert torch.allclose(around(rows.x), x, atol=1e-5)
    for change in ({"module.depth": 1}, {"module.residual": True}):
        assert applied(training(dense(2, 8, 3), rows), change, rows) is None


def test_dropout_is_put_behind_hidden_linear_layers_where_there_is_none() -> None:
    rows = rows_of(blobs)
    module: Any = changed(training(dense(2, 8, 8, 3), rows), rows, {"regularisation.dropout": 0.4}).module(0)
    assert [m.p for m in module.modules() if isinstance(m, nn.Dropout)] == [0.4, 0.4]
    assert isinstance(module[-1], nn.Linear)


VALUES: dict[str, Any] = {
    "module.recurrent": "gru", "module.outputs": 4, "module.output": "identity", "module.add_activation": "relu",
    "module.activation": "gelu", "module.depth": 1, "module.width": 32, "module.residual": True,
    "module.norm": "layer", "regularisation.dropout": 0.2, "module.initialiser": "auto",
    "module.trainable": "all", "module.mode": "kept", "module.gradients": "kept", "module.batch_first": True,
    "data.scale_inputs": "standardise", "data.scale_targets": "standardise", "loss.name": "cross_entropy",
    "optimizer.name": "adamw", "optimizer.learning_rate": 0.01, "optimizer.momentum": 0.5,
    "optimizer.weight_decay": 0.01, "regularisation.clip_norm": 1.0, "schedule.name": "cosine",
    "training.batch_size": 8, "training.epochs": 2,
}  # fmt: skip


class Asleep(nn.Module):
    """Its forward pass puts the norm into evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.norm.eval()
        return self.last(self.norm(self.first(x)).relu())


def test_a_forward_pass_that_ends_the_training_mode_is_not_heard() -> None:
    rows = rows_of(blobs)
    before = training(Asleep, rows)
    module = changed(before, rows, {"module.mode": "kept"}).module(3).train()
    module(rows.x)
    norm = module.get_submodule("inner.norm")
    first = module.get_submodule("inner.first")(rows.x).mean(0)
    assert norm.training and torch.allclose(norm.get_buffer("running_mean"), 0.1 * first, atol=1e-6)
    module.eval()(rows.x)
    assert not norm.training and "train" not in vars(norm)
    assert applied(training(dense(2, 8, 3), rows), {"module.mode": "kept"}, rows) is None


@pytest.mark.parametrize("way", ["no_grad", "detach", "data"])
def test_gradients_that_a_forward_pass_cuts_off_reach_all_layers(way: str) -> None:
    rows = rows_of(blobs)
    before = training(lambda: Cut(way), rows)
    module = changed(before, rows, {"module.gradients": "kept"}).module(3).train()
    plain = before.module(3)
    outputs = module(rows.x)
    assert torch.equal(outputs, plain(rows.x))
    outputs.square().sum().backward()
    layers = [module.get_submodule(name) for name in ("inner.first", "inner.last")]
    own = nn.Sequential(layers[0], nn.ReLU(), layers[1])
    expected = torch.autograd.grad(own(rows.x).square().sum(), list(own.parameters()))
    assert all(torch.allclose(p.grad, g) for p, g in zip(own.parameters(), expected, strict=True) if p.grad is not None)
    assert all(p.grad is not None for p in own.parameters())
    with torch.no_grad():
        assert not module(rows.x).requires_grad
    assert applied(training(dense(2, 8, 3), rows), {"module.gradients": "kept"}, rows) is None


@pytest.mark.parametrize("kind", ["lstm", "attention"])
def test_a_layer_that_runs_along_the_rows_is_turned(kind: str) -> None:
    rows = rows_of(waves)
    before = training(lambda: Sideways(kind), rows, outputs=2)
    module, plain = changed(before, rows, {"module.batch_first": True}).module(3).eval(), before.module(3).eval()
    assert not torch.allclose(plain(rows.x[:6])[3:], plain(rows.x[3:6]), atol=1e-4)  # others change a row's outputs
    assert torch.allclose(module(rows.x[:6])[3:], module(rows.x[3:6]), atol=1e-5)
    assert applied(training(Listener, rows, outputs=2), {"module.batch_first": True}, rows) is None


@pytest.mark.covers("D15")
@pytest.mark.parametrize("path", list(CHANGES))
def test_a_change_is_made_or_declined_and_what_it_makes_trains_a_step(path: str) -> None:
    cases: list[tuple[Any, Rows, int]] = [
        (dense(2, 8, 8, 8, 8, 3), rows_of(blobs), 3),
        (dense(2, 8, 3, end=nn.Softmax(1)), rows_of(blobs), 3),
        (lambda: nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 3)), rows_of(blobs), 3),
        (Picture, IMAGES, 3),
        (Listener, rows_of(waves), 2),
        (Asleep, rows_of(blobs), 3),
        (Cut, rows_of(blobs), 3),
        (Sideways, rows_of(waves), 2),
    ]
    made = 0
    for make, rows, outputs in cases:
        after = applied(training(make, rows, outputs=outputs), {path: VALUES[path]}, rows)
        if after is None:
            continue
        made += 1
        course = Course(after, 0, rows, rows, after.aim.score, Ledger(1e9, (1.0, 1.0), 1))
        assert not course.advance(1 / after.epochs).failed and course.done > 0
    assert made > 0 or path == "data.scale_targets"  # these are classes
