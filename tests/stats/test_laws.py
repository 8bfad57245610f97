"""Quantiles by cumulants against distributions whose quantiles are known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sonde.stats.laws import Law, individual, law_of, normal_nodes, relative_uplift, root

PROBABILITIES = (0.005, 0.025, 0.5, 0.975, 0.995)


def gamma(shape, scale=1.0):
    return Law(shape * scale, shape * scale**2, 2 * shape * scale**3, 6 * shape * scale**4)


@pytest.mark.parametrize("shape", [25, 100, 2_500])
def test_quantiles_of_a_gamma_law(shape):
    law = gamma(shape)
    assert not law.is_odd
    error = max(
        abs(law.quantile(p) - stats.gamma(shape).ppf(p)) / math.sqrt(shape) for p in PROBABILITIES
    )
    # The terms left out shrink with the cube of the skewness 2 / sqrt(shape).
    assert error < 0.15 * law.skewness**3


def test_the_gate_refuses_what_is_far_from_normal():
    assert gamma(20).is_odd
    assert Law(0, 1, 0, 0.5).is_odd
    assert not Law(0, 1, 0.4, -0.4).is_odd
    assert not Law(1, 0).is_odd


@given(st.floats(30, 1_000), st.floats(30, 1_000), st.floats(0.1, 10))
def test_cumulants_of_independent_laws_add(one, other, times):
    law = gamma(one).minus(gamma(other), times)
    assert law.mean == pytest.approx(one - times * other)
    assert law.variance == pytest.approx(one + times**2 * other)
    assert law.third == pytest.approx(2 * one - 2 * times**3 * other)
    assert law.fourth == pytest.approx(6 * one + 6 * times**4 * other)


@pytest.mark.parametrize("shape", [50, 400])
def test_ratios_of_gamma_laws_follow_an_f_law(shape):
    """Of gamma laws with m and n degrees of freedom, the ratio of means is F(2m, 2n)."""
    one, other = gamma(2 * shape, 1 / (2 * shape)), gamma(shape, 1 / shape)
    found = relative_uplift(one, other, 0.95)
    exact = stats.f(4 * shape, 2 * shape)
    spread = exact.std()
    assert found.point == pytest.approx(exact.mean() - 1, abs=0.001 * spread)
    assert found.lower == pytest.approx(exact.ppf(0.025) - 1, abs=0.005 * spread)
    assert found.upper == pytest.approx(exact.ppf(0.975) - 1, abs=0.005 * spread)


def test_ratios_do_not_mind_both_signs_turned():
    one, other = gamma(100), gamma(120)
    minus = Law(0, 0).minus
    assert relative_uplift(minus(one), minus(other), 0.9) == relative_uplift(one, other, 0.9)


def test_a_law_is_recovered_from_its_quantiles():
    law = gamma(100)
    found = law_of(law.at(normal_nodes()))
    assert found.mean == pytest.approx(law.mean, rel=1e-4)
    assert found.variance == pytest.approx(law.variance, rel=3e-3)
    assert found.third == pytest.approx(law.third, rel=0.05)
    assert law_of(np.full(12, 0.1)) == Law(pytest.approx(0.1), 0.0)


def test_constants_have_themselves_for_limits():
    assert individual(Law(3, 0), 0.95) == individual(Law(3, 0), 0.5)
    uplift = relative_uplift(Law(3, 0), Law(2, 0), 0.95)
    assert (uplift.point, uplift.lower, uplift.upper) == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize(("law", "far"), [((1, 0.01), True), ((1, 0.04), False), ((0, 0), False)])
def test_far_from_zero(law, far):
    assert Law(*law).is_far_from_zero is far


@given(st.floats(-5, 5), st.floats(0.1, 3))
def test_roots(place, slope):
    found = root(lambda x: slope * (x - place) + 0.05 * (x - place) ** 3, place - 0.3, place + 1)
    assert found == pytest.approx(place, abs=1e-9)
