"""Proportions against scipy, mozanalysis, and integrals done another way."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mozanalysis.bayesian_stats import binary
from scipy import integrate, stats

from sonde.stats.arrays import estimate
from sonde.stats.binomial import Beta, Binomial, _Pair
from sonde.stats.estimate import Estimate, NotEstimable, Reason
from sonde.stats.needs import Columns

from .oracle import frame, mozanalysis_rows, rows_of

X = Columns("x")


def units(**branches):
    """{branch: (units, successes)} as zeros and ones."""
    return {
        branch: {"x": np.repeat([1, 0], [successes, size - successes])}
        for branch, (size, successes) in branches.items()
    }


def by_rows(statistic=None, references=("control",), **branches):
    return rows_of(estimate(statistic or Binomial(), units(**branches), X, references))


def test_figures_of_ten_units():
    rows = by_rows(treatment=(10, 3), control=(10, 5))
    assert rows["treatment", None] == pytest.approx((1 / 3, 0.109263444, 0.609742560), rel=1e-8)
    assert rows["control", None] == pytest.approx((0.5, 0.233793598, 0.766206402), rel=1e-8)
    assert rows["treatment", "difference"] == pytest.approx((-0.168, -0.526, 0.217), abs=0.01)
    uplift = rows["treatment", "relative_uplift"]
    assert uplift == pytest.approx((-0.270, -0.794, 0.763), abs=0.03)


count = st.integers(0, 60)


@settings(max_examples=25, deadline=None)
@given(count, count, count, st.integers(1, 60), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_limits_cut_the_shares_that_they_should(one, others, reference, rest, ci_width):
    """The shares below the limits by adaptive quadrature of the other law."""
    rows = by_rows(
        Binomial(ci_width), treatment=(one + others, one), control=(reference + rest, reference)
    )
    t, c = stats.beta(one + 1, others + 1), stats.beta(reference + 1, rest + 1)
    tails = ((1 - ci_width) / 2, (1 + ci_width) / 2)
    if one + others:
        for limit, share in zip(rows["treatment", "difference"][1:], tails, strict=True):
            found = _integral(lambda p, d=limit: t.pdf(p) * c.sf(p - d), limit)
            assert found == pytest.approx(share, abs=1e-7)
    if one + others and reference:
        for limit, share in zip(rows["treatment", "relative_uplift"][1:], tails, strict=True):
            found = _integral(lambda p, r=limit: t.pdf(p) * c.sf(p / (1 + r)), 1 + limit)
            assert found == pytest.approx(share, abs=1e-7)


def _integral(function, kink):
    kinks = [each for each in (kink, 1 + kink) if 0 < each < 1]
    return integrate.quad(function, 0, 1, points=kinks or None, limit=500, epsabs=1e-10)[0]


def test_points_are_means_of_the_laws():
    rows = by_rows(treatment=(50, 20), control=(40, 8))
    rng = np.random.default_rng(1)
    t, c = rng.beta(21, 31, 1_000_000), rng.beta(9, 33, 1_000_000)
    assert rows["treatment", "difference"][0] == pytest.approx((t - c).mean(), abs=5e-4)
    assert rows["treatment", "relative_uplift"][0] == pytest.approx((t / c - 1).mean(), abs=4e-3)


def test_within_monte_carlo_error_of_mozanalysis():
    many = units(a=(2_000, 1_000), b=(3_000, 1_500), c=(1_000, 750))
    np.random.seed(5)  # mozanalysis draws from the global state
    theirs = binary.compare_branches(frame(many), "x", "a")
    rows = rows_of(estimate(Binomial(), many, X, ["a"]))
    for (branch, comparison), figures in mozanalysis_rows(theirs).items():
        tolerance = 1e-9 if comparison is None else 0.03 * (figures[2] - figures[1])
        assert rows[branch, comparison] == pytest.approx(figures, abs=tolerance)
    assert rows["c", "relative_uplift"][0] == pytest.approx(0.5, abs=0.01)


def test_large_counts_by_cumulants_are_as_good_as_integrals():
    large = Beta(40_000, 60_000)
    assert large.is_as_good_as_normal
    law = stats.beta(40_001, 60_001)
    for share in (0.005, 0.025, 0.975, 0.995):
        assert large.law.quantile(share) == pytest.approx(law.ppf(share), abs=1e-5 * law.std())
    rows = by_rows(treatment=(100_000, 40_000), control=(100_000, 41_000))
    t, c = law, stats.beta(41_001, 59_001)
    for limit, share in zip(rows["treatment", "difference"][1:], (0.025, 0.975), strict=True):
        found = integrate.quad(lambda p, d=limit: t.pdf(p) * c.sf(p - d), 0.37, 0.43, limit=500)[0]
        assert found == pytest.approx(share, abs=1e-6)


def test_cumulants_are_scipys():
    mean, variance, skewness, kurtosis = stats.beta(41, 21).stats("mvsk")
    law = Beta(40, 20).law
    assert (law.mean, law.variance) == pytest.approx((mean, variance))
    assert (law.skewness, law.kurtosis) == pytest.approx((skewness, kurtosis))


def share_of_wins(one, other):
    """P(one < other) of integer shapes, as a sum of exact terms."""
    (a, b), (c, d) = ((each.successes + 1, each.failures + 1) for each in (one, other))
    term = Decimal(1)
    for step in range(d):
        term = term * (b + step) / (a + b + step)
    total = Decimal(0)
    for step in range(c):
        total += term
        term = term * (a + step) / (a + b + d + step) * (d + step) / (1 + step)
    return float(total)


@pytest.mark.parametrize(
    ("one", "other"),
    [((0, 9), (0, 20)), ((3, 7), (5, 5)), ((40, 2_000), (25, 800)), ((600, 19_400), (640, 19_000))],
)
def test_the_share_below_no_effect_is_the_exact_sum(one, other):
    for t, c in ((Beta(*one), Beta(*other)), (Beta(*other), Beta(*one))):
        exact = share_of_wins(t, c)
        assert _Pair(t, c, 0.95).share_of_differences_below(0.0)[0] == pytest.approx(exact, 1e-11)
        assert _Pair(t, c, 0.95).share_of_ratios_below(0.0)[0] == pytest.approx(exact, 1e-11)


@given(count, count, count, count, st.floats(-1.5, 1.5))
@settings(max_examples=50, deadline=None)
def test_densities_are_slopes_of_shares(one, others, reference, rest, deviations):
    pair = _Pair(Beta(one, others), Beta(reference, rest), 0.95)
    differences = pair.branch.law.minus(pair.reference.law)
    logarithms = pair.branch.law_of_logarithm.minus(pair.reference.law_of_logarithm)
    for law, share in (
        (differences, pair.share_of_differences_below),
        (logarithms, pair.share_of_ratios_below),
    ):
        spread = law.variance**0.5
        place, step = law.mean + deviations * spread, 1e-5 * spread
        slope = (share(place + step)[0] - share(place - step)[0]) / (2 * step)
        assert share(place)[1] * spread == pytest.approx(slope * spread, abs=1e-5)


def test_cumulants_of_logarithms_are_scipys():
    law, logarithm = Beta(6, 30).law_of_logarithm, stats.loggamma
    # Gamma(a) is Beta(a, b) times an independent Gamma(a + b).
    parts = [logarithm(each).stats("mvsk") for each in (7.0, 38.0)]
    mean, variance = parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    third = parts[0][2] * parts[0][1] ** 1.5 - parts[1][2] * parts[1][1] ** 1.5
    fourth = parts[0][3] * parts[0][1] ** 2 - parts[1][3] * parts[1][1] ** 2
    found = (law.mean, law.variance, law.third, law.fourth)
    assert found == pytest.approx((mean, variance, third, fourth), rel=1e-9)


def test_turning_a_ratio_turns_its_limits():
    rows = {
        each.branch: each
        for each in estimate(Binomial(), units(a=(300, 20), b=(70, 12)), X)
        if each.comparison == "relative_uplift"
    }
    a, b = rows["a"], rows["b"]
    assert 1 + a.lower == pytest.approx(1 / (1 + b.upper), rel=1e-12)
    assert 1 + a.upper == pytest.approx(1 / (1 + b.lower), rel=1e-12)


def test_turning_a_difference_turns_its_limits():
    rows = {
        each.branch: each
        for each in estimate(Binomial(), units(a=(30, 0), b=(70, 12)), X)
        if each.comparison == "difference"
    }
    a, b = rows["a"], rows["b"]
    assert (a.point, a.lower, a.upper) == pytest.approx((-b.point, -b.upper, -b.lower), rel=1e-9)


@pytest.mark.parametrize("values", [[0, 1, 2], [0.5], [0, 1, 1 + 1e-3], [-1, 1]])
@pytest.mark.parametrize("size", [1, 100_000])
def test_other_values_than_zero_and_one_are_refused(values, size):
    many = {"a": {"x": np.concatenate([values, np.ones(size)])}, **units(control=(10, 5))}
    outcomes = estimate(Binomial(), many, X, ["control"])
    assert outcomes[0].reason is Reason.NOT_ZERO_OR_ONE
    assert isinstance(outcomes[1], Estimate)


@given(st.integers(1, 10**6), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_zeros_and_ones_of_any_number_are_accepted(size, share):
    outcomes = estimate(Binomial(), units(a=(size, round(size * share))), X, [])
    assert outcomes[0].point == pytest.approx((round(size * share) + 1) / (size + 2), rel=1e-12)


def test_without_a_success_in_the_reference_there_is_a_difference_but_no_ratio():
    outcomes = estimate(Binomial(), units(treatment=(20, 3), control=(30, 0)), X, ["control"])
    assert isinstance(outcomes[2], Estimate)
    assert outcomes[3].reason is Reason.BASELINE_IS_ZERO


def test_branches_that_cannot_be_estimated_lose_no_other():
    many = {**units(a=(20, 3), b=(30, 4)), "nulls": {"x": [1, np.nan]}, "empty": {"x": []}}
    outcomes = estimate(Binomial(), many, X, ["a"])
    kept = [each for each in outcomes if isinstance(each, Estimate)]
    assert kept == estimate(Binomial(), units(a=(20, 3), b=(30, 4)), X, ["a"])
    reasons = {each.branch: each.reason for each in outcomes if isinstance(each, NotEstimable)}
    assert reasons == {"nulls": Reason.NULL_VALUES, "empty": Reason.NO_UNITS}
