"""Statistics: summaries of numbers to estimates. Imports nothing else of sonde."""

from sonde.stats.arrays import estimate, summarise
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
from sonde.stats.registry import STATISTICS, statistic
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
    "estimate",
    "exponents",
    "pre_treatment",
    "statistic",
    "summarise",
]
