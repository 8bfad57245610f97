"""What a statistic needs, asked of the engine: one scan for the power sums of many columns.

The relation has one row per unit and cell (`__n`, the window's index), with `branch` and value
columns. A null value means that the unit does not count for that column; NaN is a null value
that a pre-treatment left, and is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sonde.sql.text import identifier


@dataclass(frozen=True)
class Frame:
    """Rows to summarise. relation: name of a table. where: which of its rows; empty: all."""

    relation: str
    where: str = ""

    def within(self, cells: Iterable[int] | None) -> Frame:
        """Only the rows of some cells; None: of all."""
        if cells is None:
            return self
        listed = ", ".join(str(cell) for cell in sorted(cells))
        condition = f"__n IN ({listed})"
        return Frame(self.relation, f"{self.where} AND {condition}" if self.where else condition)

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
    frame: Frame, sums: Sequence[PowerSums], thresholds: str | None, has_null: Mapping[str, bool]
) -> str:
    """Columns __n, branch, then for the i-th of `sums`: n_i, nan_i, and s_i_j for its j-th power.

    thresholds: a table with columns __n, branch and those that `PowerSums.thresholds` name.
    has_null: per column, whether it holds nulls or NaN; a column without needs no guard.
    """
    inner: list[str] = []
    outer: list[str] = []
    for i, item in enumerate(sums):
        guarded = [c for c in item.columns if has_null.get(c, True)]
        for k, (column, bound, shift) in enumerate(
            zip(item.columns, item.thresholds, item.shifts, strict=True)
        ):
            value = f"CAST({identifier(column)} AS DOUBLE)"
            if bound is not None:
                value = f"least({value}, t.{identifier(bound)})"
            centred = f"{value} - {float_literal(shift)}"
            if guarded:
                centred = f"CASE WHEN {_usable(guarded)} THEN {centred} END"
            inner.append(f"{centred} AS d_{i}_{k}")
        outer.append(f"count(d_{i}_0) AS n_{i}" if guarded else f"count(*) AS n_{i}")
        if guarded:
            inner.append(f"{_spoilt(guarded)} AS nan_{i}")
            outer.append(f"count(*) FILTER (WHERE nan_{i}) AS nan_{i}")
        else:
            outer.append(f"0 AS nan_{i}")
        outer += [f"sum({_product(i, p)}) AS s_{i}_{j}" for j, p in enumerate(item.powers)]
    joined = "" if thresholds is None else f"\nJOIN {thresholds} AS t USING (__n, branch)"
    where = f"\n  WHERE {frame.where}" if frame.where else ""
    inner_columns = ",\n    ".join(["__n", "branch", *inner])
    outer_columns = ",\n  ".join(["__n", "branch", *outer])
    return (
        f"SELECT\n  {outer_columns}\nFROM (\n  SELECT\n    {inner_columns}\n"
        f"  FROM {frame.relation} AS f{joined}{where}\n)\nGROUP BY __n, branch"
    )


def _usable(columns: Iterable[str]) -> str:
    return " AND ".join(
        f"({identifier(c)} IS NOT NULL AND NOT isnan(CAST({identifier(c)} AS DOUBLE)))"
        for c in columns
    )


def _spoilt(columns: Sequence[str]) -> str:
    """Every column has a value, and one of them is NaN."""
    present = " AND ".join(f"{identifier(c)} IS NOT NULL" for c in columns)
    nan = " OR ".join(f"isnan(CAST({identifier(c)} AS DOUBLE))" for c in columns)
    return f"({present} AND ({nan}))"


def _product(item: int, powers: Sequence[int]) -> str:
    factors = [f"d_{item}_{k}" for k, power in enumerate(powers) for _ in range(power)]
    return " * ".join(factors)


def value_counts(frame: Frame, columns: Sequence[str]) -> str:
    """Columns __n, branch, v0, v1, .., n: how often each combination of values occurs, sorted."""
    selected = ", ".join(f"{identifier(c)} AS v{i}" for i, c in enumerate(columns))
    present = " AND ".join(f"{identifier(c)} IS NOT NULL" for c in columns)
    where = f"{frame.where} AND {present}" if frame.where else present
    return (
        f"SELECT __n, branch, {selected}, count(*) AS n\nFROM {frame.relation} AS f\n"
        f"WHERE {where}\nGROUP BY ALL\nORDER BY ALL"
    )


def values(frame: Frame, columns: Sequence[str]) -> str:
    """Columns __n, branch, v0, v1, ..: the values as they are."""
    selected = ", ".join(f"{identifier(c)} AS v{i}" for i, c in enumerate(columns))
    present = " AND ".join(f"{identifier(c)} IS NOT NULL" for c in columns)
    where = f"{frame.where} AND {present}" if frame.where else present
    return f"SELECT __n, branch, {selected}\nFROM {frame.relation} AS f\nWHERE {where}"


def totals(frame: Frame, columns: Sequence[str]) -> str:
    """Columns __n, branch, then for the i-th column rows_i, nan_i and total_i."""
    outer = []
    for i, column in enumerate(columns):
        name = identifier(column)
        number = f"CAST({name} AS DOUBLE)"
        outer += [
            f"count({name}) AS rows_{i}",
            f"count(*) FILTER (WHERE isnan({number})) AS nan_{i}",
            f"fsum({number}) FILTER (WHERE NOT isnan({number})) AS total_{i}",
        ]
    selected = ",\n  ".join(["__n", "branch", *outer])
    return f"SELECT\n  {selected}\n{frame.sql()}\nGROUP BY __n, branch"


def profile(frame: Frame, columns: Sequence[str], rows: int) -> str:
    """One row: for the i-th column its mean and the number of distinct values among the first
    `rows`, and over all whether it holds nulls or NaN."""
    sample = f"(SELECT * {frame.sql()} LIMIT {rows})"
    parts = [f"(SELECT count(*) FROM {sample}) AS sampled"]
    sampled, whole = [], []
    for i, column in enumerate(columns):
        name = identifier(column)
        number = f"CAST({name} AS DOUBLE)"
        finite = f"FILTER (WHERE isfinite({number}))"
        sampled += [
            f"avg({number}) {finite} AS mean_{i}",
            f"count(DISTINCT {name}) AS distinct_{i}",
        ]
        whole.append(f"count(*) - count({name}) FILTER (WHERE NOT isnan({number})) AS null_{i}")
    parts += [f"s.mean_{i}, s.distinct_{i}, w.null_{i}" for i in range(len(columns))]
    return (
        f"SELECT {', '.join(parts)}\nFROM (SELECT {', '.join(sampled)} FROM {sample}) AS s,\n"
        f"  (SELECT {', '.join(whole)} {frame.sql()}) AS w"
    )


def float_literal(value: float) -> str:
    """A DOUBLE with all its digits.

    >>> float_literal(0.1)
    '0.1::DOUBLE'
    """
    return f"{value!r}::DOUBLE"
