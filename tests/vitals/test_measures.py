"""Each measure against plain loops and torch's autograd on a small module; members do not touch one another."""

import math

import pytest
import torch
from torch import Tensor, nn

from trainwell.engine.moment import LayerView
from trainwell.ingredients import ACTIVATIONS
from trainwell.vitals import MEASURES

ROWS, INPUTS, UNITS = 12, 5, 7


def trained_layer(
    activation: str = "relu", rate: float = 0.1, members: int = 3
) -> tuple[LayerView, list[dict[str, Tensor]]]:
    """One SGD step of `members` separate torch layers: their stacked view, and each one's tensors."""
    alone = []
    for member in range(members):
        torch.manual_seed(member)
        layer, x = nn.Linear(INPUTS, UNITS).double(), torch.randn(ROWS, INPUTS, dtype=torch.float64)
        before = layer.weight.detach().clone()
        a = ACTIVATIONS[activation].function(layer(x), {})
        a.square().sum().backward()
        assert layer.weight.grad is not None
        with torch.no_grad():
            layer.weight -= rate * layer.weight.grad
        parts = {
            "weight": layer.weight.detach(),
            "gradient": layer.weight.grad,
            "before": before,
            "activation": a.detach(),
        }
        alone.append(parts)
    stacked = {name: torch.stack([parts[name] for parts in alone]) for name in alone[0]}
    return LayerView("hidden.0", activation, **stacked), alone


def view_of(activation: str, a: list[list[list[float]]]) -> LayerView:
    """A view of given outputs (K, B, H), the weights of no interest."""
    units = torch.tensor(a)
    return LayerView("hidden.0", activation, torch.ones(len(a), units.shape[2], 2), activation=units)


def root_of_squares(values: Tensor) -> float:
    return math.sqrt(sum(float(value) ** 2 for value in values.flatten()))


def figures(name: str, view: LayerView) -> Tensor:
    values = MEASURES[name](view)
    assert values is not None
    return values


def test_norms_are_roots_of_sums_of_squares_of_each_member() -> None:
    view, alone = trained_layer()
    assert figures("gradient-norm", view).tolist() == pytest.approx([root_of_squares(m["gradient"]) for m in alone])
    assert figures("weight-norm", view).tolist() == pytest.approx([root_of_squares(m["weight"]) for m in alone])


def test_the_update_ratio_of_sgd_is_the_rate_times_gradient_over_weight() -> None:
    view, alone = trained_layer(rate=0.1)
    expected = [0.1 * root_of_squares(m["gradient"]) / root_of_squares(m["before"]) for m in alone]
    assert figures("update-ratio", view).tolist() == pytest.approx(expected)


def test_the_update_ratio_of_a_layer_of_zeros_is_one_when_it_moves_and_zero_when_not() -> None:
    zeros, moved = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
    moved[0] = 0.5
    assert figures("update-ratio", LayerView("output", "identity", moved, before=zeros)).tolist() == [1.0, 0.0]


def test_activation_mean_and_deviation_are_over_samples_and_units() -> None:
    view, alone = trained_layer("tanh")
    for member, parts in enumerate(alone):
        values = [float(value) for value in parts["activation"].flatten()]
        mean = sum(values) / len(values)
        assert float(figures("activation-mean", view)[member]) == pytest.approx(mean)
        std = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        assert float(figures("activation-std", view)[member]) == pytest.approx(std)


def test_a_relu_unit_is_dead_when_it_is_silent_for_every_sample() -> None:
    view, alone = trained_layer("relu")
    activation = torch.stack([m["activation"] for m in alone])
    activation[1, :, :3] = 0.0
    view = LayerView("hidden.0", "relu", view.weight, activation=activation)
    loops = [sum(all(float(a[i, unit]) <= 0 for i in range(ROWS)) for unit in range(UNITS)) / UNITS for a in activation]
    assert figures("dead-fraction", view).tolist() == pytest.approx(loops)
    assert loops[1] >= 3 / UNITS


def test_a_gelu_unit_is_dead_when_it_hands_on_next_to_nothing() -> None:
    rows = [[[-1e-5, 0.5], [1e-5, 0.0]] * 4]
    assert figures("dead-fraction", view_of("gelu", rows)).tolist() == [0.5]


@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "selu", "tanh", "sigmoid", "identity"])
def test_units_that_cannot_die_are_not_counted(activation: str) -> None:
    assert MEASURES["dead-fraction"](view_of(activation, [[[0.0]] * 16])) is None


