"""The law of ranks against the binomial distribution, ends against numpy's quantiles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from sonde.stats.ranks import Ends, RankLaw, turned

quantile = st.sampled_from([0.01, 0.1, 0.3, 0.5, 0.8, 0.99])
width = st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.999])


@pytest.mark.parametrize("n", [1, 2, 3, 30, 777, 20_000, 1_000_000])
@pytest.mark.parametrize("quantile", [0.1, 0.3, 0.5, 0.9])
def test_shares_are_those_of_the_binomial_distribution(n, quantile):
    law = RankLaw.of(n, quantile)
    ranks = np.arange(law.first, law.last + 1)
    # By the incomplete beta function itself: scipy's `bdtr` is off by 1e-11 at these sizes.
    inner = ranks[ranks < n - 1]
    expected = special.betainc(n - 1 - inner, inner + 1, 1 - quantile)
    assert law.share_below(inner) == pytest.approx(expected, abs=2e-13)
    assert law.share_below(np.array([law.last, law.last + 5])).tolist() == [1.0, 1.0]


@given(st.integers(1, 10**7), quantile)
@settings(max_examples=50, deadline=None)
def test_what_is_left_out_is_next_to_nothing(n, quantile):
    law = RankLaw.of(n, quantile)
    assert 0 <= law.first <= (n - 1) * quantile <= law.last <= n - 1
    assert law.first == 0 or law.below[0] < 1e-20
    assert np.all(np.diff(law.below) >= 0)


@given(st.integers(1, 3_000), width, st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 300]))
@settings(max_examples=200, deadline=None)
def test_ends_are_numpys_quantiles(points, ci_width, seed, distinct):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, distinct, points) if distinct else rng.normal(size=points)
    numbers = numbers.astype(np.float64)
    limits = Ends.of(points, ci_width).among(numbers).limits()
    expected = np.quantile(numbers, [(1 - ci_width) / 2, (1 + ci_width) / 2])
    assert limits == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(st.integers(50, 3_000), width)
@settings(max_examples=50, deadline=None)
def test_ends_are_found_where_a_sample_misleads(points, ci_width):
    numbers = np.arange(points, dtype=np.float64)
    numbers[::12] = np.where(np.arange(points)[::12] % 24, 1e6, -1e6)
    limits = Ends.of(points, ci_width).among(numbers).limits()
    expected = np.quantile(numbers, [(1 - ci_width) / 2, (1 + ci_width) / 2])
    assert limits == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 3_000), width, st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_ends_of_negated_and_inverted_numbers_follow(points, ci_width, seed):
    numbers = np.random.default_rng(seed).gamma(2, size=points)
    ends = Ends.of(points, ci_width)
    found = ends.among(numbers)
    assert found.negated().limits() == pytest.approx(ends.among(-numbers).limits(), rel=1e-11)
    assert found.inverted().limits() == pytest.approx(ends.among(1 / numbers).limits(), rel=1e-11)


def test_pairs_on_the_lattice_are_spread_evenly():
    points = 10_000
    pairs = (turned(points) + 0.5) / points
    assert sorted(turned(points)) == list(range(points))
    for across, up in np.random.default_rng(0).random((200, 2)):
        found = np.count_nonzero(pairs[: int(across * points)] < up) / points
        assert found == pytest.approx(across * up, abs=10 / points)
