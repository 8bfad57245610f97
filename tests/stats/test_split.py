"""The split over branches: the bet against exact fractions, its promise by simulation."""

from fractions import Fraction
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sonde.stats.split import (
    CONCENTRATIONS,
    always_valid_p,
    band,
    chi_square_p,
    homogeneity_p,
    log_e_values,
    sample_ratio,
)

ALPHA = 0.001
daily = st.lists(st.lists(st.integers(0, 400), min_size=2, max_size=2), min_size=1, max_size=12)


def rising(a: Fraction, n: int) -> Fraction:
    """G(a + n) / G(a)."""
    product = Fraction(1)
    for i in range(n):
        product *= a + i
    return product


def bet(counts: list[int], ratios: list[int]) -> Fraction:
    """The Dirichlet-multinomial Bayes factor in exact arithmetic."""
    shares = [Fraction(r, sum(ratios)) for r in ratios]
    total = Fraction(0)
    for c in map(Fraction, CONCENTRATIONS):
        each = 1 / rising(c, sum(counts))
        for share, n in zip(shares, counts, strict=True):
            each *= rising(c * share, n) / share**n
        total += each
    return total / len(CONCENTRATIONS)


@pytest.mark.parametrize("ratios", [[1, 1], [9, 1], [1, 2, 3]])
@pytest.mark.parametrize("counts", [[30, 41, 22], [0, 60, 5], [0, 0, 0]])
def test_the_bet_is_exact(counts, ratios):
    of_branches = counts[: len(ratios)]
    half = exp(log_e_values([of_branches], ratios)[0]) - 0.5
    assert 2 * half == pytest.approx(float(bet(of_branches, ratios)), rel=1e-8)


def test_the_stake_on_later_days():
    counts = [[20, 31], [18, 7], [25, 5]]
    bets = [float(bet([sum(c) for c in zip(*counts[s:], strict=True)], [1, 1])) for s in range(3)]
    expected = bets[0] / 2 + bets[1] / 4 + bets[2] / 12 + 1 / 6
    assert exp(log_e_values(counts, [1, 1])[-1]) == pytest.approx(expected, rel=1e-8)


def test_the_e_value_is_a_martingale():
    # One more unit, into either branch as designed: on average nothing is won.
    before = [[40, 25], [11, 30]]
    shares = np.array([0.7, 0.3])
    after = [[*before, [1, 0]], [*before, [0, 1]]]
    now = exp(log_e_values(before, [7, 3])[-1])
    later = sum(s * exp(log_e_values(a, [7, 3])[-1]) for s, a in zip(shares, after, strict=True))
    assert later == pytest.approx(now, rel=1e-9)


@given(daily)
def test_the_order_within_a_day_and_of_branches_does_not_matter(counts):
    turned = [row[::-1] for row in counts]
    assert log_e_values(counts, [2, 1]) == pytest.approx(log_e_values(turned, [1, 2]), abs=1e-8)


@given(daily)
def test_p_never_rises_and_belongs_to_the_largest_e_value(counts):
    path = sample_ratio(counts, [1, 1])
    assert np.all(np.diff(path.p) <= 0)
    assert path.p[-1] == pytest.approx(min(1.0, exp(-path.log_e.max())))


@given(daily)
@settings(max_examples=50)
def test_outside_the_band_means_below_alpha(counts):
    path = sample_ratio(counts, [3, 1], ALPHA)
    outside = (path.shares < path.lower - 1e-9) | (path.shares > path.upper + 1e-9)
    for day, left in enumerate(outside.any(axis=1)):
        assert not left or path.p[day] < ALPHA


@given(st.integers(1, 10**7), st.floats(0.01, 0.99))
@settings(max_examples=50)
def test_the_band_holds_the_design_and_its_edge_is_where_the_bet_reaches_its_limit(n, share):
    lower, upper = band([n], share, ALPHA)
    assert 0 <= lower[0] <= share <= upper[0] <= 1
    for edge in (lower[0], upper[0]):
        if 0 < edge < 1:
            e = exp(log_e_values([[n * edge, n * (1 - edge)]], [share, 1 - share])[0]) - 0.5
            assert e == pytest.approx(1 / ALPHA, rel=1e-4)


def test_the_band_narrows_as_units_come():
    lower, upper = band([0, 10, 100, 1_000, 10_000, 10**6], 0.5, ALPHA)
    assert (lower[0], upper[0]) == (0.0, 1.0)
    assert np.all(np.diff(upper - lower) <= 0)


def ever_below(rng, runs, days, ratios, per_day, alpha):
    shares = np.array(ratios) / sum(ratios)
    totals = rng.poisson(per_day, size=(runs, days))
    counts = rng.multinomial(totals, shares)
    return np.mean(always_valid_p(log_e_values(counts, ratios))[:, -1] < alpha)


