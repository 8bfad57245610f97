"""What can be told of a frame's columns before they are read through."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sonde.run.tally import Group, as_numpy
from sonde.sql import summaries as sql
from sonde.sql.text import identifier
from sonde.warehouse.duckdb import Session

_SAMPLE = 16_384
_FIRST = 2_048  # rows that tell where the mean is, near enough for what is summed about it
_LONG = 100_000  # rows from which on reading a column costs more than asking for it
# Of a sample's values, the share that may occur in it once only if values are to be grouped:
# about as many of all rows have, at most, a value of their own.
_SINGLE = 0.3
# A quantile surely has so many times the rows above it, and so many of the sample, above a bound.
_MARGIN = 3.0
_LEAST_ABOVE = 32

Floats = npt.NDArray[np.float64]


class Profile:
    """Rows and nulls of a frame, exactly; of a sample, where values lie and whether they repeat.

    rows: of the frame, once a column has been looked at.
    """

    def __init__(self, session: Session, frame: sql.Frame) -> None:
        self._session = session
        self._frame = frame
        self._types = session.columns(frame.relation)
        self._present: dict[str, int] = {}
        self._samples: dict[str, Floats] = {}
        self._first: dict[str, Floats] = {}
        self._repeats: dict[tuple[str, ...], bool] = {}
        self._has_nan: dict[tuple[str, int], bool] = {}
        self.rows = 0

    def look_at(self, columns: Iterable[str]) -> None:
        """Get to know columns."""
        new = sorted(set(columns) - set(self._present))
        if not new:
            return
        self.rows, *present = self._session.rows(sql.present(self._frame, new))[0]
        self._present |= dict(zip(new, present, strict=True))

    def _sample(self, column: str) -> Floats:
        """Of rows from all places."""
        return self._some(self._samples, column, self._frame, _SAMPLE)

    def _some(self, known: dict[str, Floats], column: str, frame: sql.Frame, size: int) -> Floats:
        """From some `size` rows, asked for all columns together, and only once one is wanted."""
        if column not in known:
            new = [name for name in self._present if name not in known]
            rows = self._session.arrow(sql.sample(frame, new, self.rows, size))
            known |= {name: as_numpy(rows[i]) for i, name in enumerate(new)}
        return known[column]

    @cached_property
    def groups(self) -> dict[Group, int]:
        """The rows of each cell and branch, sorted."""
        return self._sizes(self._frame)

    def _sizes(self, frame: sql.Frame) -> dict[Group, int]:
        rows = self._session.rows(sql.group_sizes(frame))
        return {(cell, branch): n for cell, branch, n in rows}

    @cached_property
    def cells(self) -> frozenset[int]:
        """The cells that have rows."""
        if self._frame.cell is not None:
            return frozenset([self._frame.cell])
        return frozenset(cell for cell, _ in self.groups)

    def within(self, cells: Iterable[int]) -> sql.Frame:
        """The rows of some cells: all that can be, without a condition that costs time."""
        wanted = set(cells)
        return self._frame if self.cells <= wanted else self._frame.within(wanted)

    def having(self, columns: Iterable[str], cells: Iterable[int]) -> sql.Frame:
        """The rows of some cells that have a value, NaN or not, in each of the columns."""
        frame = self.within(cells)
        for column in filter(self.has_null, columns):
            frame = frame.having(f"{identifier(column)} IS NOT NULL")
        return frame

    def branches(self, cell: int) -> list[str]:
        """The branches with rows in a cell, sorted."""
        return [branch for each, branch in self.groups if each == cell]

    def present(self, columns: Sequence[str], cells: Iterable[int]) -> dict[Group, int]:
        """The rows of each group of some cells that have a value in each of the columns."""
        if any(map(self.has_null, columns)):
            return self._sizes(self.having(columns, cells))
        within = set(cells)
        return {group: n for group, n in self.groups.items() if group[0] in within}

    @property
    def is_long(self) -> bool:
        """Whether reading a column once more costs more than a query does."""
        return self.rows >= _LONG

    @cached_property
    def cells_are_long(self) -> bool:
        """Whether that can be said of each cell."""
        return self.rows >= _LONG * len(self.cells)

    def is_integer(self, column: str) -> bool:
        """Whether the column is of integers or booleans."""
        kind = self._types[column]
        return kind == "BOOLEAN" or kind.endswith("INT") or kind == "INTEGER"

    def has_null(self, column: str) -> bool:
        """Whether a row has no value at all in the column."""
        return self._present[column] < self.rows

    def learn_nan(self, column: str, cell: int, count: int) -> None:
        """Remember how many NaN were met, when all values were looked at."""
        self._has_nan[column, cell] = count > 0

    @property
    def with_nan(self) -> set[str]:
        """The columns in which NaN has been met."""
        return {column for (column, _), has_nan in self._has_nan.items() if has_nan}

    def may_be_nan(self, column: str, cells: Iterable[int]) -> bool:
        """Whether there can be a NaN, for all that is known."""
        if self.is_integer(column):
            return False
        return any(self._has_nan.get((column, cell), True) for cell in cells)

    def is_known_nan(self, column: str, cells: Iterable[int]) -> bool:
        """Whether a NaN has been met."""
        return any(self._has_nan.get((column, cell), False) for cell in cells)

    def repeats(self, *columns: str) -> bool:
        """Whether combinations of values of these columns are few enough to be grouped."""
        if columns not in self._repeats:
            rows = np.array([self._sample(column) for column in columns])
            single = _single(rows[:, ~np.isnan(rows).any(axis=0)])
            self._repeats[columns] = single <= _SINGLE
        return self._repeats[columns]

    def shift(self, column: str, upper: float = math.inf) -> float:
        """Near the mean of the values, when those above `upper` are set to it.

        Whole for integers: sums of their powers about it are exact.
        """
        values = self._samples.get(column)
        if values is None:  # the first rows are the cheapest, and near enough
            values = self._some(self._first, column, replace(self._frame, places=1), _FIRST)
        values = np.minimum(values[np.isfinite(values)], upper)
        if len(values) == 0:
            return 0.0
        mean = float(values.mean())
        return float(round(mean)) if self.is_integer(column) else mean

    def below_quantile(self, column: str, probability: float) -> float | None:
        """A number that is less than the column's quantile, almost surely; None: too few to say.

        For a cell or a branch on its own as well, if the sample is typical of it.
        """
        values = self._sample(column)
        values = values[~np.isnan(values)]
        above = max(_MARGIN * (1 - probability), _LEAST_ABOVE / max(len(values), 1))
        if above > 0.5:
            return None
        low = float(np.quantile(values, 1 - above))
        if not math.isfinite(low):
            return None
        return float(math.floor(low)) if self.is_integer(column) else low


def _single(rows: Floats) -> float:
    """The share of rows, one in each column of an array, that are unlike any other."""
    if rows.shape[1] == 0:
        return 0.0
    ordered = rows[:, np.lexsort(rows)]
    differs = np.ones(rows.shape[1] + 1, dtype=bool)
    differs[1:-1] = (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)
    return float((differs[1:] & differs[:-1]).mean())
