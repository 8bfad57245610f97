"""Stored estimates as the checks read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from scipy import special  # scipy.stats takes longer to load than most experiments to check

from sonde.experiment import Experiment
from sonde.metric import AnalysisBasis
from sonde.stats.estimate import Comparison
from sonde.window import Period

Row: TypeAlias = Mapping[str, Any]
WindowKey: TypeAlias = tuple[str, int]

EVERYONE = "all"
# What the checks read of the rows of the statistics table; the rest is in their receipts.
_COLUMNS = ("metric", "statistic", "parameter", "branch", "comparison", "comparison_to_branch",
            "ci_width", "point", "lower", "upper", "segment")  # fmt: skip
# Of several statistics of a metric the first that is there; of windows that begin with
# enrollment, the longest.
STATISTICS = ("mean_lm", "mean_lm_noclip", "mean", "binomial")
FROM_ENROLLMENT = (Period.OVERALL, Period.DAYS28, Period.WEEK, Period.DAY)


def reference_of(experiment: Experiment) -> str | None:
    """The branch that others are compared with."""
    slugs = [branch.slug for branch in experiment.branches]
    named = experiment.reference_branch or ("control" if "control" in slugs else None)
    return named or next(iter(slugs), None)


def looked_at(
    parts: Iterable[tuple[Mapping[str, str], Mapping[str, Sequence[Any]]]],
) -> list[dict[str, Any]]:
    """Stored numbers about all units, curves aside, in the windows that checks look at.

    parts: of an experiment's statistics; the key of each partition, by name, and its columns.
    """
    found: list[dict[str, Any]] = []
    # The names of files are not the same twice: in order of their keys, then of what they say.
    for keys, columns in sorted(parts, key=lambda part: sorted(part[0].items())):
        if not _is_looked_at(keys):
            continue
        where = {**keys, "window_index": int(keys["window_index"])}
        rows = [
            row
            for row in zip(*(columns[name] for name in _COLUMNS), strict=True)
            if row[_SEGMENT] == EVERYONE and row[_PARAMETER] is None
        ]
        rows.sort(key=_order)
        found += [{**where, **dict(zip(_COLUMNS, row, strict=True))} for row in rows]
    return found


_SEGMENT, _PARAMETER = _COLUMNS.index("segment"), _COLUMNS.index("parameter")


def _order(row: tuple[Any, ...]) -> tuple[str, ...]:
    metric, statistic, _, branch, comparison, to, *_ = row
    return (metric, statistic, branch, comparison or "", to or "")


def _is_looked_at(keys: Mapping[str, str]) -> bool:
    return keys["analysis_period"] != Period.DAY.value or keys["window_index"] == "1"


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
    error = width / 2 / float(special.ndtri(0.5 + row["ci_width"] / 2))
    return float(2 * special.ndtr(-abs(row["point"]) / error))


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
