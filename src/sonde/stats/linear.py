"""Means and their comparisons by a linear model, from power sums.

The model is `metric ~ branch (+ covariate)` by ordinary least squares: one residual variance for
all branches, one slope. Assumes independent units.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import scipy  # its parts load when they are first used: a plan needs none of them

from sonde.stats.estimate import (
    Failure,
    Interval,
    Measured,
    Outcome,
    Reason,
    comparison_rows,
    individual_rows,
)
from sonde.stats.moments import Moments
from sonde.stats.needs import Clip, Columns, GridMeanOf, MomentsOf, Need, Scope, Summaries, TotalOf
from sonde.stats.statistic import Covariate, check_ci_width, check_drop_highest, parse_params

# A residual below this share of the whole is what cancellation left over of a perfect fit.
_NOISE = 2.0**-44


@dataclass(frozen=True)
class LinearModel:
    """A fitted model, to be asked for means and comparisons.

    moments: of the metric and, in second place, the covariate; finite, by branch.
    sxx: sum of squares of the covariate within branches; 0 in a model without it.
    grid_mean: the covariate at which predictions are compared.
    problem: why nothing can be compared, if so.
    """

    moments: Mapping[str, Moments]
    ci_width: float
    freedom: int
    variance: float
    slope: float = 0.0
    sxx: float = 0.0
    grid_mean: float = 0.0
    problem: Failure | None = None

    @classmethod
    def fit(
        cls, moments: Mapping[str, Moments], ci_width: float, grid_mean: float | None = None
    ) -> LinearModel:
        """Least squares over the branches that have units, without a covariate that is constant."""
        usable = {name: each for name, each in moments.items() if each.n > 0 and each.is_finite}
        parts = usable.values()
        syy = math.fsum(each.product_sum() for each in parts)
        sxx = sxy = 0.0
        if grid_mean is not None:
            sxx = math.fsum(each.product_sum(1, 1) for each in parts)
            sxy = math.fsum(each.product_sum(0, 1) for each in parts)
        slope = sxy / sxx if sxx > 0 else 0.0
        residual = syy - slope * sxy
        freedom = sum(each.n for each in parts) - len(usable) - (sxx > 0)
        problem = None
        if freedom <= 0:
            problem = Failure(Reason.TOO_FEW_UNITS, "no units are left to estimate the variance")
        elif residual <= _NOISE * syy:
            detail = "the metric is constant within each branch"
            problem = Failure(Reason.NO_RESIDUAL_VARIATION, detail if syy == 0 else "a perfect fit")
        variance = residual / freedom if problem is None else 0.0
        return cls(usable, ci_width, freedom, variance, slope, sxx, grid_mean or 0.0, problem)

    def individual(self, branch: str) -> Measured:
        """The mean with Student's interval; no limits from a single unit."""
        own = self.moments.get(branch)
        if own is None:
            return Failure(Reason.NO_UNITS, "the branch has no units with a value")
        if own.n == 1:
            return Interval(own.means[0])
        error = math.sqrt(own.variance() / own.n)
        return _around(own.means[0], _student(own.n - 1, self.ci_width) * error)

    def difference(self, branch: str, reference: str) -> Measured:
        """The branch's coefficient with Student's interval."""
        if problem := self._problem(branch, reference):
            return problem
        one, other = self.moments[branch], self.moments[reference]
        point = one.means[0] - other.means[0]
        spread = 1 / one.n + 1 / other.n
        if self.sxx > 0:
            step = one.means[1] - other.means[1]
            point -= self.slope * step
            spread += step * step / self.sxx
        reach = _student(self.freedom, self.ci_width)
        return _around(point, reach * math.sqrt(self.variance * spread))

    def relative_uplift(self, branch: str, reference: str) -> Measured:
        """The ratio of average predictions - 1: delta method on its logarithm, normal limits."""
        if problem := self._problem(branch, reference):
            return problem
        (one, far), (other, away) = self._prediction(branch), self._prediction(reference)
        if one * other <= 0:
            detail = f"the predicted means {one:.6g} and {other:.6g} have no logarithm of a ratio"
            return Failure(Reason.OPPOSITE_SIGNS, detail)
        spread = 1 / (self.moments[branch].n * one**2) + 1 / (self.moments[reference].n * other**2)
        if self.sxx > 0:
            spread += (far / one - away / other) ** 2 / self.sxx
        ratio = one / other
        reach = scipy.special.ndtri((1 + self.ci_width) / 2) * math.sqrt(self.variance * spread)
        low, high = math.exp(-reach), _exp(reach)
        return Interval(ratio - 1, ratio * low - 1, ratio * high - 1)

    def _prediction(self, branch: str) -> tuple[float, float]:
        """The prediction at the grid's mean, and how far that is from the branch's covariate."""
        own = self.moments[branch]
        if self.sxx == 0:
            return own.means[0], 0.0
        distance = self.grid_mean - own.means[1]
        return own.means[0] + self.slope * distance, distance

    def _problem(self, branch: str, reference: str) -> Failure | None:
        for name in (branch, reference):
            if name not in self.moments:
                return Failure(Reason.NO_UNITS, f'branch "{name}" has no units with a value')
        return self.problem


