"""What a statistic needs, asked of BigQuery: sums, quantiles and counts of a frame's columns.

A frame is a table with a row for each unit of one window: `branch`, and columns that are INT64 or
FLOAT64. Null: the unit does not count. NaN: a null value that a pre-treatment left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sonde.sql.dialects import BIGQUERY, float64
from sonde.sql.summaries import PowerSums
from sonde.sql.text import string

Bounds = Mapping[str, float]  # by branch


def columns(frame: str, names: Sequence[str]) -> str:
    """The columns, to be asked for their types: c_i."""
    selected = ", ".join(f"{BIGQUERY.name(c)} AS c_{i}" for i, c in enumerate(names))
    return f"SELECT {selected}\nFROM {frame} AS f"


def profile(frame: str, columns: Sequence[str]) -> str:
    """Columns branch, n, then for the i-th column mean_i: of its usable values."""
    means = "".join(f", AVG({_usable(c)}) AS mean_{i}" for i, c in enumerate(columns))
    return f"SELECT branch, COUNT(*) AS n{means}\nFROM {frame} AS f\nGROUP BY branch"


def quantiles(frame: str, columns: Sequence[str], probability: float, by: Sequence[str]) -> str:
    """Columns `by`, then q_i: the i-th column's quantile over its values, interpolated."""
    over = f"PARTITION BY {', '.join(by)}" if by else ""
    found = ", ".join(
        f"PERCENTILE_CONT({_usable(c)}, {float64(probability)}) OVER ({over}) AS q_{i}"
        for i, c in enumerate(columns)
    )
    selected = ", ".join([*by, found])
    return f"SELECT DISTINCT {selected}\nFROM {frame} AS f"


def power_sums(
    frame: str, sums: Sequence[PowerSums], bounds: Sequence[Sequence[Bounds | None]]
) -> str:
    """Columns branch, then for the i-th of `sums`: n_i, nan_i, and s_i_j for its j-th power.

    bounds: for each of `sums` and each of its columns, what values of a branch are set to when
    above it.
    """
    inner, outer = [], []
    for i, (item, limits) in enumerate(zip(sums, bounds, strict=True)):
        usable = " AND ".join(_is_usable(c) for c in item.columns)
        present = " AND ".join(f"{BIGQUERY.name(c)} IS NOT NULL" for c in item.columns)
        for k, (column, bound) in enumerate(zip(item.columns, limits, strict=True)):
            value = _clipped(column, bound)
            centred = f"{value} - {float64(item.shifts[k])}" if item.shifts[k] else value
            inner.append(f"IF({usable}, {centred}, NULL) AS d_{i}_{k}")
        inner.append(f"{present} AND NOT ({usable}) AS spoilt_{i}")
        outer += [f"COUNT(d_{i}_0) AS n_{i}", f"COUNTIF(spoilt_{i}) AS nan_{i}"]
        outer += [f"SUM({_product(i, p)}) AS s_{i}_{j}" for j, p in enumerate(item.powers)]
    return (
        f"SELECT branch, {', '.join(outer)}\n"
        f"FROM (SELECT branch, {', '.join(inner)}\nFROM {frame} AS f)\nGROUP BY branch"
    )


def totals(frame: str, columns: Sequence[str]) -> str:
    """Columns branch, then for the i-th column rows_i, nan_i and total_i."""
    outer = ", ".join(
        f"COUNT({BIGQUERY.name(c)}) AS rows_{i}, COUNTIF(IS_NAN({BIGQUERY.number(c)})) AS nan_{i}, "
        f"SUM({_usable(c)}) AS total_{i}"
        for i, c in enumerate(columns)
    )
    return f"SELECT branch, {outer}\nFROM {frame} AS f\nGROUP BY branch"


def value_counts(frame: str, columns: Sequence[str], limit: int) -> str:
    """Columns branch, v_0, .., n: how many units have each value, or combination of values."""
    names = [BIGQUERY.name(c) for c in columns]
    values = ", ".join(f"{name} AS v_{i}" for i, name in enumerate(names))
    present = " AND ".join(f"{name} IS NOT NULL" for name in names)
    keys = ", ".join(["branch", *(f"v_{i}" for i in range(len(names)))])
    return (
        f"SELECT {keys}, COUNT(*) AS n\nFROM (SELECT branch, {values}\nFROM {frame} AS f\n"
        f"WHERE {present})\nGROUP BY {keys}\nLIMIT {limit}"
    )


def grid_mean(frame: str, column: str, given: str, bounds: Bounds | None, size: int) -> str:
    """One number: the mean of the quantiles 0, 1 / size, .. of a column, where both have a value.

    Each is between two rows by rank, so that rows have weights, which are added up.
    """
    value = _clipped(column, bounds)
    return f"""WITH ranked AS (
  SELECT v, ROW_NUMBER() OVER (ORDER BY v) - 1 AS place
  FROM (SELECT {value} AS v
FROM {frame} AS f
WHERE {_is_usable(column)} AND {_is_usable(given)})
  WHERE NOT IS_INF(v)
), points AS (
  SELECT CAST(FLOOR(i / {size} * last) AS INT64) AS below, i / {size} * last AS point, last
  FROM UNNEST(GENERATE_ARRAY(0, {size - 1})) AS i
  CROSS JOIN (SELECT MAX(place) AS last FROM ranked)
), weights AS (
  SELECT below AS place, below + 1 - point AS weight FROM points
  UNION ALL
  SELECT below + 1, point - below FROM points WHERE below < last
)
SELECT SUM(r.v * w.weight) / {size} AS mean
FROM ranked AS r
JOIN (SELECT place, SUM(weight) AS weight FROM weights GROUP BY place) AS w USING (place)"""


def units_with(frame: str, column: str) -> str:
    """Columns __n, branch, n: the units for which a column holds."""
    number = f"COUNTIF({BIGQUERY.name(column)}) AS n"
    return f"SELECT __n, branch, {number}\nFROM {frame} AS f\nGROUP BY __n, branch"


def _is_usable(column: str) -> str:
    number = BIGQUERY.number(column)
    return f"({BIGQUERY.name(column)} IS NOT NULL AND NOT IS_NAN({number}))"


def _usable(column: str) -> str:
    return f"IF({_is_usable(column)}, {BIGQUERY.number(column)}, NULL)"


def _clipped(column: str, bounds: Bounds | None) -> str:
    number = BIGQUERY.number(column)
    if not bounds:
        return number
    limits = set(bounds.values())
    if len(limits) == 1:
        return f"LEAST({number}, {float64(limits.pop())})"
    cases = " ".join(f"WHEN {string(b)} THEN {float64(v)}" for b, v in sorted(bounds.items()))
    return f"LEAST({number}, CASE branch {cases} ELSE {number} END)"


def _product(item: int, powers: Sequence[int]) -> str:
    return " * ".join(f"d_{item}_{k}" for k, power in enumerate(powers) for _ in range(power))
