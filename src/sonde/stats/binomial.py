"""Proportions of units with a Beta posterior, and their comparisons by integration."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
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
from sonde.stats.laws import Law, limits, normal_quantile, relative_uplift
from sonde.stats.moments import Moments
from sonde.stats.needs import Columns, MomentsOf, Need, Summaries
from sonde.stats.resampled import unusable
from sonde.stats.statistic import Covariate, check_ci_width, parse_params

# Of the integral over a posterior: with more of them, shares differ by what rounding does (1e-12).
_NODES = 48
# A Newton step of so many standard deviations leaves an error of the order of its square.
_CLOSE = 1e-7
_STEPS = 100


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

    def below(self, proportions: npt.ArrayLike) -> Floats:
        """The share of the law below each of these."""
        inside = np.minimum(np.maximum(proportions, 0.0), 1.0)
        share: Floats = scipy.special.betainc(*self.shapes, inside)
        return share

    def density(self, proportions: Floats) -> Floats:
        """The density at each of these."""
        density: Floats = np.exp(self._logarithm(proportions) - self._scale)
        return density

    def _logarithm(self, proportions: Floats) -> Floats:
        """Of the density, but for its scale."""
        logarithm: Floats = scipy.special.xlogy(self.successes, proportions)
        logarithm += scipy.special.xlog1py(self.failures, -proportions)
        return logarithm

    @functools.cached_property
    def _scale(self) -> float:
        """That makes the law's integral 1; by gamma functions, that is off by 1e-10 of many."""
        nodes, weights = _nodes()
        low, high = self.support
        logarithm = self._logarithm(low + (high - low) * nodes)
        peak = float(logarithm.max())
        return peak + math.log((high - low) * float(weights @ np.exp(logarithm - peak)))

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

    @functools.cached_property
    def law_of_logarithm(self) -> Law:
        """The law of the logarithm of the proportion, by its cumulants (polygammas)."""
        first, second = self.shapes
        means = scipy.special.digamma([first, first + second])
        orders = np.array([2.0, 3.0, 4.0])
        sums = scipy.special.zeta(orders, first) - scipy.special.zeta(orders, first + second)
        variance, third, fourth = (sums * (1, -2, 6)).tolist()
        return Law(float(means[0] - means[1]), variance, third, fourth)

    @property
    def is_as_good_as_normal(self) -> bool:
        """Whether its cumulants give quantiles to 1e-5 standard deviations."""
        return abs(self.law.skewness) < 0.02 and abs(self.law.kurtosis) < 0.001


@functools.cache
def _nodes() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2


@functools.lru_cache(maxsize=64)
def _grid(law: Beta, low: float, high: float) -> tuple[Floats, Floats]:
    """Places between two proportions, and weights: the law's part there is to be summed over."""
    nodes, weights = _nodes()
    places = low + (high - low) * nodes
    return places, (high - low) * weights * law.density(places)


