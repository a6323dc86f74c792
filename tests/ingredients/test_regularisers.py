"""Regularisers against torch, autograd of the penalty, and the papers' own loops."""

from collections.abc import Callable
from math import inf, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from trainwell.ingredients.regularisers import (
    REGULARISERS,
    Regulariser,
    beta_shares,
    clip_adaptive,
    clip_layer_norm,
    clip_norm,
    clip_value,
    dropout,
    ema_decay,
    input_noise,
    l1,
    l2,
    max_norm,
    mixed_loss,
    mixup,
    penalty,
    swa_start,
)
from trainwell.testing import regularisers as suite
from trainwell.testing.regularisers import LAWS, LAYOUT, MEMBERS, Scene

MATRICES = ("hidden.0.weight", "output.weight")


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def parameters(scene: Scene, k: int) -> dict[str, torch.nn.Parameter]:
    """One member's tensors with their slopes, as torch's functions want them."""
    weights, slopes = LAYOUT.views(scene.θ.clone()), LAYOUT.views(scene.g.clone())
    found = {name: torch.nn.Parameter(view[k].clone()) for name, view in weights.items()}
    for name, parameter in found.items():
        parameter.grad = slopes[name][k].clone()
    return found


def slopes_of(found: dict[str, torch.nn.Parameter]) -> Tensor:
    return torch.cat([p.grad.flatten() for p in found.values() if p.grad is not None])


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", REGULARISERS)
def test_a_regulariser_keeps_the_laws(name: str, law: str) -> None:
    LAWS[law](name)


def mean_of_all(θ: Tensor, g: Tensor, c: Tensor, layout: Any) -> None:
    g.add_(c * g.mean())


def hiding(θ: Tensor, g: Tensor, c: Tensor, layout: Any) -> None:
    g.nan_to_num_().clamp_(min=-c, max=c)


def halving(θ: Tensor, g: Tensor, c: Tensor, layout: Any) -> None:
    g.mul_(0.5)