def _around(point: float, reach: float) -> Interval:
    return Interval(point, point - reach, point + reach)


def _exp(power: float) -> float:
    return math.exp(power) if power < 709 else math.inf


@functools.lru_cache(maxsize=4096)
def _student(freedom: int, ci_width: float) -> float:
    """How many standard errors Student's interval reaches to either side."""
    return float(scipy.special.stdtrit(freedom, (1 + ci_width) / 2))


@dataclass(frozen=True)
class _Checked:
    """A linear model that says what is wrong with a metric before it says a number."""

    model: LinearModel
    moments: Mapping[str, Moments]
    raw: Mapping[str, Moments]
    constant: Failure | None

    def individual(self, branch: str) -> Measured:
        return self.constant or _not_finite(self.moments, branch) or self.model.individual(branch)

    def difference(self, branch: str, reference: str) -> Measured:
        problem = self._comparison_problem(branch, reference)
        return problem or self.model.difference(branch, reference)

    def relative_uplift(self, branch: str, reference: str) -> Measured:
        problem = self._comparison_problem(branch, reference)
        return problem or self.model.relative_uplift(branch, reference)

    def _comparison_problem(self, branch: str, reference: str) -> Failure | None:
        problem = self.constant
        for name in (branch, reference):
            problem = problem or _not_finite(self.moments, name)
        if problem is None and reference in self.moments and _is_zero(self.moments[reference]):
            raw = self.raw.get(reference)
            cause = "clipping sets" if raw is not None and not _is_zero(raw) else "there are only"
            detail = f'{cause} zeros in the reference "{reference}"'
            problem = Failure(Reason.BASELINE_IS_ZERO, detail)
        return problem


def _not_finite(moments: Mapping[str, Moments], branch: str) -> Failure | None:
    if branch in moments and not moments[branch].is_finite:
        return Failure(Reason.NOT_FINITE, f'branch "{branch}" has infinite values')
    return None


def _is_zero(moments: Moments) -> bool:
    return moments.n > 0 and moments.means[0] == 0 and moments.product_sum() == 0


def _is_constant(moments: Mapping[str, Moments]) -> bool:
    present = [each for each in moments.values() if each.n > 0]
    if any(not each.is_finite or each.product_sum() != 0 for each in present):
        return False
    return not present or functools.reduce(operator.add, present).product_sum() == 0