def _grid_within(law: Beta, low: float, high: float) -> tuple[Floats, Floats]:
    start, stop = law.support
    start, stop = max(low, start), min(high, stop)
    return _grid(law, start, stop) if start < stop else (np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class _Pair:
    """Two independent posteriors, for the law of their difference or of their ratio.

    A share is an integral over the narrower law of a share of the wider one, up to where that
    becomes 0 or 1: a smooth integrand. With a share goes its slope, the density.
    """

    branch: Beta
    reference: Beta
    ci_width: float

    @property
    def is_as_good_as_normal(self) -> bool:
        return self.branch.is_as_good_as_normal and self.reference.is_as_good_as_normal

    @functools.cached_property
    def differences(self) -> tuple[float, float]:
        """The limits of branch - reference."""
        law = self.branch.law.minus(self.reference.law)
        low, high = limits(self.ci_width)
        if self.is_as_good_as_normal:
            return law.quantile(low), law.quantile(high)
        (start, stop), (other_start, other_stop) = self.branch.support, self.reference.support
        within = start - other_stop, stop - other_start
        share = self.share_of_differences_below
        return _quantile(share, low, law, within), _quantile(share, high, law, within)

    @functools.cached_property
    def ratios(self) -> tuple[float, float]:
        """The limits of branch / reference."""
        if self.is_as_good_as_normal:
            uplift = relative_uplift(self.branch.law, self.reference.law, self.ci_width)
            assert uplift.lower is not None
            assert uplift.upper is not None
            return uplift.lower + 1, uplift.upper + 1
        law = self.branch.law_of_logarithm.minus(self.reference.law_of_logarithm)
        (start, stop), (other_start, other_stop) = self.branch.support, self.reference.support
        within = math.log(start / other_stop), math.log(stop / other_start)
        ends = (
            _quantile(self.share_of_ratios_below, each, law, within)
            for each in limits(self.ci_width)
        )
        low, high = map(math.exp, ends)
        return low, high

    def share_of_differences_below(self, difference: float) -> tuple[float, float]:
        """The share of differences below this, and their density there."""
        one, other = self.branch, self.reference
        if one.deviation > other.deviation:
            places, weights = _grid_within(other, -difference, 1 - difference)
            moved = places + difference
            share = float(weights @ one.below(moved))
            if 1 - difference < other.support[1]:
                share += 1 - float(other.below(1 - difference))
            return share, float(weights @ one.density(moved))
        places, weights = _grid_within(one, difference, 1 + difference)
        moved = places - difference
        share = float(weights @ (1 - other.below(moved)))
        if difference > one.support[0]:
            share += float(one.below(difference))
        return share, float(weights @ other.density(moved))

    def share_of_ratios_below(self, logarithm: float) -> tuple[float, float]:
        """The share of ratios whose logarithm is below this, and the density of logarithms."""
        one, other = self.branch, self.reference
        ratio = math.exp(logarithm)
        if one.deviation > ratio * other.deviation:
            places, weights = _grid_within(other, 0.0, 1 / ratio)
            moved = places * ratio
            share = float(weights @ one.below(moved))
            if 1 / ratio < other.support[1]:
                share += 1 - float(other.below(1 / ratio))
            return share, float(weights @ (moved * one.density(moved)))
        places, weights = _grid_within(one, 0.0, ratio)
        moved = places / ratio
        share = float(weights @ (1 - other.below(moved)))
        return share, float(weights @ (moved * other.density(moved)))


def _quantile(
    share_below: Callable[[float], tuple[float, float]],
    probability: float,
    near: Law,
    within: tuple[float, float],
) -> float:
    """Where the share is `probability`, by Newton's steps from the quantile of a law near it.

    In normal deviates, shares are nearly straight lines. What has been seen bounds the steps.
    """
    wanted, (low, high) = normal_quantile(probability), within
    spread = math.sqrt(near.variance)
    place = min(max(near.quantile(probability), low), high)
    for _ in range(_STEPS):
        share, density = share_below(place)
        deviate = float(scipy.special.ndtri(min(max(share, 1e-300), 1 - 1e-16)))
        low, high = (place, high) if deviate < wanted else (low, place)
        slope = density * math.sqrt(2 * math.pi) * math.exp(deviate * deviate / 2)
        step = (wanted - deviate) / slope if slope > 0 else math.inf
        before, place = place, place + step
        if not low <= place <= high:
            place = (low + high) / 2
        if abs(place - before) <= _CLOSE * spread:
            break
    return place


@dataclass(frozen=True)
class _Proportions:
    """Branches by their posteriors, to be asked for one or for two of them."""

    branches: Mapping[str, Beta | Failure]
    ci_width: float
    pairs: dict[tuple[str, str], _Pair] = field(default_factory=dict)

    def individual(self, branch: str) -> Measured:
        own = self.branches[branch]
        if isinstance(own, Failure):
            return own
        low, high = limits(self.ci_width)
        return Interval(own.mean, own.quantile(low), own.quantile(high))

    def difference(self, branch: str, reference: str) -> Measured:
        one, other = self.branches[branch], self.branches[reference]
        if isinstance(one, Failure):
            return one
        if isinstance(other, Failure):
            return other
        point = one.mean - other.mean
        if branch < reference:
            return Interval(point, *self._pair(branch, one, reference, other).differences)
        low, high = self._pair(reference, other, branch, one).differences
        return Interval(point, -high, -low)

    def relative_uplift(self, branch: str, reference: str) -> Measured:
        one, other = self.branches[branch], self.branches[reference]
        if isinstance(one, Failure):
            return one
        if isinstance(other, Failure):
            return other
        if other.successes == 0:
            return Failure(Reason.BASELINE_IS_ZERO, "no unit of the reference has a 1")
        point = one.mean * other.mean_of_inverse - 1
        if branch < reference:
            low, high = self._pair(branch, one, reference, other).ratios
            return Interval(point, low - 1, high - 1)
        low, high = self._pair(reference, other, branch, one).ratios
        return Interval(point, 1 / high - 1, 1 / low - 1)

    def _pair(self, first: str, one: Beta, second: str, other: Beta) -> _Pair:
        """The pair in the order of names: turned, its limits are those of the other order."""
        if (first, second) not in self.pairs:
            self.pairs[first, second] = _Pair(one, other, self.ci_width)
        return self.pairs[first, second]


@dataclass(frozen=True)
class Binomial:
    """The share of units with a 1, by its Beta posterior after a uniform prior.

    Individual limits are the posterior's quantiles. Comparisons have the law of the difference, or
    ratio, of independent posteriors: the limit of Jetstream's 10,000 draws, by integration. Points
    are means of these laws. All values must be 0 or 1; a branch with others, or with nulls, is not
    estimated.
    """

    name: ClassVar[str] = "binomial"
    revision: ClassVar[int] = 2
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