@pytest.mark.parametrize(
    ("fault", "law", "sentence"),
    [
        (mean_of_all, "alone-as-in-company", "member 0 alone is not what it is among others"),
        (mean_of_all, "others-do-not-matter", "others' values reach me"),
        (hiding, "a-nan-stays-seen", "a NaN is lost"),
        (halving, "off-changes-nothing", "'not used' changes something"),
        (halving, "the-strength-is-each-members-own", "are treated alike"),
        (halving, "a-threshold-is-kept-at-once", "it acts below its threshold"),
        (halving, "documented", "is not a formula with its source"),
    ],
)
def test_a_faulty_regulariser_breaks_a_law(
    fault: Callable[..., None], law: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Regulariser(REGULARISERS["clip_norm"].hyper, inf, "gradient", fault, "Nothing.")
    monkeypatch.setattr(suite, "REGULARISERS", {"faulty": entry})
    with pytest.raises(AssertionError, match=sentence):
        LAWS[law]("faulty")


@pytest.mark.covers("R1")
def test_penalties_have_the_slopes_of_autograd() -> None:
    scene, λ1, λ2 = Scene.of(), column(0.1, 0.0, 0.3, 2.0, 0.0), column(0.0, 0.2, 0.5, 1.0, 0.0)
    leaf = scene.θ.clone().requires_grad_()
    total = penalty(leaf, {"l1": λ1, "l2": λ2}, LAYOUT)
    (slopes,) = torch.autograd.grad(total.sum(), leaf)
    g = torch.zeros_like(scene.g)
    l1(scene.θ, g, λ1, LAYOUT)
    l2(scene.θ, g, λ2, LAYOUT)
    assert torch.allclose(g, slopes, rtol=1e-14, atol=1e-14)
    assert total[4] == 0 and (total[:4] > 0).all()


@pytest.mark.covers("R1")
def test_penalties_are_of_the_layers_weights_alone() -> None:
    scene, λ = Scene.of(), column(*[0.5] * MEMBERS)
    by_hand = torch.zeros(MEMBERS, 1, dtype=torch.float64)
    for k in range(MEMBERS):
        for name in MATRICES:
            w = LAYOUT.views(scene.θ)[name][k]
            by_hand[k] += 0.5 * sum(abs(x) for x in w.flatten().tolist()) + 0.25 * float((w * w).sum())
    assert torch.allclose(penalty(scene.θ, {"l1": λ, "l2": λ}, LAYOUT), by_hand, rtol=1e-14)
    for apply in (l1, l2):
        g = torch.zeros_like(scene.g)
        apply(scene.θ, g, λ, LAYOUT)
        touched = {name for name, view in LAYOUT.views(g).items() if bool(view.any())}
        assert touched == set(MATRICES)


@pytest.mark.covers("R9")
def test_clipping_by_value_is_torchs() -> None:
    scene, c = Scene.of(), column(0.1, 0.5, 1.0, 3.0, inf)
    g = scene.g.clone()
    clip_value(scene.θ, g, c, LAYOUT)
    for k in range(MEMBERS):
        theirs = parameters(scene, k)
        torch.nn.utils.clip_grad_value_(theirs.values(), float(c[k]))
        assert torch.equal(g[k], slopes_of(theirs))


@pytest.mark.covers("R9")
def test_clipping_by_norm_is_torchs_but_for_its_millionth() -> None:
    scene, c = Scene.of(), column(0.1, 1.0, 5.0, 1000.0, inf)
    g = scene.g.clone()
    clip_norm(scene.θ, g, c, LAYOUT)
    for k in range(MEMBERS):
        theirs = parameters(scene, k)
        torch.nn.utils.clip_grad_norm_(theirs.values(), float(c[k]))
        assert torch.allclose(g[k], slopes_of(theirs), rtol=1e-6, atol=0)


@pytest.mark.covers("R9")
def test_after_clipping_by_norm_the_norm_is_c_and_the_direction_as_before() -> None:
    scene, c = Scene.of(), column(0.1, 1.0, 5.0, 1000.0, inf)
    g = scene.g.clone()
    clip_norm(scene.θ, g, c, LAYOUT)
    before, after = scene.g.norm(dim=1), g.norm(dim=1)
    assert torch.allclose(after, torch.minimum(before, c.flatten()), rtol=1e-14, atol=0)
    assert torch.allclose((g * scene.g).sum(1), before * after, rtol=1e-14, atol=0)  # cosine 1
    assert torch.equal(g[3:], scene.g[3:])


@pytest.mark.covers("R9")
def test_a_gradient_whose_squares_overflow_is_clipped_too() -> None:
    scene = Scene.of(torch.float32)
    for clip, parts in ((clip_norm, {"": slice(0, LAYOUT.size)}), (clip_layer_norm, _spans())):
        g = scene.g * 1e30
        clip(scene.θ, g, torch.full((MEMBERS, 1), 2.0), LAYOUT)
        for part in parts.values():
            assert torch.allclose(g[:, part].norm(dim=1), torch.tensor(2.0), rtol=1e-5)


@pytest.mark.covers("R9")
def test_an_infinite_slope_is_not_made_to_look_well() -> None:
    scene = Scene.of()
    scene.g[1, 4] = inf
    g = scene.g.clone()
    clip_norm(scene.θ, g, column(*[1.0] * MEMBERS), LAYOUT)
    assert torch.equal(g[1], scene.g[1])
    assert torch.allclose(g[[0, 2, 3, 4]].norm(dim=1), torch.ones(4, dtype=torch.float64))


def _spans() -> dict[str, slice]:
    return {slot.name: slice(*LAYOUT.span(slot.name)) for slot in LAYOUT.slots}


@pytest.mark.covers("R9")
def test_clipping_by_layer_gives_each_tensor_its_own_norm() -> None:
    scene, c = Scene.of(), column(0.1, 1.0, 5.0, 8.0, inf)
    g = scene.g.clone()
    clip_layer_norm(scene.θ, g, c, LAYOUT)
    for k in range(MEMBERS):
        for part in _spans().values():
            before = scene.g[k, part]
            limit = min(1.0, float(c[k]) / float(before.norm()))
            assert torch.allclose(g[k, part], before * limit, rtol=1e-13, atol=0)


def adaptive(w: Tensor, g: Tensor, λ: float) -> Tensor:
    """Brock's formula (3) for one tensor, unit by unit; vectors are one unit."""
    units = [slice(None)] if min(w.shape) == 1 else [slice(i, i + 1) for i in range(len(w))]
    clipped = g.clone()
    for unit in units:
        norm = sqrt(sum(x * x for x in g[unit].flatten().tolist()))
        weight = max(sqrt(sum(x * x for x in w[unit].flatten().tolist())), 1e-3)
        if norm / weight > λ:
            clipped[unit] = λ * weight / norm * g[unit]
    return clipped


@pytest.mark.covers("R9")
def test_adaptive_clipping_is_the_papers_formula_unit_by_unit() -> None:
    scene, λ = Scene.of(), column(0.01, 0.1, 1.0, 3.0, inf)
    scene.θ[1, 8:14] = 0.0  # a unit that starts with weights 0 can move
    g = scene.g.clone()
    clip_adaptive(scene.θ, g, λ, LAYOUT)
    weights, slopes, before = (LAYOUT.views(m) for m in (scene.θ, g, scene.g))
    for name in weights:
        for k in range(MEMBERS):
            last = name.startswith("output.")
            expected = before[name][k] if last else adaptive(weights[name][k], before[name][k], float(λ[k]))
            assert torch.allclose(slopes[name][k], expected, rtol=1e-12, atol=0), name


@pytest.mark.covers("R1")
def test_max_norm_is_torchs_renorm_of_each_units_incoming_weights() -> None:
    scene, c = Scene.of(), column(0.1, 0.5, 1.0, 2.0, inf)
    θ = scene.θ.clone()
    max_norm(θ, c, LAYOUT)
    after, before = LAYOUT.views(θ), LAYOUT.views(scene.θ)
    for name in after:
        for k in range(MEMBERS):
            w = before[name][k]
            expected = torch.renorm(w, p=2, dim=0, maxnorm=float(c[k])) if name in MATRICES else w
            assert torch.allclose(after[name][k], expected, rtol=1e-6, atol=0), name  # renorm adds 1e-7 to the norm
            if name in MATRICES:
                assert (after[name][k].norm(dim=1) <= float(c[k]) * (1 + 1e-14)).all()


class Walk(torch.nn.Module):
    """Weights that take one random step after another."""

    def __init__(self, θ: Tensor) -> None:
        super().__init__()
        self.θ = torch.nn.Parameter(θ.clone())


@pytest.mark.covers("R8")
def test_ema_is_torchs_averaged_model_step_for_step() -> None:
    decays, total = [0.0, 0.5, 0.9, 0.999], 60
    path = torch.randn(total + 1, len(decays), 3, dtype=torch.float64).cumsum(0)
    models = [Walk(path[0, k]) for k in range(len(decays))]
    theirs = [
        AveragedModel(m, multi_avg_fn=get_ema_multi_avg_fn(d)) for m, d in zip(models[1:], decays[1:], strict=True)
    ]
    average = path[0].clone()
    for t in range(1, total + 1):
        average.lerp_(path[t], ema_decay(t, total, column(*decays)))
        assert torch.equal(average[0], path[t, 0])  # off: the newest
        for k, averaged in enumerate(theirs, start=1):
            models[k].θ.data.copy_(path[t, k])
            averaged.update_parameters(models[k])
            assert torch.allclose(average[k], averaged.module.get_parameter("θ"), rtol=1e-12, atol=1e-14)


@pytest.mark.covers("R8")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_swa_is_torchs_averaged_model_from_its_start_on(dtype: torch.dtype) -> None:
    starts, total = [0.0, 0.5, 0.7, 0.95, 1.0], 60
    path = torch.randn(total + 1, len(starts), 3, dtype=dtype).cumsum(0)
    models = [Walk(path[0, k]) for k in range(len(starts))]
    theirs = [AveragedModel(m) for m in models]
    average = path[0].clone()
    for t in range(1, total + 1):
        average.lerp_(path[t], swa_start(t, total, torch.tensor(starts, dtype=dtype).unsqueeze(1)))
        for k, (start, averaged) in enumerate(zip(starts, theirs, strict=True)):
            models[k].θ.data.copy_(path[t, k])
            if t <= round(start * total):
                assert torch.equal(average[k], path[t, k])
            else:
                averaged.update_parameters(models[k])
                assert torch.allclose(
                    average[k], averaged.module.get_parameter("θ"), rtol=1e-5 if dtype == torch.float32 else 1e-12
                )


@pytest.mark.covers("R2")
def test_dropout_keeps_the_expectation_and_silences_its_share() -> None:
    p, n = column(0.0, 0.1, 0.5, 0.9), 200_000
    h = torch.full((4, 1, n), 3.0, dtype=torch.float64)
    u = torch.rand(1, 1, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    dropped = dropout(h, p, u)
    for k, rate in enumerate(p.flatten().tolist()):
        error = 4 * 3 * sqrt(rate / (1 - rate) / n)  # four standard errors of the mean
        assert dropped[k].mean() == pytest.approx(3.0, abs=error + 1e-12)
        assert (dropped[k] == 0).double().mean() == pytest.approx(rate, abs=4 * sqrt(rate * (1 - rate) / n))
        alive = dropped[k][dropped[k] != 0]
        assert torch.allclose(alive, torch.tensor(3.0 / (1 - rate), dtype=torch.float64), rtol=1e-15)


@pytest.mark.covers("R2")
def test_dropout_is_torchs_with_the_same_units_silent() -> None:
    h = torch.randn(2, 8, 500, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(3)
    theirs = torch.nn.functional.dropout(h[:1], 0.3)
    silent = (theirs == 0).double()
    ours = dropout(h, column(0.3, 0.3), 1 - silent)  # u = 0 < p where torch's is silent, else 1
    assert torch.allclose(ours[:1], theirs, rtol=1e-15)
    (slopes,) = torch.autograd.grad(ours.sum(), h)
    assert torch.allclose(slopes, ((1 - silent) / 0.7).expand(2, -1, -1), rtol=1e-15)


@pytest.mark.covers("R6")
def test_input_noise_has_each_members_deviation() -> None:
    x, σ = torch.randn(1, 10, 20_000, dtype=torch.float64), column(0.0, 0.1, 0.5)
    noise = torch.randn(1, 10, 20_000, dtype=torch.float64)
    noisy = input_noise(x, σ, noise)
    assert torch.equal(noisy[0], x[0])
    for k in (1, 2):
        assert (noisy[k] - x[0]).std().item() == pytest.approx(float(σ[k]), rel=0.02)
        assert (noisy[k] - x[0]).mean().item() == pytest.approx(0.0, abs=0.01)


@pytest.mark.covers("R6")
@pytest.mark.parametrize("shared", [True, False])
def test_mixup_is_the_papers_loop(shared: bool) -> None:
    share, B = torch.tensor([1.0, 0.3, 0.8], dtype=torch.float64), 5
    x = torch.randn(1 if shared else 3, 4, B, dtype=torch.float64)
    order = torch.stack([torch.randperm(B) for _ in range(1 if shared else 3)])
    mixed = mixup(x, share.unsqueeze(1), order)
    for k in range(3):
        mine, mates = x[k % len(x)], order[k % len(order)]
        for b in range(B):
            expected = share[k] * mine[:, b] + (1 - share[k]) * mine[:, mates[b]]
            assert torch.allclose(mixed[k, :, b], expected, rtol=1e-14)
    assert torch.equal(mixed[0], x[0])


@pytest.mark.covers("R6")
def test_the_mixed_loss_is_the_loss_of_mixed_targets() -> None:
    z, y, order = torch.randn(7, 3, dtype=torch.float64), torch.randint(3, (7,)), torch.randperm(7)
    share = column(0.3, 1.0)
    parts = [torch.nn.functional.cross_entropy(z, target, reduction="none").expand(2, -1) for target in (y, y[order])]
    hot = torch.nn.functional.one_hot(y, 3).double()
    soft = torch.nn.functional.cross_entropy(z, 0.3 * hot + 0.7 * hot[order], reduction="none")
    ours = mixed_loss(parts[0], parts[1], share)
    assert torch.allclose(ours[0], soft, rtol=1e-13)
    assert torch.equal(ours[1], parts[0][1])


@pytest.mark.covers("R6")
def test_without_mixup_another_samples_nan_does_not_reach_mine() -> None:
    x = torch.randn(1, 4, 2, dtype=torch.float64)
    x[0, :, 1] = float("nan")
    mixed = mixup(x, column(1.0, 0.5), torch.tensor([[1, 0]]))
    assert torch.equal(mixed[0, :, 0], x[0, :, 0]) and mixed[1].isnan().all()
    losses = mixed_loss(column(2.0, 2.0), column(inf, inf), column(1.0, 0.5))
    assert losses.flatten().tolist() == [2.0, inf]


@pytest.mark.covers("R6")
def test_shares_follow_the_beta_distribution_from_each_members_own_stream() -> None:
    α = column(0.0, 0.2, 1.0, 4.0)
    drawn = torch.cat([beta_shares(α, [10 * t + k for k in range(4)]) for t in range(4000)], dim=1)
    assert (drawn[0] == 1).all()
    for k, a in ((1, 0.2), (2, 1.0), (3, 4.0)):
        assert drawn[k].mean().item() == pytest.approx(0.5, abs=0.03)
        assert drawn[k].var().item() == pytest.approx(1 / (4 * (2 * a + 1)), rel=0.07)  # of Beta(α, α)
    again = beta_shares(column(4.0, 0.2), [3, 1])
    assert torch.equal(again[:, 0], drawn[[3, 1], 0])  # of the seed alone, whatever the company


def test_the_order_of_the_table_puts_penalties_before_clipping() -> None:
    names = [name for name, r in REGULARISERS.items() if r.stage == "gradient"]
    assert names[:2] == ["l1", "l2"] and all(name.startswith("clip") for name in names[2:])
