"""Ratios of two totals, bootstrapped over units: in closed form where that is good."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from sonde.stats.counts import Floats, Integers, PairCounts
from sonde.stats.estimate import (
    Failure,
    Outcome,
    Reason,
    attempt,
    comparison_rows,
    individual_rows,
)
from sonde.stats.laws import Law, cornish_fisher, law_of, normal_nodes, root
from sonde.stats.moments import Moments
from sonde.stats.needs import Clip, Columns, MomentsOf, Need, PairCountsOf, Scope, Summaries
from sonde.stats.resampled import Resampled, Resampling, unusable
from sonde.stats.statistic import (
    Covariate,
    check_at_least,
    check_ci_width,
    check_drop_highest,
    parse_params,
)

# A sum of squares below this share of what it is made of is what cancellation left.
_NOISE = 2.0**-40
_ALWAYS_DRAWN = 512
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Excess:
    """The ordinary bootstrap's law of the mean of numerator - r * denominator, for any r.

    numerator, denominator: means. terms: per central moment of the excess, of order 2, 3 and 4,
    its coefficients as a polynomial in r, from the highest power.
    """

    n: int
    numerator: float
    denominator: float
    terms: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, moments: Moments) -> Excess:
        """From moments of numerator and denominator to the fourth order."""
        terms = tuple(
            tuple(
                (-1) ** low
                * math.comb(power, low)
                * moments.central_sum(power - low, low)
                / moments.n
                for low in range(power, -1, -1)
            )
            for power in (2, 3, 4)
        )
        return cls(moments.n, moments.means[0], moments.means[1], terms)

    def law(self, ratio: float) -> Law:
        """The law at one ratio."""
        second, third, fourth = (_polynomial(each, ratio) for each in self.terms)
        mean = self.numerator - ratio * self.denominator
        if second <= _NOISE * _polynomial(tuple(map(abs, self.terms[0])), abs(ratio)):
            return Law(mean, 0.0)
        n = self.n
        return Law(mean, second / n, third / n**2, (fourth - 3 * second**2) / n**3)

    def quantile(self, ratio: float, z: float) -> float:
        """Of the law at one ratio, the quantile of the same probability as that of the deviate z.

        The same as `law(ratio).at(z)`, written out: most of the time of a ratio is spent here.
        """
        (a, b, c), (d, e, f, g), (h, i, j, k, m) = self.terms
        mean = self.numerator - ratio * self.denominator
        second = (a * ratio + b) * ratio + c
        if second <= _NOISE * (abs(a * ratio * ratio) + abs(b * ratio) + abs(c)):
            return mean
        third = ((d * ratio + e) * ratio + f) * ratio + g
        fourth = (((h * ratio + i) * ratio + j) * ratio + k) * ratio + m
        deviation = math.sqrt(second / self.n)
        skewness = third / (second * deviation * self.n)
        kurtosis = (fourth / (second * second) - 3) / self.n
        return mean + deviation * float(cornish_fisher(z, skewness, kurtosis))

    def denominator_law(self) -> Law:
        """The law of the mean of the denominator."""
        second, third, fourth = self.terms[0][0], -self.terms[1][0], self.terms[2][0]
        n = self.n
        return Law(self.denominator, second / n, third / n**2, (fourth - 3 * second**2) / n**3)


def _polynomial(coefficients: tuple[float, ...], at: float) -> float:
    value = 0.0
    for coefficient in coefficients:
        value = value * at + coefficient
    return value


@functools.lru_cache(maxsize=64)  # asked for to see what is needed, then to estimate
def ratio_law(moments: Moments) -> Law | None:
    """The law of the ratio of resampled means; None where that has no good closed form.

    P(ratio <= r) = P(mean of numerator - r denominator <= 0) where the denominator is positive, so
    each quantile is the r at which that quantile of the excess is 0.
    """
    excess = Excess.of(moments)
    if not excess.denominator_law().is_far_from_zero:
        return None
    ratio = excess.numerator / excess.denominator
    middle = excess.law(ratio)
    if middle.is_odd:
        return None
    if middle.variance == 0:
        return Law(ratio, 0.0)
    # Where the denominator is negative, the excess rises with r: the quantile of -z is the one.
    spread = math.sqrt(middle.variance) / excess.denominator
    sign = math.copysign(1, excess.denominator)

    def quantile(z: float) -> float:
        return root(lambda r: excess.quantile(r, sign * z), ratio, ratio + spread * sign * z)

    return law_of(np.array([quantile(z) for z in normal_nodes().tolist()]))


def resampled_ratios(pairs: PairCounts, draws: int, rng: np.random.Generator) -> Floats:
    """Ratios of the means of as many units drawn with replacement, one per draw.

    The pairs that move the ratio most are drawn one by one; the others, once they are many and
    their law is near normal, are drawn as one, given how many of the units they are.
    """
    split = _split(pairs)
    sums = np.zeros((2, draws))
    kept, rest = split.far, split.rest
    shares = np.append(pairs.counts[kept], rest.n) / pairs.n
    step = max(1, _BLOCK // len(shares))
    for start in range(0, draws, step):
        block = slice(start, min(draws, start + step))
        drawn = rng.multinomial(pairs.n, shares, size=block.stop - block.start)
        sums[0, block] = drawn[:, :-1] @ pairs.first[kept]
        sums[1, block] = drawn[:, :-1] @ pairs.second[kept]
        if rest.n:
            sums[:, block] += _drawn_rest(split, drawn[:, -1], rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Floats = sums[0] / sums[1]
    return ratios


@dataclass(frozen=True)
class _Split:
    """Pairs to draw one by one, by place, and the moments of the others."""

    far: Integers
    rest: Moments
    ratio: float


def _split(pairs: PairCounts) -> _Split:
    total = float(pairs.second @ pairs.counts)
    ratio = float(pairs.first @ pairs.counts) / total if total else 0.0
    order = np.argsort(-np.abs(pairs.first - ratio * pairs.second), kind="stable")
    taken = _ALWAYS_DRAWN
    while taken < len(order):
        near = order[taken:]
        columns = (pairs.first[near], pairs.second[near])
        rest = Moments.of_counts(*columns, counts=pairs.counts[near], order=4)
        if not Excess.of(rest).law(ratio).is_odd:
            return _Split(order[:taken], rest, ratio)
        taken *= 2
    return _Split(order, Moments.empty(2, 4), ratio)


def _drawn_rest(split: _Split, units: Integers, rng: np.random.Generator) -> Floats:
    """Sums of both columns over so many units of the rest: the excess by its law, the denominator
    by its regression on it."""
    rest, ratio = split.rest, split.ratio
    law = Excess.of(rest).law(ratio)
    with np.errstate(divide="ignore"):
        widening = np.sqrt(np.where(units > 0, rest.n / units, 0.0))
    excess = (law.at(rng.standard_normal(len(units))) - law.mean) * widening
    covariance = (rest.product_sum(0, 1) - ratio * rest.product_sum(1, 1)) / rest.n**2
    slope = covariance / law.variance if law.variance > 0 else 0.0
    left = max(0.0, rest.product_sum(1, 1) / rest.n**2 - slope * covariance)
    noise = rng.standard_normal(len(units)) * math.sqrt(left) * widening
    denominator = rest.means[1] + slope * excess + noise
    numerator = law.mean + excess + ratio * denominator
    sums: Floats = units * np.array([numerator, denominator])
    return sums


@dataclass(frozen=True)
class PopulationRatio:
    """The mean of one column divided by the mean of another, with its bootstrap over units.

    Each column of a branch is clipped at its own quantile 1 - drop_highest; units keep their
    pairs. Limits are quantiles of the ordinary bootstrap's law, as in Jetstream; points are that
    law's means, which Jetstream's tend to with ever more samples. The law follows from power sums.
    Where it is not near normal, or a denominator near 0, `num_samples` ratios are drawn instead.
    numerator, denominator: the columns. A branch with nulls is not estimated.
    """

    name: ClassVar[str] = "population_ratio"
    revision: ClassVar[int] = 2
    label: ClassVar[str] = "population_ratio"
    covariate: ClassVar[Covariate | None] = None

    numerator: str
    denominator: str
    confidence_interval: float = 0.95
    drop_highest: float = 0.005
    num_samples: int = 10_000

    def __post_init__(self) -> None:
        check_at_least("num_samples", self.num_samples, 1)
        check_drop_highest(self.drop_highest, most=0.5)
        check_ci_width(self.confidence_interval)

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """From parameters as written."""
        return parse_params(cls, params)

    @property
    def clip(self) -> Clip | None:
        """How the highest values of each column are clipped."""
        return Clip(1 - self.drop_highest, Scope.PER_BRANCH) if self.drop_highest > 0 else None

    @property
    def _moments(self) -> MomentsOf:
        return MomentsOf((self.numerator, self.denominator), self.clip, order=4)

    @property
    def _pairs(self) -> PairCountsOf:
        return PairCountsOf((self.numerator, self.denominator))

    def needs(self, columns: Columns, seen: Summaries) -> tuple[Need, ...]:  # noqa: ARG002
        """Moments, and all pairs where these are not enough. A ratio has no column of its own."""
        if self._moments in seen and any(map(_must_draw, seen.moments[self._moments].values())):
            return (self._moments, self._pairs)
        return (self._moments,)

    def estimates(
        self,
        columns: Columns,  # noqa: ARG002  a ratio has no column of its own
        summaries: Summaries,
        branches: Sequence[str],
        references: Sequence[str],
        rng: np.random.Generator,
    ) -> Iterator[Outcome]:
        """The ratios, then the comparisons."""
        every = dict.fromkeys((*branches, *references))
        ratios = Resampling(
            {branch: attempt(self._ratio, branch, summaries, rng) for branch in every},
            self.confidence_interval,
        )
        yield from individual_rows(branches, ratios.individual, self.confidence_interval)
        yield from comparison_rows(branches, references, ratios, self.confidence_interval)

    def _ratio(
        self, branch: str, summaries: Summaries, rng: np.random.Generator
    ) -> Resampled | Failure:
        own = summaries.moments[self._moments].get(branch, Moments.empty(2, 4))
        if problem := unusable(branch, own.nulls, own):
            return problem
        if own.means[1] == 0 and own.product_sum(1, 1) == 0:
            return Failure(Reason.BASELINE_IS_ZERO, f'the denominator of "{branch}" is 0')
        law = ratio_law(own)
        zeros = Failure(Reason.BASELINE_IS_ZERO, "the reference's ratio is 0")
        if not _must_draw(own) and law is not None:
            return Resampled(law, baseline=zeros if law.mean == 0 else None)
        return self._drawn(branch, summaries.pair_counts[self._pairs][branch], law, rng)

    def _drawn(
        self, branch: str, pairs: PairCounts, law: Law | None, rng: np.random.Generator
    ) -> Resampled | Failure:
        if self.clip is not None:
            pairs = pairs.clip(*map(self.clip.threshold, pairs.columns))
        draws = resampled_ratios(pairs, self.num_samples, rng)
        if not np.isfinite(draws).all():
            detail = f'the denominator of "{branch}" is 0 in some resamples'
            return Failure(Reason.BASELINE_NEAR_ZERO, detail)
        baseline = None
        if draws.min() <= 0 <= draws.max():
            detail = "the reference's ratio is 0 or less in some resamples, more in others"
            baseline = Failure(Reason.BASELINE_NEAR_ZERO, detail)
        drawn = Law(float(draws.mean()), float(draws.var()))
        return Resampled(law or drawn, law is None, draws, baseline)


def _must_draw(moments: Moments) -> bool:
    """Whether cumulants do not give the law of a branch's ratio, or of a ratio to it."""
    if moments.n == 0 or moments.nulls or not moments.is_finite:
        return False
    if moments.means[1] == 0 and moments.product_sum(1, 1) == 0:
        return False
    law = ratio_law(moments)
    return law is None or (law.variance > 0 and not law.is_far_from_zero)
