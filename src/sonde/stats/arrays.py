"""The easy path: a statistic of arrays in memory, one value per unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sonde.stats.counts import PairCounts, Total, ValueCounts
from sonde.stats.estimate import Outcome
from sonde.stats.moments import Moments
from sonde.stats.needs import (
    Clip,
    Columns,
    CountsOf,
    GridMeanOf,
    MomentsOf,
    Need,
    PairCountsOf,
    Scope,
    Summaries,
    TotalOf,
)
from sonde.stats.statistic import Statistic

Units: TypeAlias = Mapping[str, Mapping[str, npt.NDArray[np.generic]]]


def estimate(
    statistic: Statistic,
    units: Mapping[str, Mapping[str, npt.ArrayLike]],
    columns: Columns,
    references: Sequence[str] | None = None,
    rng: np.random.Generator | None = None,
) -> list[Outcome]:
    """All outcomes of a statistic over `{branch: {column: one value per unit}}`; NaN is null.

    references: by default every branch in turn. rng: by default one with the seed 0.

    >>> from sonde.stats.linear import LinearModelMean
    >>> units = {"treatment": {"x": range(10)}, "control": {"x": range(10, 20)}}
    >>> outcome = estimate(LinearModelMean(), units, Columns("x"), ["control"])[2]
    >>> outcome.comparison.value, outcome.point, round(outcome.lower, 6)
    ('difference', -10.0, -12.844662)
    """
    arrays = {
        branch: {name: np.asarray(values) for name, values in of.items()}
        for branch, of in units.items()
    }
    summaries = Summaries()
    while missing := summaries.missing(statistic.needs(columns, summaries)):
        for need in missing:
            summaries |= summarise(need, arrays)
    return list(
        statistic.estimates(
            columns,
            summaries,
            list(arrays),
            list(arrays) if references is None else references,
            np.random.default_rng(0) if rng is None else rng,
        )
    )


def summarise(need: Need, units: Units) -> Summaries:
    """The answer to one need."""
    match need:
        case MomentsOf(columns, clip, order):
            clipped = [_clipped(column, clip, units) for column in columns]
            moments = {b: Moments.of(*(each[b] for each in clipped), order=order) for b in units}
            return Summaries(moments={need: moments})
        case TotalOf(column):
            return Summaries(totals={need: {b: Total.of(of[column]) for b, of in units.items()}})
        case CountsOf(column):
            counts = {b: ValueCounts.of(of[column]) for b, of in units.items()}
            return Summaries(counts={need: counts})
        case PairCountsOf((first, second)):
            pairs = {b: PairCounts.of(of[first], of[second]) for b, of in units.items()}
            return Summaries(pair_counts={need: pairs})
        case GridMeanOf():
            return Summaries(grid_means={need: _grid_mean(need, units)})


def _clipped(column: str, clip: Clip | None, units: Units) -> dict[str, npt.NDArray[np.generic]]:
    rows = {branch: of[column] for branch, of in units.items()}
    if clip is None:
        return rows
    scopes = [rows] if clip.scope is Scope.POOLED else [{b: each} for b, each in rows.items()]
    clipped: dict[str, npt.NDArray[np.generic]] = {}
    for scope in scopes:
        counts = ValueCounts.of(np.concatenate(list(scope.values())))
        upper = clip.threshold(counts) if counts.n else math.inf
        clipped |= {branch: np.minimum(each, upper) for branch, each in scope.items()}
    return clipped


def _grid_mean(need: GridMeanOf, units: Units) -> float:
    clipped = _clipped(need.column, need.clip, units)
    kept = [
        clipped[branch][~np.isnan(of[need.given].astype(np.float64))]
        for branch, of in units.items()
    ]
    return ValueCounts.of(np.concatenate(kept)).grid_mean()
