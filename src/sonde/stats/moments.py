"""Power sums of up to four columns, mergeable and stable under any offset."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Exponents: TypeAlias = tuple[int, ...]

MAX_COLUMNS = 4
MAX_ORDER = 4
# Below this share of what it was computed from, a variance is what cancellation left over.
_NOISE = 2.0**-44
# A column whose standard deviation is below this share of its mean is constant.
_CONSTANT = 2.0**-48


@functools.lru_cache
def exponents(columns: int, order: int) -> tuple[Exponents, ...]:
    """The power sums that make a `Moments`, in the order in which `from_sums` takes them.

    >>> exponents(2, 2)
    ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
    """
    if not (1 <= columns <= MAX_COLUMNS and 1 <= order <= MAX_ORDER):
        raise ValueError(f"moments of {columns} columns up to order {order} are not supported")
    return tuple(
        powers
        for total in range(1, order + 1)
        for powers in itertools.product(range(total, -1, -1), repeat=columns)
        if sum(powers) == total
    )


@functools.lru_cache
def _terms(columns: int, order: int) -> tuple[tuple[tuple[int, float, Exponents], ...], ...]:
    """How each sum about one centre is made of those about another (the binomial theorem).

    For each of `exponents`: (position of a sum, or -1 for n; coefficient; powers of the move).
    """
    known = exponents(columns, order)
    position = {powers: place for place, powers in enumerate(known)} | {(0,) * columns: -1}
    return tuple(tuple(_expand(powers, position)) for powers in known)


def _expand(
    powers: Exponents, position: dict[Exponents, int]
) -> Iterator[tuple[int, float, Exponents]]:
    for lower in itertools.product(*(range(power + 1) for power in powers)):
        coefficient = math.prod(map(math.comb, powers, lower))
        move = tuple(power - part for power, part in zip(powers, lower, strict=True))
        yield position[lower], float(coefficient), move


def _moved(n: int, sums: Sequence[float], move: Sequence[float], order: int) -> list[float]:
    """Sums about a centre that lies `move` below the present one; NaN where they overflow.

    Each is added up exactly (Pébay 2008 gives the pairwise case of the same formula).
    """
    if not any(move):
        return list(sums)
    try:
        return [_moved_sum(terms, n, sums, move) for terms in _terms(len(move), order)]
    except OverflowError:
        return [math.nan] * len(sums)


def _moved_sum(
    terms: Sequence[tuple[int, float, Exponents]],
    n: int,
    sums: Sequence[float],
    move: Sequence[float],
) -> float:
    return math.fsum(
        coefficient
        * (n if place < 0 else sums[place])
        * math.prod(step**power for step, power in zip(move, powers, strict=True) if power)
        for place, coefficient, powers in terms
    )


@dataclass(frozen=True)
class Moments:
    """Count, means and centred sums of products of k columns over rows where none is null.

    central: sums of products of powers of (value - mean), for `exponents(k, order)` of order 2
    and more. nulls: rows left out because one of the columns was null.
    `a + b` is the summary of both.

    >>> both = Moments.of([1.0, 2.0]) + Moments.of([6.0])
    >>> both.n, both.means, both.variance()
    (3, (3.0,), 7.0)
    """

    n: int
    means: tuple[float, ...]
    central: tuple[float, ...]
    order: int = 2
    nulls: int = 0

    @classmethod
    def empty(cls, columns: int, order: int = 2, nulls: int = 0) -> Moments:
        """The summary of no rows."""
        size = len(exponents(columns, order)) - columns
        return cls(0, (0.0,) * columns, (0.0,) * size, order, nulls)

    @classmethod
    def of(cls, *columns: npt.ArrayLike, order: int = 2) -> Moments:
        """From one array per column, all of one length; NaN is null."""
        rows = np.array([np.asarray(column, dtype=np.float64) for column in columns])
        kept = rows[:, ~np.isnan(rows).any(axis=0)]
        nulls = rows.shape[1] - kept.shape[1]
        if kept.shape[1] == 0:
            return cls.empty(len(columns), order, nulls)
        return cls._of_rows(kept, np.ones(kept.shape[1]), order, nulls)

    @classmethod
    def _of_rows(
        cls,
        rows: npt.NDArray[np.float64],
        weights: npt.NDArray[np.float64],
        order: int,
        nulls: int = 0,
    ) -> Moments:
        n = int(weights.sum())
        with np.errstate(invalid="ignore", over="ignore"):
            shift = (rows * weights).sum(axis=1) / n  # sum() adds pairwise, a dot product does not
            centred = rows - shift[:, np.newaxis]
            powers = [
                [weights, *itertools.accumulate(itertools.repeat(row, order), np.multiply)]
                for row in centred
            ]
            sums = [_product_sum(powers, weights, each) for each in exponents(len(rows), order)]
        return cls.from_sums(n, shift.tolist(), sums, order=order, nulls=nulls)

    @classmethod
    def of_counts(
        cls, *columns: npt.ArrayLike, counts: npt.ArrayLike, order: int = 2, nulls: int = 0
    ) -> Moments:
        """From distinct values (or combinations of values) and how often each occurs."""
        weights = np.asarray(counts, dtype=np.float64)
        if weights.sum() == 0:
            return cls.empty(len(columns), order, nulls)
        rows = np.array([np.asarray(column, dtype=np.float64) for column in columns])
        return cls._of_rows(rows, weights, order, nulls)

    @classmethod
    def from_sums(
        cls,
        n: int,
        shift: Sequence[float],
        sums: Sequence[float],
        *,
        order: int = 2,
        nulls: int = 0,
    ) -> Moments:
        """From sums of products of powers of (value - shift), as an engine adds them up.

        shift: one number per column, near its mean: the error of a variance is about
        1e-16 times (distance of shift and mean / standard deviation) squared.
        sums: one per `exponents(len(shift), order)`, in that order.

        >>> Moments.from_sums(3, [2.0], [3.0, 17.0]).variance()
        7.0
        """
        columns = len(shift)
        if len(sums) != len(exponents(columns, order)):
            raise ValueError(f"expected the sums {exponents(columns, order)}, got {len(sums)}")
        if n == 0:
            return cls.empty(columns, order, nulls)
        move = [total / n for total in sums[:columns]]
        means = tuple(start + step for start, step in zip(shift, move, strict=True))
        if not all(map(math.isfinite, (*means, *sums))):
            size = len(sums) - columns
            return cls(n, means, (math.nan,) * size, order, nulls)
        about_mean = _moved(n, sums, [-step for step in move], order)
        return cls(n, means, _settled(n, means, about_mean, sums), order, nulls)

    def __add__(self, other: Moments) -> Moments:
        if (len(self.means), self.order) != (len(other.means), other.order):
            raise ValueError("moments of different columns or orders cannot be added")
        nulls = self.nulls + other.nulls
        if self.n == 0 or other.n == 0:
            whole = self if other.n == 0 else other
            return Moments(whole.n, whole.means, whole.central, whole.order, nulls)
        n = self.n + other.n
        means = tuple(
            _joint_mean(self.n, mean, other.n, second, n)
            for mean, second in zip(self.means, other.means, strict=True)
        )
        if not all(map(math.isfinite, (*means, *self.central, *other.central))):
            return Moments(n, means, (math.nan,) * len(self.central), self.order, nulls)
        central = [
            mine + theirs
            for mine, theirs in zip(self._about(means), other._about(means), strict=True)
        ]
        return Moments(n, means, _settled(n, means, central, central), self.order, nulls)

    def _about(self, centre: Sequence[float]) -> list[float]:
        move = [mean - point for mean, point in zip(self.means, centre, strict=True)]
        sums = [0.0] * len(self.means) + list(self.central)
        return _moved(self.n, sums, move, self.order)

    def central_sum(self, *powers: int) -> float:
        """The sum over rows of the product of (value - mean) ** power, one power per column."""
        place = exponents(len(self.means), self.order).index(powers) - len(self.means)
        return self.central[place]

    def product_sum(self, first: int = 0, second: int = 0) -> float:
        """The sum over rows of (first - its mean) * (second - its mean), by column number."""
        columns = range(len(self.means))
        return self.central_sum(*((each == first) + (each == second) for each in columns))

    def variance(self, column: int = 0) -> float:
        """The sample variance (divisor n - 1); NaN for fewer than two rows."""
        return self.product_sum(column, column) / (self.n - 1) if self.n > 1 else math.nan

    @property
    def is_finite(self) -> bool:
        """Whether every value was finite."""
        return all(map(math.isfinite, (*self.means, *self.central)))


def _settled(
    n: int,
    means: Sequence[float],
    about_mean: Sequence[float],
    about_shift: Sequence[float],
) -> tuple[float, ...]:
    """The centred sums, exactly 0 for columns that do not vary but for rounding."""
    columns = len(means)
    constant = set()
    for column, square in enumerate(_squares(columns)):
        if square >= len(about_mean):
            return ()
        spread = _CONSTANT * means[column]
        noise = max(_NOISE * about_shift[square], n * (spread * spread))
        if not about_mean[square] > noise:
            constant.add(column)
    return tuple(
        0.0 if any(powers[column] for column in constant) else value
        for powers, value in zip(exponents(columns, MAX_ORDER), about_mean, strict=False)
        if sum(powers) > 1
    )


@functools.lru_cache
def _squares(columns: int) -> tuple[int, ...]:
    """Where each column's sum of squares stands among `exponents`, of whatever order."""
    known = exponents(columns, 2)
    return tuple(
        known.index(tuple(2 * (each == column) for each in range(columns)))
        for column in range(columns)
    )


def _product_sum(
    powers: Sequence[Sequence[npt.NDArray[np.float64]]],
    weights: npt.NDArray[np.float64],
    each: Exponents,
) -> float:
    factors = [column[power] for column, power in zip(powers, each, strict=True) if power]
    return float(functools.reduce(np.multiply, factors, weights).sum())


def _joint_mean(n: int, mean: float, m: int, second: float, total: int) -> float:
    """Exact for equal means, and the same whichever comes first."""
    if mean <= second:
        return mean + (second - mean) * (m / total)
    return second + (mean - second) * (n / total)
