"""What a statistic asks of an engine, as values, and the summaries it gets for them.

An engine answers each need for all branches, segments and windows at once; two equal needs are
one. NaN is null everywhere; infinities are values.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from sonde.stats.counts import PairCounts, Total, ValueCounts
from sonde.stats.moments import Moments


class Scope(enum.Enum):
    """Whose values a clipping threshold is a quantile of."""

    POOLED = "pooled"
    PER_BRANCH = "per branch"


@dataclass(frozen=True)
class Clip:
    """Values above their column's quantile `upper` are set to it (winsorised).

    Each column has its own threshold: the quantile, interpolated linearly, over every row where
    that column is not null, whatever the other columns hold; over all branches together, or each
    branch's own. A pooled threshold of a column of integers is rounded up.
    """

    upper: float
    scope: Scope

    def __post_init__(self) -> None:
        if not 0 < self.upper <= 1:
            raise ValueError(f"the quantile to clip at must lie in (0, 1], not {self.upper}")

    @property
    def rounds_integers_up(self) -> bool:
        """Whether the threshold of a column of integers is rounded up."""
        return self.scope is Scope.POOLED

    def threshold(self, counts: ValueCounts) -> float:
        """The threshold of a column with these values.

        >>> Clip(0.95, Scope.POOLED).threshold(ValueCounts.of(range(100)))
        95.0
        >>> Clip(0.95, Scope.PER_BRANCH).threshold(ValueCounts.of(range(100)))
        94.05
        """
        quantile = counts.quantile(self.upper)
        if self.rounds_integers_up and counts.is_integer:
            return float(math.ceil(quantile))
        return quantile


@dataclass(frozen=True)
class MomentsOf:
    """`Moments` of the columns, clipped, over the rows where none of them is null; per branch."""

    columns: tuple[str, ...]
    clip: Clip | None = None
    order: int = 2


@dataclass(frozen=True)
class TotalOf:
    """Rows, nulls and the exact sum of a column; per branch."""

    column: str


@dataclass(frozen=True)
class CountsOf:
    """`ValueCounts` of a column, not clipped; per branch."""

    column: str


@dataclass(frozen=True)
class PairCountsOf:
    """`PairCounts` of two columns, not clipped; per branch."""

    columns: tuple[str, str]


@dataclass(frozen=True)
class GridMeanOf:
    """The mean of the quantiles 0, 0.0001, .. 0.9999 of a clipped column, all branches together.

    Over the rows where neither `column` nor `given` is null; see `ValueCounts.grid_mean`. In SQL:
    `list_avg(quantile_cont(least(x, threshold), list_transform(range(10000), i -> i / 10000)))`.
    """

    column: str
    given: str
    clip: Clip | None = None


Need: TypeAlias = MomentsOf | TotalOf | CountsOf | PairCountsOf | GridMeanOf


def columns_read(need: Need) -> tuple[str, ...]:
    """The columns that the answer to a need is found from."""
    match need:
        case MomentsOf(columns=columns) | PairCountsOf(columns=columns):
            return columns
        case TotalOf(column=column) | CountsOf(column=column):
            return (column,)
        case GridMeanOf(column=column, given=given):
            return (column, given)


@dataclass(frozen=True)
class Columns:
    """What a statistic is asked of: a metric's column and, if there is one, its covariate's."""

    value: str
    covariate: str | None = None

    def __post_init__(self) -> None:
        if self.value == self.covariate:
            raise ValueError(f"the covariate of {self.value} must be another column")

    @property
    def names(self) -> tuple[str, ...]:
        """Each of them."""
        return (self.value,) if self.covariate is None else (self.value, self.covariate)


@dataclass(frozen=True)
class Summaries:
    """The answers to needs: per branch, but for `grid_means`. A branch without rows may be absent.

    `a | b` has the answers of both.
    """

    moments: Mapping[MomentsOf, Mapping[str, Moments]] = field(default_factory=dict)
    totals: Mapping[TotalOf, Mapping[str, Total]] = field(default_factory=dict)
    counts: Mapping[CountsOf, Mapping[str, ValueCounts]] = field(default_factory=dict)
    pair_counts: Mapping[PairCountsOf, Mapping[str, PairCounts]] = field(default_factory=dict)
    grid_means: Mapping[GridMeanOf, float] = field(default_factory=dict)

    def __or__(self, other: Summaries) -> Summaries:
        return Summaries(
            {**self.moments, **other.moments},
            {**self.totals, **other.totals},
            {**self.counts, **other.counts},
            {**self.pair_counts, **other.pair_counts},
            {**self.grid_means, **other.grid_means},
        )

    def __contains__(self, need: Need) -> bool:
        match need:
            case MomentsOf():
                return need in self.moments
            case TotalOf():
                return need in self.totals
            case CountsOf():
                return need in self.counts
            case PairCountsOf():
                return need in self.pair_counts
            case GridMeanOf():
                return need in self.grid_means

    def missing(self, needs: Iterable[Need]) -> tuple[Need, ...]:
        """The needs that are not answered yet, each once."""
        return tuple(need for need in dict.fromkeys(needs) if need not in self)
