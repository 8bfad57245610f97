"""Answer what statistics need from the rows themselves, where memory has room for them.

Of a frame that is not long, a query costs more before its first row than for all of them. Here
the columns are read at once, the rows sorted by cell and branch, and each need is answered for
every cell and branch by operations on whole arrays. The answers are those of
`sonde.run.summarise`, for each cell from its own rows only.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sonde.run.rows import Integers, Rows, Values
from sonde.run.tally import counts_of_sorted
from sonde.sql.summaries import Frame
from sonde.stats.counts import PairCounts, Total, ValueCounts, between
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
    columns_read,
)
from sonde.warehouse.duckdb import Session

Floats = npt.NDArray[np.float64]
AnyNeed = TypeVar("AnyNeed", bound=Need)
Answer = TypeVar("Answer")

_EXACT = 2**53  # whole numbers up to it are floats


class InMemory:
    """Summaries of a frame. Asked repeatedly, it remembers what it has found.

    order: the column in whose order rows are added up; empty: as they come.
    """

    def __init__(self, session: Session, frame: Frame, order: str = "") -> None:
        self._session = session
        self._frame = frame
        self._order = order
        self._known: dict[int, Summaries] = defaultdict(Summaries)
        self._bounds: dict[tuple[str, Clip], Floats] = {}

    @functools.cached_property
    def _rows(self) -> Rows:
        return Rows(self._session, self._frame, (), self._order)

    def summaries(self, cell: int) -> Summaries:
        """What is known of a cell."""
        return self._known[cell]

    def branches(self, cell: int) -> list[str]:
        """The branches with units in a cell, sorted."""
        return list(self._rows.places.get(cell, {}))

    def answer(self, needs: Mapping[int, Iterable[Need]]) -> None:
        """Find the answers to all needs, each for every cell."""
        wanted: dict[Need, None] = {}
        for cell, asked in needs.items():
            wanted |= dict.fromkeys(self._known[cell].missing(asked))
        self._read(column for need in wanted for column in columns_read(need))
        moments = {n: self._moments(n) for n in wanted if isinstance(n, MomentsOf)}
        totals = {n: self._totals(n) for n in wanted if isinstance(n, TotalOf)}
        counts = {n: self._counts(n) for n in wanted if isinstance(n, CountsOf)}
        pairs = {n: self._pairs(n) for n in wanted if isinstance(n, PairCountsOf)}
        grids = {n: self._grid_means(n) for n in wanted if isinstance(n, GridMeanOf)}
        for cell in {*needs, *self._known, *self._rows.places}:
            self._known[cell] |= Summaries(
                self._of(cell, moments),
                self._of(cell, totals),
                self._of(cell, counts),
                self._of(cell, pairs),
                {need: of.get(cell, math.nan) for need, of in grids.items()},
            )

    def _read(self, columns: Iterable[str]) -> None:
        """All columns at once: another query may give the same rows in another order."""
        known = self._rows.columns if "_rows" in self.__dict__ else ()
        wanted = dict.fromkeys([*known, *columns])
        if len(wanted) > len(known):
            self._rows = Rows(self._session, self._frame, list(wanted), self._order)

    def _of(
        self, cell: int, found: Mapping[AnyNeed, Sequence[Answer]]
    ) -> dict[AnyNeed, dict[str, Answer]]:
        """Of answers for each group, those for a cell, by branch."""
        places = self._rows.places.get(cell, {})
        return {
            need: {branch: answers[place] for branch, place in places.items()}
            for need, answers in found.items()
        }

    def _moments(self, need: MomentsOf) -> list[Moments]:
        usable = self._rows.usable(need.columns)
        columns = usable.columns
        if need.clip is not None:
            columns = tuple(
                self._clipped(values, usable.edges, name, need.clip)
                for values, name in zip(columns, need.columns, strict=True)
            )
        is_live = usable.sizes > 0
        sizes, starts = usable.sizes[is_live], usable.edges[:-1][is_live]
        shifts, sums = _power_sums(columns, starts, sizes, need.order)
        by_group = zip(sizes.tolist(), shifts.T.tolist(), sums.T.tolist(), strict=True)
        return [
            Moments.from_sums(*next(by_group), order=need.order, nulls=nulls)
            if live
            else Moments.empty(len(columns), need.order, nulls)
            for live, nulls in zip(is_live.tolist(), usable.nulls.tolist(), strict=True)
        ]

    def _totals(self, need: TotalOf) -> list[Total]:
        usable = self._rows.usable([need.column])
        (values,) = usable.columns
        return [
            Total(len(rows) + nulls, nulls, _sum(rows))
            for rows, nulls in zip(_split(values, usable.edges), usable.nulls.tolist(), strict=True)
        ]

    def _counts(self, need: CountsOf) -> list[ValueCounts]:
        usable = self._rows.usable([need.column])
        parts = _split(usable.columns[0].copy(), usable.edges)
        for rows in parts:
            rows.sort()
        return [
            replace(counts_of_sorted(rows), nulls=nulls)
            for rows, nulls in zip(parts, usable.nulls.tolist(), strict=True)
        ]

    def _pairs(self, need: PairCountsOf) -> list[PairCounts]:
        usable = self._rows.usable(need.columns)
        first, second = (_split(values, usable.edges) for values in usable.columns)
        return [
            PairCounts.tally(one, other, nulls=nulls)
            for one, other, nulls in zip(first, second, usable.nulls.tolist(), strict=True)
        ]

    def _grid_means(self, need: GridMeanOf) -> dict[int, float]:
        usable = self._rows.usable([need.column, need.given])
        values = usable.columns[0]
        if need.clip is None:
            values = values.copy()
        else:
            values = self._clipped(values, usable.edges, need.column, need.clip)
        means = {}
        for cell, rows in zip(self._rows.places, self._by_cell(values, usable.edges), strict=True):
            rows.sort()
            means[cell] = counts_of_sorted(rows).grid_mean()
        return means

    # Thresholds

    def _clipped(self, values: Values, edges: Integers, column: str, clip: Clip) -> Floats:
        """With each group's values above its threshold set to it."""
        clipped: Floats = np.minimum(
            values, np.repeat(self._threshold(column, clip), np.diff(edges))
        )
        return clipped

    def _threshold(self, column: str, clip: Clip) -> Floats:
        """For each group. Infinite where there are no values."""
        if (column, clip) not in self._bounds:
            self._bounds[column, clip] = np.array(self._found_thresholds(column, clip))
        return self._bounds[column, clip]

    def _found_thresholds(self, column: str, clip: Clip) -> list[float]:
        usable = self._rows.usable([column])
        (values,) = usable.columns
        if clip.scope is Scope.PER_BRANCH:
            return [_bound(rows, clip) for rows in _split(values, usable.edges)]
        found = [_bound(rows, clip) for rows in self._by_cell(values, usable.edges)]
        return [
            bound
            for bound, places in zip(found, self._rows.places.values(), strict=True)
            for _ in places
        ]

    def _by_cell(self, values: Values, edges: Integers) -> list[Values]:
        """The rows of each cell, all branches together."""
        firsts = [min(places.values()) for places in self._rows.places.values()]
        return _split(values, edges[[*firsts, len(edges) - 1]])


