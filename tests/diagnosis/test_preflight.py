"""`trainwell.check`: faults that one batch shows, and silence where there is none."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

import trainwell
from trainwell.base import InputError

PIXELS, DIGITS = load_digits(return_X_y=True)
X, Y = torch.tensor(PIXELS[:32] / 16, dtype=torch.float32), torch.tensor(DIGITS[:32])
NUMBER = (X.sum(1, keepdim=True) - X.sum(1).mean()) / X.sum(1).std()
Make = Callable[[], nn.Module]


@pytest.fixture(autouse=True)
def float32():
    """The modules of users are in float32."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)


def dense(outputs: int = 10) -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, outputs))


def convolutional() -> nn.Sequential:
    parts = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*parts, nn.Dropout(0.2), nn.Flatten(), nn.Linear(288, 10))


class Recurrent(nn.Module):
    """An LSTM over the rows of the image."""

    def __init__(self, batch_first: bool = True) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(8, 24, batch_first=batch_first), nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.lstm(x.view(-1, 8, 8))[0][:, -1])


class Product(torch.autograd.Function):
    """z · z as a product, with a way back that forgets the 2."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return z * z

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        return slopes[0] * ctx.saved_tensors[0]


class Square(torch.autograd.Function):
    """z² with a way back that forgets the 2."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return z**2

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        return slopes[0] * z


