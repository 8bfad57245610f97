"""Power sums of many columns in one scan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sonde.run.profile import Profile
from sonde.run.thresholds import Thresholds
from sonde.sql import summaries as sql
from sonde.sql.text import quoted
from sonde.stats.moments import Moments, exponents
from sonde.stats.needs import Clip, MomentsOf
from sonde.warehouse.duckdb import Session

Clipped = tuple[str, Clip]
Row = Mapping[str, Any]


class PowerScan:
    """A scan of some cells. All thresholds must be known."""

    def __init__(
        self,
        session: Session,
        profile: Profile,
        thresholds: Thresholds,
        cells: set[int],
    ) -> None:
        self._session = session
        self._frame = profile.within(cells)
        self._profile = profile
        self._thresholds = thresholds
        self._cells = cells

    def moments(self, needs: Sequence[MomentsOf]) -> Iterator[tuple[int, str, MomentsOf, Moments]]:
        """For each cell, branch and need."""
        clipped = {
            (column, need.clip): self._bounds(column, need.clip)
            for need in needs
            for column in need.columns
            if need.clip is not None
        }
        joined = {
            key: f"t{i}" for i, (key, bounds) in enumerate(clipped.items()) if len(bounds) > 1
        }
        if joined:
            self._session.execute(
                f"CREATE OR REPLACE TEMP TABLE thresholds AS\n{self._table(joined)}"
            )
        literals = {
            key: f"t.{joined[key]}" if key in joined else _only(bounds)
            for key, bounds in clipped.items()
        }
        sums = [self._sums(need, literals) for need in needs]
        for row in self._rows(needs, sums, "thresholds" if joined else None):
            for i, (need, item) in enumerate(zip(needs, sums, strict=True)):
                yield row["__n"], row["branch"], need, _moments(row, i, need, item.shifts)

    def _bounds(self, column: str, clip: Clip) -> set[float]:
        """The different thresholds of a column."""
        known = self._thresholds[column, clip]
        return {bound for cell in self._cells for bound in known[cell].values()}

    def _sums(self, need: MomentsOf, literals: Mapping[Clipped, str | None]) -> sql.PowerSums:
        return sql.PowerSums(
            need.columns,
            exponents(len(need.columns), need.order),
            tuple(literals[c, need.clip] if need.clip else None for c in need.columns),
            tuple(self._shift(c, need.clip) for c in need.columns),
        )

    def _shift(self, column: str, clip: Clip | None) -> float:
        if clip is None:
            return self._profile.shift(column)
        return self._profile.shift(column, max(self._bounds(column, clip), default=math.inf))

    def _table(self, names: Mapping[Clipped, str]) -> str:
        """The thresholds of columns that have more than one, as SQL of a table to join."""
        groups = [(cell, b) for cell in sorted(self._cells) for b in self._profile.branches(cell)]
        rows = []
        for cell, branch in groups:
            bounds = (self._thresholds[key][cell].get(branch) for key in names)
            numbers = ["NULL" if b is None else sql.float_literal(b) for b in bounds]
            rows.append(f"({', '.join([str(cell), quoted(branch), *numbers])})")
        columns = ", ".join(["__n", "branch", *names.values()])
        return f"SELECT * FROM (VALUES {', '.join(rows)}) AS t({columns})"

    def _rows(
        self, needs: Sequence[MomentsOf], sums: Sequence[sql.PowerSums], table: str | None
    ) -> list[Row]:
        """One per group. Long columns are taken to be without NaN until their sum shows one."""
        columns = dict.fromkeys(column for need in needs for column in need.columns)
        unsure = [column for column in columns if self._profile.may_be_nan(column, self._cells)]
        is_guarded = {
            column: self._profile.has_null(column)
            or self._profile.is_known_nan(column, self._cells)
            or (column in unsure and not self._profile.is_long)
            for column in columns
        }
        told = _telling(needs, is_guarded)
        plain = [column for column in unsure if column not in told]
        told |= {column: f"plain_{k}" for k, column in enumerate(plain)}
        rows = self._ask(sums, table, is_guarded, plain)
        found = {column for column in unsure if _has_nan(rows, told[column])}
        for column in unsure:
            for cell in self._cells:
                self._profile.learn_nan(column, cell, int(column in found))
        if all(is_guarded[column] for column in found):
            return rows
        return self._ask(sums, table, is_guarded | dict.fromkeys(found, True), [])

    def _ask(
        self,
        sums: Sequence[sql.PowerSums],
        table: str | None,
        is_guarded: Mapping[str, bool],
        plain: Sequence[str],
    ) -> list[Row]:
        text = sql.power_sums(self._frame, sums, table, is_guarded, plain)
        rows: list[Row] = self._session.arrow(text).to_pylist()
        return rows


def _only(bounds: set[float]) -> str | None:
    return sql.float_literal(next(iter(bounds))) if bounds else None


def _telling(needs: Sequence[MomentsOf], is_guarded: Mapping[str, bool]) -> dict[str, str]:
    """The sums that are NaN where a column holds NaN: no threshold and no guard hides it."""
    found: dict[str, str] = {}
    for i, need in enumerate(needs):
        if need.clip is not None or any(is_guarded[column] for column in need.columns):
            continue
        powers = exponents(len(need.columns), need.order)
        for k, column in enumerate(need.columns):
            alone = tuple(int(k == other) for other in range(len(need.columns)))
            found[column] = f"s_{i}_{powers.index(alone)}"
    return found


def _has_nan(rows: Sequence[Row], name: str) -> bool:
    return any(row[name] is not None and math.isnan(row[name]) for row in rows)


def _moments(row: Row, i: int, need: MomentsOf, shifts: Sequence[float]) -> Moments:
    n, nulls = row[f"n_{i}"], row[f"nan_{i}"]
    if n == 0:
        return Moments.empty(len(need.columns), need.order, nulls)
    count = len(exponents(len(need.columns), need.order))
    sums = [row[f"s_{i}_{j}"] for j in range(count)]
    return Moments.from_sums(n, shifts, sums, order=need.order, nulls=nulls)
