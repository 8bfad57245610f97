"""What a statistic needs, asked of the engine: one scan for the power sums of many columns.

The relation has one row per unit and cell (`__n`, the window's index), with `branch` and value
columns. A null value means that the unit does not count for that column; NaN is a null value
that a pre-treatment left, and is counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sonde.sql.text import identifier, quoted


@dataclass(frozen=True)
class Frame:
    """Rows to summarise. relation: name of a table. where: which of its rows; empty: all.

    places: at how many places, evenly spread, a sample is taken; more than one where rows can be
    skipped without reading them, as in Parquet files. cell: the only one there is, if so.
    """

    relation: str
    where: str = ""
    places: int = 1
    cell: int | None = None

    def within(self, cells: Iterable[int] | None) -> Frame:
        """Only the rows of some cells; None: of all."""
        if cells is None:
            return self
        listed = ", ".join(str(cell) for cell in sorted(cells))
        return self.having(f"__n IN ({listed})")

    def having(self, condition: str) -> Frame:
        """Only the rows for which a condition holds, too."""
        return replace(self, where=f"{self.where} AND {condition}" if self.where else condition)

    def selected(self, *columns: str) -> str:
        """The cell and columns as they are selected, when rows are grouped by them."""
        cell = "__n" if self.cell is None else f"{self.cell}::INTEGER AS __n"
        return ", ".join([cell, *columns])

    def grouped(self, *columns: str) -> str:
        """The GROUP BY clause for that. A cell that is the only one costs no time."""
        keys = [*(["__n"] if self.cell is None else []), *columns]
        return f"\nGROUP BY {', '.join(keys)}" if keys else ""

    def sql(self) -> str:
        """The FROM clause, and the WHERE clause if there is one."""
        where = f"\nWHERE {self.where}" if self.where else ""
        return f"FROM {self.relation} AS f{where}"


@dataclass(frozen=True)
class PowerSums:
    """Sums of products of powers of (value - shift), over rows where no column is null.

    powers: the exponents, one per column, of each sum. thresholds: for each column a SQL
    expression of what values are set to when above it, or None. shifts: one number per column.
    """

    columns: tuple[str, ...]
    powers: tuple[tuple[int, ...], ...]
    thresholds: tuple[str | None, ...]
    shifts: tuple[float, ...]


def power_sums(
    frame: Frame,
    sums: Sequence[PowerSums],
    thresholds: str | None,
    has_null: Mapping[str, bool],
    plain: Sequence[str] = (),
) -> str:
    """Columns __n, branch, then for the i-th of `sums`: n_i, nan_i, and s_i_j for its j-th power.

    thresholds: a table `t` with columns __n, branch and those that `PowerSums.thresholds` name.
    has_null: per column, whether it holds nulls or NaN; a column without needs no guard.
    plain: columns of which further columns plain_k have the sum: NaN, if they hold NaN.
    """
    inner = [f"{number(column)} AS plain_{k}" for k, column in enumerate(plain)]
    outer = [f"sum(plain_{k}) AS plain_{k}" for k in range(len(plain))]
    for i, item in enumerate(sums):
        guarded = [c for c in item.columns if has_null.get(c, True)]
        inner += [f"{value} AS d_{i}_{k}" for k, value in enumerate(_centred(item, guarded))]
        if guarded:
            inner.append(f"{_spoilt(guarded)} AS nan_{i}")
            outer += [f"count(d_{i}_0) AS n_{i}", f"count(*) FILTER (WHERE nan_{i}) AS nan_{i}"]
        else:
            outer += [f"count(*) AS n_{i}", f"0 AS nan_{i}"]
        outer += [f"sum({_product(i, p)}) AS s_{i}_{j}" for j, p in enumerate(item.powers)]
    joined = "" if thresholds is None else f"\nJOIN {thresholds} AS t USING (__n, branch)"
    where = f"\n  WHERE {frame.where}" if frame.where else ""
    inner_columns = ",\n    ".join(["__n", "branch", *inner])
    outer_columns = ",\n  ".join([frame.selected("branch"), *outer])
    return (
        f"SELECT\n  {outer_columns}\nFROM (\n  SELECT\n    {inner_columns}\n"
        f"  FROM {frame.relation} AS f{joined}{where}\n){frame.grouped('branch')}"
    )


def _centred(item: PowerSums, guarded: Sequence[str]) -> Iterable[str]:
    for column, bound, shift in zip(item.columns, item.thresholds, item.shifts, strict=True):
        value = number(column)
        if bound is not None:
            value = f"least({value}, {bound})"
        centred = value if shift == 0 else f"{value} - {float_literal(shift)}"
        yield f"CASE WHEN {usable(guarded)} THEN {centred} END" if guarded else centred


def number(column: str) -> str:
    """A column's values as floating-point numbers."""
    return f"CAST({identifier(column)} AS DOUBLE)"


def usable(columns: Iterable[str]) -> str:
    """Neither null nor NaN, any of them."""
    return " AND ".join(
        f"({identifier(c)} IS NOT NULL AND NOT isnan({number(c)}))" for c in columns
    )


def _spoilt(columns: Sequence[str]) -> str:
    """Every column has a value, and one of them is NaN."""
    present = " AND ".join(f"{identifier(c)} IS NOT NULL" for c in columns)
    nan = " OR ".join(f"isnan({number(c)})" for c in columns)
    return f"({present} AND ({nan}))"


