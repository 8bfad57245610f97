"""Stored estimates, by what a page asks for: no number is made here, none is changed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from sonde.pages.interval import Interval

EVERYONE = "all"
IDENTITY = "identity"  # the metric that counts units
PERIODS = ("overall", "days28", "week", "day")  # the order of windows on a page
# Of several statistics of a metric, the one whose effect a row shows.
_HEADLINES = ("mean_lm", "mean_lm_noclip", "mean", "binomial", "population_ratio",
              "per_client_dau_impact")  # fmt: skip
COLUMNS = ("analysis_basis", "analysis_period", "window_index", "segment", "metric", "statistic",
           "branch", "comparison", "comparison_to_branch", "parameter", "point", "lower", "upper",
           "reason", "detail", "query_id")  # fmt: skip


class Window(NamedTuple):
    """A window of the analysis."""

    period: str
    number: int


class Cell(NamedTuple):
    """What a selection shows, without the branch that others are compared with."""

    basis: str
    window: Window
    segment: str


class Estimate(NamedTuple):
    """One stored row: a number with limits, or the reason why there is none."""

    point: float | None
    lower: float | None
    upper: float | None
    reason: str | None = None
    detail: str | None = None
    query_id: str | None = None

    @property
    def interval(self) -> Interval | None:
        """The number with its limits, if it has all three, and they are finite."""
        if self.point is None or self.lower is None or self.upper is None:
            return None
        if not all(map(math.isfinite, (self.point, self.lower, self.upper))):
            return None
        return Interval(self.point, self.lower, self.upper)


@dataclass(frozen=True)
class Effect:
    """A metric in one branch, against another. Levels are in the metric's unit."""

    metric: str
    statistic: str
    branch: str
    reference: str
    change: Estimate | None
    difference: Estimate | None
    level: Estimate | None
    reference_level: Estimate | None


# metric, statistic, branch, comparison, compared with
_Key = tuple[str, str, str, str | None, str | None]


@dataclass(frozen=True)
class Results:
    """The estimates of one experiment. windows: with whether they still grow, in page order."""

    cells: Mapping[Cell, Mapping[_Key, Estimate]]
    curves: Mapping[Cell, Mapping[_Key, Sequence[tuple[float, Estimate]]]]
    windows: Mapping[Window, bool] = field(default_factory=dict)
    data_through: str | None = None

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]], partial: Mapping[Window, bool]) -> Results:
        """From rows with `COLUMNS`, in that order. partial: of the windows, which still grow."""
        cells: dict[Cell, dict[_Key, Estimate]] = defaultdict(dict)
        curves: dict[Cell, dict[_Key, list[tuple[float, Estimate]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for row in rows:
            (basis, period, index, segment, metric, statistic, branch, comparison, to) = row[:9]
            cell = Cell(basis, Window(period, index), segment)
            key = (metric, statistic, branch, comparison, to)
            found = Estimate(*row[10:])
            if row[9] is None:
                cells[cell][key] = found
            else:
                curves[cell][key].append((row[9], found))
        order = {period: place for place, period in enumerate(PERIODS)}
        shown = sorted(
            {c.window for c in (*cells, *curves)},
            key=lambda w: (order.get(w.period, len(order)), w),
        )
        return cls(cells, curves, {window: partial.get(window, False) for window in shown})

    @cached_property
    def bases(self) -> list[str]:
        """Enrollments first."""
        return sorted({cell.basis for cell in self.cells})

    @cached_property
    def segments(self) -> list[str]:
        """Everyone first, the others in order of name."""
        found = {cell.segment for cell in self.cells} - {EVERYONE}
        return [EVERYONE, *sorted(found)]

    def units(self, cell: Cell) -> dict[str, int]:
        """Units by branch."""
        if cell not in self._units:
            self._units[cell] = {
                branch: int(found.point)
                for (metric, _, branch, _, _), found in self.cells.get(cell, {}).items()
                if metric == IDENTITY and found.point is not None
            }
        return self._units[cell]

    def metrics(self, cell: Cell) -> list[str]:
        """The metrics with an effect, or the reason why there is none."""
        return list(self._headline(cell))

    def statistic(self, cell: Cell, metric: str) -> str | None:
        """The statistic whose effect a row shows."""
        found = {s for m, s, _, c, _ in self.cells.get(cell, {}) if m == metric and c is not None}
        return min(found, key=_priority, default=None)

    def effect(self, cell: Cell, metric: str, branch: str, reference: str) -> Effect | None:
        """The headline effect of a metric; None when nothing was computed."""
        statistic = self._headline(cell).get(metric)
        if statistic is None:
            return None
        keys = self.cells[cell]

        def get(of: str, comparison: str | None, to: str | None) -> Estimate | None:
            return keys.get((metric, statistic, of, comparison, to))

        return Effect(
            metric,
            statistic,
            branch,
            reference,
            get(branch, "relative_uplift", reference),
            get(branch, "difference", reference),
            get(branch, None, None),
            get(reference, None, None),
        )

    @cached_property
    def _units(self) -> dict[Cell, dict[str, int]]:
        return {}

    @cached_property
    def _headlines(self) -> dict[Cell, dict[str, str]]:
        return {}

    def _headline(self, cell: Cell) -> dict[str, str]:
        if cell not in self._headlines:
            best: dict[str, str] = {}
            for metric, statistic, _, comparison, _ in self.cells.get(cell, {}):
                is_better = metric not in best or _priority(statistic) < _priority(best[metric])
                if comparison is not None and is_better:
                    best[metric] = statistic
            self._headlines[cell] = best
        return self._headlines[cell]

    def curve(
        self, cell: Cell, metric: str, statistic: str, branch: str, reference: str | None = None
    ) -> list[tuple[float, Estimate]]:
        """A statistic with a parameter: deciles, ECDF; `reference`: the difference from it."""
        comparison = None if reference is None else "difference"
        key = (metric, statistic, branch, comparison, reference)
        return sorted(self.curves.get(cell, {}).get(key, []), key=lambda each: each[0])

    def without(self, hidden: Iterable[Cell]) -> Results:
        """Without some cells."""
        gone = set(hidden)
        return Results(
            {c: of for c, of in self.cells.items() if c not in gone},
            {c: of for c, of in self.curves.items() if c not in gone},
            self.windows,
            self.data_through,
        )


def _priority(statistic: str) -> tuple[int, str]:
    known = statistic in _HEADLINES
    return (_HEADLINES.index(statistic) if known else len(_HEADLINES), statistic)
