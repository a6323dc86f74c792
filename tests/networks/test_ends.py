"""The two ends of a user's module, judged by what it does."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trainwell.networks import built, first_inputs, last_linear, output_function

X = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
Make = Callable[[], nn.Module]


def ending(*layers: nn.Module, outputs: int = 3) -> Make:
    return lambda: nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, outputs), *layers)


class Scaled(nn.Module):
    """Prepares its inputs, and gives temperatures."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.last = nn.Linear(5, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.hidden(x / 100))).squeeze(1) * 10 + 20


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 5), nn.Linear(5, 5)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


def zeros() -> nn.Module:
    module = nn.Linear(5, 1)
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    return module


@pytest.mark.covers("A10")
@pytest.mark.parametrize(
    ("make", "function"),
    [
        (ending(), "identity"),
        (ending(outputs=1), "identity"),
        (ending(nn.Softmax(1)), "softmax"),
        (ending(nn.Softmax(1), outputs=2), "softmax"),
        (ending(nn.LogSoftmax(1)), "log_softmax"),
        (ending(nn.Sigmoid(), outputs=1), "sigmoid"),
        (ending(nn.Tanh()), "tanh"),
        (ending(nn.ReLU()), "relu"),
        (ending(nn.Softplus(), outputs=1), "relu"),
        (ending(nn.LeakyReLU()), "identity"),
        (Scaled, "identity"),
        (zeros, "identity"),
    ],
)
def test_what_a_module_applies_to_its_outputs_is_seen(make: Make, function: str) -> None:
    for seed in range(5):
        assert output_function(lambda seed=seed: built(make, seed), X) == function


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (ending(), "2"),
        (ending(nn.Flatten(0), outputs=1), "2"),
        (lambda: nn.Linear(5, 1), ""),
        (ending(nn.ReLU()), None),
        (ending(nn.Sigmoid(), outputs=1), None),
        (Scaled, None),
        (Tied, None),
        (lambda: nn.Linear(5, 1, bias=False), None),
        (lambda: nn.Conv1d(5, 1, 1), None),
    ],
)
def test_the_last_linear_layer_is_found_where_its_outputs_are_the_modules(make: Make, name: str | None) -> None:
    x = X[:, :, None] if isinstance(make(), nn.Conv1d) else X
    assert last_linear(lambda: built(make, 0), x) == name


def test_what_reaches_the_first_weights_is_behind_the_modules_own_preparation() -> None:
    x = 100 * X + 500
    fed = first_inputs(lambda: built(Scaled, 0), x)
    assert fed is not None
    torch.testing.assert_close(fed, x / 100)
    normed = first_inputs(lambda: nn.Sequential(nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2)), x)
    assert normed is not None
    torch.testing.assert_close(normed.std(0, correction=0), torch.ones(5), rtol=1e-4, atol=1e-4)
    images = first_inputs(lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), torch.ones(4, 1, 5, 5))
    assert images is not None and images.shape == (4, 25)


def test_words_that_are_looked_up_are_no_numbers() -> None:
    words = torch.randint(0, 7, (4, 3))
    assert first_inputs(lambda: nn.Sequential(nn.Embedding(7, 2), nn.Flatten(), nn.Linear(6, 2)), words) is None


def test_looking_disturbs_no_random_stream() -> None:
    state = torch.get_rng_state()
    make = ending(nn.Dropout(0.5))
    output_function(lambda: built(make, 0), X)
    last_linear(lambda: built(make, 0), X)
    first_inputs(lambda: built(make, 0), X)
    assert torch.get_rng_state().equal(state)
