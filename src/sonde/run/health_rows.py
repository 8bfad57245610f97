"""Stored estimates as the checks read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from scipy import stats as scipy_stats

from sonde.experiment import Experiment
from sonde.metric import AnalysisBasis
from sonde.stats.estimate import Comparison
from sonde.window import Period

Row: TypeAlias = Mapping[str, Any]
WindowKey: TypeAlias = tuple[str, int]

EVERYONE = "all"
# What the checks read of the statistics table.
COLUMNS = [
    "metric", "statistic", "parameter", "branch", "comparison", "comparison_to_branch",
    "ci_width", "point", "lower", "upper", "segment", "analysis_basis", "analysis_period",
    "window_index", "data_source",
]  # fmt: skip
# Of several statistics of a metric the first that is there; of windows that begin with
# enrollment, the longest.
STATISTICS = ("mean_lm", "mean_lm_noclip", "mean", "binomial")
FROM_ENROLLMENT = (Period.OVERALL, Period.DAYS28, Period.WEEK, Period.DAY)


def reference_of(experiment: Experiment) -> str | None:
    """The branch that others are compared with."""
    slugs = [branch.slug for branch in experiment.branches]
    named = experiment.reference_branch or ("control" if "control" in slugs else None)
    return named or next(iter(slugs), None)


def about(row: Row) -> tuple[object, ...]:
    """What a comparison is of: metric, branch and window."""
    return (row["metric"], row["branch"], row["analysis_period"], row["window_index"])


def compared_rows(
    experiment: Experiment,
    rows: Iterable[Row],
    comparison: Comparison,
    basis: AnalysisBasis = AnalysisBasis.ENROLLMENTS,
) -> list[Row]:
    """Comparisons with the reference, of all units; one statistic of each metric."""
    reference = reference_of(experiment)
    best: dict[tuple[object, ...], Row] = {}
    for row in rows:
        if (
            row["comparison"] != comparison.value
            or row["comparison_to_branch"] != reference
            or row["segment"] != EVERYONE
            or row["analysis_basis"] != basis.value
            or row["parameter"] is not None
            or row["statistic"] not in STATISTICS
            or _width(row) is None
        ):
            continue
        had = best.get(about(row))
        if had is None or _rank(row) < _rank(had):
            best[about(row)] = row
    return list(best.values())


def _rank(row: Row) -> int:
    return STATISTICS.index(row["statistic"])


def _width(row: Row) -> float | None:
    """Of the interval; None where there is none to reckon with."""
    if None in {row["point"], row["lower"], row["upper"], row["ci_width"]}:
        return None
    width = float(row["upper"] - row["lower"])
    return width if width > 0 else None


def p_of(row: Row) -> float:
    """The p-value that belongs to an interval, taken as that of a normal law."""
    width = _width(row)
    assert width is not None
    error = width / 2 / float(scipy_stats.norm.ppf(0.5 + row["ci_width"] / 2))
    return float(2 * scipy_stats.norm.sf(abs(row["point"]) / error))


def is_count(row: Row) -> bool:
    """Whether a row is a number about all enrolled units."""
    return bool(
        row["segment"] == EVERYONE
        and row["analysis_basis"] == AnalysisBasis.ENROLLMENTS.value
        and row["point"] is not None
    )


def longest(rows: Sequence[Row]) -> WindowKey | None:
    """The longest window from enrollment on that rows are of."""
    places = {(row["analysis_period"], row["window_index"]) for row in rows}
    for period in FROM_ENROLLMENT:
        if (period.value, 1) in places:
            return (period.value, 1)
    return None
