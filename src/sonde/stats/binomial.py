"""Proportions of units with a Beta posterior, and their comparisons by integration."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import scipy  # its parts load when they are first used: a plan needs none of them

from sonde.stats.counts import Floats
from sonde.stats.estimate import (
    Failure,
    Interval,
    Measured,
    Outcome,
    Reason,
    comparison_rows,
    individual_rows,
)
from sonde.stats.laws import Law, individual, limits, normal_quantile, relative_uplift, root
from sonde.stats.moments import Moments
from sonde.stats.needs import Columns, MomentsOf, Need, Summaries
from sonde.stats.resampled import unusable
from sonde.stats.statistic import Covariate, check_ci_width, parse_params


@dataclass(frozen=True)
class Beta:
    """The posterior of a proportion after a uniform prior."""

    successes: int
    failures: int

    @property
    def shapes(self) -> tuple[float, float]:
        """Both parameters."""
        return self.successes + 1.0, self.failures + 1.0

    @property
    def mean(self) -> float:
        """The mean."""
        return (self.successes + 1) / (self.successes + self.failures + 2)

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.mean * (1 - self.mean) / (self.successes + self.failures + 3))

    @property
    def mean_of_inverse(self) -> float:
        """The mean of 1 / proportion; infinite without a success."""
        n = self.successes + self.failures
        return (n + 1) / self.successes if self.successes else math.inf

    def below(self, proportions: Floats) -> Floats:
        """The share of the law below each of these."""
        share: Floats = scipy.special.betainc(*self.shapes, np.clip(proportions, 0, 1))
        return share

    def density(self, proportions: Floats) -> Floats:
        """The density at each of these."""
        first, second = self.shapes
        logarithm = scipy.special.xlogy(first - 1, proportions) + scipy.special.xlog1py(
            second - 1, -proportions
        )
        density: Floats = np.exp(logarithm - scipy.special.betaln(first, second))
        return density

    @functools.cached_property
    def support(self) -> tuple[float, float]:
        """Where all of the law lies, but for 1e-17 on either side."""
        low = scipy.special.betaincinv(*self.shapes, 1e-17)
        return float(low), float(scipy.special.betainccinv(*self.shapes, 1e-17))

    def quantile(self, probability: float) -> float:
        """The proportion below which this share lies."""
        return float(scipy.special.betaincinv(*self.shapes, probability))

    @functools.cached_property
    def law(self) -> Law:
        """The same law by its cumulants."""
        first, second = self.shapes
        total = first + second
        variance = self.deviation**2
        skewness = 2 * (second - first) * math.sqrt((total + 1) / (first * second)) / (total + 2)
        product = first * second
        kurtosis = 6 * ((first - second) ** 2 * (total + 1) - product * (total + 2))
        kurtosis /= product * (total + 2) * (total + 3)
        return Law(self.mean, variance, skewness * variance**1.5, kurtosis * variance**2)

    @property
    def is_as_good_as_normal(self) -> bool:
        """Whether its cumulants give quantiles to 1e-5 standard deviations."""
        return abs(self.law.skewness) < 0.02 and abs(self.law.kurtosis) < 0.001


@functools.cache
def _nodes() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(128)
    return (nodes + 1) / 2, weights / 2


def _mean_over(law: Beta, function: Callable[[Floats], Floats], low: float, high: float) -> float:
    """The integral of a smooth function over the part of a law between two proportions."""
    start, stop = max(low, law.support[0]), min(high, law.support[1])
    if start >= stop:
        return 0.0
    nodes, weights = _nodes()
    places = start + (stop - start) * nodes
    return float((stop - start) * (weights @ (law.density(places) * function(places))))


@dataclass(frozen=True)
class _Pair:
    """Two independent posteriors, for shares of the law of their difference or ratio.

    A share is an integral over the narrower law of a share of the wider one, up to where that
    becomes 0 or 1: a smooth integrand.
    """

    branch: Beta
    reference: Beta

    @property
    def is_as_good_as_normal(self) -> bool:
        return self.branch.is_as_good_as_normal and self.reference.is_as_good_as_normal

    def share_of_differences_below(self, difference: float) -> float:
        one, other = self.branch, self.reference
        if one.deviation > other.deviation:
            inside = _mean_over(
                other, lambda c: one.below(c + difference), -difference, 1 - difference
            )
            return inside + 1 - float(other.below(np.array(1 - difference)))
        inside = _mean_over(
            one, lambda t: 1 - other.below(t - difference), difference, 1 + difference
        )
        return inside + float(one.below(np.array(difference)))

    def share_of_ratios_below(self, ratio: float) -> float:
        one, other = self.branch, self.reference
        if one.deviation > ratio * other.deviation:
            inside = _mean_over(other, lambda c: one.below(ratio * c), 0, 1 / ratio)
            return inside + 1 - float(other.below(np.array(1 / ratio)))
        return _mean_over(one, lambda t: 1 - other.below(t / ratio), 0, ratio)


def _quantile(
    share_below: Callable[[float], float], probability: float, middle: float, spread: float
) -> float:
    """Where the share is `probability`; in normal deviates, shares are nearly straight lines."""
    wanted = normal_quantile(probability)

    def height(place: float) -> float:
        share = min(max(share_below(place), 1e-300), 1 - 1e-16)
        return float(scipy.special.ndtri(share)) - wanted

    return root(height, middle, middle + wanted * spread)


@dataclass(frozen=True)
class _Proportions:
    """Branches by their posteriors, to be asked for one or for two of them."""

    branches: Mapping[str, Beta | Failure]
    ci_width: float

    def individual(self, branch: str) -> Measured:
        own = self.branches[branch]
        if isinstance(own, Failure):
            return own
        low, high = limits(self.ci_width)
        return Interval(own.mean, own.quantile(low), own.quantile(high))

    def difference(self, branch: str, reference: str) -> Measured:
        pair = self._pair(branch, reference)
        if isinstance(pair, Failure):
            return pair
        if pair.is_as_good_as_normal:
            return individual(pair.branch.law.minus(pair.reference.law), self.ci_width)
        middle = pair.branch.mean - pair.reference.mean
        spread = math.hypot(pair.branch.deviation, pair.reference.deviation)
        ends = (
            _quantile(pair.share_of_differences_below, each, middle, spread)
            for each in limits(self.ci_width)
        )
        return Interval(middle, *ends)

    def relative_uplift(self, branch: str, reference: str) -> Measured:
        pair = self._pair(branch, reference)
        if isinstance(pair, Failure):
            return pair
        if pair.reference.successes == 0:
            return Failure(Reason.BASELINE_IS_ZERO, "no unit of the reference has a 1")

        if pair.is_as_good_as_normal:
            return relative_uplift(pair.branch.law, pair.reference.law, self.ci_width)

        def share(log_ratio: float) -> float:
            return pair.share_of_ratios_below(math.exp(log_ratio))

        one, other = pair.branch, pair.reference
        spread = math.hypot(one.deviation / one.mean, other.deviation / other.mean)
        middle = math.log(one.mean / other.mean)
        ends = (
            math.expm1(_quantile(share, each, middle, spread)) for each in limits(self.ci_width)
        )
        return Interval(one.mean * other.mean_of_inverse - 1, *ends)

    def _pair(self, branch: str, reference: str) -> _Pair | Failure:
        one, other = self.branches[branch], self.branches[reference]
        if isinstance(one, Failure):
            return one
        return other if isinstance(other, Failure) else _Pair(one, other)


@dataclass(frozen=True)
class Binomial:
    """The share of units with a 1, by its Beta posterior after a uniform prior.

    Individual limits are the posterior's quantiles. Comparisons have the law of the difference, or
    ratio, of independent posteriors: the limit of Jetstream's 10,000 draws, by integration. Points
    are means of these laws. All values must be 0 or 1; a branch with others, or with nulls, is not
    estimated.
    """

    name: ClassVar[str] = "binomial"
    revision: ClassVar[int] = 1
    label: ClassVar[str] = "binomial"
    covariate: ClassVar[Covariate | None] = None

    confidence_interval: float = 0.95

    def __post_init__(self) -> None:
        check_ci_width(self.confidence_interval)

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """From parameters as written."""
        return parse_params(cls, params)

    def needs(self, columns: Columns, seen: Summaries) -> tuple[Need, ...]:  # noqa: ARG002
        """Moments: they tell zeros and ones from other values."""
        return (MomentsOf((columns.value,), order=4),)

    def estimates(
        self,
        columns: Columns,
        summaries: Summaries,
        branches: Sequence[str],
        references: Sequence[str],
        rng: np.random.Generator,  # noqa: ARG002  no chance in an integral
    ) -> Iterator[Outcome]:
        """The proportions, then the comparisons."""
        moments = summaries.moments[MomentsOf((columns.value,), order=4)]
        every = dict.fromkeys((*branches, *references))
        proportions = _Proportions(
            {branch: posterior(branch, moments.get(branch)) for branch in every},
            self.confidence_interval,
        )
        yield from individual_rows(branches, proportions.individual, self.confidence_interval)
        yield from comparison_rows(branches, references, proportions, self.confidence_interval)


def posterior(branch: str, moments: Moments | None) -> Beta | Failure:
    """The posterior of the share of ones, from moments to the fourth order."""
    own = moments or Moments.empty(1, 4)
    if problem := unusable(branch, own.nulls, own):
        return problem
    n, mean = own.n, own.means[0]
    second, third, fourth = (own.central_sum(power) for power in (2, 3, 4))
    # The sum of (x (x - 1))^2, which is 0 only if every x is 0 or 1.
    slope, product = 2 * mean - 1, mean * (mean - 1)
    square = slope * slope + 2 * product
    strangeness = fourth + 2 * slope * third + square * second + n * product * product
    if not strangeness <= 1e-9 * max(1.0, n * 1e-3):
        return Failure(Reason.NOT_ZERO_OR_ONE, f'branch "{branch}" has values other than 0 and 1')
    successes = round(n * mean)
    return Beta(successes, n - successes)
