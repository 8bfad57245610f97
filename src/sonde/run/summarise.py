"""Answer what statistics need from a table of units: few scans, nothing per unit kept.

Every need is answered for all cells (windows) and branches of a frame at once. Power sums of many
columns share one scan. In a long frame, columns whose values repeat are counted, alone or in the
pairs that are asked for, and all else follows from the counts; of other columns, only the highest
rows are looked at for a threshold, and all are sorted, one column at a time, for quantiles.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from sonde.run import tally
from sonde.run.grids import Grids
from sonde.run.power_sums import PowerScan
from sonde.run.profile import Profile
from sonde.run.tally import Group
from sonde.run.thresholds import Thresholds
from sonde.sql import summaries as sql
from sonde.stats.counts import PairCounts, Total, ValueCounts
from sonde.stats.moments import Moments
from sonde.stats.needs import (
    Clip,
    CountsOf,
    GridMeanOf,
    MomentsOf,
    Need,
    PairCountsOf,
    Summaries,
    TotalOf,
    columns_read,
)
from sonde.warehouse.duckdb import Session

_PER_SCAN = 24  # power sums of so many needs share a scan: wider queries stop paying

Cells = Mapping[int, Iterable[Need]]


class Summariser:
    """Summaries of one frame. Asked repeatedly, it remembers what it has found."""

    def __init__(self, session: Session, frame: sql.Frame) -> None:
        self._session = session
        self._known: dict[int, Summaries] = defaultdict(Summaries)
        self._profile = Profile(session, frame)
        self._thresholds = Thresholds(session, self._profile)
        self._grids = Grids(session, self._profile, self._thresholds)

    def summaries(self, cell: int) -> Summaries:
        """What is known of a cell."""
        return self._known[cell]

    def branches(self, cell: int) -> list[str]:
        """The branches with units in a cell, sorted."""
        return self._profile.branches(cell)

    def units(self, cell: int, columns: Sequence[str] = ()) -> dict[str, int]:
        """The units of each branch in a cell that have a value in each of the columns."""
        self._profile.look_at(columns)
        return {b: n for (_, b), n in self._profile.present(columns, [cell]).items()}

    @property
    def with_nan(self) -> set[str]:
        """The columns in which NaN has been met, in any cell."""
        return self._profile.with_nan

    def answer(self, needs: Cells) -> None:
        """Find the answers to all needs, each for the cells that ask."""
        wanted: dict[Need, set[int]] = defaultdict(set)
        for cell, asked in needs.items():
            for need in self._known[cell].missing(asked):
                wanted[need].add(cell)
        self._profile.look_at({c for need in wanted for c in columns_read(need)})
        moments = {need: cells for need, cells in wanted.items() if isinstance(need, MomentsOf)}
        totals = {need: cells for need, cells in wanted.items() if isinstance(need, TotalOf)}
        grids = {need: cells for need, cells in wanted.items() if isinstance(need, GridMeanOf)}
        self._count(wanted)
        for grid, cells in grids.items():
            self._grids.prepare(grid, self._without(CountsOf(grid.column), cells))
        self._find_thresholds([*moments.items(), *grids.items()])
        self._find_moments(moments)
        for grid, cells in grids.items():
            for cell, mean in self._grids.means(grid, cells, self.summaries).items():
                self._learn(cell, Summaries(grid_means={grid: mean}))
        self._find_totals(totals)

    def bulky(self, needs: Iterable[Need]) -> set[Need]:
        """Those whose answers take memory in proportion to the rows."""
        needs = list(needs)
        self._profile.look_at({column for need in needs for column in columns_read(need)})
        return {
            need
            for need in needs
            if isinstance(need, CountsOf | PairCountsOf)
            and self._profile.is_long
            and not self._profile.repeats(*columns_read(need))
        }

    def forget(self, needs: Iterable[Need]) -> None:
        """Give back the memory of value counts that are not asked for any more."""
        gone = set(needs)
        for cell, known in self._known.items():
            self._known[cell] = Summaries(
                known.moments,
                known.totals,
                {need: of for need, of in known.counts.items() if need not in gone},
                {need: of for need, of in known.pair_counts.items() if need not in gone},
                known.grid_means,
            )

    def _learn(self, cell: int, found: Summaries) -> None:
        self._known[cell] = self._known[cell] | found

    def _without(self, need: Need, cells: Iterable[int]) -> set[int]:
        return {cell for cell in cells if need not in self._known[cell]}

    # Counts

    def _count(self, wanted: Mapping[Need, set[int]]) -> None:
        """Count values where that is asked, and where it spares other scans."""
        pairs: dict[PairCountsOf, set[int]] = defaultdict(set)
        columns: dict[CountsOf, set[int]] = defaultdict(set)
        for need, cells in wanted.items():
            match need:
                case PairCountsOf():
                    pairs[need] |= cells
                case CountsOf():
                    columns[need] |= cells
                case MomentsOf((first, second)) if self._pays(need, wanted):
                    pairs[PairCountsOf((first, second))] |= cells
                case MomentsOf((column,), Clip()) if self._is_countable(column):
                    columns[CountsOf(column)] |= cells
                case _:
                    pass
        for pair, cells in pairs.items():
            self._count_pairs(pair, self._without(pair, cells))
        for counted, cells in columns.items():
            self._count_values(counted, self._without(counted, cells))

    def _pays(self, need: MomentsOf, wanted: Iterable[Need]) -> bool:
        """Whether pairs give more than the moments, which alone cost less as power sums."""
        first, second = need.columns
        is_more = need.clip is not None or GridMeanOf(second, given=first) in wanted
        return is_more and self._is_countable(first, second)

    def _is_countable(self, *columns: str) -> bool:
        return self._profile.cells_are_long and self._profile.repeats(*columns)

    def _count_pairs(self, need: PairCountsOf, cells: set[int]) -> None:
        if not cells:
            return
        pairs: dict[int, dict[str, PairCounts]] = {cell: {} for cell in cells}
        alone: dict[int, tuple[dict[str, ValueCounts], ...]] = {cell: ({}, {}) for cell in cells}
        frame = self._profile.within(cells)
        groups = list(self._profile.groups)
        for group, pair, columns in tally.pairs(self._session, frame, need.columns, groups):
            cell, branch = group
            pairs[cell][branch] = pair
            for of_branch, column in zip(alone[cell], columns, strict=True):
                of_branch[branch] = column
        for cell in cells:
            counts = {CountsOf(c): of for c, of in zip(need.columns, alone[cell], strict=True)}
            self._learn(cell, Summaries(counts=counts, pair_counts={need: pairs[cell]}))
        self._learn_nan(need.columns, cells)

    def _count_values(self, need: CountsOf, cells: set[int]) -> None:
        if not cells:
            return
        by_cell: dict[int, dict[str, ValueCounts]] = {cell: {} for cell in cells}
        for (cell, branch), found in self._counted(need.column, cells).items():
            by_cell[cell][branch] = found
        for cell, counts in by_cell.items():
            self._learn(cell, Summaries(counts={need: counts}))
        self._learn_nan([need.column], cells)

    def _counted(self, column: str, cells: set[int]) -> dict[Group, ValueCounts]:
        frame = self._profile.having([column], cells)
        if self._profile.repeats(column) or not self._profile.is_long:
            return tally.values(self._session, frame, column, list(self._profile.groups))
        sizes = self._profile.present([column], cells)
        if not sizes:
            return {}
        place = sql.place_of_group(list(sizes))
        rows = tally.sorted_rows(self._session, frame, column, place, list(sizes.values()))
        return {g: tally.counts_of_sorted(r) for g, r in zip(sizes, rows, strict=True)}

    def _learn_nan(self, columns: Iterable[str], cells: Iterable[int]) -> None:
        for column in columns:
            for cell in cells:
                counts = self._known[cell].counts[CountsOf(column)].values()
                self._profile.learn_nan(column, cell, sum(each.nulls for each in counts))

    # Thresholds

    def _find_thresholds(self, wanted: Iterable[tuple[MomentsOf | GridMeanOf, set[int]]]) -> None:
        asked: dict[tuple[Clip, frozenset[int]], dict[str, None]] = defaultdict(dict)
        for need, cells in wanted:
            if need.clip is None:
                continue
            for column in need.columns if isinstance(need, MomentsOf) else (need.column,):
                self._thresholds_of_counts(column, need.clip, cells)
                asked[need.clip, frozenset(cells)][column] = None
        for (clip, shared), columns in asked.items():
            self._thresholds.find(columns, clip, set(shared))

    def _thresholds_of_counts(self, column: str, clip: Clip, cells: set[int]) -> None:
        for cell in self._thresholds.unknown(column, clip, cells):
            if (counts := self._known[cell].counts.get(CountsOf(column))) is not None:
                self._thresholds.learn(column, clip, cell, counts)

    # Power sums and totals

    def _find_moments(self, needs: Mapping[MomentsOf, set[int]]) -> None:
        scans: dict[frozenset[int], list[MomentsOf]] = defaultdict(list)
        for need, cells in needs.items():
            if not self._moments_of_counts(need, cells):
                scans[frozenset(cells)].append(need)
        for shared, group in scans.items():
            for start in range(0, len(group), _PER_SCAN):
                self._scan(group[start : start + _PER_SCAN], set(shared))

    def _scan(self, needs: list[MomentsOf], cells: set[int]) -> None:
        scan = PowerScan(self._session, self._profile, self._thresholds, cells)
        found: dict[int, dict[MomentsOf, dict[str, Moments]]] = {
            cell: {need: {} for need in needs} for cell in cells
        }
        for cell, branch, need, moments in scan.moments(needs):
            found[cell][need][branch] = moments
        for cell, by_need in found.items():
            self._learn(cell, Summaries(moments=by_need))

    def _moments_of_counts(self, need: MomentsOf, cells: set[int]) -> bool:
        """Columns that are counted anyway need no scan."""
        match need.columns:
            case (column,):
                counted: CountsOf | PairCountsOf = CountsOf(column)
            case (first, second):
                counted = PairCountsOf((first, second))
            case _:
                return False
        if self._without(counted, cells):
            return False
        for cell in cells:
            known = self._known[cell]
            upper = [
                self._thresholds[c, need.clip][cell] if need.clip else {} for c in need.columns
            ]
            found = (
                _moments_of_values(known.counts[counted], upper, need.order)
                if isinstance(counted, CountsOf)
                else _moments_of_pairs(known.pair_counts[counted], upper, need.order)
            )
            self._learn(cell, Summaries(moments={need: found}))
        return True

    def _find_totals(self, needs: Mapping[TotalOf, set[int]]) -> None:
        if not needs:
            return
        cells = set().union(*needs.values())
        wanted = list(needs)
        text = sql.totals(self._profile.within(cells), [need.column for need in wanted])
        found: dict[int, dict[TotalOf, dict[str, Total]]] = {
            cell: {need: {} for need in wanted} for cell in cells
        }
        for row in self._session.arrow(text).to_pylist():
            for i, need in enumerate(wanted):
                total = float(row[f"total_{i}"] or 0.0)
                if row[f"nan_{i}"] or math.isnan(total):
                    self._profile.learn_nan(need.column, row["__n"], 1)
                found[row["__n"]][need][row["branch"]] = Total(
                    row[f"rows_{i}"], row[f"nan_{i}"], total
                )
        for cell, by_need in found.items():
            self._learn(cell, Summaries(totals=by_need))


def _moments_of_values(
    counts: Mapping[str, ValueCounts], upper: Sequence[Mapping[str, float]], order: int
) -> dict[str, Moments]:
    bounds = upper[0]
    return {
        branch: (each.clip(bounds[branch]) if branch in bounds else each).moments(order)
        for branch, each in counts.items()
    }


def _moments_of_pairs(
    pairs: Mapping[str, PairCounts], upper: Sequence[Mapping[str, float]], order: int
) -> dict[str, Moments]:
    return {
        branch: Moments.of_counts(
            np.minimum(each.first, upper[0].get(branch, math.inf)),
            np.minimum(each.second, upper[1].get(branch, math.inf)),
            counts=each.counts,
            order=order,
            nulls=each.nulls,
        )
        for branch, each in pairs.items()
    }
