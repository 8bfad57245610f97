"""Nominal 95 % intervals hold the truth 95 % of the time, where theory promises it.

20,000 simulated experiments each: the share is off by 0.15 % (one standard error), and must lie
in [94.5 %, 95.5 %].
"""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from sonde.stats import laws
from sonde.stats.binomial import Beta, _Proportions
from sonde.stats.bootstrap import dirichlet_law
from sonde.stats.counts import ValueCounts
from sonde.stats.deciles import DECILES, QuantileLaw
from sonde.stats.linear import LinearModel
from sonde.stats.moments import Moments, exponents
from sonde.stats.ratio import ratio_law

pytestmark = pytest.mark.slow

SIMULATIONS = 20_000


def simulated(draw, size, order, columns=1, seed=0):
    """Moments of as many samples: {simulation: Moments}, added up all at once."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(20):
        rows = draw(rng, (SIMULATIONS // 20, size))
        rows = rows if columns > 1 else rows[np.newaxis]
        shift = rows.mean(axis=(1, 2))
        centred = rows - shift[:, np.newaxis, np.newaxis]
        sums = np.array(
            [
                np.prod([c**p for c, p in zip(centred, powers, strict=True)], axis=0).sum(axis=1)
                for powers in exponents(columns, order)
            ]
        )
        found += [Moments.from_sums(size, shift.tolist(), s, order=order) for s in sums.T.tolist()]
    return found


def share_covered(intervals, truth):
    return np.mean([each.lower <= truth <= each.upper for each in intervals])


def assert_nominal(share):
    assert 0.945 <= share <= 0.955


NORMAL = (lambda rng, size: rng.normal(10, 3, size), 10.0, 15)
GAMMA = (lambda rng, size: rng.gamma(2, 1, size), 2.0, 800)
SHAPES = {"normal, 15 units": NORMAL, "gamma, 800 units": GAMMA}


@pytest.mark.parametrize("shape", SHAPES)
def test_linear_model(shape):
    draw, mean, size = SHAPES[shape]
    control = simulated(draw, size, 2, seed=1)
    treatment = simulated(lambda rng, n: draw(rng, n) + mean / 10, size, 2, seed=2)
    models = [
        LinearModel.fit({"t": t, "c": c}, 0.95) for t, c in zip(treatment, control, strict=True)
    ]
    assert_nominal(share_covered((m.individual("c") for m in models), mean))
    assert_nominal(share_covered((m.difference("t", "c") for m in models), mean / 10))
    if size > 100:  # the delta method is for many units
        assert_nominal(share_covered((m.relative_uplift("t", "c") for m in models), 0.1))


def test_linear_model_with_a_covariate():
    def draw(rng, size):
        before = rng.normal(5, 1, size)
        return np.array([before + rng.normal(0, 1, size), before])

    gain = np.array([1, 0]).reshape(2, 1, 1)
    control = simulated(draw, 100, 2, 2, seed=3)
    treatment = simulated(lambda rng, n: draw(rng, n) + gain, 100, 2, 2, seed=4)
    models = []
    for t, c in zip(treatment, control, strict=True):
        grid_mean = (t.means[1] + c.means[1]) / 2
        models.append(LinearModel.fit({"t": t, "c": c}, 0.95, grid_mean))
    assert_nominal(share_covered((m.difference("t", "c") for m in models), 1))
    plain = math.sqrt(2 * 2 / 100)  # the standard error without the covariate
    widths = [m.difference("t", "c").upper - m.difference("t", "c").lower for m in models[:200]]
    assert np.mean(widths) < 0.75 * 2 * 1.96 * plain


@pytest.mark.parametrize("shape", ["gamma, 800 units"])
def test_bootstrap_mean(shape):
    draw, mean, size = SHAPES[shape]
    control = list(map(dirichlet_law, simulated(draw, size, 4, seed=5)))
    treatment = list(map(dirichlet_law, simulated(draw, size, 4, seed=6)))
    assert not any(law.is_odd for law in control)
    pairs = list(zip(treatment, control, strict=True))
    assert_nominal(share_covered((laws.individual(c, 0.95) for c in control), mean))
    assert_nominal(share_covered((laws.individual(t.minus(c), 0.95) for t, c in pairs), 0))
    assert_nominal(share_covered((laws.relative_uplift(t, c, 0.95) for t, c in pairs), 0))


def test_population_ratio():
    def draw(rng, size):
        views = rng.poisson(3, size) + 1.0
        return np.array([rng.poisson(0.3 * views) * rng.gamma(4, 0.25, size), views])

    ratios = list(map(ratio_law, simulated(draw, 800, 4, 2, seed=7)))
    assert None not in ratios
    pairs = list(itertools.pairwise(ratios))
    assert_nominal(share_covered((laws.individual(ratio, 0.95) for ratio in ratios), 0.3))
    assert_nominal(share_covered((laws.individual(a.minus(b), 0.95) for a, b in pairs), 0))
    assert_nominal(share_covered((laws.relative_uplift(a, b, 0.95) for a, b in pairs), 0))


def test_binomial_averaged_over_its_prior():
    rng = np.random.default_rng(8)
    size = 30
    true = rng.random((SIMULATIONS, 2))
    seen = rng.binomial(size, true)
    known = {}
    hits = []
    for (t, c), (one, other) in zip(true, seen.tolist(), strict=True):
        if (one, other) not in known:
            both = _Proportions({"t": Beta(one, size - one), "c": Beta(other, size - other)}, 0.95)
            known[one, other] = both.individual("t"), both.difference("t", "c")
        alone, difference = known[one, other]
        hits.append(
            (alone.lower <= t <= alone.upper, difference.lower <= t - c <= difference.upper)
        )
    for share in np.mean(hits, axis=0):
        assert_nominal(share)


@pytest.mark.parametrize("size", [1_000, 5_000])
def test_deciles_of_any_continuous_distribution(size):
    """Ranks are all that matters, so the exact share follows from the binomial law as well."""
    ranks = ValueCounts.of(np.arange(size))
    rng = np.random.default_rng(9)
    for decile in DECILES:
        low, high = QuantileLaw.of(ranks, decile).at(np.array([0.025, 0.975]))
        below = rng.binomial(size, decile, SIMULATIONS)  # how many units lie below the truth
        assert_nominal(np.mean((low < below) & (below <= high)))
        exact = stats.binom(size, decile).cdf(high) - stats.binom(size, decile).cdf(low)
        assert_nominal(exact)
