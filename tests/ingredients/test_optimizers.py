"""Update rules against torch.optim step for step in float64, each member with hyperparameters of its own."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainwell.ingredients import OPTIMIZERS

K, P, STEPS = 5, 11, 60


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


COLUMNS = {
    "learning_rate": column(1e-3, 3e-2, 0.1, 1e-2, 0.05),
    "weight_decay": column(0.0, 0.1, 1e-4, 0.5, 0.01),
    "momentum": column(0.9, 0.0, 0.5, 0.99, 0.8),
    "beta2": column(0.999, 0.95, 0.9, 0.98, 0.99),
    "epsilon": column(1e-8, 1e-3, 1e-6, 1e-12, 1e-1),
}


def of_torch(name: str, k: int, parameter: Tensor) -> torch.optim.Optimizer:
    h = {key: float(values[k]) for key, values in COLUMNS.items()}
    betas = (h["momentum"], h["beta2"])
    build: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "sgd": lambda: torch.optim.SGD([parameter], h["learning_rate"], weight_decay=h["weight_decay"]),
        "momentum": lambda: torch.optim.SGD(
            [parameter], h["learning_rate"], momentum=h["momentum"], weight_decay=h["weight_decay"]
        ),
        "adam": lambda: torch.optim.Adam([parameter], h["learning_rate"], betas, h["epsilon"], h["weight_decay"]),
        "adamw": lambda: torch.optim.AdamW([parameter], h["learning_rate"], betas, h["epsilon"], h["weight_decay"]),
    }
    return build[name]()


def landscape() -> tuple[Tensor, Tensor, Tensor]:
    """First weights (K, P), curvature (P,) and noise (STEPS, K, P): the gradient at step t is curvature·θ + noise_t."""
    g = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=g)
    return draw(K, P), draw(P).abs(), draw(STEPS, K, P)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("sgd", marks=pytest.mark.covers("O1", "R1")),
        pytest.param("momentum", marks=pytest.mark.covers("O2", "R1")),
        pytest.param("adam", marks=pytest.mark.covers("O7", "O10")),
        pytest.param("adamw", marks=pytest.mark.covers("O9", "O10", "R1")),
    ],
)
def test_sixty_steps_are_torchs_to_the_last_digits(name: str) -> None:
    start, curvature, noise = landscape()
    θ, state = start.clone(), {key: torch.zeros_like(start) for key in OPTIMIZERS[name].state}
    theirs = [torch.nn.Parameter(row.clone()) for row in start]
    optimizers = [of_torch(name, k, parameter) for k, parameter in enumerate(theirs)]
    for t in range(STEPS):
        factor = 1 / (1 + 0.02 * t)  # a schedule
        columns = {**COLUMNS, "learning_rate": COLUMNS["learning_rate"] * factor}
        OPTIMIZERS[name].update(θ, curvature * θ + noise[t], state, columns, t + 1)
        for k, (parameter, optimizer) in enumerate(zip(theirs, optimizers, strict=True)):
            optimizer.param_groups[0]["lr"] = float(COLUMNS["learning_rate"][k]) * factor
            parameter.grad = (curvature * parameter + noise[t, k]).detach()
            optimizer.step()
            torch.testing.assert_close(θ[k], parameter.detach(), rtol=1e-12, atol=1e-12)


def test_every_optimizer_is_compared() -> None:
    assert set(OPTIMIZERS) == {"sgd", "momentum", "adam", "adamw"}, "add the new one above, with its reference"


@pytest.mark.covers("O2", "V7")
def test_momentum_is_the_sum_of_all_gradients_weighted_by_powers_of_gamma() -> None:
    start, _, noise = landscape()
    η, γ = COLUMNS["learning_rate"], COLUMNS["momentum"]
    columns = {**COLUMNS, "weight_decay": torch.zeros(K, 1, dtype=torch.float64)}
    θ, state = start.clone(), {"u": torch.zeros_like(start)}
    for t in range(8):
        before = θ.clone()
        OPTIMIZERS["momentum"].update(θ, noise[t].clone(), state, columns, t + 1)
        change = sum(γ ** (t - i) * η * noise[i] for i in range(t + 1))
        torch.testing.assert_close(before - θ, change, rtol=1e-10, atol=1e-12)


@pytest.mark.covers("O7")
def test_adams_first_step_is_the_rate_times_the_sign_thanks_to_bias_correction() -> None:
    g = torch.tensor([[3.0, -0.002, 40.0]], dtype=torch.float64)
    columns = {key: values[:1] for key, values in COLUMNS.items()} | {"epsilon": column(1e-300)}
    θ, state = torch.zeros_like(g), {"m": torch.zeros_like(g), "v": torch.zeros_like(g)}
    OPTIMIZERS["adam"].update(θ, g.clone(), state, columns, 1)
    torch.testing.assert_close(θ, -1e-3 * g.sign(), rtol=1e-9, atol=0)


@pytest.mark.covers("O9", "R1")
def test_decoupled_decay_shrinks_weights_without_a_gradient_and_coupled_decay_does_not_scale() -> None:
    start, _, _ = landscape()
    decayed = {}
    for name in ("adam", "adamw"):
        θ, state = start.clone(), {key: torch.zeros_like(start) for key in ("m", "v")}
        for t in range(10):
            OPTIMIZERS[name].update(θ, torch.zeros_like(θ), state, COLUMNS, t + 1)
        decayed[name] = θ
    shrunk = start * (1 - COLUMNS["learning_rate"] * COLUMNS["weight_decay"]) ** 10
    torch.testing.assert_close(decayed["adamw"], shrunk, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(decayed["adam"][1], shrunk[1])


def test_without_decay_adam_and_adamw_are_one() -> None:
    start, curvature, noise = landscape()
    columns = {**COLUMNS, "weight_decay": torch.zeros(K, 1, dtype=torch.float64)}
    ends = []
    for name in ("adam", "adamw"):
        θ, state = start.clone(), {key: torch.zeros_like(start) for key in ("m", "v")}
        for t in range(20):
            OPTIMIZERS[name].update(θ, curvature * θ + noise[t], state, columns, t + 1)
        ends.append(θ)
    assert ends[0].equal(ends[1])
