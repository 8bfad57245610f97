"""Counts of values: by the engine where values repeat, else from sorted rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sonde.sql import summaries as sql
from sonde.stats.counts import PairCounts, ValueCounts
from sonde.warehouse.duckdb import Session

Group = tuple[int, str]  # a cell and a branch
Rows = npt.NDArray[Any]

_BATCH = 122_880  # rows that stream from the engine at once
_FEW = 8  # groups for each of which looking through a batch costs less than sorting it once


def values(
    session: Session, frame: sql.Frame, column: str, groups: Sequence[Group]
) -> dict[Group, ValueCounts]:
    """The values of each of all the groups that there are, counted by the engine."""
    if not groups:
        return {}
    place = sql.place_of_group(groups)
    table = session.arrow(sql.value_counts(frame, [column], ["branch"], place))
    return {groups[g]: _alone(part, "v0") for g, part in _runs(table)}


def values_by_cell(
    session: Session, frame: sql.Frame, column: str, cells: Sequence[int]
) -> dict[int, ValueCounts]:
    """The values of each of these cells, all branches together, counted by the engine."""
    if not cells:
        return {}
    table = session.arrow(sql.value_counts(frame, [column], [], sql.place_of_cell(cells)))
    return {cells[g]: _alone(part, "v0") for g, part in _runs(table)}


def pairs(
    session: Session, frame: sql.Frame, columns: tuple[str, str], groups: Sequence[Group]
) -> Iterator[tuple[Group, PairCounts, tuple[ValueCounts, ValueCounts]]]:
    """For each of all groups the pairs without nulls, and each column's own values."""
    if not groups:
        return
    place = sql.place_of_group(groups)
    for g, part in _runs(session.arrow(sql.value_counts(frame, columns, ["branch"], place))):
        yield groups[g], _both(part), (_alone(part, "v0"), _alone(part, "v1"))


def _both(part: pa.Table) -> PairCounts:
    part = _with_value(_with_value(part, "v0"), "v1")
    first, second = (as_numpy(part[name]).astype(np.float64) for name in ("v0", "v1"))
    counts = as_numpy(part["n"])
    spoilt = np.isnan(first) | np.isnan(second)
    kept = ~spoilt
    return PairCounts(first[kept], second[kept], counts[kept], int(counts[spoilt].sum()))


def _alone(part: pa.Table, name: str) -> ValueCounts:
    part = _with_value(part, name)
    found, counts = as_numpy(part[name]), as_numpy(part["n"])
    spoilt = np.isnan(found) if found.dtype.kind == "f" else np.zeros(len(found), dtype=bool)
    return ValueCounts.tally(found[~spoilt], counts[~spoilt], int(counts[spoilt].sum()))


def _with_value(part: pa.Table, name: str) -> pa.Table:
    return part.filter(part[name].is_valid()) if part[name].null_count else part


def _runs(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """The parts of a table, sorted by their place `g`, with the place."""
    places = as_numpy(table["g"])
    starts = np.flatnonzero(np.diff(places, prepend=-1)) if len(places) else places
    for start, stop in itertools.pairwise([*starts.tolist(), len(places)]):
        yield int(places[start]), table.slice(start, stop - start)


def as_numpy(column: Any) -> Rows:
    """A column without nulls. Arrow's own conversion imports pandas first, where it is there."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_boolean(column.type):
        return np.array(column.to_pylist(), dtype=bool)
    return np.from_dlpack(column)


def sorted_rows(
    session: Session, frame: sql.Frame, column: str, place: str, sizes: Sequence[int]
) -> list[Rows]:
    """The values of each group in ascending order, NaN last.

    place: SQL of the place of a row's group among `sizes`, the rows of each group, or more.
    Memory: one value each, and some batches.
    """
    found: list[Rows] = []
    filled = [0] * len(sizes)
    for batch in session.batches(sql.values(frame, column, place), _BATCH):
        codes, rows = as_numpy(batch.column(0)), as_numpy(batch.column(1))
        if not found:
            found = [np.empty(size, dtype=rows.dtype) for size in sizes]
        for group, part in _split(codes, rows, len(sizes)):
            found[group][filled[group] : filled[group] + len(part)] = part
            filled[group] += len(part)
    if not found:
        return [np.empty(0) for _ in sizes]
    ordered = [rows[:size] for rows, size in zip(found, filled, strict=True)]
    for rows in ordered:
        rows.sort()
    return ordered


def _split(codes: Rows, rows: Rows, groups: int) -> Iterator[tuple[int, Rows]]:
    if groups == 1:
        yield 0, rows
        return
    if groups <= _FEW:
        yield from ((group, rows.compress(codes == group)) for group in range(groups))
        return
    rows = rows[np.argsort(codes, kind="stable")]
    edges = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=groups))])
    for group in np.flatnonzero(np.diff(edges)).tolist():
        yield group, rows[edges[group] : edges[group + 1]]


def counts_of_sorted(rows: Rows) -> ValueCounts:
    """The value counts of rows in ascending order, NaN last."""
    kept = _without_nan(rows)
    nulls = len(rows) - len(kept)
    starts_run = np.ones(len(kept), dtype=bool)
    np.not_equal(kept[1:], kept[:-1], out=starts_run[1:])
    if starts_run.all():
        return ValueCounts(kept, np.ones(len(kept), dtype=np.int64), nulls)
    starts = np.flatnonzero(starts_run)
    del starts_run  # of a long column, every array counts
    counts = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1])
    counts[-1] = len(kept) - starts[-1]
    return ValueCounts(kept[starts], counts, nulls)


def thinned(rows: Rows, probabilities: npt.ArrayLike) -> ValueCounts:
    """Value counts with the same quantiles at these probabilities as rows in ascending order.

    Every row between two that matter counts as the next that does.
    """
    kept = _without_nan(rows)
    nulls, last = len(rows) - len(kept), len(kept) - 1
    if last < 0:
        return ValueCounts(kept, kept.astype(np.int64), nulls)
    below = np.floor(np.asarray(probabilities, dtype=np.float64) * last).astype(np.int64)
    ranks = np.unique(np.concatenate([below, np.minimum(below + 1, last), [last]]))
    return ValueCounts.tally(kept[ranks], np.diff(ranks, prepend=-1), nulls)


def _without_nan(rows: Rows) -> Rows:
    if rows.dtype.kind != "f":
        return rows
    return rows[: int(np.searchsorted(rows, np.nan))]


def with_lump(above: ValueCounts, value: float, count: int) -> ValueCounts:
    """With `count` more rows of a value that is less than any of them, or as great as the least."""
    lump = np.array([value] * (count > 0), dtype=above.values.dtype)
    return ValueCounts(lump, np.array([count] * (count > 0), dtype=np.int64)) + above
