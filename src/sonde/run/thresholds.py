"""Clipping thresholds of columns, from as few rows as will do."""

from __future__ import annotations

import functools
import math
import operator
from collections import defaultdict
from collections.abc import Iterable, Mapping

from sonde.run import tally
from sonde.run.profile import Profile
from sonde.sql import summaries as sql
from sonde.sql.text import identifier
from sonde.stats.counts import ValueCounts
from sonde.stats.needs import Clip, Scope
from sonde.warehouse.duckdb import Session

Bounds = dict[str, float]
ByBranch = Mapping[str, ValueCounts]


class Thresholds:
    """What values of a column are set to when above it: for each cell, per branch. Found once.

    A branch without values need not have one.
    """

    def __init__(self, session: Session, profile: Profile) -> None:
        self._session = session
        self._profile = profile
        self._known: dict[tuple[str, Clip], dict[int, Bounds]] = defaultdict(dict)
        self._top: dict[tuple[str, float, int], ByBranch] = {}

    def __getitem__(self, key: tuple[str, Clip]) -> Mapping[int, Bounds]:
        return self._known[key]

    def unknown(self, column: str, clip: Clip, cells: Iterable[int]) -> set[int]:
        """The cells among these whose thresholds are still to be found."""
        return set(cells) - set(self._known[column, clip])

    def learn(self, column: str, clip: Clip, cell: int, counts: Mapping[str, ValueCounts]) -> None:
        """From the values of each branch of a cell."""
        with_values = {branch: each for branch, each in counts.items() if each.n}
        if clip.scope is Scope.POOLED and with_values:
            self.learn_pooled(column, clip, cell, pooled(with_values.values()))
        else:
            bounds = {branch: clip.threshold(each) for branch, each in with_values.items()}
            self._known[column, clip][cell] = bounds

    def learn_pooled(self, column: str, clip: Clip, cell: int, counts: ValueCounts) -> None:
        """From the values of a cell, all branches together."""
        bound = dict.fromkeys(self._profile.branches(cell), clip.threshold(counts))
        self._known[column, clip][cell] = bound

    def find(self, columns: Iterable[str], clip: Clip, cells: set[int]) -> None:
        """Ask the engine: for the highest rows of a long column, for quantiles of short ones."""
        short: dict[frozenset[int], list[str]] = defaultdict(list)
        for column in columns:
            if self._profile.cells_are_long:
                self._find_in_long(column, clip, self.unknown(column, clip, cells))
            if left := self.unknown(column, clip, cells):
                short[frozenset(left)].append(column)
        for shared, group in short.items():
            self._find_quantiles(group, clip, set(shared))

    def _find_quantiles(self, columns: list[str], clip: Clip, cells: set[int]) -> None:
        by = [] if clip.scope is Scope.POOLED else ["branch"]
        text = sql.quantiles(self._profile.within(cells), columns, clip.upper, by)
        for column in columns:
            self._known[column, clip] |= {cell: {} for cell in cells}
        for row in self._session.rows(text):
            cell, bounds = row[0], row[1 + len(by) :]
            branches = [row[1]] if by else self._profile.branches(cell)
            for column, bound in zip(columns, bounds, strict=True):
                if bound is not None:
                    rounded = self._rounded(column, clip, bound)
                    self._known[column, clip][cell] |= dict.fromkeys(branches, rounded)

    def _rounded(self, column: str, clip: Clip, bound: float) -> float:
        if clip.rounds_integers_up and self._profile.is_integer(column):
            return float(math.ceil(bound))
        return bound

    def _find_in_long(self, column: str, clip: Clip, cells: set[int]) -> None:
        if not cells:
            return
        if not self._profile.repeats(column):
            self._find_from_top(column, clip, cells)
        elif clip.scope is Scope.POOLED:
            frame = self._profile.having([column], cells)
            counts = tally.values_by_cell(self._session, frame, column, sorted(cells))
            for cell, each in counts.items():
                self._profile.learn_nan(column, cell, each.nulls)
                if each.n:
                    self.learn_pooled(column, clip, cell, each)

    def _find_from_top(self, column: str, clip: Clip, cells: set[int]) -> None:
        """Where enough rows lie above a bound that the sample gives, look at no others."""
        low = self._profile.below_quantile(column, clip.upper)
        if low is None:
            return
        new = {cell for cell in cells if (column, low, cell) not in self._top}
        for cell, counts in self._above(column, low, new).items():
            self._top[column, low, cell] = counts
        for cell in cells:
            counts = self._top.get((column, low, cell), {})
            is_pooled = clip.scope is Scope.POOLED and counts
            scopes = [pooled(counts.values())] if is_pooled else counts.values()
            if counts and all(_reaches(each, clip) for each in scopes):
                self.learn(column, clip, cell, counts)

    def _above(self, column: str, low: float, cells: set[int]) -> dict[int, ByBranch]:
        """Values of each branch, those up to `low` as if they were that."""
        present = self._profile.present([column], cells)
        if not present:
            return {}
        bound = str(int(low)) if self._profile.is_integer(column) else sql.float_literal(low)
        # NaN is above all in DuckDB.
        highest = self._profile.within(cells).having(f"{identifier(column)} > {bound}")
        place = sql.place_of_group(list(present))
        rows = tally.sorted_rows(self._session, highest, column, place, list(present.values()))
        found: dict[int, dict[str, ValueCounts]] = defaultdict(dict)
        for ((cell, branch), size), each in zip(present.items(), rows, strict=True):
            above = tally.counts_of_sorted(each)
            found[cell][branch] = tally.with_lump(above, low, size - len(each))
            if above.nulls:  # none here may be some where a file's statistics led past them
                self._profile.learn_nan(column, cell, above.nulls)
        return dict(found)


def _reaches(counts: ValueCounts, clip: Clip) -> bool:
    """Whether the quantile lies above the least value, which stands for others."""
    return counts.n > 0 and math.floor(clip.upper * (counts.n - 1)) >= counts.counts[0]


def pooled(counts: Iterable[ValueCounts]) -> ValueCounts:
    """All of them together."""
    return functools.reduce(operator.add, counts)
