"""Power sums of many columns in one scan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from sonde.run.profile import Profile
from sonde.run.thresholds import Thresholds
from sonde.sql import summaries as sql
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
            self._session.register("thresholds", self._table(joined))
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

    def _table(self, names: Mapping[Clipped, str]) -> pa.Table:
        """The thresholds of columns that have more than one, as a table to join."""
        groups = [(cell, b) for cell in sorted(self._cells) for b in self._profile.branches(cell)]
        columns: dict[str, Any] = {
            "__n": pa.array([cell for cell, _ in groups], pa.int32()),
            "branch": pa.array([branch for _, branch in groups], pa.string()),
        }
        for key, name in names.items():
            known = self._thresholds[key]
            bounds = [known[cell].get(branch) for cell, branch in groups]
            columns[name] = pa.array(bounds, pa.float64())
        return pa.table(columns)

    def _rows(
        self, needs: Sequence[MomentsOf], sums: Sequence[sql.PowerSums], table: str | None
    ) -> list[Row]:
        """One per group. What is not known to hold NaN is asked for without a guard at first."""
        guards = {c: self._is_guarded(c, need.clip) for need in needs for c in need.columns}
        rows = self._ask(sums, table, guards)
        unsure = {i: [c for c in n.columns if not guards[c]] for i, n in enumerate(needs)}
        spoilt = {c for i, columns in unsure.items() if _sums_to_nan(rows, i) for c in columns}
        for i, columns in unsure.items():
            if needs[i].clip is None:  # a threshold would hide NaN
                self._learn_nan(columns, spoilt)
        if any(not self._profile.is_integer(column) for column in spoilt):
            return self._ask(sums, table, guards | dict.fromkeys(spoilt, True))
        return rows

    def _is_guarded(self, column: str, clip: Clip | None) -> bool:
        if self._profile.has_null(column) or self._profile.is_known_nan(column, self._cells):
            return True
        is_cheap = clip is not None or not self._profile.is_long
        return is_cheap and self._profile.may_be_nan(column, self._cells)

    def _learn_nan(self, columns: Sequence[str], spoilt: set[str]) -> None:
        for column in columns:
            for cell in self._cells:
                self._profile.learn_nan(column, cell, int(column in spoilt))

    def _ask(
        self, sums: Sequence[sql.PowerSums], table: str | None, guards: Mapping[str, bool]
    ) -> list[Row]:
        text = sql.power_sums(self._frame, sums, table, guards)
        rows: list[Row] = self._session.arrow(text).to_pylist()
        return rows


def _only(bounds: set[float]) -> str | None:
    return sql.float_literal(next(iter(bounds))) if bounds else None


def _sums_to_nan(rows: Sequence[Row], i: int) -> bool:
    sums = (value for row in rows for name, value in row.items() if name.startswith(f"s_{i}_"))
    return any(value is not None and math.isnan(value) for value in sums)


def _moments(row: Row, i: int, need: MomentsOf, shifts: Sequence[float]) -> Moments:
    n, nulls = row[f"n_{i}"], row[f"nan_{i}"]
    if n == 0:
        return Moments.empty(len(need.columns), need.order, nulls)
    count = len(exponents(len(need.columns), need.order))
    sums = [row[f"s_{i}_{j}"] for j in range(count)]
    return Moments.from_sums(n, shifts, sums, order=need.order, nulls=nulls)
