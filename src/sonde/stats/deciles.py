"""Deciles by the law of their bootstrap, without resampling."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from sonde.stats.counts import Floats, Integers, ValueCounts
from sonde.stats.estimate import (
    Failure,
    Interval,
    Measured,
    Outcome,
    Reason,
    comparison_rows,
    individual_rows,
)
from sonde.stats.laws import limits
from sonde.stats.needs import Columns, CountsOf, Need, Summaries
from sonde.stats.ranks import Ends, EndValues, RankLaw, turned
from sonde.stats.statistic import Covariate, check_at_least, check_ci_width, parse_params

DECILES = tuple(tenth / 10 for tenth in range(1, 10))


@dataclass(frozen=True)
class QuantileLaw:
    """The bootstrap law of a sample quantile: values, ascending, and the share up to each.

    The last of `below` is 1.
    """

    values: Floats
    below: Floats

    @classmethod
    def of(cls, counts: ValueCounts, quantile: float) -> QuantileLaw:
        """The value at a Binomial(n - 1, quantile) rank (Schultzberg & Ankargren 2022)."""
        ranks = RankLaw.of(counts.n, quantile)
        last = counts.last_ranks
        start, end = last.searchsorted((ranks.first, ranks.last))
        values = counts.values[start : end + 1].astype(np.float64)
        return cls(values, ranks.share_below(last[start : end + 1]))

    @functools.cached_property
    def shares(self) -> Floats:
        """The share of each value."""
        shares = self.below.copy()
        shares[1:] -= self.below[:-1]
        return shares

    @functools.cached_property
    def mean(self) -> float:
        """The mean."""
        return float(self.values @ self.shares)

    @functools.cached_property
    def mean_of_inverse(self) -> float:
        """The mean of 1 / value."""
        return float((1 / self.values) @ self.shares)

    @property
    def is_positive(self) -> bool:
        """Whether all values are more than 0."""
        return bool(self.values[0] > 0)

    @property
    def share_of_zero(self) -> float:
        """The probability of 0."""
        return float(self.shares[self.values == 0].sum())

    def without_zero(self, most: float) -> QuantileLaw | None:
        """The law given that it is not 0, if it is 0 with at most this probability."""
        if self.is_positive or (is_other := self.values != 0).all():
            return self
        share = self.share_of_zero
        if share > most or share >= 1:
            return None
        below = np.cumsum(self.shares[is_other])
        return QuantileLaw(self.values[is_other], below / below[-1])

    def at(self, probabilities: npt.ArrayLike) -> Floats:
        """The least values at or below which these shares lie."""
        return self.values[self.below.searchsorted(probabilities)]

    def lattice(self, points: int) -> Integers:
        """How many of the probabilities (i + 0.5) / points have each value or a lower one."""
        ends: Integers = (self.below * points + 0.5).astype(np.int64)
        ends[-1] = points
        return ends


@dataclass(frozen=True)
class _Branch:
    """A branch's law of one decile, and its quantiles at so many probabilities of the lattice."""

    law: QuantileLaw
    points: int

    @functools.cached_property
    def inverse(self) -> QuantileLaw | None:
        """The law to divide by: the same, where it is hardly ever 0."""
        return self.law.without_zero(0.5 / self.points)

    @functools.cached_property
    def ends(self) -> Integers:
        return self.law.lattice(self.points)

    @functools.cached_property
    def is_flat(self) -> bool:
        first = int(self.ends.searchsorted(0, side="right"))
        return bool(self.ends[first] == self.points)

    def at(self, ranks: Integers) -> Floats:
        """The quantiles at these places of the lattice."""
        return self.law.values[self.ends.searchsorted(ranks, side="right")]

    @functools.cached_property
    def spread(self) -> Floats:
        return _repeated(self.law.values, self.ends)

    @functools.cached_property
    def turned(self) -> Floats:
        return self.spread.take(turned(self.points))

    @functools.cached_property
    def divisors(self) -> Floats:
        if self.inverse is None or self.inverse is self.law:
            return self.spread
        return _repeated(self.inverse.values, self.inverse.lattice(self.points))


def _repeated(values: Floats, ends: Integers) -> Floats:
    times = ends.copy()
    times[1:] -= ends[:-1]
    return values.repeat(times)


@dataclass(frozen=True)
class _Pair:
    """Two branches' laws of one decile, taken as independent.

    Whichever of the two is the reference, the pairs of probabilities are the same: limits of the
    one comparison are those of the other, turned.
    """

    first: _Branch
    second: _Branch
    ends: Ends

    @functools.cached_property
    def differences(self) -> EndValues:
        """Of first - second."""
        if self._is_ordered:
            low, high = self._around_ends
            return self.ends.with_values(low - high)
        return self.ends.among(self.first.spread - self.second.turned)

    @functools.cached_property
    def ratios(self) -> EndValues:
        """Of first / second, both positive."""
        if self._is_ordered:
            low, high = self._around_ends
            return self.ends.with_values(low / high)
        return self.ends.among(self.first.spread / self.second.turned)

    @property
    def _is_ordered(self) -> bool:
        """Whether one is always the same: then what is made of both has the other's order."""
        return self.first.is_flat or self.second.is_flat

    @functools.cached_property
    def _around_ends(self) -> tuple[Floats, Floats]:
        ranks = self.ends.ranks
        return self.first.at(ranks), self.second.at(self.ends.points - 1 - ranks)

    @property
    def is_positive(self) -> bool:
        return self.first.law.is_positive and self.second.law.is_positive


