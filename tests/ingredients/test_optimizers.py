"""Update rules step for step in float64, each member with hyperparameters of its own: against torch.optim, else
against the paper's algorithm written out in plain numbers for one member."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.ingredients.optimizer_references import PAPERS, TORCH
from trainwell.base import PlanError
from trainwell.base.layout import Layout, Slot
from trainwell.ingredients import optimizers_layerwise
from trainwell.ingredients.optimizers import OPTIMIZERS, weighted_averages
from trainwell.ingredients.optimizers_layerwise import NEWTON_SCHULZ_STEPS, orthogonal

LAYOUT = Layout(
    [
        Slot("hidden.0.weight", (4, 3), "weight"),
        Slot("hidden.0.bias", (4, 1)),
        Slot("hidden.1.weight", (2, 4), "weight"),
        Slot("output.weight", (2, 2), "weight"),
    ]
)
K, P, STEPS = 5, LAYOUT.size, 60


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


COLUMNS = {
    "learning_rate": column(1e-3, 3e-2, 0.1, 1e-2, 0.05),
    "weight_decay": column(0.0, 0.1, 1e-4, 0.5, 0.01),
    "momentum": column(0.9, 0.0, 0.5, 0.99, 0.8),
    "beta2": column(0.999, 0.95, 0.9, 0.98, 0.99),
    "rho": column(0.9, 0.95, 0.5, 0.0, 0.99),
    "momentum_decay": column(0.004, 0.0, 0.1, 0.01, 1.0),
    "epsilon": column(1e-8, 1e-3, 1e-6, 1e-12, 1e-1),
    "epsilon_inside": column(0, 0, 0, 0, 0),
}
INSIDE = {**COLUMNS, "epsilon": COLUMNS["epsilon_inside"], "epsilon_inside": COLUMNS["epsilon"]}
NO_DECAY = {**COLUMNS, "weight_decay": COLUMNS["epsilon_inside"]}

ROWS = {
    "sgd": ("O1", "R1"),
    "momentum": ("O2", "R1"),
    "nesterov": ("O3",),
    "adagrad": ("O4",),
    "adadelta": ("O5", "O10"),
    "rmsprop": ("O6", "O10"),
    "centred_rmsprop": ("O6",),
    "adam": ("O7", "O10"),
    "amsgrad": ("O7",),
    "nadam": ("O8",),
    "adamw": ("O9", "O10", "R1"),
    "radam": ("O9",),
    "lion": ("O9",),
    "schedule_free": ("O9",),
    "lamb": ("O9",),
    "muon": ("O9",),
}


def marked(names: Sequence[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.covers(*ROWS[name])) for name in names]


def landscape() -> tuple[Tensor, Tensor, Tensor]:
    """First weights (K, P), curvature (P,) and noise (STEPS, K, P): the gradient at step t is curvature·θ + noise_t."""
    g = torch.Generator().manual_seed(3)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=g)
    return draw(K, P), draw(P).abs(), draw(STEPS, K, P)


def walk(
    name: str, h: Mapping[str, Tensor] = COLUMNS, steps: int = STEPS, *, layout: Layout = LAYOUT
) -> tuple[list[Tensor], Tensor]:
    """Weights after every step, at a rate that falls, and those shown at the end."""
    start, curvature, noise = landscape()
    rule, θ, path = OPTIMIZERS[name], start.clone(), []
    s, c = rule.start(θ), {}
    for t in range(steps):
        c = rule.columns({**h, "learning_rate": h["learning_rate"] * factor(t)}, s, torch.tensor(t + 1.0).double())
        rule.update(θ, curvature * θ + noise[t], s, c, layout)
        path.append(θ.clone())
    return path, θ if rule.shown is None else rule.shown(θ, s, c)


def factor(t: int) -> float:
    return 1 / (1 + 0.02 * t)


def of_member(h: Mapping[str, Tensor], k: int) -> dict[str, float]:
    return {key: float(values[k]) for key, values in h.items()}


@pytest.fixture
def float64_scalars() -> Iterator[None]:
    """torch.optim keeps its scalars (NAdam's product of momenta) in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("float64_scalars")
@pytest.mark.parametrize("name", marked(list(TORCH)))
def test_sixty_steps_are_torchs_to_the_last_digits(name: str) -> None:
    h = INSIDE if OPTIMIZERS[name].epsilon_inside else COLUMNS
    path, _ = walk(name, h)
    start, curvature, noise = landscape()
    for k, row in enumerate(start):
        parameter, own = torch.nn.Parameter(row.clone()), of_member(h, k)
        optimizer = TORCH[name]([parameter], own)
        for t in range(STEPS):
            optimizer.param_groups[0]["lr"] = own["learning_rate"] * factor(t)
            parameter.grad = (curvature * parameter + noise[t, k]).detach()
            optimizer.step()
            torch.testing.assert_close(path[t][k], parameter.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", marked(list(PAPERS)))
@pytest.mark.parametrize("h", [COLUMNS, INSIDE], ids=["outside", "inside"])
def test_sixty_steps_are_the_papers_algorithm_written_out(name: str, h: Mapping[str, Tensor]) -> None:
    path, shown = walk(name, h)
    start, curvature, noise = landscape()
    for k in range(K):
        gradient = lambda θ, t, k=k: curvature.numpy() * θ + noise[t - 1, k].numpy()
        rates = [float(h["learning_rate"][k]) * factor(t) for t in range(STEPS)]
        theirs, best = PAPERS[name](start[k].numpy().copy(), gradient, of_member(h, k), rates, LAYOUT)
        np.testing.assert_allclose(path[-1][k].numpy(), theirs, rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(shown[k].numpy(), best, rtol=1e-10, atol=1e-11)


def test_every_optimizer_is_compared() -> None:
    assert set(OPTIMIZERS) == {*TORCH, *PAPERS} == set(ROWS), "add the new one to TORCH, or to the papers"


def test_a_misspelt_optimizer_is_answered_with_the_nearest() -> None:
    with pytest.raises(PlanError, match=r"Unknown optimizer 'nadan'\. Did you mean 'nadam'\?"):
        OPTIMIZERS["nadan"]


def steps_of(name: str, h: Mapping[str, Tensor], gradients: Tensor) -> Tensor:
    """Change of a weight at each step (T, K, P), with these gradients."""
    θ = torch.zeros_like(gradients[0])
    rule, changes = OPTIMIZERS[name], []
    s = rule.start(θ)
    for t, g in enumerate(gradients, start=1):
        before = θ.clone()
        rule.update(θ, g.clone(), s, rule.columns(h, s, torch.tensor(float(t)).double()), LAYOUT)
        changes.append(before - θ)
    return torch.stack(changes)


@pytest.mark.covers("O2", "V7")
def test_momentums_third_change_is_the_documents_expansion() -> None:
    η, γ = NO_DECAY["learning_rate"], NO_DECAY["momentum"]
    first, second, third = landscape()[2][:3]
    changes = steps_of("momentum", NO_DECAY, torch.stack([first, second, third]))
    torch.testing.assert_close(changes[0], η * first, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(changes[1], γ * η * first + η * second, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(changes[2], γ**2 * η * first + γ * η * second + η * third, rtol=1e-12, atol=1e-14)


@pytest.mark.covers("O2", "V7")
def test_momentum_is_the_sum_of_all_gradients_weighted_by_powers_of_gamma() -> None:
    η, γ, noise = NO_DECAY["learning_rate"], NO_DECAY["momentum"], landscape()[2]
    changes = steps_of("momentum", NO_DECAY, noise)
    for t in (0, 1, 7, STEPS - 1):
        closed = sum(γ ** (t - i) * η * noise[i] for i in range(t + 1))
        torch.testing.assert_close(changes[t], closed, rtol=1e-10, atol=1e-12)


@pytest.mark.covers("O11", "V7")
def test_the_averaged_temperatures_are_those_worked_out_by_hand() -> None:
    temperatures = torch.tensor([3.0, 5.0, 7.0, 2.0], dtype=torch.float64)
    by_hand = torch.tensor([0.3, 0.77, 1.393, 1.4537], dtype=torch.float64)
    torch.testing.assert_close(weighted_averages(temperatures, 0.9), by_hand, rtol=1e-13, atol=0)
    corrected = by_hand / torch.tensor([0.1, 0.19, 0.271, 0.3439], dtype=torch.float64)
    torch.testing.assert_close(weighted_averages(temperatures, 0.9, corrected=True), corrected, rtol=1e-13, atol=0)
    torch.testing.assert_close(float(corrected[0]), 3.0)


@pytest.mark.covers("O11")
@pytest.mark.parametrize("beta", [0.5, 0.9, 0.98])
def test_an_average_is_over_about_one_over_one_minus_beta_values(beta: float) -> None:
    window = round(1 / (1 - beta))
    step = torch.cat([torch.zeros(500), torch.ones(window)]).double()
    gathered = float(weighted_averages(step, beta)[-1])  # share of the last `window` values in the average
    assert gathered == pytest.approx(1 - beta**window)
    assert 1 - math.exp(-1) <= gathered <= 0.76  # 1 − 1/e in the limit
    constant = weighted_averages(torch.full((3, 40), 7.0).double(), beta, corrected=True)
    torch.testing.assert_close(constant, torch.full((3, 40), 7.0).double())


@pytest.mark.covers("O7", "O11")
def test_adams_first_step_is_the_rate_times_the_sign_thanks_to_bias_correction() -> None:
    h = {**NO_DECAY, "epsilon": COLUMNS["epsilon"] * 0 + 1e-300}
    g = landscape()[2][:1] * 10.0 ** torch.arange(-9, P - 9, dtype=torch.float64)
    for name in ("adam", "adamw", "amsgrad"):
        torch.testing.assert_close(steps_of(name, h, g)[0], h["learning_rate"] * g[0].sign(), rtol=1e-12, atol=0)


@pytest.mark.covers("O7")
def test_adam_as_the_documents_print_it_ascends_or_stands_still() -> None:
    """N0: v = β1v − (1−β1)∇, s = β2s − (1−β2)∇², Δw = ηv/√(s + ε)·∇, on the slope L = w, from w = 1."""
    η, β1, β2, ε, gradient = 0.001, 0.9, 0.999, 1e-8, 1.0
    v, s = -(1 - β1) * gradient, -(1 - β2) * gradient**2
    assert s < 0, "the printed mean square has no root"
    assert 1 - η * v / math.sqrt(-s + ε) > 1, "the printed mean alone goes up the slope"
    v, s = (1 - β1) * 1e-3, (1 - β2) * 1e-6  # signs mended, a small gradient, the extra factor left
    printed, mended = (η * v / math.sqrt(s + ε) * extra for extra in (1e-3, 1.0))
    assert printed < 1e-3 * η < mended, "the extra factor of the gradient stops it near the optimum"
    h = {key: column(value) for key, value in {"learning_rate": η, "weight_decay": 0, "momentum": β1}.items()}
    h |= {"beta2": column(β2), "epsilon": column(0.0), "epsilon_inside": column(ε)}
    ours = steps_of("adam", h, torch.full((1, 1, P), gradient).double())
    assert bool((ours > 0).all()), "adam goes down the slope"


@pytest.mark.covers("O7")
def test_without_hats_as_one_document_ends_the_first_step_is_three_times_as_long() -> None:
    unhatted = 0.1 / math.sqrt(0.001)
    h = {**NO_DECAY, "momentum": COLUMNS["momentum"] * 0 + 0.9, "beta2": COLUMNS["beta2"] * 0 + 0.999}
    ours = steps_of("adam", {**h, "epsilon": h["epsilon"] * 0 + 1e-300}, torch.ones(1, K, P).double())[0]
    torch.testing.assert_close(ours / h["learning_rate"], torch.ones_like(ours), rtol=1e-12, atol=0)
    assert unhatted == pytest.approx(3.16, abs=0.01)


@pytest.mark.covers("O9", "R1")
def test_decoupled_decay_shrinks_weights_without_a_gradient_and_coupled_decay_does_not_scale() -> None:
    start, _, _ = landscape()
    decayed = {}
    for name in ("adam", "adamw", "lion"):
        θ, rule = start.clone(), OPTIMIZERS[name]
        s = rule.start(θ)
        for t in range(10):
            c = rule.columns(COLUMNS, s, torch.tensor(t + 1.0).double())
            rule.update(θ, torch.zeros_like(θ), s, c, LAYOUT)
        decayed[name] = θ
    shrunk = start * (1 - COLUMNS["learning_rate"] * COLUMNS["weight_decay"]) ** 10
    torch.testing.assert_close(decayed["adamw"], shrunk, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(decayed["lion"], shrunk, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(decayed["adam"][1], shrunk[1])


def test_without_decay_adam_and_adamw_are_one() -> None:
    assert walk("adam", NO_DECAY)[0][-1].equal(walk("adamw", NO_DECAY)[0][-1])


@pytest.mark.covers("O6")
def test_a_steady_gradient_leaves_centred_rmsprop_no_variance_and_no_nan() -> None:
    h = {**NO_DECAY, "momentum": COLUMNS["momentum"] * 0}
    changes = steps_of("centred_rmsprop", h, torch.full((400, K, P), 1 / 3).double())
    assert bool(changes.isfinite().all())
    bold = h["learning_rate"] / 3 / h["epsilon"]  # β2 = 0.9 and less have forgotten that the mean began at 0
    torch.testing.assert_close(changes[-1][2], bold[2].expand(P), rtol=0.2, atol=0)


@pytest.mark.covers("O9")
def test_radam_is_momentum_for_five_steps_and_for_good_where_beta2_is_small() -> None:
    h = {**NO_DECAY, "momentum": COLUMNS["momentum"] * 0, "beta2": column(0.999, 0.999, 0.6, 0.5, 0.0)}
    g = landscape()[2][:12]
    steps = steps_of("radam", h, g) / h["learning_rate"]
    torch.testing.assert_close(steps[:5], g[:5], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(steps[:, 2:], g[:, 2:], rtol=1e-9, atol=1e-10)
    assert not torch.allclose(steps[5, :2], g[5, :2])


@pytest.mark.covers("O9")
def test_schedule_free_shows_the_plain_average_of_its_steps_at_a_constant_rate_without_bias() -> None:
    """Where √(1−β2ᵗ) is 1 (β2 = 0) all steps weigh the same, so x is the mean of z; a momentum of 0 loses nothing."""
    h = {**NO_DECAY, "beta2": COLUMNS["beta2"] * 0, "epsilon": COLUMNS["epsilon"] * 0 + 1e-300}
    start, _, noise = landscape()
    rule, θ, zs = OPTIMIZERS["schedule_free"], landscape()[0], []
    s = rule.start(θ)
    for t in range(20):
        rule.update(θ, noise[t].clone(), s, rule.columns(h, s, torch.tensor(t + 1.0).double()), LAYOUT)
        zs.append(start - h["learning_rate"] * noise[: t + 1].sign().sum(dim=0))
    assert rule.shown is not None
    torch.testing.assert_close(rule.shown(θ, s, h), torch.stack(zs).mean(dim=0), rtol=1e-10, atol=1e-12)


def test_the_state_starts_at_zero_or_at_the_weights() -> None:
    θ = landscape()[0]
    for name, rule in OPTIMIZERS.items():
        s = rule.start(θ)
        assert set(s) == {*rule.state, *rule.scalars}, name
        for key, value in s.items():
            assert value.shape == ((K, P) if key in rule.state else (K, 1)), name
            assert torch.equal(value, θ if key in rule.from_weights else torch.zeros_like(value)), name
            assert value.data_ptr() != θ.data_ptr(), name


@pytest.mark.covers("O9")
@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (9, 5), (1, 7)])
def test_newton_schulz_keeps_directions_and_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    g = torch.Generator().manual_seed(0)
    matrices = torch.randn(3, *shape, generator=g, dtype=torch.float64)
    U, values, Vt = torch.linalg.svd(matrices, full_matrices=False)
    a, b, c = 3.4445, -4.7750, 2.0315
    σ = values / torch.linalg.vector_norm(values, dim=1, keepdim=True)
    for _ in range(NEWTON_SCHULZ_STEPS):
        σ = a * σ + b * σ**3 + c * σ**5
    torch.testing.assert_close(orthogonal(matrices), U @ torch.diag_embed(σ) @ Vt, rtol=1e-9, atol=1e-9)
    large = σ[values > 0.1 * values.max()]
    assert bool(((large > 0.6) & (large < 1.3)).all())


@pytest.mark.covers("O9")
@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_muon_is_torchs_up_to_its_bfloat16() -> None:
    shape, steps = (96, 80), 10
    layout = Layout([Slot("hidden.0.weight", shape, "weight")])
    g = torch.Generator().manual_seed(1)
    start, noise = torch.randn(1, layout.size, generator=g), torch.randn(steps, 1, layout.size, generator=g)
    h = {"learning_rate": 0.02, "weight_decay": 0.1, "momentum": 0.95, "beta2": 0.95, "epsilon": 0.0}
    columns = {key: torch.tensor([[value]]) for key, value in {**h, "epsilon_inside": 0.0}.items()}
    θ, rule = start.clone(), OPTIMIZERS["muon"]
    s = rule.start(θ)
    theirs = torch.nn.Parameter(start.view(shape).clone())
    optimizer = torch.optim.Muon([theirs], 0.02, 0.1, 0.95, adjust_lr_fn="match_rms_adamw")
    for t in range(steps):
        rule.update(θ, noise[t].clone(), s, rule.columns(columns, s, torch.tensor(t + 1.0)), layout)
        theirs.grad = noise[t].view(shape).clone()
        optimizer.step()
    moved = float((theirs.detach().flatten() - start[0]).norm())
    assert float((theirs.detach().flatten() - θ[0]).norm()) < 0.02 * moved


@pytest.mark.covers("O9")
@pytest.mark.parametrize("block", [2**22, 80 * 96])
def test_an_orthogonal_step_is_a_members_own_also_in_bfloat16_and_in_blocks(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizers_layerwise, "BLOCK", block)
    g = torch.Generator().manual_seed(0)
    matrices = torch.randn(4, 80, 96, generator=g)
    others = torch.randn(4, 80, 96, generator=g)
    others[1], others[3] = matrices[1], float("nan")
    here, there = orthogonal(matrices), orthogonal(others)
    assert here.dtype == torch.float32
    assert torch.equal(here[1], there[1]) and not torch.equal(here[0], there[0])
    torch.testing.assert_close(here, orthogonal(matrices.double()).float(), rtol=0, atol=0.02)
