"""Norms against torch's modules member by member, in training and when judged; weight norms against torch's own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainwell.base import InputError
from trainwell.ingredients.norms import (
    NORM_EPSILON,
    NORMS,
    Norm,
    centred_weight,
    normalise,
    normalised_weight,
)
from trainwell.testing.norms import LAWS

K, H, B, GROUPS = 3, 8, 20, 2  # groups of four: of two, ẑ would be ±1 and slopes mere rounding
DTYPE = torch.float64

MODULES: dict[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "batch": lambda: nn.BatchNorm1d(H),
    "layer": lambda: nn.LayerNorm(H),
    "rms": lambda: nn.RMSNorm(H, eps=NORM_EPSILON),
    "group": lambda: nn.GroupNorm(GROUPS, H),
}


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DTYPE)


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list(NORMS))
@pytest.mark.parametrize("law", LAWS.values(), ids=list(LAWS))
def test_the_law_holds(law: Callable[[str], None], name: str) -> None:
    law(name)


def leaking(z: Tensor, γ: Tensor, β: Tensor | None, running: Any, training: bool, groups: int) -> Tensor:
    """Planted faults: the mean of all members, and a variance divided by n − 1 where n may be 1."""
    centred = z - z.mean(dim=(0, 2), keepdim=True)
    return centred / (centred.square().sum(dim=2, keepdim=True) / (z.shape[2] - 1)).sqrt() * γ


def test_the_suite_finds_a_norm_that_mixes_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NORMS._entries, "leaking", Norm(leaking, doc="mixes"))
    with pytest.raises(AssertionError, match="leaking: a member alone is not what it is among others"):
        LAWS["alone-as-in-company"]("leaking")
    with pytest.raises(AssertionError, match="leaking: a member depends on the others"):
        LAWS["others-do-not-matter"]("leaking")
    with pytest.raises(AssertionError, match="leaking: not finite on a single sample"):
        LAWS["one-sample-is-no-accident"]("leaking")
    with pytest.raises(AssertionError, match="leaking: 'mixes' lacks formula or row"):
        LAWS["it-is-documented"]("leaking")


def test_the_suite_finds_statistics_that_never_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NORMS._entries, "still", Norm(NORMS["none"].apply, statistics=True))
    with pytest.raises(AssertionError, match=r"still: running statistics stay \(training: True\)"):
        LAWS["judging-changes-no-statistics"]("still")


@pytest.mark.covers("R3", "R4")
@pytest.mark.parametrize("name", list(NORMS))
def test_every_member_is_normalised_as_by_torchs_module(name: str) -> None:
    modules = [MODULES[name]().double() for _ in range(K)]
    γ, β = random(K, H, 1, seed=1).requires_grad_(), random(K, H, 1, seed=2).requires_grad_()
    running = (torch.zeros(K, H, 1, dtype=DTYPE), torch.ones(K, H, 1, dtype=DTYPE))
    for k, module in enumerate(modules):
        for key, value in module.named_parameters():
            value.data.copy_((γ if key == "weight" else β)[k].detach().flatten())
    for step, training in enumerate((True, True, False, True, False)):
        z = (random(K, H, B, seed=10 + step) * 2 + 3).requires_grad_()
        shift = β if NORMS[name].shift else None
        ours = normalise(name, z, γ, shift, running, training=training, groups=GROUPS)
        η = random(K, H, B, seed=20 + step)
        slopes = torch.autograd.grad((ours * η).sum(), [z, γ, β], materialize_grads=True)
        for k, module in enumerate(modules):
            x = z[k].detach().T.clone().requires_grad_()
            theirs = module.train(training)(x)
            close(ours[k].T, theirs)
            expected = torch.autograd.grad((theirs.T * η[k]).sum(), [x, *module.parameters()])
            close(slopes[0][k].T, expected[0])
            for ours_k, theirs_k in zip((slopes[1][k], slopes[2][k]), expected[1:], strict=False):
                close(ours_k.flatten(), theirs_k)
            for ours_k, key in zip(running, ("running_mean", "running_var"), strict=True):
                if name == "batch":
                    close(ours_k[k].flatten(), module.get_buffer(key))


@pytest.mark.covers("R3", "R4")
def test_the_formulas_written_out_by_hand_give_the_same() -> None:
    z, γ, β = random(K, H, B, seed=0) * 2 + 3, random(K, H, 1, seed=1), random(K, H, 1, seed=2)
    running = (random(K, H, 1, seed=3), random(K, H, 1, seed=4).square())
    old = [part.clone() for part in running]

    def by_hand(part: Tensor, k: int, i: int, j: int) -> float:
        values = part.tolist()
        mean = sum(values) / len(values)
        var = sum((v - mean) ** 2 for v in values) / len(values)
        return (float(z[k, i, j]) - mean) / (var + 1e-5) ** 0.5 * float(γ[k, i]) + float(β[k, i])

    k, i, j = 1, 6, 4
    for name, part in (("batch", z[k, i]), ("layer", z[k, :, j]), ("group", z[k, 4:8, j])):
        out = normalise(name, z, γ, β, running, training=True, groups=2)
        assert float(out[k, i, j]) == pytest.approx(by_hand(part, k, i, j), rel=1e-12)
    out = normalise("rms", z, γ, None, None, training=True)
    rms = (sum(v * v for v in z[k, :, j].tolist()) / H + 1e-5) ** 0.5
    assert float(out[k, i, j]) == pytest.approx(float(z[k, i, j]) / rms * float(γ[k, i]), rel=1e-12)
    mean = sum(z[k, i].tolist()) / B
    var = sum((v - mean) ** 2 for v in z[k, i].tolist()) / (B - 1)  # unbiased
    assert float(running[0][k, i]) == pytest.approx(0.9 * float(old[0][k, i]) + 0.1 * mean, rel=1e-12)
    assert float(running[1][k, i]) == pytest.approx(0.9 * float(old[1][k, i]) + 0.1 * var, rel=1e-12)


@pytest.mark.covers("R3")
def test_running_statistics_that_are_views_into_a_matrix_are_updated_in_it() -> None:
    matrix = torch.zeros(K, 3 * H, dtype=DTYPE)
    running = (matrix[:, :H].unflatten(1, (H, 1)), matrix[:, H : 2 * H].unflatten(1, (H, 1)))
    z, γ, β = random(K, H, B, seed=0), torch.ones(K, H, 1, dtype=DTYPE), torch.zeros(K, H, 1, dtype=DTYPE)
    normalise("batch", z, γ, β, running, training=True)
    close(matrix[:, :H], 0.1 * z.mean(2))
    close(matrix[:, H : 2 * H], 0.1 * z.var(2))
    assert (matrix[:, 2 * H :] == 0).all()


@pytest.mark.covers("R3")
def test_the_standard_deviation_and_the_mean_give_back_the_input_and_the_variance_does_not() -> None:
    z = random(K, H, B, seed=0) * 3 + 2  # ⚠ N1 calls γ the variance
    var, mean = z.var(2, correction=0, keepdim=True), z.mean(2, keepdim=True)
    back = normalise("batch", z, (var + NORM_EPSILON).sqrt(), mean, None, training=True)
    close(back, z)
    wrong = normalise("batch", z, var, mean, None, training=True)
    close((wrong - mean).std(2, correction=0), (var / (1 + NORM_EPSILON / var).sqrt()).squeeze(2))
    assert float((wrong - z).abs().mean()) > 1


@pytest.mark.covers("R3")
def test_a_batch_of_one_sample_becomes_the_shift_and_leaves_the_statistics() -> None:
    running = (torch.full((K, H, 1), 0.5, dtype=DTYPE), torch.full((K, H, 1), 2.0, dtype=DTYPE))
    z, γ, β = (random(K, H, 1, seed=s) for s in (0, 1, 2))
    assert torch.equal(normalise("batch", z, γ, β, running, training=True), β)
    assert (running[0] == 0.5).all() and (running[1] == 2.0).all()
    close(normalise("batch", z, γ, β, running, training=False), (z - 0.5) / (2 + NORM_EPSILON) ** 0.5 * γ + β)


@pytest.mark.covers("R4")
def test_one_group_is_a_layer_norm_and_groups_that_do_not_divide_are_refused() -> None:
    z, γ, β = random(K, H, B, seed=0), random(K, H, 1, seed=1), random(K, H, 1, seed=2)
    one = normalise("group", z, γ, β, None, training=True, groups=1)
    close(one, normalise("layer", z, γ, β, None, training=True))
    with pytest.raises(InputError, match=r"equal size: 3 does not divide 8\. Use 1, 2, 4, 8\."):
        normalise("group", z, γ, β, None, training=True, groups=3)
    with pytest.raises(InputError, match="0 does not divide 8"):
        normalise("group", z, γ, β, None, training=True, groups=0)


def test_only_group_norm_has_groups_and_only_batch_norm_statistics() -> None:
    assert NORMS.users("groups") == {"group": 8} and NORMS.hypers["groups"].structural
    assert [name for name in NORMS if NORMS[name].statistics] == ["batch"]
    assert [name for name in NORMS if not NORMS[name].shift] == ["rms"]


@pytest.mark.covers("I11")
def test_a_normalised_weight_is_that_of_torch_with_its_gradients() -> None:
    v, g = random(K, H, 5, seed=0).requires_grad_(), random(K, H, 1, seed=1).requires_grad_()
    w, η = normalised_weight(v, g), random(K, H, 5, seed=2)
    slopes = torch.autograd.grad((w * η).sum(), [v, g])
    for k in range(K):
        linear = nn.utils.parametrizations.weight_norm(nn.Linear(5, H, bias=False).double())
        lengths, directions = linear.parametrizations.weight.parameters()  # pyright: ignore[reportAttributeAccessIssue]
        lengths.data.copy_(g[k].detach())
        directions.data.copy_(v[k].detach())
        theirs = linear(torch.eye(5, dtype=DTYPE)).T
        close(w[k], theirs)
        expected = torch.autograd.grad((theirs * η[k]).sum(), [directions, lengths])
        close(slopes[0][k], expected[0])
        close(slopes[1][k], expected[1])


def test_a_direction_of_zeros_gives_no_nan() -> None:
    v = torch.zeros(K, H, 5, dtype=DTYPE, requires_grad=True)
    w = normalised_weight(v, torch.ones(K, H, 1, dtype=DTYPE))
    assert (w == 0).all() and torch.autograd.grad(w.sum(), v)[0].isfinite().all()


@pytest.mark.covers("I11")
def test_a_centred_weight_has_sum_zero_and_its_length_and_does_not_see_a_common_shift() -> None:
    v, g = random(K, H, 5, seed=0) + 4, random(K, H, 1, seed=1).abs()
    w = centred_weight(v, g)
    close(w.sum(2), torch.zeros(K, H, dtype=DTYPE))
    close(w.norm(dim=2, keepdim=True), g)
    x = random(K, 5, B, seed=2)
    close(w @ (x + 10), w @ x)
    by_hand = torch.stack([row - sum(row.tolist()) / 5 for row in v[0]])
    close(w[0], g[0] * by_hand / by_hand.square().sum(1, keepdim=True).sqrt())
    close(centred_weight(3 * v + 1, g), w)
    # the projection of Huang 2017, eq. 8: gradients of v have no part along 1 or along w
    leaf = v.clone().requires_grad_()
    slope = torch.autograd.grad((centred_weight(leaf, g) * random(K, H, 5, seed=3)).sum(), leaf)[0]
    close(slope.sum(2), torch.zeros(K, H, dtype=DTYPE))
    close((slope * w).sum(2), torch.zeros(K, H, dtype=DTYPE))


def test_centring_the_weight_of_a_single_input_is_refused() -> None:
    with pytest.raises(InputError, match="Centred weights need 2 inputs a unit or more, but there is 1"):
        centred_weight(torch.ones(K, H, 1), torch.ones(K, H, 1))