def _split(values: Values, edges: Integers) -> list[Values]:
    return [values[start:stop] for start, stop in itertools.pairwise(edges.tolist())]


def _power_sums(
    columns: Sequence[Values], starts: Integers, sizes: Integers, order: int
) -> tuple[Floats, Floats]:
    """Of groups with rows, the shifts of each column, and the sums about them.

    Shifts are the means, whole for integers: sums of their powers are then exact.
    """
    powers = exponents(len(columns), order)
    shifts, sums = np.empty((len(columns), len(sizes))), np.empty((len(powers), len(sizes)))
    products: dict[tuple[int, ...], Floats] = {}
    if len(sizes) == 0:
        return shifts, sums
    with np.errstate(invalid="ignore", over="ignore"):
        for k, values in enumerate(columns):
            rows = values.astype(np.float64, copy=False)
            mean = np.add.reduceat(rows, starts) / sizes
            shifts[k] = np.round(mean) if values.dtype.kind == "i" else mean
            products[_unit(k, len(columns))] = rows - np.repeat(shifts[k], sizes)
        for j, power in enumerate(powers):
            if power not in products:
                products[power] = _product(power, products)
            sums[j] = np.add.reduceat(products[power], starts)
    return shifts, sums


def _unit(column: int, columns: int) -> tuple[int, ...]:
    return tuple(int(each == column) for each in range(columns))


def _product(power: tuple[int, ...], known: Mapping[tuple[int, ...], Floats]) -> Floats:
    """From the product with one factor less, which comes earlier among `exponents`."""
    column = next(k for k, each in enumerate(power) if each)
    factor = _unit(column, len(power))
    rest = tuple(each - one for each, one in zip(power, factor, strict=True))
    return known[rest] * known[factor]


def _sum(rows: Values) -> float:
    if rows.dtype.kind == "i" and len(rows) * max(map(abs, _range(rows))) < _EXACT:
        return float(rows.sum())
    return math.fsum(rows.tolist())


def _range(rows: Values) -> tuple[int, int]:
    return (int(rows.min()), int(rows.max())) if len(rows) else (0, 0)


def _bound(rows: Values, clip: Clip) -> float:
    """The clipping threshold of these rows: what `Clip.threshold` makes of their counts."""
    if len(rows) == 0:
        return math.inf
    place = clip.upper * (len(rows) - 1)
    below = math.floor(place)
    above = min(below + 1, len(rows) - 1)
    ends = np.partition(rows, [below, above])[[below, above]].astype(np.float64)
    bound = float(between(ends[:1], ends[1:], np.array([place - below]))[0])
    is_rounded = clip.rounds_integers_up and rows.dtype.kind == "i"
    return float(math.ceil(bound)) if is_rounded else bound
