"""Answer what statistics need from a table of units: few scans, nothing per unit kept.

Every need is answered for all cells (windows) and branches of a frame at once. Power sums of many
columns share one scan; value counts come from the engine when a column has few distinct values,
and from sorting its values one branch at a time when it has many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sonde.sql import summaries as sql
from sonde.sql.text import identifier, quoted
from sonde.stats.counts import PairCounts, Total, ValueCounts
from sonde.stats.moments import Moments, exponents
from sonde.stats.needs import (
    Clip,
    CountsOf,
    GridMeanOf,
    MomentsOf,
    Need,
    PairCountsOf,
    Scope,
    Summaries,
    TotalOf,
)
from sonde.warehouse.duckdb import Session

_SAMPLE = 4096  # rows that tell a column's place and whether its values repeat
_MANY = 100_000  # rows from which on sorting values is cheaper than grouping them
_PER_SCAN = 24  # power sums of so many needs share a scan: wider queries stop paying

Cells = Mapping[int, Iterable[Need]]


class Summariser:
    """Summaries of one frame. Asked repeatedly, it remembers what it has found."""

    def __init__(self, session: Session, frame: sql.Frame) -> None:
        self._session = session
        self._frame = frame
        self._types = session.columns(frame.relation)
        self._known: dict[int, Summaries] = defaultdict(Summaries)
        self._profile: dict[str, _Column] = {}
        self._thresholds: dict[tuple[str, Clip], dict[tuple[int, str], float]] = {}
        self._branches: dict[int, list[str]] | None = None

    def summaries(self, cell: int) -> Summaries:
        """What is known of a cell."""
        return self._known[cell]

    def branches(self, cell: int) -> list[str]:
        """The branches with units in a cell, sorted."""
        if self._branches is None:
            self._branches = defaultdict(list)
            rows = self._session.rows(
                f"SELECT DISTINCT __n, branch {self._frame.sql()} ORDER BY ALL"
            )
            for n, branch in rows:
                self._branches[n].append(branch)
        return self._branches[cell]

    def answer(self, needs: Cells) -> None:
        """Find the answers to all needs, each for the cells that ask."""
        wanted: dict[Need, set[int]] = defaultdict(set)
        for cell, asked in needs.items():
            for need in self._known[cell].missing(asked):
                wanted[need].add(cell)
        self._look_at({c for need in wanted for c in _columns(need)})
        moments: dict[MomentsOf, set[int]] = {}
        totals: dict[TotalOf, set[int]] = {}
        for need, cells in wanted.items():
            match need:
                case CountsOf():
                    self._counts(need, cells)
                case PairCountsOf():
                    self._pair_counts(need, cells)
                case MomentsOf():
                    moments[need] = cells
                case TotalOf():
                    totals[need] = cells
                case GridMeanOf():
                    pass
        for need, cells in wanted.items():
            if isinstance(need, GridMeanOf):
                self._grid_mean(need, cells)
        self._moments(moments)
        self._totals(totals)

    def _learn(self, cell: int, found: Summaries) -> None:
        self._known[cell] = self._known[cell] | found

    def _look_at(self, columns: Iterable[str]) -> None:
        new = sorted(set(columns) - set(self._profile))
        if not new:
            return
        row = self._session.arrow(sql.profile(self._frame, new, _SAMPLE)).to_pylist()[0]
        for i, column in enumerate(new):
            self._profile[column] = _Column(
                mean=row[f"mean_{i}"] or 0.0,
                repeats=row[f"distinct_{i}"] <= 0.5 * max(row["sampled"], 1),
                has_null=row[f"null_{i}"] > 0,
            )

    def _is_integer(self, column: str) -> bool:
        kind = self._types[column]
        return kind == "BOOLEAN" or kind.endswith("INT") or kind == "INTEGER"

    # Value counts

    def _counts(self, need: CountsOf, cells: set[int]) -> None:
        for (cell, branch), found in self._tally(need.column, cells, self._frame).items():
            held = dict(self._known[cell].counts.get(need, {}))
            self._learn(cell, Summaries(counts={need: {**held, branch: found}}))
        for cell in cells:
            if need not in self._known[cell].counts:
                self._learn(cell, Summaries(counts={need: {}}))

    def _tally(
        self, column: str, cells: set[int], frame: sql.Frame
    ) -> dict[tuple[int, str], ValueCounts]:
        within = frame.within(cells)
        if not self._profile[column].repeats and self._rows(within) > _MANY:
            return self._sorted_values(column, within)
        table = self._session.arrow(sql.value_counts(within, [column]))
        found = {}
        for key, part in _groups(table):
            values, counts = _numpy(part["v0"]), _numpy(part["n"])
            missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
            nulls = int(counts[missing].sum())
            found[key] = ValueCounts(values[~missing], counts[~missing], nulls)
        return found

    def _rows(self, frame: sql.Frame) -> int:
        return int(self._session.rows(f"SELECT count(*) {frame.sql()}")[0][0])

    def _sorted_values(self, column: str, frame: sql.Frame) -> dict[tuple[int, str], ValueCounts]:
        """One branch at a time: memory is bounded by the largest branch's column."""
        found = {}
        keys = self._session.rows(f"SELECT DISTINCT __n, branch {frame.sql()} ORDER BY ALL")
        for n, branch in keys:
            condition = f"__n = {n} AND branch = {quoted(branch)}"
            where = f"{frame.where} AND {condition}" if frame.where else condition
            one = sql.Frame(frame.relation, where).sql()
            name = identifier(column)
            table = self._session.arrow(f"SELECT {name} AS v0 {one} AND {name} IS NOT NULL")
            found[n, branch] = ValueCounts.of(_numpy(table["v0"]))
        return found

    def _pair_counts(self, need: PairCountsOf, cells: set[int]) -> None:
        frame = self._frame.within(cells)
        by_cell: dict[int, dict[str, PairCounts]] = {cell: {} for cell in cells}
        for (cell, branch), part in _groups(
            self._session.arrow(sql.value_counts(frame, list(need.columns)))
        ):
            first, second = _numpy(part["v0"]).astype(float), _numpy(part["v1"]).astype(float)
            counts = _numpy(part["n"])
            missing = np.isnan(first) | np.isnan(second)
            kept = ~missing
            by_cell[cell][branch] = PairCounts(
                first[kept], second[kept], counts[kept], int(counts[missing].sum())
            )
        for cell, found in by_cell.items():
            self._learn(cell, Summaries(pair_counts={need: found}))

    def _grid_mean(self, need: GridMeanOf, cells: set[int]) -> None:
        given = f"{identifier(need.given)} IS NOT NULL"
        where = f"{self._frame.where} AND {given}" if self._frame.where else given
        thresholds = self._threshold(need.column, need.clip, cells)
        tallies = self._tally(need.column, cells, sql.Frame(self._frame.relation, where))
        pooled: dict[int, ValueCounts] = {}
        for (cell, branch), counts in tallies.items():
            clipped = counts.clip(thresholds[cell, branch]) if need.clip else counts
            pooled[cell] = pooled[cell] + clipped if cell in pooled else clipped
        for cell in cells:
            counts = pooled.get(cell, ValueCounts.of([]))
            mean = counts.grid_mean() if counts.n else float("nan")
            self._learn(cell, Summaries(grid_means={need: mean}))

    # Thresholds

    def _threshold(
        self, column: str, clip: Clip | None, cells: set[int]
    ) -> dict[tuple[int, str], float]:
        """Per cell and branch, what values above are set to."""
        if clip is None:
            return {}
        known = self._thresholds.setdefault((column, clip), {})
        new = {cell for cell in cells if not any(n == cell for n, _ in known)}
        if new:
            known |= self._counted_threshold(column, clip, new) or self._engine_threshold(
                column, clip, new
            )
        return known

    def _counted_threshold(
        self, column: str, clip: Clip, cells: set[int]
    ) -> dict[tuple[int, str], float] | None:
        """From value counts, when they are known for every cell."""
        need = CountsOf(column)
        if not all(need in self._known[cell] for cell in cells):
            return None
        found = {}
        for cell in cells:
            counts = {b: c for b, c in self._known[cell].counts[need].items() if c.n}
            pooled = None
            if clip.scope is Scope.POOLED and counts:
                pooled = clip.threshold(_sum(counts.values()))
            for branch in self.branches(cell):
                if branch in counts:
                    found[cell, branch] = (
                        clip.threshold(counts[branch]) if pooled is None else pooled
                    )
        return found

    def _engine_threshold(
        self, column: str, clip: Clip, cells: set[int]
    ) -> dict[tuple[int, str], float]:
        number = f"CAST({identifier(column)} AS DOUBLE)"
        by = "__n" if clip.scope is Scope.POOLED else "__n, branch"
        frame = self._frame.within(cells)
        present = f"{identifier(column)} IS NOT NULL AND NOT isnan({number})"
        where = f"{frame.where} AND {present}" if frame.where else present
        quantile = f"quantile_cont({number}, {sql.float_literal(clip.upper)})"
        if clip.rounds_integers_up and self._is_integer(column):
            quantile = f"ceil({quantile})"
        rows = self._session.rows(
            f"SELECT {by}, {quantile} FROM {frame.relation} AS f WHERE {where} GROUP BY {by}"
        )
        if clip.scope is Scope.PER_BRANCH:
            return {(n, branch): bound for n, branch, bound in rows}
        return {(n, branch): bound for n, bound in rows for branch in self.branches(n)}

    # Power sums

    def _moments(self, needs: Mapping[MomentsOf, set[int]]) -> None:
        waiting = dict(needs)
        for need, cells in list(waiting.items()):
            if self._moments_of_counts(need, cells):
                del waiting[need]
        by_cells: dict[frozenset[int], list[MomentsOf]] = defaultdict(list)
        for need, wanted in waiting.items():
            by_cells[frozenset(wanted)].append(need)
        for shared, group in by_cells.items():
            for start in range(0, len(group), _PER_SCAN):
                self._scan_moments(group[start : start + _PER_SCAN], set(shared))

    def _moments_of_counts(self, need: MomentsOf, cells: set[int]) -> bool:
        """A single column whose values are counted anyway needs no scan."""
        if len(need.columns) > 1:
            return False
        counted = CountsOf(need.columns[0])
        if not all(counted in self._known[cell] for cell in cells):
            return False
        bounds = self._threshold(need.columns[0], need.clip, cells)
        for cell in cells:
            found = {}
            for branch, counts in self._known[cell].counts[counted].items():
                bound = bounds.get((cell, branch))
                clipped = counts if bound is None else counts.clip(bound)
                found[branch] = clipped.moments(need.order)
            self._learn(cell, Summaries(moments={need: found}))
        return True

    def _scan_moments(self, needs: Sequence[MomentsOf], cells: set[int]) -> None:
        bounds = {
            (column, need.clip): self._threshold(column, need.clip, cells)
            for need in needs
            for column in need.columns
            if need.clip is not None
        }
        names = {key: f"t{i}" for i, key in enumerate(bounds)}
        sums = [
            sql.PowerSums(
                need.columns,
                exponents(len(need.columns), need.order),
                tuple(names[c, need.clip] if need.clip else None for c in need.columns),
                tuple(self._profile[c].mean for c in need.columns),
            )
            for need in needs
        ]
        table = self._register_thresholds(bounds, names, cells) if bounds else None
        has_null = {c: p.has_null for c, p in self._profile.items()}
        rows = self._session.arrow(
            sql.power_sums(self._frame.within(cells), sums, table, has_null)
        ).to_pylist()
        found: dict[int, dict[MomentsOf, dict[str, Moments]]] = {
            cell: {need: {} for need in needs} for cell in cells
        }
        for row in rows:
            for i, (need, item) in enumerate(zip(needs, sums, strict=True)):
                found[row["__n"]][need][row["branch"]] = _moments(row, i, need, item.shifts)
        for cell, by_need in found.items():
            self._learn(cell, Summaries(moments=by_need))

    def _register_thresholds(
        self,
        bounds: Mapping[tuple[str, Clip], Mapping[tuple[int, str], float]],
        names: Mapping[tuple[str, Clip], str],
        cells: set[int],
    ) -> str:
        keys = [(cell, branch) for cell in sorted(cells) for branch in self.branches(cell)]
        columns: dict[str, Any] = {
            "__n": pa.array([cell for cell, _ in keys], pa.int32()),
            "branch": pa.array([branch for _, branch in keys], pa.string()),
        }
        for key, name in names.items():
            columns[name] = pa.array([bounds[key].get(k) for k in keys], pa.float64())
        self._session.register("thresholds", pa.table(columns))
        return "thresholds"

    def _totals(self, needs: Mapping[TotalOf, set[int]]) -> None:
        if not needs:
            return
        cells = set().union(*needs.values())
        wanted = list(needs)
        text = sql.totals(self._frame.within(cells), [need.column for need in wanted])
        found: dict[int, dict[TotalOf, dict[str, Total]]] = {
            cell: {need: {} for need in wanted} for cell in cells
        }
        for row in self._session.arrow(text).to_pylist():
            for i, need in enumerate(wanted):
                found[row["__n"]][need][row["branch"]] = Total(
                    row[f"rows_{i}"], row[f"nan_{i}"], float(row[f"total_{i}"] or 0.0)
                )
        for cell, by_need in found.items():
            self._learn(cell, Summaries(totals=by_need))