class Between(nn.Module):
    """Two layers with something between them."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.between = nn.Linear(64, 32), nn.Linear(32, 10), between

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(x)))


class Residual(nn.Module):
    """Layers behind a sum, where nothing is missing between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 32), nn.Linear(32, 10)
        self.blocks = nn.ModuleList(nn.Sequential(nn.ReLU(), nn.Linear(32, 32)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for block in self.blocks:
            h = h + block(h)
        return self.last(h)


class Headed(nn.Module):
    """A recurrent layer, and two layers behind it with something or nothing between them."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        self.gru, self.between = nn.GRU(8, 24, batch_first=True), between
        self.first, self.last = nn.Linear(24, 24), nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(self.gru(x.view(-1, 8, 8))[0][:, -1])))


def pooled() -> nn.Sequential:
    """Convolutions with pools between them, and nothing else."""
    parts = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(32, 10))


def attending() -> nn.Sequential:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(nn.Unflatten(1, (8, 8)), nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(64, 10))


def constant(value: float) -> nn.Module:
    module = dense()
    for p in module.parameters():
        nn.init.constant_(p, value)
    return module


def kinds(module: nn.Module, loss_fn: Any = F.cross_entropy, x: Any = X, y: Any = Y, **more: Any) -> set[str]:
    return {f.kind for f in trainwell.check(module, loss_fn, x, y, **more) if f.severity != "info"}


HEALTHY: dict[str, tuple[Make, Any, Tensor]] = {
    "dense": (dense, F.cross_entropy, Y),
    "convolutional": (convolutional, nn.CrossEntropyLoss(), Y),
    "recurrent": (Recurrent, F.cross_entropy, Y),
    "residual": (Residual, F.cross_entropy, Y),
    "in place": (
        lambda: nn.Sequential(nn.Linear(64, 32), nn.ReLU(inplace=True), nn.Linear(32, 10)),
        F.cross_entropy,
        Y,
    ),
    "recurrent with a head": (lambda: Headed(nn.ReLU()), F.cross_entropy, Y),
    "transformer": (attending, F.cross_entropy, Y),
    "bottleneck": (
        lambda: nn.Sequential(nn.Linear(64, 4), nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 10)),
        F.cross_entropy,
        Y,
    ),
    "regression": (lambda: dense(1), F.mse_loss, NUMBER),
    "one linear layer": (lambda: nn.Linear(64, 10), F.cross_entropy, Y),
    "summed": (dense, nn.CrossEntropyLoss(reduction="sum"), Y),
}


@pytest.mark.covers("B2", "B3", "B4")
@pytest.mark.parametrize("name", HEALTHY)
def test_of_a_sound_module_nothing_is_said_but_that_all_is_well(name: str) -> None:
    make, loss_fn, y = HEALTHY[name]
    found = trainwell.check(make(), loss_fn, X, y)
    assert [f.kind for f in found if f.severity != "info"] == []
    well = next(f for f in found if f.kind == "all-is-well")
    assert {"batch-leak", "gradient-check-failed", "double-softmax"} <= set(str(well.evidence["checked"]).split(", "))
    assert well.evidence["not_checked"] == ""


FAULTS: dict[str, tuple[str, Make, Any, Tensor]] = {
    "softmax twice": ("double-softmax", lambda: nn.Sequential(dense(), nn.Softmax(1)), F.cross_entropy, Y),
    "one unit": ("loss-output-mismatch", lambda: dense(1), F.cross_entropy, torch.zeros_like(Y)),
    "classes by distance": ("loss-output-mismatch", lambda: dense(1), lambda z, y: F.mse_loss(z[:, 0], y.float()), Y),
    "float classes": ("loss-output-mismatch", dense, F.cross_entropy, Y.float()),
    "broadcast": ("target-shape-mismatch", lambda: dense(1), lambda z, y: ((z - y) ** 2).mean(), NUMBER[:, 0]),
    "too few targets": ("target-shape-mismatch", dense, F.cross_entropy, Y[:20]),
    "zeros": ("symmetric-units", lambda: constant(0.0), F.cross_entropy, Y),
    "ones": ("symmetric-units", lambda: constant(1.0), F.cross_entropy, Y),
    "no function": ("missing-activation", lambda: Between(nn.Identity()), F.cross_entropy, Y),
    "pools only": ("missing-activation", pooled, F.cross_entropy, Y),
    "no function in the head": ("missing-activation", lambda: Headed(nn.Identity()), F.cross_entropy, Y),
    "wrong backward": ("gradient-check-failed", lambda: Between(Square.apply), F.cross_entropy, Y),
    "detached": ("parameters-not-updated", lambda: Between(lambda h: h.relu().detach()), F.cross_entropy, Y),
    "centred over the batch": ("batch-leak", lambda: Between(lambda h: h.relu() - h.mean(0)), F.cross_entropy, Y),
    "axes of a LSTM": ("batch-leak", lambda: Recurrent(batch_first=False), F.cross_entropy, Y),
    "log of nothing": ("non-finite", lambda: Between(lambda h: torch.log(h.relu() * 0)), F.cross_entropy, Y),
    "ignored inputs": ("cannot-overfit-batch", lambda: Between(lambda h: h.relu() * 0), F.cross_entropy, Y),
}


class Padded(nn.Module):
    """Embeddings, of which that of the padding gets no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(17, 12, padding_idx=0), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.words((x * 16).long()).mean(1).tanh())


def test_the_row_of_the_padding_needs_no_gradient() -> None:
    assert kinds(Padded()) == set()


def test_a_loss_that_is_not_in_float64_is_said_not_to_be_checked() -> None:
    found = trainwell.check(dense(), lambda z, y: F.cross_entropy(z.float(), y), X, Y)
    assert "gradient-check-failed" in str(found[-1].evidence["not_checked"])


def test_one_sample_shows_nothing_of_many() -> None:
    assert kinds(dense(), x=X[:1], y=Y[:1]) == set()


def test_smoothed_labels_leave_a_loss_that_is_no_fault() -> None:
    assert kinds(dense(), partial(F.cross_entropy, label_smoothing=0.3)) == set()


def test_a_batch_of_thousands_is_checked_by_some_of_its_rows() -> None:
    x, y = X.repeat(100, 1) + 0.1 * torch.randn(3200, 64), Y.repeat(100)
    assert kinds(dense(), x=x, y=y) == set()


def test_a_product_of_a_signal_with_itself_is_no_missing_activation() -> None:
    assert kinds(Between(Product.apply)) == {"gradient-check-failed"}
    assert kinds(Between(lambda h: h * h)) == set()


@pytest.mark.covers("A11", "B3", "B4", "D7", "D9")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(name: str) -> None:
    kind, make, loss_fn, y = FAULTS[name]
    assert kind in kinds(make(), loss_fn, X, y)


class Dropping(nn.Module):
    """A hidden layer, and a function behind it."""

    def __init__(self, behind: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.drop, self.behind = nn.Linear(64, 32), nn.Linear(32, 10), nn.Dropout(0.3), behind

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.behind(self, self.first(x).relu()))


def attended(m: nn.Module, h: Tensor) -> Tensor:
    h = h.view(-1, 4, 8)
    return F.scaled_dot_product_attention(h, h, h, dropout_p=0.2).flatten(1)


MODES: dict[str, tuple[bool, Callable[[nn.Module, Tensor], Tensor]]] = {
    "a function of dropout that is always on": (True, lambda m, h: F.dropout(h, 0.3)),
    "a function of dropout that knows the mode": (False, lambda m, h: F.dropout(h, 0.3, m.training)),
    "one of a rate of 0": (False, lambda m, h: F.dropout(h, 0.0)),
    "a layer of dropout": (False, lambda m, h: m.get_submodule("drop")(h)),
    "attention that always drops": (True, attended),
    "a forward pass that ends the training mode": (True, lambda m, h: m.eval().get_submodule("drop")(h)),
    "a layer that is put into training mode": (True, lambda m, h: m.get_submodule("drop").train()(h)),
}


@pytest.mark.covers("R2")
@pytest.mark.parametrize("name", MODES)
def test_a_mode_that_does_not_do_what_it_should_is_named(name: str) -> None:
    wrong, behind = MODES[name]
    assert kinds(Dropping(behind)) == ({"wrong-mode"} if wrong else set())


@pytest.mark.covers("D10", "P1")
def test_inputs_that_are_not_scaled_are_named() -> None:
    assert "unscaled-inputs" in kinds(dense(), x=255 * X)


def test_parameters_that_no_optimizer_holds_are_named() -> None:
    module = dense()
    optimizer = torch.optim.Adam(module.parameters())
    module[4] = nn.Linear(32, 10)
    assert "parameters-not-updated" in kinds(module, optimizer=optimizer)


@pytest.mark.covers("B5", "D6")
@pytest.mark.parametrize(("rate", "kind"), [(1e3, "learning-rate-too-large"), (1e-8, "learning-rate-too-small")])
def test_the_rate_is_tried_on_the_batch(rate: float, kind: str) -> None:
    module = dense()
    assert kind in kinds(module, optimizer=torch.optim.SGD(module.parameters(), lr=rate))
    assert kinds(module, optimizer=torch.optim.SGD(module.parameters(), lr=0.05)) == set()


def test_everything_is_left_as_it_was() -> None:
    module = convolutional().eval()
    optimizer = torch.optim.Adam(module.parameters())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    streams = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].copy()
    trainwell.check(module, F.cross_entropy, X, Y, optimizer=optimizer)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not module.training and all(p.grad is None for p in module.parameters()) and not optimizer.state
    assert (
        torch.equal(streams[0], torch.get_rng_state())
        and (streams[1] == np.random.get_state(legacy=False)["state"]["key"]).all()
    )


