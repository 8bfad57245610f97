"""Deciles by the law of their bootstrap, without resampling."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import scipy  # its parts load when they are first used: a plan needs none of them

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
from sonde.stats.statistic import Covariate, check_at_least, check_ci_width, parse_params

DECILES = tuple(tenth / 10 for tenth in range(1, 10))
# In standard deviations of a rank: what lies beyond is left out (1e-22 of the law and less).
_REACH = 10.0


@dataclass(frozen=True)
class QuantileLaw:
    """The bootstrap law of a sample quantile: values in ascending order and their shares."""

    values: Floats
    shares: Floats

    @classmethod
    def of(cls, counts: ValueCounts, quantile: float) -> QuantileLaw:
        """The value at a Binomial(n - 1, quantile) rank (Schultzberg & Ankargren 2022)."""
        trials = counts.n - 1
        middle, reach = trials * quantile, _REACH * math.sqrt(trials * quantile * (1 - quantile))
        last_rank = np.cumsum(counts.counts) - 1
        start = int(np.searchsorted(last_rank, max(0.0, middle - reach - _REACH)))
        stop = int(np.searchsorted(last_rank, min(float(trials), middle + reach + _REACH))) + 1
        below = np.ones(stop - start)
        if trials:
            inner = last_rank[start:stop]
            below = scipy.special.bdtr(inner.astype(np.float64), trials, quantile)
        below[-1] = 1.0
        shares = np.diff(below, prepend=0.0)
        return cls(counts.values[start:stop].astype(np.float64), shares)

    @functools.cached_property
    def below(self) -> Floats:
        """The share at or below each value."""
        return np.cumsum(self.shares)

    @property
    def mean(self) -> float:
        """The mean."""
        return float(self.values @ self.shares)

    def without_zero(self, most: float) -> QuantileLaw | None:
        """The law given that it is not 0, if it is 0 with at most this probability."""
        zero = self.values == 0
        share = float(self.shares[zero].sum())
        if share == 0:
            return self
        if share > most or share >= 1:
            return None
        return QuantileLaw(self.values[~zero], self.shares[~zero] / (1 - share))

    def at(self, probabilities: Floats) -> Floats:
        """The least values at or below which these shares lie."""
        places = np.searchsorted(self.below, probabilities)
        return self.values[np.minimum(places, len(self.values) - 1)]


@functools.lru_cache(maxsize=8)
def _lattice(points: int) -> tuple[Floats, Integers]:
    """Evenly spaced probabilities, and an order of them that pairs them evenly with themselves.

    The pairs lie on a lattice turned by the golden ratio: shares of the unit square are off by
    some 1 / points, where as many random pairs are off by 1 / sqrt(points).
    """
    places = np.arange(points)
    turned = np.modf(places * ((math.sqrt(5) - 1) / 2))[0]
    return (places + 0.5) / points, np.argsort(np.argsort(turned))


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
    def spread(self) -> Floats:
        return self.law.at(_lattice(self.points)[0])

    @functools.cached_property
    def divisors(self) -> Floats:
        if self.inverse is None or self.inverse is self.law:
            return self.spread
        return self.inverse.at(_lattice(self.points)[0])


@dataclass(frozen=True)
class _Decile:
    """Branches by their laws of one decile, to be asked for one or for two of them."""

    branches: Mapping[str, _Branch | Failure]
    ci_width: float
    points: int

    def individual(self, branch: str) -> Measured:
        own = self.branches[branch]
        if isinstance(own, Failure):
            return own
        low, high = own.law.at(np.array(limits(self.ci_width)))
        return Interval(own.law.mean, float(low), float(high))

    def difference(self, branch: str, reference: str) -> Measured:
        pair = self._pair(branch, reference)
        if isinstance(pair, Failure):
            return pair
        one, other = pair
        # The same pairs of probabilities, whichever of the two is the reference.
        turned = _lattice(self.points)[1]
        if branch < reference:
            differences = one.spread - other.spread[turned]
        else:
            differences = one.spread[turned] - other.spread
        return self._interval(one.law.mean - other.law.mean, differences)

    def relative_uplift(self, branch: str, reference: str) -> Measured:
        pair = self._pair(branch, reference)
        if isinstance(pair, Failure):
            return pair
        one, other = pair
        if other.inverse is None:
            share = float(other.law.shares[other.law.values == 0].sum())
            detail = f"the reference's decile is 0 with probability {share:.2g}"
            return Failure(Reason.BASELINE_IS_ZERO, detail)
        turned = _lattice(self.points)[1]
        if branch < reference:
            uplifts = one.spread / other.divisors[turned] - 1
        else:
            uplifts = one.spread[turned] / other.divisors - 1
        inverse = float((1 / other.inverse.values) @ other.inverse.shares)
        return self._interval(one.law.mean * inverse - 1, uplifts)

    def _interval(self, point: float, spread: Floats) -> Interval:
        low, high = np.quantile(spread, limits(self.ci_width))
        return Interval(point, float(low), float(high))

    def _pair(self, branch: str, reference: str) -> tuple[_Branch, _Branch] | Failure:
        one, other = self.branches[branch], self.branches[reference]
        if isinstance(one, Failure):
            return one
        return other if isinstance(other, Failure) else (one, other)


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
    revision: ClassVar[int] = 1
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
        deciles = {
            each: _Decile(
                {branch: self._law(branch, counts.get(branch), each) for branch in every},
                self.confidence_interval,
                self.num_samples,
            )
            for each in DECILES
        }
        width = self.confidence_interval
        for each, decile in deciles.items():
            yield from individual_rows(branches, decile.individual, width, each)
        for each, decile in deciles.items():
            yield from comparison_rows(branches, references, decile, width, each)

    def _law(self, branch: str, counts: ValueCounts | None, decile: float) -> _Branch | Failure:
        if problem := no_values(branch, counts):
            return problem
        assert counts is not None
        return _Branch(QuantileLaw.of(counts, decile), self.num_samples)


def no_values(branch: str, counts: ValueCounts | None) -> Failure | None:
    """Why the values of a branch have no distribution, if so."""
    if counts is not None and counts.nulls:
        detail = f'branch "{branch}" has {counts.nulls} nulls; pre-treat with remove_nulls'
        return Failure(Reason.NULL_VALUES, detail)
    if counts is None or counts.n == 0:
        return Failure(Reason.NO_UNITS, f'branch "{branch}" has no units')
    return None
