"""Stored estimates as the checks read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import stats as scipy_stats

from sonde.experiment import Experiment
from sonde.lake import Lake
from sonde.metric import AnalysisBasis
from sonde.plan.steps import statistics_table
from sonde.stats.estimate import Comparison
from sonde.table import Receipt
from sonde.window import Period

Row: TypeAlias = Mapping[str, Any]
WindowKey: TypeAlias = tuple[str, int]

EVERYONE = "all"
# What the checks read of the files of the statistics table; the rest is in their receipts.
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


def read_rows(
    experiment: Experiment, lake: Lake, receipts: Iterable[Receipt]
) -> list[dict[str, Any]]:
    """Stored numbers about all units, curves aside, in the windows that checks look at.

    receipts: others than those of the experiment's statistics are passed over.
    """
    table = statistics_table(experiment)
    wanted = {
        str(lake.file(each)): dict(zip(table.keys, each.partition.key, strict=True))
        for each in receipts
        if each.partition.table == table and each.partition.key[0] == experiment.slug
    }
    wanted = {path: keys for path, keys in wanted.items() if _is_looked_at(keys)}
    if not wanted:
        return []
    found: list[dict[str, Any]] = [
        {**keys, "window_index": int(keys["window_index"]), **row}
        for path, keys in wanted.items()
        for row in _of_everyone(Path(path)).to_pylist()
    ]
    return sorted(found, key=_order)  # the names of files are not the same twice


def _of_everyone(file: Path) -> pa.Table:
    table = pq.ParquetFile(file).read(list(_COLUMNS), use_threads=False)
    kept = pc.and_(pc.equal(table["segment"], EVERYONE), pc.is_null(table["parameter"]))
    return table.filter(kept)


def _order(row: Row) -> tuple[str, ...]:
    names = ("analysis_period", "window_index", "analysis_basis", "data_source", *_COLUMNS[:2])
    return tuple(str(row[name]) for name in (*names, *_COLUMNS[3:6]))


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