@pytest.mark.parametrize(("activation", "flat", "steep"), [("sigmoid", 4.5, 4.2), ("tanh", 2.3, 2.1)])
def test_a_unit_is_saturated_where_the_slope_is_under_a_twentieth_of_its_peak(
    activation: str, flat: float, steep: float
) -> None:
    φ = lambda z: ACTIVATIONS[activation].function(z, {})
    for z, saturated in ((flat, 1.0), (-flat, 1.0), (steep, 0.0), (-steep, 0.0)):
        at = torch.tensor(z, dtype=torch.float64, requires_grad=True)
        zero = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
        (slope,), (peak,) = torch.autograd.grad(φ(at), at), torch.autograd.grad(φ(zero), zero)
        assert bool(slope < 0.05 * peak) == bool(saturated)
        outputs = [[[float(φ(at.detach()))]] * 16]
        assert figures("saturated-fraction", view_of(activation, outputs)).tolist() == [saturated]


def test_a_unit_that_is_at_a_bound_for_half_of_the_samples_is_not_saturated() -> None:
    rows = [[[1.0, 1.0]] * 8 + [[0.0, -1.0]] * 8]
    assert figures("saturated-fraction", view_of("tanh", rows)).tolist() == [0.5]  # the second is, at both bounds


@pytest.mark.parametrize("activation", ["relu", "gelu", "identity", "elu"])
def test_units_without_two_bounds_do_not_saturate(activation: str) -> None:
    assert MEASURES["saturated-fraction"](view_of(activation, [[[1.0]] * 16])) is None


@pytest.mark.parametrize("name", ["dead-fraction", "saturated-fraction"])
def test_too_few_samples_tell_nothing_of_units(name: str) -> None:
    activation = {"dead-fraction": "relu", "saturated-fraction": "tanh"}[name]
    assert MEASURES[name](view_of(activation, [[[0.0]] * 7])) is None
    assert MEASURES[name](view_of(activation, [[[0.0]] * 8])) is not None


def test_of_a_sequence_every_point_in_time_is_a_sample() -> None:
    steps = torch.zeros(1, 2, 4, 3)  # members, samples, time, units
    steps[0, 1, 3, 0] = 1.0
    view = LayerView("hidden.0", "relu", torch.ones(1, 3, 2), activation=steps)
    assert figures("dead-fraction", view).tolist() == pytest.approx([2 / 3])


def test_an_activation_that_is_not_ours_is_measured_but_not_judged_by_its_shape() -> None:
    view = view_of("somebody's", [[[0.0]] * 16])
    assert MEASURES["dead-fraction"](view) is None and MEASURES["saturated-fraction"](view) is None
    assert figures("activation-mean", view).tolist() == [0.0]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("name", list(MEASURES))
def test_nan_in_one_member_stays_in_its_row(name: str, activation: str) -> None:
    view, _ = trained_layer(activation)
    clean = MEASURES[name](view)
    broken = {part: getattr(view, part).clone() for part in ("weight", "gradient", "before", "activation")}
    for tensor in broken.values():
        tensor[1].view(-1)[3] = float("nan")
    dirty = MEASURES[name](LayerView(view.name, activation, **broken))
    if clean is None or dirty is None:
        assert clean is None and dirty is None
        return
    assert torch.equal(dirty[[0, 2]], clean[[0, 2]])
    assert math.isnan(float(dirty[1]))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("name", list(MEASURES))
def test_a_member_alone_measures_the_same_as_in_company(name: str, activation: str) -> None:
    view, _ = trained_layer(activation)
    together = MEASURES[name](view)
    parts = ("weight", "gradient", "before", "activation")
    for member in range(3):
        single = MEASURES[name](
            LayerView(view.name, activation, **{p: getattr(view, p)[member : member + 1] for p in parts})
        )
        assert (single is None) == (together is None)
        if single is not None and together is not None:
            assert single.tolist() == pytest.approx([float(together[member])], rel=1e-12)


@pytest.mark.parametrize("name", list(MEASURES))
def test_a_measure_leaves_what_it_looks_at_unchanged(name: str) -> None:
    view, alone = trained_layer()
    MEASURES[name](view)
    for part in ("weight", "gradient", "before", "activation"):
        assert torch.equal(getattr(view, part), torch.stack([m[part] for m in alone]))


@pytest.mark.parametrize(
    "name", ["gradient-norm", "update-ratio", "activation-mean", "activation-std", "dead-fraction"]
)
def test_what_was_not_shown_is_not_measured(name: str) -> None:
    assert MEASURES[name](LayerView("hidden.0", "relu", torch.ones(2, 3, 4))) is None


@pytest.mark.parametrize("name", list(MEASURES))
def test_every_vital_says_what_it_is(name: str) -> None:
    assert len(MEASURES.summary(name)) > 20