def _product(item: int, powers: Sequence[int]) -> str:
    factors = [f"d_{item}_{k}" for k, power in enumerate(powers) for _ in range(power)]
    return " * ".join(factors)


def value_counts(frame: Frame, columns: Sequence[str], by: Sequence[str], place: str) -> str:
    """Columns g, v0, v1, .., n: how often each combination of values, or nulls, occurs.

    by: what is kept apart besides cells. place: SQL of the place of that in a list. Sorted, nulls
    last.
    """
    names = [identifier(c) for c in columns]
    values = [f"v{i}" for i in range(len(names))]
    selected = frame.selected(*by, *(f"{n} AS {v}" for n, v in zip(names, values, strict=True)))
    counted = f"SELECT {selected}, count(*) AS n\n{frame.sql()}{frame.grouped(*by, *names)}"
    return (
        f"SELECT CAST({place} AS USMALLINT) AS g, {', '.join(values)}, n\nFROM (\n{counted}\n)\n"
        "ORDER BY ALL ASC NULLS LAST"
    )


def values(frame: Frame, column: str, place: str) -> str:
    """Columns g, v: the values as they come, each with its place in a list."""
    return f"SELECT CAST({place} AS USMALLINT) AS g, {identifier(column)} AS v\n{frame.sql()}"


def place_of_cell(cells: Sequence[int]) -> str:
    """Where in a list a row's cell stands."""
    return _choice("__n", {str(cell): place for place, cell in enumerate(cells)})


def place_of_group(groups: Sequence[tuple[int, str]]) -> str:
    """Where in a list a row's cell and branch stand."""
    by_cell: dict[int, dict[str, object]] = {}
    for place, (cell, branch) in enumerate(groups):
        by_cell.setdefault(cell, {})[quoted(branch)] = place
    return _choice("__n", {str(cell): _choice("branch", of) for cell, of in by_cell.items()})


def _choice(of: str, results: Mapping[str, object]) -> str:
    if len(results) == 1:
        return str(next(iter(results.values())))
    cases = " ".join(f"WHEN {key} THEN {result}" for key, result in results.items())
    return f"CASE {of} {cases} END"


def totals(frame: Frame, columns: Sequence[str]) -> str:
    """Columns __n, branch, then for the i-th column rows_i, nan_i and total_i."""
    outer = []
    for i, column in enumerate(columns):
        outer += [
            f"count({identifier(column)}) AS rows_{i}",
            f"count(*) FILTER (WHERE isnan({number(column)})) AS nan_{i}",
            f"fsum({number(column)}) FILTER (WHERE NOT isnan({number(column)})) AS total_{i}",
        ]
    selected = ",\n  ".join([frame.selected("branch"), *outer])
    return f"SELECT\n  {selected}\n{frame.sql()}{frame.grouped('branch')}"


def quantiles(frame: Frame, columns: Sequence[str], probability: float, by: Sequence[str]) -> str:
    """Columns __n, `by`, then q_i: the i-th column's quantile over its values."""
    outer = [
        f"quantile_cont({number(column)}, {float_literal(probability)}) "
        f"FILTER (WHERE {usable([column])}) AS q_{i}"
        for i, column in enumerate(columns)
    ]
    return f"SELECT {frame.selected(*by, *outer)}\n{frame.sql()}{frame.grouped(*by)}"


def cell_sizes(frame: Frame) -> str:
    """Columns __n, n: the rows of each cell."""
    return f"SELECT __n, count(*) AS n\n{frame.sql()}\nGROUP BY __n"


def group_sizes(frame: Frame) -> str:
    """Columns __n, branch, n: the rows of each, sorted."""
    selected = frame.selected("branch", "count(*) AS n")
    return f"SELECT {selected}\n{frame.sql()}{frame.grouped('branch')}\nORDER BY ALL"


def present(frame: Frame, columns: Sequence[str]) -> str:
    """One row: all rows, then each column's values that are not null. Files answer this unread."""
    counted = ", ".join(["count(*)", *(f"count({identifier(c)})" for c in columns)])
    return f"SELECT {counted}\n{frame.sql()}"


def sample(frame: Frame, columns: Sequence[str], rows: int, size: int) -> str:
    """The columns as floats, NaN for null, of some `size` rows, taken at the frame's places."""
    nan = "'nan'::DOUBLE"
    selected = ", ".join(f"coalesce({number(c)}, {nan}) AS {identifier(c)}" for c in columns)
    each = -(-size // frame.places)
    step = max(rows - each, 0) / max(frame.places - 1, 1)
    starts = dict.fromkeys(int(place * step) for place in range(frame.places))
    return "\nUNION ALL\n".join(
        f"(SELECT {selected} {frame.sql()}\nLIMIT {each} OFFSET {start})" for start in starts
    )


def float_literal(value: float) -> str:
    """A DOUBLE with all its digits.

    >>> float_literal(0.1), float_literal(float("inf"))
    ('0.1::DOUBLE', "'inf'::DOUBLE")
    """
    return f"{value!r}::DOUBLE" if math.isfinite(value) else f"'{value!r}'::DOUBLE"