def test_inputs_may_be_several() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = dense()

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.net(torch.cat([a, b], 1))

    halves = X[:, :32], X[:, 32:]
    assert kinds(Two(), x=halves) == set()
    assert kinds(Two(), x={"a": halves[0], "b": halves[1]}) == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("net", F.cross_entropy, X, Y), r"check takes a torch.nn.Module, but got str\."),
        ((dense(), "mse", X, Y), r"loss_fn must be a function of outputs and targets, but is str\."),
        ((dense(), F.cross_entropy, X[:, :5], Y), r"The module fails on the inputs \(32, 5\) of float32: RuntimeError"),
        ((dense(), lambda z, y: z, X, Y), r"loss_fn must give one number as a tensor, but gives \(32, 10\)"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_one_line(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        trainwell.check(*arguments)
    assert "\n" not in str(raised.value)


class Reader(nn.Module):
    """Names in order, and what may come next at each place."""

    def __init__(self, *, causal: bool) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(12, 16), nn.Linear(16, 12)
        self.layer, self.causal = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), causal

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.causal else None
        return self.out(self.layer(self.words(x), src_mask=mask))


@pytest.mark.parametrize("causal", [False, True])
def test_a_module_that_sees_what_it_is_to_predict_next_leaks(causal: bool) -> None:
    text = torch.randint(12, (6, 11), generator=torch.Generator().manual_seed(0))
    loss_fn = lambda z, y: F.cross_entropy(z.flatten(0, 1), y.flatten())
    found = kinds(Reader(causal=causal), loss_fn, text[:, :-1], text[:, 1:])
    assert ("train-test-leak" in found) is not causal


def test_what_comes_later_may_be_seen_where_it_is_not_the_target() -> None:
    words, tags = torch.randint(12, (2, 6, 10), generator=torch.Generator().manual_seed(1))
    loss_fn = lambda z, y: F.cross_entropy(z.flatten(0, 1), y.flatten())
    assert "train-test-leak" not in kinds(Reader(causal=False), loss_fn, words, tags)


class Masked(nn.Module):
    """A language model whose mask of numbers stays in float32, whatever the weights are in."""

    def __init__(self) -> None:
        super().__init__()
        self.names, self.head = nn.Embedding(20, 32), nn.Linear(32, 20)
        self.block = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=True)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.shape[1]
        mask = torch.triu(torch.full((steps, steps), float("-inf"), dtype=torch.float32), 1)
        return self.head(self.block(self.names(x), src_mask=mask)).transpose(1, 2)