@dataclass(frozen=True)
class LinearModelMean:
    """Means, differences and relative uplifts by a linear model, highest values clipped.

    Values above the pooled quantile 1 - drop_highest are set to it, a covariate's likewise. With a
    covariate, units without one are left out of everything, the means of branches too, as in
    Jetstream. Individual: Student's interval. Difference: the model's coefficient. Relative
    uplift: delta method on the log ratio of predictions averaged over 10,000 quantiles of the
    covariate (https://stats.stackexchange.com/a/646462). A constant metric, or a reference of
    zeros, has no results.
    statistic_name: the name in results.
    """

    name: ClassVar[str] = "linear_model_mean"
    revision: ClassVar[int] = 1
    default_label: ClassVar[str] = "mean_lm"

    drop_highest: float = 0.005
    covariate_adjustment: Covariate | None = None
    confidence_interval: float = 0.95
    statistic_name: str | None = None

    def __post_init__(self) -> None:
        check_drop_highest(self.drop_highest)
        check_ci_width(self.confidence_interval)

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """From parameters as written."""
        return parse_params(cls, params)

    @property
    def label(self) -> str:
        """The name in results."""
        return self.statistic_name or self.default_label

    @property
    def covariate(self) -> Covariate | None:
        """What to adjust by."""
        return self.covariate_adjustment

    @property
    def clip(self) -> Clip | None:
        """How the highest values are clipped."""
        return Clip(1 - self.drop_highest, Scope.POOLED) if self.drop_highest > 0 else None

    def needs(self, columns: Columns, seen: Summaries) -> tuple[Need, ...]:
        """Moments, and those before clipping where clipping left nothing to look at."""
        moments = self._moments_of(columns)
        needs: tuple[Need, ...] = (moments,)
        if columns.covariate is not None:
            needs += (GridMeanOf(columns.covariate, given=columns.value, clip=self.clip),)
        if self.clip is not None and moments in seen:
            found = seen.moments[moments]
            if _is_constant(found) or any(map(_is_zero, found.values())):
                needs += (MomentsOf((columns.value,)),)
        return needs

    def estimates(
        self,
        columns: Columns,
        summaries: Summaries,
        branches: Sequence[str],
        references: Sequence[str],
        rng: np.random.Generator,  # noqa: ARG002  no chance in a closed form
    ) -> Iterator[Outcome]:
        """The means, then the comparisons."""
        model = self._model(columns, summaries)
        yield from individual_rows(branches, model.individual, self.confidence_interval)
        yield from comparison_rows(branches, references, model, self.confidence_interval)

    def _moments_of(self, columns: Columns) -> MomentsOf:
        both = (columns.value,) if columns.covariate is None else (columns.value, columns.covariate)
        return MomentsOf(both, self.clip)

    def _model(self, columns: Columns, summaries: Summaries) -> _Checked:
        moments = summaries.moments[self._moments_of(columns)]
        grid_mean = None
        if columns.covariate is not None:
            grid = GridMeanOf(columns.covariate, given=columns.value, clip=self.clip)
            grid_mean = summaries.grid_means[grid]
        raw = summaries.moments.get(MomentsOf((columns.value,)), moments)
        model = LinearModel.fit(moments, self.confidence_interval, grid_mean)
        return _Checked(model, moments, raw, _constancy(moments, raw))


def _constancy(moments: Mapping[str, Moments], raw: Mapping[str, Moments]) -> Failure | None:
    if not any(each.n for each in moments.values()) or not _is_constant(moments):
        return None
    if _is_constant(raw):
        return Failure(Reason.NO_VARIATION, "every unit has the same value")
    return Failure(
        Reason.CLIPPED_TO_CONSTANT, "clipping gives every unit the same value; lower drop_highest"
    )


@dataclass(frozen=True)
class LinearModelMeanNoClip(LinearModelMean):
    """`linear_model_mean` that leaves the highest values as they are, unless asked."""

    name: ClassVar[str] = "linear_model_mean_no_clip"
    default_label: ClassVar[str] = "mean_lm_noclip"

    drop_highest: float = 0.0


@dataclass(frozen=True)
class PerClientDauImpact(LinearModelMean):
    """`linear_model_mean` of daily active use, as an impact on all units of the experiment.

    Differences are multiplied by the number of units with a value, of all branches together: what
    the branch would bring if all of them had it. No means of branches.
    """

    name: ClassVar[str] = "per_client_dau_impact"
    default_label: ClassVar[str] = "per_client_dau_impact"

    drop_highest: float = 0.0

    def needs(self, columns: Columns, seen: Summaries) -> tuple[Need, ...]:
        """As the linear model, and the number of units."""
        return (*super().needs(columns, seen), TotalOf(columns.value))

    def estimates(
        self,
        columns: Columns,
        summaries: Summaries,
        branches: Sequence[str],
        references: Sequence[str],
        rng: np.random.Generator,  # noqa: ARG002  no chance in a closed form
    ) -> Iterator[Outcome]:
        """The comparisons."""
        totals = summaries.totals[TotalOf(columns.value)].values()
        units = sum(each.rows - each.nulls for each in totals)
        model = _Impact(self._model(columns, summaries), units)
        yield from comparison_rows(branches, references, model, self.confidence_interval)


@dataclass(frozen=True)
class _Impact:
    """A model whose differences are of all units together."""

    model: _Checked
    units: int

    def individual(self, branch: str) -> Measured:
        return self.model.individual(branch)

    def difference(self, branch: str, reference: str) -> Measured:
        match self.model.difference(branch, reference):
            case Interval(point, float(lower), float(upper)):
                return Interval(point * self.units, lower * self.units, upper * self.units)
            case measured:
                return measured

    def relative_uplift(self, branch: str, reference: str) -> Measured:
        return self.model.relative_uplift(branch, reference)