@dataclass(frozen=True)
class _Decile:
    """Branches by their laws of one decile, to be asked for one or for two of them."""

    branches: Mapping[str, _Branch | Failure]
    ci_width: float
    ends: Ends
    pairs: dict[tuple[str, str], _Pair] = field(default_factory=dict)

    def individual(self, branch: str) -> Measured:
        own = self.branches[branch]
        if isinstance(own, Failure):
            return own
        low, high = own.law.at(limits(self.ci_width)).tolist()
        return Interval(own.law.mean, low, high)

    def difference(self, branch: str, reference: str) -> Measured:
        one, other = self.branches[branch], self.branches[reference]
        if isinstance(one, Failure):
            return one
        if isinstance(other, Failure):
            return other
        point = one.law.mean - other.law.mean
        if branch < reference:
            return Interval(point, *self._pair(branch, reference).differences.limits())
        return Interval(point, *self._pair(reference, branch).differences.negated().limits())

    def relative_uplift(self, branch: str, reference: str) -> Measured:
        one, other = self.branches[branch], self.branches[reference]
        if isinstance(one, Failure):
            return one
        if isinstance(other, Failure):
            return other
        if other.inverse is None:
            detail = f"the reference's decile is 0 with probability {other.law.share_of_zero:.2g}"
            return Failure(Reason.BASELINE_IS_ZERO, detail)
        low, high = self._ratios(branch, reference, one, other).limits()
        return Interval(one.law.mean * other.inverse.mean_of_inverse - 1, low - 1, high - 1)

    def _ratios(self, branch: str, reference: str, one: _Branch, other: _Branch) -> EndValues:
        pair = self._pair(*sorted((branch, reference)))
        if pair.is_positive:
            return pair.ratios if branch < reference else pair.ratios.inverted()
        # Across 0, the order of ratios says nothing of the order of their inverses.
        order = turned(self.ends.points)
        if branch < reference:
            return self.ends.among(one.spread / other.divisors.take(order))
        return self.ends.among(one.turned / other.divisors)

    def _pair(self, first: str, second: str) -> _Pair:
        if (first, second) not in self.pairs:
            one, other = self.branches[first], self.branches[second]
            assert isinstance(one, _Branch)
            assert isinstance(other, _Branch)
            self.pairs[first, second] = _Pair(one, other, self.ends)
        return self.pairs[first, second]


@dataclass(frozen=True)
class Deciles:
    """The nine deciles, by the law of the bootstrap: the value at a Binomial(n - 1, q) rank.

    Individual limits are that law's quantiles, exactly. Comparisons take the laws of two branches
    as independent, at `num_samples` evenly spread pairs of probabilities. Points are means: of the
    law, of the difference, of the ratio minus 1; what Jetstream's tend to with ever more samples.
    A reference's decile that may be 0 has no ratio, unless that is rarer than half a sample.
    `parameter` is the decile, 0.1 to 0.9. A branch with nulls is not estimated.
    """

    name: ClassVar[str] = "deciles"
    revision: ClassVar[int] = 2
    label: ClassVar[str] = "deciles"
    covariate: ClassVar[Covariate | None] = None

    confidence_interval: float = 0.95
    num_samples: int = 10_000

    def __post_init__(self) -> None:
        check_at_least("num_samples", self.num_samples, 1)
        check_ci_width(self.confidence_interval)

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """From parameters as written."""
        return parse_params(cls, params)

    def needs(self, columns: Columns, seen: Summaries) -> tuple[Need, ...]:  # noqa: ARG002
        """All values."""
        return (CountsOf(columns.value),)

    def estimates(
        self,
        columns: Columns,
        summaries: Summaries,
        branches: Sequence[str],
        references: Sequence[str],
        rng: np.random.Generator,  # noqa: ARG002  no chance on a lattice
    ) -> Iterator[Outcome]:
        """The deciles of branches, then their comparisons."""
        counts = summaries.counts[CountsOf(columns.value)]
        every = dict.fromkeys((*branches, *references))
        problems = {branch: no_values(branch, counts.get(branch)) for branch in every}
        width, ends = self.confidence_interval, Ends.of(self.num_samples, self.confidence_interval)
        deciles = {
            each: _Decile(
                {
                    branch: problem or self._law(counts[branch], each)
                    for branch, problem in problems.items()
                },
                width,
                ends,
            )
            for each in DECILES
        }
        for each, decile in deciles.items():
            yield from individual_rows(branches, decile.individual, width, each)
        for each, decile in deciles.items():
            yield from comparison_rows(branches, references, decile, width, each)

    def _law(self, counts: ValueCounts, decile: float) -> _Branch:
        return _Branch(QuantileLaw.of(counts, decile), self.num_samples)


def no_values(branch: str, counts: ValueCounts | None) -> Failure | None:
    """Why the values of a branch have no distribution, if so."""
    if counts is not None and counts.nulls:
        detail = f'branch "{branch}" has {counts.nulls} nulls; pre-treat with remove_nulls'
        return Failure(Reason.NULL_VALUES, detail)
    if counts is None or counts.n == 0:
        return Failure(Reason.NO_UNITS, f'branch "{branch}" has no units')
    return None
