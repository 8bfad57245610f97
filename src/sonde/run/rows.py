"""A frame's columns in memory, the rows of each cell and branch side by side."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sonde.run.tally import Group, as_numpy
from sonde.sql.summaries import Frame
from sonde.sql.text import identifier
from sonde.warehouse.duckdb import Session

Values: TypeAlias = npt.NDArray[Any]
Flags: TypeAlias = npt.NDArray[np.bool_]
Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Held:
    """The values of a column, in the order of `Rows.groups`.

    values: int64 for columns of integers and booleans, float64 for others; anything where there
    is none. absent: rows without a value; None: there are none. nan: rows with NaN, likewise.
    """

    values: Values
    absent: Flags | None = None
    nan: Flags | None = None

    @property
    def spoilt(self) -> Flags | None:
        """The rows that no sum takes."""
        return _either(self.absent, self.nan)


@dataclass(frozen=True)
class Usable:
    """The rows where each of some columns has a number.

    columns: their values. edges: where each group begins, and where the last ends. nulls: of each
    group, the rows left out for NaN.
    """

    columns: tuple[Values, ...]
    edges: Integers
    nulls: Integers

    @property
    def sizes(self) -> Integers:
        """The rows of each group."""
        return np.diff(self.edges)


class Rows:
    """Some columns of a frame.

    places: of each cell that there is, the place of each branch among the groups, all sorted.
    edges: where the rows of each group begin, and where the last ones end. Within a group rows are
    in the order of the column `order`; when it is empty, as they come.
    """

    def __init__(
        self, session: Session, frame: Frame, columns: Sequence[str], order: str = ""
    ) -> None:
        names = [f"{identifier(column)} AS c{i}" for i, column in enumerate(columns)]
        names += [f"{identifier(order)} AS place"] if order else []
        selected = ", ".join([frame.selected("branch"), *names])
        table = session.arrow(f"SELECT {selected}\n{frame.sql()}").combine_chunks()
        groups, of_row = _groups(table)
        self.places: dict[int, dict[str, int]] = {}
        for place, (cell, branch) in enumerate(groups):
            self.places.setdefault(cell, {})[branch] = place
        by_group = np.argsort(of_row, kind="stable")
        if order:
            by_group = _in_order(as_numpy(table["place"].combine_chunks()), of_row, by_group)
        sizes = np.bincount(of_row, minlength=len(groups)).astype(np.int64)
        self.edges: Integers = np.concatenate([[0], np.cumsum(sizes)])
        self._held = {name: _held(table[f"c{i}"], by_group) for i, name in enumerate(columns)}

    def __contains__(self, column: str) -> bool:
        return column in self._held

    def __getitem__(self, column: str) -> Held:
        return self._held[column]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that there are."""
        return tuple(self._held)

    def usable(self, columns: Sequence[str]) -> Usable:
        """The rows where each of the columns has a number."""
        held = [self._held[column] for column in columns]
        spoilt = functools.reduce(_either, (each.spoilt for each in held))
        if spoilt is None:
            return Usable(
                tuple(each.values for each in held),
                self.edges,
                np.zeros(len(self.edges) - 1, dtype=np.int64),
            )
        absent = functools.reduce(_either, (each.absent for each in held))
        nan = spoilt if absent is None else spoilt & ~absent
        kept = ~spoilt
        edges = np.concatenate([[0], np.cumsum(kept)])[self.edges]
        return Usable(tuple(each.values[kept] for each in held), edges, self.count(nan))

    def count(self, flags: Flags) -> Integers:
        """How many rows of each group are marked."""
        found: Integers = np.diff(np.concatenate([[0], np.cumsum(flags)])[self.edges])
        return found


def _groups(table: pa.Table) -> tuple[list[Group], npt.NDArray[Any]]:
    """The groups of the rows, sorted, and the place of each row's among them."""
    if len(table) == 0:
        return [], np.empty(0, dtype=np.uint16)
    cells = as_numpy(table["__n"]).astype(np.int64)
    encoded = table["branch"].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    branches = sorted(names)
    place = np.array([branches.index(name) for name in names])
    first = int(cells.min())
    codes = (cells - first) * len(branches) + place[as_numpy(encoded.indices)]
    present = np.flatnonzero(np.bincount(codes))
    # As few bytes a place as will do: numpy sorts two or less by radix, several times as fast.
    places = np.zeros(int(present[-1]) + 1, dtype=np.min_scalar_type(len(present)))
    places[present] = np.arange(len(present))
    groups = [
        (first + code // len(branches), branches[code % len(branches)]) for code in present.tolist()
    ]
    return groups, places[codes]


def _in_order(place: Values, of_row: Values, by_group: Integers) -> Integers:
    """The rows group by group, within each by place: mostly they are already."""
    places = place[by_group]
    falls = places[1:] < places[:-1]
    if not np.any(falls & (np.diff(of_row[by_group]) == 0)):
        return by_group
    # One number a row, no two alike, is sorted four times as fast as two columns.
    keys = of_row.astype(np.int64) * (int(place.max()) + 1) + place
    ordered: Integers = np.argsort(keys)
    return ordered


def _held(column: pa.ChunkedArray, order: Integers) -> Held:
    found = column.combine_chunks()
    absent = None
    if found.null_count:
        absent = as_numpy(found.is_null().cast(pa.uint8())).astype(bool)[order]
        found = found.fill_null(False if pa.types.is_boolean(found.type) else 0)
    if pa.types.is_boolean(found.type):
        found = found.cast(pa.int8())
    values = as_numpy(found)
    values = values.astype(np.int64 if values.dtype.kind in "iu" else np.float64)[order]
    nan = np.isnan(values) if values.dtype.kind == "f" else None
    return Held(values, absent, nan if nan is not None and nan.any() else None)


def _either(one: Flags | None, other: Flags | None) -> Flags | None:
    if one is None or other is None:
        return one if other is None else other
    return one | other