@pytest.mark.covers("B4")
def test_attention_with_a_mask_in_another_precision_has_right_gradients() -> None:
    torch.manual_seed(0)
    names = torch.randint(20, (8, 33))
    found = trainwell.check(Masked(), F.cross_entropy, names[:, :-1], names[:, 1:])
    assert "gradient-check-failed" not in {finding.kind for finding in found}
    assert "gradient-check-failed" in str(found[-1].evidence["checked"])


class Spike(torch.autograd.Function):
    """A step with the gradient of a line, as in networks of spikes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return 0.5 * g


class Swish(torch.autograd.Function):
    """x · sigmoid(x) with the wrong sign on its way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return -g * ctx.saved_tensors[0].sigmoid()


@pytest.mark.covers("B4")
@pytest.mark.parametrize(
    ("function", "told"),
    [(Spike.apply, False), (lambda h: h + (h.round() - h).detach(), False), (torch.relu, False), (Swish.apply, True)],
)
def test_a_gradient_that_is_made_up_on_purpose_is_not_blamed(function: Any, told: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 64)
    found = trainwell.check(Between(function), nn.functional.cross_entropy, x, x[:, :10].argmax(1))
    assert ("gradient-check-failed" in [finding.kind for finding in found]) == told


class Frozen(nn.Module):
    """A part trained before, kept in evaluation mode on purpose, and a new head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU()).requires_grad_(False)
        self.head = nn.Linear(32, 10)

    def train(self, mode: bool = True) -> "Frozen":
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


def test_a_part_that_train_keeps_in_evaluation_mode_is_not_blamed() -> None:
    x = torch.randn(64, 64)
    found = trainwell.check(Frozen(), nn.functional.cross_entropy, x, x[:, :10].argmax(1))
    assert "wrong-mode" not in [finding.kind for finding in found]


def test_a_last_layer_that_is_zero_before_its_first_update_is_no_vanishing_gradient() -> None:
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    y = x[:, :1] * 0.5 + x[:, 1:2].abs()
    torch.manual_seed(0)
    begun_at_zero = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    nn.init.zeros_(begun_at_zero[-1].weight)  # pyright: ignore[reportArgumentType]
    assert [f.kind for f in trainwell.check(begun_at_zero, nn.MSELoss(), x, y) if f.severity != "info"] == []
    sigmoids = [layer for _ in range(12) for layer in (nn.Linear(16, 16), nn.Sigmoid())]
    faded = nn.Sequential(nn.Linear(5, 16), nn.Sigmoid(), *sigmoids, nn.Linear(16, 1))
    assert "vanishing-gradient" in [f.kind for f in trainwell.check(faded, nn.MSELoss(), x, y)]


def test_several_optimizers_are_tried_together() -> None:
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    y = x[:, :1] * 0.5 + x[:, 1:2].abs()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
    halves = [torch.optim.Adam(model[0].parameters(), lr=1e-3), torch.optim.SGD(model[2].parameters(), lr=0.05)]
    assert [f.kind for f in trainwell.check(model, nn.MSELoss(), x, y, optimizer=halves) if f.severity != "info"] == []
    told = [[f.kind for f in trainwell.check(model, nn.MSELoss(), x, y, optimizer=o)] for o in (halves, halves[1:])]
    assert ["parameters-not-updated" in kinds for kinds in told] == [False, True]
    with pytest.raises(InputError, match="or a list of them, but holds str"):
        trainwell.check(model, nn.MSELoss(), x, y, optimizer=["sgd"])


class TwoTowers(nn.Module):
    """Outputs (B, B): how near each picture lies to each text."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(5, 8), nn.Linear(5, 8)

    def forward(self, x: Tensor) -> Tensor:
        a, b = (F.normalize(tower(x), dim=1) for tower in (self.one, self.other))
        return 5 * a @ b.T


