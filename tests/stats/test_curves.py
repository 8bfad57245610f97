"""Curves against statsmodels, sums over every row, and figures of Jetstream's own tests."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.distributions.empirical_distribution import ECDF

from sonde.stats.arrays import estimate
from sonde.stats.counts import ValueCounts
from sonde.stats.curves import EmpiricalCdf, KernelDensityEstimate, density
from sonde.stats.estimate import Estimate, NotEstimable, Reason
from sonde.stats.needs import Columns

from .oracle import wine

X = Columns("x")
CURVES = (EmpiricalCdf, KernelDensityEstimate)


def curve(statistic, values):
    outcomes = estimate(statistic, {"a": {"x": values}}, X)
    assert all(isinstance(each, Estimate) for each in outcomes)
    return np.array([(each.parameter, each.point) for each in outcomes]).T


def brute_density(rows, grid, bandwidth):
    squares = ((grid[:, np.newaxis] - rows) / bandwidth) ** 2
    return np.exp(-squares / 2).mean(axis=1) / (bandwidth * math.sqrt(2 * math.pi))


def test_figures_of_wine_on_a_linear_grid():
    outcomes = estimate(EmpiricalCdf(), wine("x"), X)
    assert len(outcomes) == 768
    assert (outcomes[0].branch, outcomes[0].parameter) == ("1", 2.04)
    assert outcomes[0].point == pytest.approx(0.016949153, abs=1e-9)
    assert outcomes[1].parameter == pytest.approx(2.044627, abs=5e-7)
    assert (outcomes[-1].branch, outcomes[-1].parameter, outcomes[-1].point) == ("3", 2.86, 1)
    assert outcomes[0].ci_width is outcomes[0].lower is outcomes[0].upper is None


def test_figures_of_wine_on_a_geometric_grid():
    outcomes = estimate(EmpiricalCdf(log_space=True), wine("x"), X)
    assert outcomes[1].parameter == pytest.approx(2.043655, abs=5e-7)


def test_figures_of_wine_density():
    outcomes = estimate(KernelDensityEstimate(), wine("x"), X)
    assert len(outcomes) == 768
    assert outcomes[0].point == pytest.approx(0.573470, abs=5e-7)


@pytest.mark.parametrize("kind", CURVES)
def test_a_geometric_grid_has_a_place_for_zero(kind):
    units = wine("x")
    units["1"]["x"][0] = 0
    outcomes = estimate(kind(log_space=True), units, X)
    assert len(outcomes) == 769
    assert outcomes[0].parameter == 0
    assert outcomes[1].parameter == 2.04
    if kind is KernelDensityEstimate:
        assert outcomes[0].point == pytest.approx(0.015286, abs=5e-7)


@pytest.mark.parametrize("values", [[-1.0, 0, 3], [0.0, 0.0]])
@pytest.mark.parametrize("kind", CURVES)
def test_where_a_geometric_grid_is_impossible_it_says_so_and_is_linear(kind, values):
    units = {"a": {"x": np.array(values)}}
    first, *others = estimate(kind(log_space=True), units, X)
    assert first.reason is Reason.NO_LOG_SCALE
    assert others == estimate(kind(), units, X)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=50))
@settings(deadline=None)
def test_the_distribution_function_is_statsmodels(values):
    grid, shares = curve(EmpiricalCdf(grid_size=20), values)
    assert shares.tolist() == pytest.approx(ECDF(values)(grid).tolist())
    assert shares[-1] == 1


@given(st.lists(st.floats(-50, 50).map(lambda x: round(x, 2)), min_size=2, max_size=50))
@settings(deadline=None)
def test_the_density_is_the_mean_of_kernels(values):
    grid, heights = curve(KernelDensityEstimate(grid_size=20), values)
    expected = brute_density(np.array(values), grid, len(values) ** -0.2)
    assert heights == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("spread", [0.01, 1, 100])
def test_binned_densities_are_within_a_millionth_of_the_peak(spread):
    rows = np.random.default_rng(1).gamma(2, spread, 20_000)
    bandwidth = 20_000**-0.2
    grid = np.linspace(rows.min(), rows.max(), 64)
    expected = brute_density(rows, grid, bandwidth)
    found = density(ValueCounts.of(rows), grid, bandwidth)
    assert np.abs(found - expected).max() < 1e-6 * expected.max()


def test_a_constant_has_one_place():
    """An interval without length has no 256 places; Jetstream repeats one row."""
    assert curve(EmpiricalCdf(), [2.0, 2.0]).tolist() == [[2], [1]]
    height = 2**0.2 / math.sqrt(2 * math.pi)
    assert curve(KernelDensityEstimate(), [2.0, 2.0])[1].tolist() == pytest.approx([height])


@pytest.mark.parametrize("kind", CURVES)
def test_branches_that_cannot_be_estimated_lose_no_other(kind):
    fine = {"a": {"x": np.arange(5.0)}}
    units = {
        "nulls": {"x": [1, math.nan]},
        "empty": {"x": []},
        "infinite": {"x": [1, math.inf]},
        **fine,
    }
    outcomes = estimate(kind(), units, X)
    assert [each for each in outcomes if isinstance(each, Estimate)] == estimate(kind(), fine, X)
    reasons = [each.reason for each in outcomes if isinstance(each, NotEstimable)]
    assert reasons == [Reason.NULL_VALUES, Reason.NO_UNITS, Reason.NOT_FINITE]


def test_parameters_are_checked():
    assert EmpiricalCdf.from_params({"log_space": True}) == EmpiricalCdf(log_space=True)
    assert KernelDensityEstimate.from_params({"adjust": 1}) == KernelDensityEstimate()
    for wrong, message in [
        ({"log_space": 1}, "log_space must be true or false, not 1"),
        ({"grid_size": 1}, "grid_size must be at least 2"),
        ({"bandwidth": "silverman"}, "bandwidth can only be 'scott', not 'silverman'"),
        ({"adjust": 2}, "adjust can only be 1.0, not 2.0"),
        ({"kernel": "gau"}, "kernel can only be 'gaussian'"),
    ]:
        with pytest.raises(ValueError, match=message):
            KernelDensityEstimate.from_params(wrong)