class _Column:
    """What a sample tells of a column."""

    __slots__ = ("has_null", "mean", "repeats")

    def __init__(self, mean: float, repeats: bool, has_null: bool) -> None:
        self.mean = mean
        self.repeats = repeats
        self.has_null = has_null


def _columns(need: Need) -> tuple[str, ...]:
    match need:
        case MomentsOf(columns=columns) | PairCountsOf(columns=columns):
            return columns
        case TotalOf(column=column) | CountsOf(column=column):
            return (column,)
        case GridMeanOf(column=column, given=given):
            return (column, given)


def _moments(row: Mapping[str, Any], i: int, need: MomentsOf, shifts: Sequence[float]) -> Moments:
    n, nulls = row[f"n_{i}"], row[f"nan_{i}"]
    if n == 0:
        return Moments.empty(len(need.columns), need.order, nulls)
    count = len(exponents(len(need.columns), need.order))
    sums = [row[f"s_{i}_{j}"] for j in range(count)]
    return Moments.from_sums(n, shifts, sums, order=need.order, nulls=nulls)


def _groups(table: pa.Table) -> list[tuple[tuple[int, str], pa.Table]]:
    """Runs of equal (__n, branch) in a table sorted by them."""
    if table.num_rows == 0:
        return []
    cells = _numpy(table["__n"])
    branches = table["branch"].combine_chunks().dictionary_encode()
    codes = branches.indices.to_numpy(zero_copy_only=False)
    edges = np.flatnonzero((np.diff(cells) != 0) | (np.diff(codes) != 0)) + 1
    starts = [0, *edges.tolist()]
    stops = [*edges.tolist(), table.num_rows]
    names = branches.dictionary.to_pylist()
    return [
        ((int(cells[a]), names[codes[a]]), table.slice(a, b - a))
        for a, b in zip(starts, stops, strict=True)
    ]


def _numpy(column: pa.ChunkedArray) -> Any:
    return column.combine_chunks().to_numpy(zero_copy_only=False)


def _sum(counts: Iterable[ValueCounts]) -> ValueCounts:
    parts = iter(counts)
    total = next(parts)
    for part in parts:
        total = total + part
    return total