def test_outputs_of_pairs_of_samples_are_no_leak() -> None:
    x = torch.randn(16, 5, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    assert "batch-leak" not in [f.kind for f in trainwell.check(TwoTowers(), F.cross_entropy, x, torch.arange(16))]


def test_a_loss_that_keeps_a_gradient_back_is_no_wrong_one() -> None:
    def beta_nll(z: Tensor, y: Tensor) -> Tensor:  # Seitzer et al. 2022
        return ((z[:, 1:] + (y - z[:, :1]) ** 2 / z[:, 1:].exp()) * z[:, 1:].detach().exp() ** 0.5).mean()

    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    found = trainwell.check(nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 2)), beta_nll, x, x[:, :1] ** 2)
    assert "gradient-check-failed" not in [f.kind for f in found]


class OverEdges(nn.Module):
    """Of each node, itself and the mean of those that edges come from."""

    def __init__(self, links: Tensor | None = None) -> None:
        super().__init__()
        self.links, self.out = links, nn.Linear(10, 3)

    def forward(self, x: Tensor, source: Tensor | None = None, target: Tensor | None = None) -> Tensor:
        if source is None or target is None:
            assert self.links is not None
            return self.out(torch.cat([x, self.links[: len(x), : len(x)] @ x], 1))
        return self.out(torch.cat([x, torch.zeros_like(x).index_add(0, target, x[source])], 1))


def test_nodes_that_the_module_is_told_to_link_are_no_leak() -> None:
    x, y = torch.randn(30, 5, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3
    source, target = torch.arange(30).repeat(2), torch.cat([torch.arange(30).roll(1), torch.arange(30).roll(2)])
    links = torch.ones(30, 30) / 30
    torch.manual_seed(0)
    for model, inputs in ((OverEdges(), (x, source, target)), (OverEdges(links), x)):
        assert "batch-leak" not in [f.kind for f in trainwell.check(model, F.cross_entropy, inputs, y)]
    mixing = OverEdges(torch.ones(40, 40) / 40)
    assert "batch-leak" in [f.kind for f in trainwell.check(mixing, F.cross_entropy, x, y)]


def test_a_loss_in_which_numbers_are_cut_to_32_bits_is_no_wrong_gradient() -> None:
    def overlap(z: Tensor, y: Tensor) -> Tensor:  # as loops with mixed precision have it
        p = z.float().sigmoid()
        return F.binary_cross_entropy_with_logits(z.float(), y) + 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)

    x = torch.randn(32, 1, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(1, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.Upsample(scale_factor=2),
        nn.Conv1d(8, 1, 1),
    )  # fmt: skip
    found = trainwell.check(net, overlap, x, (x > 0.5).float())
    assert "gradient-check-failed" not in [f.kind for f in found]
