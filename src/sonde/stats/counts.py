"""Distinct values with how often each occurs: exact quantiles without the rows."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sonde.stats.moments import Moments

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
# int64 when the column is of integers or booleans, else float64.
Values: TypeAlias = npt.NDArray[Any]


def between(low: Floats, high: Floats, share: Floats) -> Floats:
    """Linear interpolation that is exact at both ends, and between equal infinities."""
    with np.errstate(invalid="ignore"):
        step = np.where(high > low, (high - low), 0.0)
        found: Floats = np.where(share < 0.5, low + step * share, high - step * (1 - share))
    return found


def _as_values(array: npt.ArrayLike) -> Values:
    values = np.asarray(array)
    return values.astype(np.int64 if values.dtype.kind in "biu" else np.float64, copy=False)


@dataclass(frozen=True, eq=False)
class ValueCounts:
    """The distinct values of a column in ascending order, and the number of rows with each.

    values: int64 for columns of integers and booleans, float64 for others.
    nulls: rows left out because the column was null. `a + b` is the summary of both.

    >>> counts = ValueCounts.of([3, 1, 1]) + ValueCounts.of([1, 2])
    >>> counts.values.tolist(), counts.counts.tolist(), counts.n
    ([1, 2, 3], [3, 1, 1], 5)
    """

    values: Values
    counts: Integers
    nulls: int = 0

    def __post_init__(self) -> None:
        values, counts = _as_values(self.values), np.asarray(self.counts, dtype=np.int64)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "counts", counts)
        if values.ndim != 1 or values.shape != counts.shape:
            raise ValueError("values and counts must be one-dimensional and of one length")
        if not (np.all(values[1:] > values[:-1]) and np.all(counts > 0)):
            raise ValueError("values must ascend without repetition, counts be positive")

    @classmethod
    def of(cls, array: npt.ArrayLike) -> ValueCounts:
        """From one value per row; NaN is null."""
        rows = _as_values(array)
        kept = rows[~np.isnan(rows)]
        values, counts = np.unique(kept, return_counts=True)
        return cls(values, counts, len(rows) - len(kept))

    @classmethod
    def tally(
        cls, values: npt.ArrayLike, counts: npt.ArrayLike | None = None, nulls: int = 0
    ) -> ValueCounts:
        """From values in any order, repeated or not, each with its count."""
        distinct, place = np.unique(_as_values(values), return_inverse=True)
        totals = np.zeros(len(distinct), dtype=np.int64)
        np.add.at(totals, place, 1 if counts is None else np.asarray(counts, dtype=np.int64))
        return cls(distinct[totals > 0], totals[totals > 0], nulls)

    def __add__(self, other: ValueCounts) -> ValueCounts:
        nulls = self.nulls + other.nulls
        if len(other.values) == 0 or len(self.values) == 0:
            whole = self if len(other.values) == 0 else other
            return ValueCounts(whole.values, whole.counts, nulls)
        return ValueCounts.tally(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.counts, other.counts]),
            nulls,
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ValueCounts)
            and self.nulls == other.nulls
            and np.array_equal(self.values, other.values)
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]

    @functools.cached_property
    def last_ranks(self) -> Integers:
        """The last place, from 0, of each value in the sorted rows."""
        return np.cumsum(self.counts) - 1

    @property
    def n(self) -> int:
        """Rows with a value."""
        return int(self.last_ranks[-1]) + 1 if len(self.counts) else 0

    @property
    def is_integer(self) -> bool:
        """Whether the column holds integers (or booleans) by its type."""
        return self.values.dtype.kind == "i"

    @property
    def is_finite(self) -> bool:
        """Whether no value is infinite."""
        return bool(np.isfinite(self.values).all())

    def order_statistics(self, ranks: npt.ArrayLike) -> Values:
        """The values at these places, from 0, of the sorted rows."""
        chosen: Values = self.values[np.searchsorted(self.last_ranks, np.asarray(ranks))]
        return chosen

    def quantiles(self, probabilities: npt.ArrayLike) -> Floats:
        """Quantiles of the rows, interpolated linearly (numpy's default, R's type 7).

        >>> ValueCounts.of([0, 10, 20]).quantiles([0.25, 1.0]).tolist()
        [5.0, 20.0]
        """
        if len(self.values) == 0:
            raise ValueError("no rows, no quantiles")
        place = np.asarray(probabilities, dtype=np.float64) * (self.n - 1)
        below = np.floor(place).astype(np.int64)
        ends = self.order_statistics([below, np.minimum(below + 1, self.n - 1)])
        low, high = ends.astype(np.float64)
        return between(low, high, place - below)

    def quantile(self, probability: float) -> float:
        """One quantile of the rows, interpolated linearly."""
        return float(self.quantiles(probability))

    def clip(self, upper: float) -> ValueCounts:
        """With the values above `upper` set to it."""
        kept = int(np.searchsorted(self.values, upper, side="right"))
        if kept == len(self.values):
            return self
        top = np.array([upper])
        if self.is_integer and upper == int(upper):
            top = top.astype(np.int64)
        return ValueCounts.tally(
            np.concatenate([self.values[:kept], top]),
            np.concatenate([self.counts[:kept], [self.counts[kept:].sum()]]),
            self.nulls,
        )

    def moments(self, order: int = 2) -> Moments:
        """The power sums of the same rows."""
        return Moments.of_counts(self.values, counts=self.counts, order=order, nulls=self.nulls)

    def grid_mean(self, size: int = 10_000) -> float:
        """The mean of the quantiles at 0, 1 / size, .. (size - 1) / size, infinities left out.

        NaN without finite values.
        """
        finite = np.isfinite(self.values)
        if not finite.any():
            return math.nan
        kept = ValueCounts(self.values[finite], self.counts[finite])
        return math.fsum(kept.quantiles(np.arange(size) / size)) / size


@dataclass(frozen=True, eq=False)
class PairCounts:
    """The distinct pairs of two columns and the number of rows with each; units stay paired.

    first, second: of one length, pairs in lexicographic order without repetition.
    nulls: rows left out because one of the two was null. `a + b` is the summary of both.
    """

    first: Floats
    second: Floats
    counts: Integers
    nulls: int = 0

    @classmethod
    def of(cls, first: npt.ArrayLike, second: npt.ArrayLike) -> PairCounts:
        """From two values per row; NaN is null."""
        rows = np.array([first, second], dtype=np.float64)
        kept = rows[:, ~np.isnan(rows).any(axis=0)]
        return cls.tally(kept[0], kept[1], nulls=rows.shape[1] - kept.shape[1])

    @classmethod
    def tally(
        cls,
        first: npt.ArrayLike,
        second: npt.ArrayLike,
        counts: npt.ArrayLike | None = None,
        nulls: int = 0,
    ) -> PairCounts:
        """From pairs in any order, repeated or not, each with its count."""
        rows = np.array([first, second], dtype=np.float64)
        weights = np.ones(rows.shape[1], np.int64) if counts is None else np.asarray(counts)
        order = np.lexsort(rows[::-1])
        rows, weights = rows[:, order], weights[order].astype(np.int64)
        is_new = np.ones(len(weights), dtype=bool)
        is_new[1:] = (rows[:, 1:] != rows[:, :-1]).any(axis=0)
        starts = np.flatnonzero(is_new)
        totals = np.add.reduceat(weights, starts) if len(starts) else weights
        return cls(rows[0, starts], rows[1, starts], totals, nulls)

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts.tally(
            np.concatenate([self.first, other.first]),
            np.concatenate([self.second, other.second]),
            np.concatenate([self.counts, other.counts]),
            self.nulls + other.nulls,
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, PairCounts)
            and self.nulls == other.nulls
            and np.array_equal(self.first, other.first)
            and np.array_equal(self.second, other.second)
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def n(self) -> int:
        """Rows with both values."""
        return int(self.counts.sum())

    @property
    def columns(self) -> tuple[ValueCounts, ValueCounts]:
        """The counts of each column on its own."""
        return (
            ValueCounts.tally(self.first, self.counts),
            ValueCounts.tally(self.second, self.counts),
        )

    def clip(self, first: float, second: float) -> PairCounts:
        """With the values above each column's threshold set to it."""
        return PairCounts.tally(
            np.minimum(self.first, first), np.minimum(self.second, second), self.counts, self.nulls
        )


@dataclass(frozen=True)
class Total:
    """Rows, rows with a null, and the sum over the others. `a + b` is the summary of both."""

    rows: int
    nulls: int
    total: float

    @classmethod
    def of(cls, array: npt.ArrayLike) -> Total:
        """From one value per row; NaN is null."""
        counts = ValueCounts.of(array)
        products = (counts.values * counts.counts).tolist()
        total = sum(products) if counts.is_integer else math.fsum(products)
        return cls(counts.n + counts.nulls, counts.nulls, float(total))

    def __add__(self, other: Total) -> Total:
        return Total(self.rows + other.rows, self.nulls + other.nulls, self.total + other.total)
