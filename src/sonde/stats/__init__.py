"""Statistics: summaries of numbers to estimates. Imports nothing else of sonde.

`registry.statistic` makes one of its name and parameters, `arrays.estimate` asks it of arrays. An
engine asks `Statistic.needs` until nothing is missing, answers with `Summaries`, and then asks for
`Statistic.estimates`.
"""

from sonde.stats.counts import PairCounts, Total, ValueCounts
from sonde.stats.estimate import Comparison, Estimate, NotEstimable, Outcome, Reason
from sonde.stats.moments import Moments, exponents
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
from sonde.stats.pretreatment import pre_treatment
from sonde.stats.registry import STATISTICS
from sonde.stats.statistic import Covariate, CovariatePeriod, Statistic

__all__ = [
    "STATISTICS",
    "Clip",
    "Columns",
    "Comparison",
    "CountsOf",
    "Covariate",
    "CovariatePeriod",
    "Estimate",
    "GridMeanOf",
    "Moments",
    "MomentsOf",
    "Need",
    "NotEstimable",
    "Outcome",
    "PairCounts",
    "PairCountsOf",
    "Reason",
    "Scope",
    "Statistic",
    "Summaries",
    "Total",
    "TotalOf",
    "ValueCounts",
    "exponents",
    "pre_treatment",
]
