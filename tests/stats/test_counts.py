"""Laws of the summaries that keep values, and their figures against numpy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sonde.stats.counts import PairCounts, Total, ValueCounts
from sonde.stats.moments import Moments
from sonde.stats.needs import (
    Clip,
    Columns,
    CountsOf,
    GridMeanOf,
    MomentsOf,
    PairCountsOf,
    Scope,
    Summaries,
    TotalOf,
)

number = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, 1.0, 2.5, math.nan]))
rows = hnp.arrays(np.float64, st.integers(0, 40), elements=number)
whole = hnp.arrays(np.int64, st.integers(0, 40), elements=st.integers(-5, 5))


@given(rows, rows, rows)
def test_value_counts_add_like_the_rows_they_count(one, two, three):
    together = ValueCounts.of(np.concatenate([one, two, three]))
    assert (ValueCounts.of(one) + ValueCounts.of(two)) + ValueCounts.of(three) == together
    assert ValueCounts.of(three) + (ValueCounts.of(two) + ValueCounts.of(one)) == together
    assert together + ValueCounts.of([]) == together


@given(rows)
def test_value_counts_keep_every_row(array):
    counts = ValueCounts.of(array)
    assert counts.n + counts.nulls == len(array)
    kept = np.sort(array[~np.isnan(array)])
    assert counts.order_statistics(np.arange(counts.n)).tolist() == kept.tolist()


@given(rows.filter(lambda array: not np.isnan(array).all()), st.lists(st.floats(0, 1), min_size=1))
def test_quantiles_are_numpys(array, probabilities):
    kept = array[~np.isnan(array)]
    found = ValueCounts.of(array).quantiles(probabilities)
    assert found == pytest.approx(np.quantile(kept, probabilities), rel=1e-14, abs=1e-12)


@given(whole.filter(len), st.floats(0.01, 1))
def test_clipping_counts_is_clipping_rows(array, share):
    for values in (array, array.astype(float)):
        counts = ValueCounts.of(values)
        upper = counts.quantile(share)
        clipped = counts.clip(upper)
        expected = np.sort(np.minimum(values, upper))
        assert clipped.order_statistics(np.arange(len(values))).tolist() == expected.tolist()
        assert clipped.n == len(values)


@given(rows, st.sampled_from([2, 3, 4]))
def test_moments_of_counts_are_moments_of_rows(array, order):
    counted, direct = ValueCounts.of(array).moments(order), Moments.of(array, order=order)
    assert (counted.n, counted.nulls) == (direct.n, direct.nulls)
    scale = max(1.0, float(np.nanmax(np.abs(array), initial=0))) ** order * max(1, direct.n)
    assert counted.central == pytest.approx(direct.central, rel=1e-9, abs=1e-12 * scale)


def test_integers_stay_integers_and_booleans_become_them():
    assert ValueCounts.of([3, 1]).is_integer
    assert ValueCounts.of([True, False]).values.tolist() == [0, 1]
    assert not ValueCounts.of([3.0, 1.0]).is_integer
    assert ValueCounts.of([1, 2, 9]).clip(5.0).is_integer
    assert not ValueCounts.of([1, 2, 9]).clip(5.5).is_integer
    huge = 2**53 + 1
    assert ValueCounts.of([huge]).values[0] == huge


def test_counts_that_are_not_counts_are_refused():
    with pytest.raises(ValueError, match="must ascend"):
        ValueCounts(np.array([2.0, 1.0]), np.array([1, 1]))
    with pytest.raises(ValueError, match="counts be positive"):
        ValueCounts(np.array([1.0]), np.array([0]))
    with pytest.raises(ValueError, match="of one length"):
        ValueCounts(np.array([1.0]), np.array([1, 2]))
    with pytest.raises(ValueError, match="no rows, no quantiles"):
        ValueCounts.of([]).quantile(0.5)


@given(rows, rows)
def test_totals_add_like_the_rows_they_sum(one, other):
    both = Total.of(one) + Total.of(other)
    expected = Total.of(np.concatenate([one, other]))
    assert (both.rows, both.nulls) == (expected.rows, expected.nulls)
    assert both.total == pytest.approx(expected.total, rel=1e-12, abs=1e-9)


def test_totals_of_integers_are_exact():
    assert Total.of([2**52 + 1, 1, 1]).total == 2**52 + 3


pairs = st.lists(st.tuples(number, number), max_size=20)


def of_pairs(rows):
    return PairCounts.of(*(zip(*rows, strict=True) if rows else ((), ())))


@given(pairs, pairs)
def test_pair_counts_add_like_the_rows_they_count(one, other):
    assert of_pairs(one) + of_pairs(other) == of_pairs(one + other)
    assert of_pairs(other) + of_pairs(one) == of_pairs(one + other)


@given(pairs)
def test_pairs_keep_every_row_and_tell_their_columns(rows):
    found = of_pairs(rows)
    assert found.n + found.nulls == len(rows)
    kept = [pair for pair in rows if not any(map(math.isnan, pair))]
    for column, counts in enumerate(found.columns):
        assert counts == ValueCounts.of([pair[column] for pair in kept])


def test_pairs_are_clipped_each_at_its_own_threshold():
    clipped = PairCounts.of([1, 2, 9], [5, 6, 7]).clip(4, 6)
    assert clipped == PairCounts.of([1, 2, 4], [5, 6, 6])


def test_thresholds_follow_the_scope():
    integers = ValueCounts.of(np.arange(100))
    assert Clip(0.95, Scope.POOLED).threshold(integers) == 95
    assert Clip(0.95, Scope.PER_BRANCH).threshold(integers) == pytest.approx(94.05)
    reals = ValueCounts.of(np.arange(100.0))
    assert Clip(0.95, Scope.POOLED).threshold(reals) == pytest.approx(94.05)
    for share in (0, 1.1):
        with pytest.raises(ValueError, match="must lie in"):
            Clip(share, Scope.POOLED)


def test_summaries_know_what_is_missing():
    needs = (
        MomentsOf(("x",)),
        TotalOf("x"),
        CountsOf("x"),
        PairCountsOf(("x", "y")),
        GridMeanOf("y", given="x"),
    )
    assert Summaries().missing([*needs, needs[0]]) == needs
    known = Summaries(
        {needs[0]: {}}, {needs[1]: {}}, {needs[2]: {}}, {needs[3]: {}}, {needs[4]: 1.0}
    )
    assert known.missing(needs) == ()
    assert (Summaries() | known) == known
    assert (known | Summaries()).missing([CountsOf("z")]) == (CountsOf("z"),)
    assert Columns("x").covariate is None
