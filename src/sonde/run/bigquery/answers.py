"""Answer what statistics need by queries: sums, quantiles and counts come from BigQuery, no unit.

A frame is a table in BigQuery, with the units of one window.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from sonde.run.engine import Answering, Answers, NotAnsweredError
from sonde.sql import bigquery_summaries as sql
from sonde.sql.dialects import BIGQUERY
from sonde.sql.pretreatments import Treatment
from sonde.sql.summaries import Frame, PowerSums
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
    columns_read,
)
from sonde.warehouse.bigquery import BigQuery

_GRID = 10_000  # quantiles, where `GridMeanOf` asks for them
MOST_VALUES = 1_000_000  # rows of counts that are fetched


class ByQueries:
    """Frames that are tables in BigQuery. Each has one cell."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery
        self._types: dict[str, dict[str, str]] = defaultdict(dict)

    def treatment(self, frame: str) -> Treatment:
        """The frame, with what pre-treatments will make of its columns."""
        return Treatment(frame, BIGQUERY)

    def groups(
        self,
        treatment: Treatment,
        cells: Sequence[int],
        columns: int,  # noqa: ARG002
    ) -> Iterator[tuple[list[int], Answering]]:
        """Each cell on its own."""
        for cell in cells:
            yield [cell], partial(self._answers, cell, self._types[treatment.frame])

    def _answers(self, cell: int, types: dict[str, str], frame: Frame) -> Answers:
        return Sums(self._bigquery, frame.relation, cell, types)


