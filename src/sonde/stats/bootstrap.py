"""Means by the Bayesian bootstrap: in closed form where that is good, else by drawing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from sonde.stats.counts import Floats, Integers, ValueCounts
from sonde.stats.estimate import (
    Failure,
    Outcome,
    Reason,
    attempt,
    comparison_rows,
    individual_rows,
)
from sonde.stats.laws import Law
from sonde.stats.moments import Moments
from sonde.stats.needs import Clip, Columns, CountsOf, MomentsOf, Need, Scope, Summaries
from sonde.stats.resampled import Resampled, Resampling, unusable
from sonde.stats.statistic import (
    Covariate,
    check_at_least,
    check_ci_width,
    check_drop_highest,
    parse_params,
)

# Of values in both directions, a mean nearer to 0 than this many standard errors is on either
# side of it often enough to spoil a ratio.
_NEAR_ZERO = 4.0
# So many distinct values are always drawn one by one; more only if the rest is not near normal.
_ALWAYS_DRAWN = 512
# Random numbers in memory at once.
_BLOCK = 4_000_000


def dirichlet_law(moments: Moments) -> Law:
    """The law of the mean of these rows under Dirichlet(1, .., 1) weights (Rubin 1981), exactly.

    moments: of one column, to the fourth order.
    """
    n = moments.n
    second, third, fourth = (moments.central_sum(power) for power in (2, 3, 4))
    variance = second / (n * (n + 1))
    about_mean = (6 * fourth + 3 * second**2) / (n * (n + 1) * (n + 2) * (n + 3))
    skew = 2 * third / (n * (n + 1) * (n + 2))
    return Law(moments.means[0], variance, skew, about_mean - 3 * variance**2)


def dirichlet_means(counts: ValueCounts, draws: int, rng: np.random.Generator) -> Floats:
    """Means of the rows under random Dirichlet(1, .., 1) weights, one per draw.

    The values furthest from the mean get their weights drawn; the others, once they are many and
    their law is near normal, are drawn as one: their total weight and their mean are independent.
    """
    far, rest = _split(counts)
    values, shapes = counts.values[far].astype(np.float64), counts.counts[far]
    sums, weights = np.zeros(draws), np.zeros(draws)
    step = max(1, _BLOCK // max(1, len(values)))
    for start in range(0, draws, step):
        size = (min(step, draws - start), len(values))
        drawn = rng.standard_gamma(np.broadcast_to(shapes, size))
        sums[start : start + step] = drawn @ values
        weights[start : start + step] = drawn.sum(axis=1)
    if rest.n:
        weight = rng.standard_gamma(rest.n, draws)
        sums += weight * dirichlet_law(rest).at(rng.standard_normal(draws))
        weights += weight
    means: Floats = sums / weights
    return means


def _split(counts: ValueCounts) -> tuple[Integers, Moments]:
    """Places of the values to draw one by one, furthest first, and the moments of the others."""
    values = counts.values.astype(np.float64)
    order = np.argsort(-np.abs(values - values @ counts.counts / counts.n), kind="stable")
    taken = _ALWAYS_DRAWN
    while taken < len(order):
        near = np.sort(order[taken:])
        rest = Moments.of_counts(values[near], counts=counts.counts[near], order=4)
        if not dirichlet_law(rest).is_odd:
            return order[:taken], rest
        taken *= 2
    return order, Moments.empty(1, 4)


@dataclass(frozen=True)
class BootstrapMean:
    """Means, differences and relative uplifts by the Bayesian bootstrap, highest values clipped.

    A branch's values above its own quantile 1 - drop_highest are set to it. Limits are quantiles
    of the law of the mean under Dirichlet weights (Rubin 1981), the law that Jetstream draws from;
    an ordinary bootstrap has half the skewness. Points are the law's means, which Jetstream's tend
    to with ever more samples: of a branch, the sample mean of its clipped values; of a relative
    uplift, a little more than the ratio of means, as a ratio's mean is.

    The law's cumulants follow from power sums. Where it is not near normal, or a reference near 0,
    `num_samples` means are drawn instead. A branch with nulls is not estimated.
    """

    name: ClassVar[str] = "bootstrap_mean"
    revision: ClassVar[int] = 1
    label: ClassVar[str] = "mean"
    covariate: ClassVar[Covariate | None] = None

    num_samples: int = 10_000
    drop_highest: float = 0.005
    confidence_interval: float = 0.95

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
        """How the highest values are clipped."""
        return Clip(1 - self.drop_highest, Scope.PER_BRANCH) if self.drop_highest > 0 else None

    def needs(self, columns: Columns, seen: Summaries) -> tuple[Need, ...]:
        """Moments, and all values where these are not enough."""
        moments = MomentsOf((columns.value,), self.clip, order=4)
        if moments in seen and not all(map(_has_closed_form, seen.moments[moments].values())):
            return (moments, CountsOf(columns.value))
        return (moments,)

    def estimates(
        self,
        columns: Columns,
        summaries: Summaries,
        branches: Sequence[str],
        references: Sequence[str],
        rng: np.random.Generator,
    ) -> Iterator[Outcome]:
        """The means, then the comparisons."""
        moments = summaries.moments[MomentsOf((columns.value,), self.clip, order=4)]
        counts = summaries.counts.get(CountsOf(columns.value), {})
        every = dict.fromkeys((*branches, *references))
        means = Resampling(
            {each: attempt(self._mean, each, moments, counts, rng) for each in every},
            self.confidence_interval,
        )
        yield from individual_rows(branches, means.individual, self.confidence_interval)
        yield from comparison_rows(branches, references, means, self.confidence_interval)

    def _mean(
        self,
        branch: str,
        moments: Mapping[str, Moments],
        counts: Mapping[str, ValueCounts],
        rng: np.random.Generator,
    ) -> Resampled | Failure:
        own = moments.get(branch, Moments.empty(1, 4))
        if problem := unusable(branch, own.nulls, own):
            return problem
        law = dirichlet_law(own)
        if law.mean == 0 and law.variance == 0:
            zeros = Failure(Reason.BASELINE_IS_ZERO, "there are only zeros in the reference")
            return Resampled(law, baseline=zeros)
        if _has_closed_form(own):
            return Resampled(law)
        values = counts[branch]
        if self.clip is not None:
            values = values.clip(self.clip.threshold(values))
        baseline = None if law.is_far_from_zero else _baseline_problem(law, values)
        return Resampled(law, law.is_odd, dirichlet_means(values, self.num_samples, rng), baseline)


def _has_closed_form(moments: Moments) -> bool:
    """Whether nothing need be drawn for this branch."""
    if moments.n == 0 or moments.nulls or not moments.is_finite:
        return True
    law = dirichlet_law(moments)
    return law.variance == 0 or law.is_far_from_zero


def _baseline_problem(law: Law, values: ValueCounts) -> Failure | None:
    """Why nothing can be relative to a mean that is not far from 0, if so."""
    if values.values[0] < 0 < values.values[-1]:
        if abs(law.mean) > _NEAR_ZERO * math.sqrt(law.variance):
            return None
        detail = f"the reference's mean is within {_NEAR_ZERO:g} standard errors of 0"
        return Failure(Reason.BASELINE_NEAR_ZERO, detail)
    if values.counts[values.values != 0].sum() < 2:
        return Failure(Reason.BASELINE_NEAR_ZERO, "only one unit of the reference is not 0")
    return None
