"""Means of a grid of quantiles: from counts where there are any, else from sorted rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from sonde.run import tally
from sonde.run.profile import Profile
from sonde.run.thresholds import Thresholds, pooled
from sonde.sql import summaries as sql
from sonde.stats.counts import ValueCounts
from sonde.stats.needs import Clip, CountsOf, GridMeanOf, PairCountsOf, Scope, Summaries
from sonde.warehouse.duckdb import Session

_GRID = np.arange(10_000) / 10_000  # where `GridMeanOf` asks for quantiles
_ALL = ""  # stands for the branches of a cell taken together

Known = Callable[[int], Summaries]
ByBranch = Mapping[str, ValueCounts]


class Grids:
    """Means of grids of a frame's columns."""

    def __init__(self, session: Session, profile: Profile, thresholds: Thresholds) -> None:
        self._session = session
        self._profile = profile
        self._thresholds = thresholds
        self._pooled: dict[tuple[str, Clip | None, int], ValueCounts] = {}

    def prepare(self, need: GridMeanOf, cells: set[int]) -> None:
        """Count or sort a long column, all branches together: its threshold comes with that."""
        column, clip = need.column, need.clip
        if not self._profile.cells_are_long or self._profile.has_null(need.given):
            return
        new = [cell for cell in sorted(cells) if (column, clip, cell) not in self._pooled]
        if _is_by_branch(clip) or not new:
            return
        frame = self._profile.having([column], new)
        for cell, counts in self._quantiles(frame, column, clip, new).items():
            self._pooled[column, clip, cell] = counts
            self._profile.learn_nan(column, cell, counts.nulls)
            if clip is not None and counts.n:
                self._thresholds.learn_pooled(column, clip, cell, counts)

    def _quantiles(
        self, frame: sql.Frame, column: str, clip: Clip | None, cells: list[int]
    ) -> dict[int, ValueCounts]:
        """Per cell, value counts that are right where the grid and the threshold ask."""
        if self._profile.repeats(column) or not self._profile.is_long:
            return tally.values_by_cell(self._session, frame, column, cells)
        groups = self._profile.groups.items()
        sizes = [sum(n for (each, _), n in groups if each == cell) for cell in cells]
        place = sql.place_of_cell(cells)
        rows = tally.sorted_rows(self._session, frame, column, place, sizes)
        probabilities = _GRID if clip is None else np.append(_GRID, clip.upper)
        return {c: tally.thinned(r, probabilities) for c, r in zip(cells, rows, strict=True)}

    def means(self, need: GridMeanOf, cells: set[int], known: Known) -> dict[int, float]:
        """Per cell. Thresholds must be known."""
        counts = {cell: self._known(need, cell, known(cell)) for cell in cells}
        new = sorted(cell for cell, found in counts.items() if found is None)
        return {
            cell: self._mean(need, cell, found)
            for cell, found in {**counts, **self._asked(need, new)}.items()
            if found is not None
        }

    def _known(self, need: GridMeanOf, cell: int, known: Summaries) -> ByBranch | None:
        """The column's values in rows that have both, if they are known."""
        if (pairs := known.pair_counts.get(PairCountsOf((need.given, need.column)))) is not None:
            return {branch: ValueCounts.tally(p.second, p.counts) for branch, p in pairs.items()}
        given = need.given
        if self._profile.has_null(given) or self._profile.may_be_nan(given, [cell]):
            return None
        if (counts := self._pooled.get((need.column, need.clip, cell))) is not None:
            return {_ALL: counts}
        return known.counts.get(CountsOf(need.column))

    def _asked(self, need: GridMeanOf, cells: list[int]) -> Mapping[int, ByBranch]:
        frame = self._profile.having([need.column], cells).having(sql.usable([need.given]))
        found: dict[int, dict[str, ValueCounts]] = {cell: {} for cell in cells}
        if not cells:
            return {}
        if _is_by_branch(need.clip):
            groups = list(self._profile.groups)
            by_group = tally.values(self._session, frame, need.column, groups)
            for (cell, branch), counts in by_group.items():
                found[cell][branch] = counts
        else:
            for cell, counts in self._quantiles(frame, need.column, need.clip, cells).items():
                found[cell][_ALL] = counts
        return found

    def _mean(self, need: GridMeanOf, cell: int, counts: ByBranch) -> float:
        bounds = self._thresholds[need.column, need.clip][cell] if need.clip else {}
        if _ALL in counts and bounds:
            bounds = {_ALL: next(iter(bounds.values()))}
        clipped = [
            each.clip(bounds[branch]) if branch in bounds else each
            for branch, each in counts.items()
            if each.n
        ]
        return pooled(clipped).grid_mean() if clipped else float("nan")


def _is_by_branch(clip: Clip | None) -> bool:
    return clip is not None and clip.scope is Scope.PER_BRANCH
