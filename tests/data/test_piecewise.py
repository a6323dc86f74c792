"""Oracle: the formula of Gorishniy et al. 2022, section 3.2.1, transcribed value by value."""

import numpy as np
from hypothesis import given, settings, strategies as st

from trainwell.data.piecewise import encode_piecewise, quantile_edges
from trainwell.data.scaling import fit_scaler

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)


def e_t(x: float, b: list[float], t: int) -> float:
    """Equation 1 of the paper; t counts from 1, T bins."""
    T = len(b) - 1
    if x < b[t - 1] and t > 1:
        return 0.0
    if x >= b[t] and t < T:
        return 1.0
    return (x - b[t - 1]) / (b[t] - b[t - 1])


@settings(max_examples=200, deadline=None)
@given(st.lists(FINITE, min_size=2, max_size=40), st.integers(2, 12), FINITE)
def test_the_encoding_equals_the_papers_formula_with_its_ends_cut_to_0_and_1(train: list, bins: int, x: float) -> None:
    edges = quantile_edges(np.array(train), bins)
    if len(edges) < 2:
        return
    got = encode_piecewise(np.array([x]), edges)[0]
    expected = [min(1.0, max(0.0, e_t(x, edges.tolist(), t))) for t in range(1, len(edges))]
    np.testing.assert_allclose(got, expected, atol=1e-6)
    if edges[0] <= x <= edges[-1]:
        paper = [e_t(x, edges.tolist(), t) for t in range(1, len(edges))]
        np.testing.assert_allclose(got, paper, atol=1e-6)


def test_bins_hold_equal_shares_of_the_training_rows() -> None:
    values = np.random.default_rng(0).lognormal(size=4000)
    edges = quantile_edges(values, 8)
    assert np.abs(np.histogram(values, edges)[0] - 500).max() <= 1
    assert (edges[0], edges[-1]) == (values.min(), values.max())


def test_frequent_values_take_one_edge_only() -> None:
    assert quantile_edges(np.array([0.0] * 90 + [1.0] * 11), 10).tolist() == [0.0, 1.0]


def test_scaled_training_values_have_mean_0_and_variance_1_under_both_scalings() -> None:
    values = np.random.default_rng(0).lognormal(3, 1, size=1000)
    for scaling in ("robust", "standard"):
        scaled = fit_scaler(values, scaling).apply(values)
        np.testing.assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=1e-9)


def test_standard_scaling_is_that_of_scikit_learn() -> None:
    from sklearn.preprocessing import StandardScaler

    train, new = np.random.default_rng(0).normal(5, 3, (2, 100))
    expected = np.asarray(StandardScaler().fit(train[:, None]).transform(new[:, None])).ravel()
    np.testing.assert_allclose(fit_scaler(train, "standard").apply(new), expected)


def test_an_outlier_changes_the_robust_scale_little_and_the_standard_one_much() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    spoilt = np.append(values, 1e9)
    moved = fit_scaler(spoilt, "robust").apply(values) - fit_scaler(values, "robust").apply(values)
    assert np.abs(moved).max() < 0.05
    assert np.ptp(fit_scaler(spoilt, "standard").apply(values)) < 1e-6
    assert np.abs(fit_scaler(spoilt, "robust").apply(spoilt)).max() < 5


def test_a_constant_becomes_0() -> None:
    for scaling in ("robust", "standard"):
        assert fit_scaler(np.full(5, 7.5), scaling).apply(np.array([7.5, 8.0])).tolist() == [0.0, 0.0]