class Sums:
    """Summaries of a frame's one cell. Asked repeatedly, it remembers what it has found.

    types: of the frame's columns, as far as known; all segments have the same.
    """

    def __init__(self, bigquery: BigQuery, frame: str, cell: int, types: dict[str, str]) -> None:
        self._bigquery = bigquery
        self._frame = frame
        self._cell = cell
        self._known = Summaries()
        self._types = types
        self._found_sizes: dict[str, int] | None = None
        self._means: dict[str, float] = {}
        self._bounds: dict[tuple[str, Clip], dict[str, float]] = {}

    def summaries(self, cell: int) -> Summaries:
        """What is known of a cell."""
        return self._known if cell == self._cell else Summaries()

    def branches(self, cell: int) -> list[str]:
        """The branches with units in a cell, sorted."""
        return sorted(self._sizes) if cell == self._cell else []

    def answer(self, needs: Mapping[int, Iterable[Need]]) -> None:
        """Find the answers. Raises NotAnsweredError for a need whose answer is too large."""
        wanted = self._known.missing(needs.get(self._cell, ()))
        moments = [need for need in wanted if isinstance(need, MomentsOf)]
        totals = [need for need in wanted if isinstance(need, TotalOf)]
        typed = [need for need in wanted if not isinstance(need, TotalOf)]
        self._learn_types(column for need in typed for column in columns_read(need))
        self._look_at(column for need in moments for column in need.columns)
        self._find_bounds(
            (column, need.clip)
            for need in wanted
            if isinstance(need, MomentsOf | GridMeanOf) and need.clip is not None
            for column in (need.columns if isinstance(need, MomentsOf) else (need.column,))
        )
        self._known |= Summaries(
            self._moments(moments),
            self._totals(totals),
            {need: self._counts(need) for need in wanted if isinstance(need, CountsOf)},
            {need: self._pairs(need) for need in wanted if isinstance(need, PairCountsOf)},
            {need: self._grid_mean(need) for need in wanted if isinstance(need, GridMeanOf)},
        )

    @property
    def _sizes(self) -> dict[str, int]:
        """The units of each branch."""
        if self._found_sizes is None:
            self._look_at(())
        assert self._found_sizes is not None
        return self._found_sizes

    def _look_at(self, columns: Iterable[str]) -> None:
        """Near where are the values: sums are about there. The same query counts the units."""
        new = sorted(set(columns) - self._means.keys())
        if not new and self._found_sizes is not None:
            return
        rows = self._bigquery.rows(sql.profile(self._frame, new))
        self._found_sizes = {row[0]: row[1] for row in rows}
        for i, column in enumerate(new):
            means = [(row[1], row[2 + i]) for row in rows if row[2 + i] is not None]
            mean = sum(n * m for n, m in means) / max(sum(n for n, _ in means), 1)
            self._means[column] = mean if math.isfinite(mean) else 0.0

    def _learn_types(self, columns: Iterable[str]) -> None:
        new = sorted(set(columns) - self._types.keys())
        if new:
            found = self._bigquery.dry_run(sql.columns(self._frame, new)).columns
            self._types.update(zip(new, found.values(), strict=True))

    def _is_integer(self, column: str) -> bool:
        return self._types[column] in ("INTEGER", "INT64")

    # Thresholds

    def _find_bounds(self, wanted: Iterable[tuple[str, Clip]]) -> None:
        new: dict[Clip, dict[str, None]] = defaultdict(dict)
        for column, clip in wanted:
            if (column, clip) not in self._bounds:
                new[clip][column] = None
        for clip, named in new.items():
            columns = list(named)
            by = [] if clip.scope is Scope.POOLED else ["branch"]
            rows = self._bigquery.rows(sql.quantiles(self._frame, columns, clip.upper, by))
            for i, column in enumerate(columns):
                bounds: dict[str, float] = {}
                for row in rows:
                    bound = row[len(by) + i]
                    if bound is not None:
                        branches = [row[0]] if by else list(self._sizes)
                        bounds |= dict.fromkeys(branches, self._rounded(column, clip, bound))
                self._bounds[column, clip] = bounds

    def _bound(self, column: str, clip: Clip | None) -> dict[str, float] | None:
        return None if clip is None else self._bounds[column, clip]

    def _rounded(self, column: str, clip: Clip, bound: float) -> float:
        is_rounded = clip.rounds_integers_up and self._is_integer(column)
        return float(math.ceil(bound)) if is_rounded else float(bound)

    # Sums

    def _moments(self, needs: Sequence[MomentsOf]) -> dict[MomentsOf, dict[str, Moments]]:
        if not needs:
            return {}
        sums = [self._sums_of(need) for need in needs]
        bounds = [[self._bound(c, need.clip) for c in need.columns] for need in needs]
        found: dict[MomentsOf, dict[str, Moments]] = {need: {} for need in needs}
        for branch, *values in self._bigquery.rows(sql.power_sums(self._frame, sums, bounds)):
            rest = iter(values)
            for need, item in zip(needs, sums, strict=True):
                n, nulls = next(rest), next(rest)
                powers = [next(rest) for _ in item.powers]
                found[need][branch] = (
                    Moments.from_sums(n, item.shifts, powers, order=need.order, nulls=nulls)
                    if n
                    else Moments.empty(len(need.columns), need.order, nulls)
                )
        return found

    def _sums_of(self, need: MomentsOf) -> PowerSums:
        shifts = tuple(
            float(round(self._means[c])) if self._is_integer(c) else self._means[c]
            for c in need.columns
        )
        powers = exponents(len(need.columns), need.order)
        return PowerSums(need.columns, powers, (None,) * len(need.columns), shifts)

    def _totals(self, needs: Sequence[TotalOf]) -> dict[TotalOf, dict[str, Total]]:
        if not needs:
            return {}
        found: dict[TotalOf, dict[str, Total]] = {need: {} for need in needs}
        text = sql.totals(self._frame, [need.column for need in needs])
        for branch, *values in self._bigquery.rows(text):
            for i, need in enumerate(needs):
                rows, nulls, total = values[3 * i : 3 * i + 3]
                found[need][branch] = Total(rows, nulls, float(total or 0.0))
        return found

    def _grid_mean(self, need: GridMeanOf) -> float:
        bounds = self._bound(need.column, need.clip)
        text = sql.grid_mean(self._frame, need.column, need.given, bounds, _GRID)
        ((mean,),) = self._bigquery.rows(text)
        return math.nan if mean is None else float(mean)

    # Counts

    def _counts(self, need: CountsOf) -> dict[str, ValueCounts]:
        kind = np.int64 if self._is_integer(need.column) else np.float64
        found = {}
        for branch, rows in self._counted(need).items():
            values = np.array([row[0] for row in rows], dtype=kind)
            counts = np.array([row[1] for row in rows], dtype=np.int64)
            spoilt = np.isnan(values)
            found[branch] = ValueCounts.tally(
                values[~spoilt], counts[~spoilt], int(counts[spoilt].sum())
            )
        return found

    def _pairs(self, need: PairCountsOf) -> dict[str, PairCounts]:
        found = {}
        for branch, rows in self._counted(need).items():
            first, second = (np.array([row[i] for row in rows], dtype=np.float64) for i in (0, 1))
            counts = np.array([row[2] for row in rows], dtype=np.int64)
            spoilt = np.isnan(first) | np.isnan(second)
            nulls = int(counts[spoilt].sum())
            found[branch] = PairCounts.tally(
                first[~spoilt], second[~spoilt], counts=counts[~spoilt], nulls=nulls
            )
        return found

    def _counted(self, need: CountsOf | PairCountsOf) -> dict[str, list[tuple[Any, ...]]]:
        """By branch: each value, or pair of values, and how many units have it."""
        columns = columns_read(need)
        rows = self._bigquery.rows(sql.value_counts(self._frame, columns, MOST_VALUES + 1))
        if len(rows) > MOST_VALUES:
            raise NotAnsweredError(
                need,
                f"it needs how many units have each value, and there are more than "
                f"{MOST_VALUES:,} of them, more than is fetched from BigQuery; round them in "
                "select_expression, or take a statistic that is made of sums: linear_model_mean",
            )
        found: dict[str, list[tuple[Any, ...]]] = {branch: [] for branch in self._sizes}
        for branch, *rest in rows:
            found[branch].append(tuple(rest))
        return found
