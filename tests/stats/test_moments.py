"""Laws of `Moments`, and its figures against exact arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sonde.stats.moments import Moments, exponents

value = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))
rows = st.lists(st.tuples(value, value), max_size=30)


def of(pairs, order=4):
    columns = list(zip(*pairs, strict=True)) or [(), ()]
    return Moments.of(*columns, order=order)


def scale(pairs, powers):
    """The size of what a centred sum is made of: differences below its rounding do not count."""
    if not pairs:
        return 1.0
    spread = [max(column) - min(column) for column in zip(*pairs, strict=True)]
    size = [max(map(abs, column)) for column in zip(*pairs, strict=True)]
    noise = 1e-9
    return len(pairs) * math.prod(
        (wide + noise * big + noise) ** power
        for wide, big, power in zip(spread, size, powers, strict=True)
    )


def assert_close(one, other, pairs):
    assert (one.n, one.nulls, one.order) == (other.n, other.nulls, other.order)
    assert one.means == pytest.approx(other.means, rel=1e-12, abs=1e-9)
    for powers in exponents(2, one.order)[2:]:
        tolerance = 1e-9 * scale(pairs, powers)
        assert abs(one.central_sum(*powers) - other.central_sum(*powers)) <= tolerance


@given(rows, rows)
def test_the_summary_of_all_rows_is_the_sum_of_the_summaries_of_their_parts(one, other):
    assert_close(of(one) + of(other), of(one + other), one + other)


@given(rows, rows, rows)
def test_adding_is_associative(one, two, three):
    left, right = (of(one) + of(two)) + of(three), of(one) + (of(two) + of(three))
    assert_close(left, right, one + two + three)


@given(rows, rows)
def test_adding_commutes_to_the_last_bit(one, other):
    assert of(one) + of(other) == of(other) + of(one)


@given(rows)
def test_the_empty_summary_is_neutral(pairs):
    assert of(pairs) + Moments.empty(2, 4) == of(pairs)


@given(rows, st.tuples(value, value))
def test_sums_about_any_point_make_the_same_moments(pairs, shift):
    sums = [
        math.fsum(
            math.prod((x - s) ** p for x, s, p in zip(row, shift, powers, strict=True))
            for row in pairs
        )
        for powers in exponents(2, 2)
    ]
    made = Moments.from_sums(len(pairs), shift, sums)
    own = of(pairs, order=2)
    assert made.n == own.n
    for powers in exponents(2, 2)[2:]:
        tolerance = 1e-9 * scale([*pairs, shift], powers)
        assert abs(made.central_sum(*powers) - own.central_sum(*powers)) <= tolerance


@given(st.lists(st.sampled_from([0.1, 1e6 + 1 / 3, -7.0]), min_size=1, max_size=5))
def test_a_constant_does_not_vary_however_it_is_put_together(sizes):
    constant = sizes[0]
    parts = [Moments.of([constant] * int(abs(size) % 11 + 1), order=4) for size in sizes]
    whole = sum(parts[1:], parts[0])
    assert whole.central == (0.0, 0.0, 0.0)
    assert whole.means == pytest.approx((constant,), rel=1e-15)


def test_moments_of_a_large_offset_are_those_of_exact_arithmetic():
    rng = np.random.default_rng(1)
    numbers = rng.lognormal(0, 1, 5_000) + 1e6
    exact = [Fraction(x) for x in numbers.tolist()]
    mean = sum(exact) / len(exact)
    whole = sum((Moments.of(part, order=4) for part in np.split(numbers, 50)), Moments.empty(1, 4))
    raw = [float(x) - 1e6 for x in exact]
    summed = Moments.from_sums(
        len(raw), [1e6], [math.fsum(x**p for x in raw) for p in (1, 2, 3, 4)], order=4
    )
    for power in (2, 3, 4):
        truth = float(sum((x - mean) ** power for x in exact))
        for moments in (whole, summed, Moments.of(numbers, order=4)):
            assert moments.central_sum(power) == pytest.approx(truth, rel=1e-9)


def test_moments_agree_with_scipy_and_numpy():
    rng = np.random.default_rng(2)
    x, y = rng.gamma(2, size=(2, 1_000))
    moments = Moments.of(x, y, order=4)
    assert moments.variance(1) == pytest.approx(np.var(y, ddof=1), rel=1e-12)
    assert moments.product_sum(0, 1) == pytest.approx(999 * np.cov(x, y)[0, 1], rel=1e-12)
    for power in (2, 3, 4):
        assert moments.central_sum(power, 0) == pytest.approx(1_000 * stats.moment(x, power))
    mixed = ((x - x.mean()) ** 2 * (y - y.mean()) ** 2).sum()
    assert moments.central_sum(2, 2) == pytest.approx(mixed, rel=1e-12)


def test_rows_with_a_null_in_any_column_are_left_out_and_counted():
    moments = Moments.of([1.0, math.nan, 3.0, 4.0], [1.0, 2.0, math.nan, 2.0])
    assert (moments.n, moments.nulls, moments.means) == (2, 2, (2.5, 1.5))
    assert Moments.of([math.nan]) == Moments.empty(1, nulls=1)
    assert (moments + Moments.of([math.nan], [1.0])).nulls == 3


@pytest.mark.parametrize("infinite", [math.inf, -math.inf])
def test_infinite_values_make_moments_that_say_so(infinite):
    moments = Moments.of([1.0, infinite])
    assert moments.n == 2
    assert not moments.is_finite
    assert not (moments + Moments.of([1.0])).is_finite
    assert not Moments.from_sums(2, [0.0], [infinite, math.inf]).is_finite


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="different columns"):
        Moments.of([1.0]) + Moments.of([1.0], [2.0])
    with pytest.raises(ValueError, match="expected the sums"):
        Moments.from_sums(1, [0.0], [1.0])
    with pytest.raises(ValueError, match="5 columns"):
        exponents(5, 2)