@pytest.mark.parametrize("ratios", [[1, 1], [9, 1], [1, 1, 1]])
def test_looking_every_day_keeps_its_promise(ratios):
    rng = np.random.default_rng(7)
    # 1,000 experiments looked at on each of 20 days, with many units a day and with few.
    assert ever_below(rng, 1_000, 20, ratios, 300, 0.01) <= 0.01
    assert ever_below(rng, 1_000, 20, ratios, 20, 0.01) <= 0.01


def test_a_chi_square_test_every_day_would_not():
    rng = np.random.default_rng(8)
    counts = rng.multinomial(np.full((1_000, 30), 300), [0.5, 0.5]).cumsum(axis=1)
    p = stats.chisquare(counts, counts.sum(axis=-1, keepdims=True) / 2, axis=-1).pvalue
    assert np.mean((p < 0.01).any(axis=1)) > 0.03


@pytest.mark.slow
@pytest.mark.parametrize("ratios", [[1, 1], [1, 9], [1, 2, 3]])
@pytest.mark.parametrize("per_day", [10, 200, 5_000])
def test_looking_every_day_keeps_its_promise_at_one_in_a_thousand(ratios, per_day):
    rng = np.random.default_rng(9)
    runs = 20_000
    found = sum(ever_below(rng, 2_000, 60, ratios, per_day, ALPHA) for _ in range(runs // 2_000))
    assert found / (runs // 2_000) <= ALPHA + 3 * np.sqrt(ALPHA / runs)


@pytest.mark.parametrize(
    ("lost", "from_day", "by"),
    [
        (0.08, 0, 12),  # 2 points from the beginning on, 25,000 units
        (0.30, 6, 7),  # large and late: within two days, after six good ones
    ],
)
def test_losses_are_found(lost, from_day, by):
    rng = np.random.default_rng(10)
    means = np.full((200, 14, 2), 1_000.0)
    means[:, from_day:, 1] *= 1 - lost
    p = always_valid_p(log_e_values(rng.poisson(means), [1, 1]))
    assert np.mean(p[:, by] < ALPHA) > 0.95
    assert np.mean(p[:, from_day - 1] < ALPHA) < 0.01 if from_day else True


def test_the_day_on_which_it_began_is_named():
    rng = np.random.default_rng(11)
    means = np.full((14, 2), 1_000.0)
    means[6:, 1] *= 0.7
    named = [sample_ratio(rng.poisson(means), [1, 1]).since for _ in range(50)]
    assert np.mean(np.abs(np.array(named) - 6) <= 1) > 0.95


def test_days_without_units_change_nothing():
    with_gaps = sample_ratio([[0, 0], [50, 60], [0, 0]], [1, 1])
    assert np.isnan(with_gaps.shares[0]).all()
    assert with_gaps.p.tolist() == [1.0, 1.0, 1.0]


def test_chi_square_is_that_of_scipy():
    expected = stats.chisquare([320, 700, 290], [1310 / 4, 1310 / 2, 1310 / 4]).pvalue
    assert chi_square_p([320, 700, 290], [1, 2, 1]) == pytest.approx(expected)
    assert np.isnan(chi_square_p([0, 0], [1, 1]))


def test_homogeneity_is_that_of_scipy():
    yes, units = [50, 71, 40], [900, 1_000, 800]
    table = [yes, [u - y for y, u in zip(yes, units, strict=True)]]
    expected = stats.chi2_contingency(table, correction=False).pvalue
    assert homogeneity_p(yes, units) == pytest.approx(expected)
    assert homogeneity_p([*yes, 0], [*units, 0]) == pytest.approx(expected)
    assert np.isnan(homogeneity_p([0, 0], [10, 10]))
    assert np.isnan(homogeneity_p([10, 10], [10, 10]))
    assert np.isnan(homogeneity_p([5], [10]))


@pytest.mark.parametrize("ratios", [[], [1], [0, 1], [-1, 2], [[1, 1]]])
def test_ratios_that_are_none_are_refused(ratios):
    with pytest.raises(ValueError, match="positive numbers"):
        sample_ratio([[1, 2]], ratios)


def test_counts_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="3 branches are of shape"):
        sample_ratio([[1, 2]], [1, 1, 1])


def test_huge_counts_stay_exact_enough():
    # log G(1e9) is 2e10: what remains after subtraction must still be right. By the normal law
    # of a share with a Beta prior, to which the bet tends.
    n, share = 10**9, 0.5
    e = exp(log_e_values([[n * share, n * share]], [1, 1])[0]) - 0.5
    weights = [np.sqrt((c + 1) / (c + 1 + n)) for c in CONCENTRATIONS]
    assert log(2 * e) == pytest.approx(log(np.mean(weights)), abs=0.02)
