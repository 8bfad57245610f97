"""Counts of values: by the engine where values repeat, else from sorted rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sonde.run.profile import Group
from sonde.sql import summaries as sql
from sonde.stats.counts import PairCounts, ValueCounts
from sonde.warehouse.duckdb import Session

Rows = npt.NDArray[Any]

_BATCH = 122_880  # rows that stream from the engine at once


def values(session: Session, frame: sql.Frame, column: str) -> dict[Group, ValueCounts]:
    """The values of each group, counted by the engine."""
    table = session.arrow(sql.value_counts(frame, [column], ["branch"]))
    return {group: _alone(part, "v0") for group, part in _groups(table)}


def values_by_cell(session: Session, frame: sql.Frame, column: str) -> dict[int, ValueCounts]:
    """The values of each cell, all branches together, counted by the engine."""
    table = session.arrow(sql.value_counts(frame, [column], []))
    return {cell: _alone(part, "v0") for (cell, _), part in _groups(table)}


def pairs(
    session: Session, frame: sql.Frame, columns: tuple[str, str]
) -> Iterator[tuple[Group, PairCounts, tuple[ValueCounts, ValueCounts]]]:
    """For each group the pairs without nulls, and each column's own values."""
    table = session.arrow(sql.value_counts(frame, columns, ["branch"]))
    for group, part in _groups(table):
        yield group, _both(part), (_alone(part, "v0"), _alone(part, "v1"))


def _both(part: pa.Table) -> PairCounts:
    part = _with_value(_with_value(part, "v0"), "v1")
    first, second = (_numpy(part[name]).astype(np.float64) for name in ("v0", "v1"))
    counts = _numpy(part["n"])
    spoilt = np.isnan(first) | np.isnan(second)
    kept = ~spoilt
    return PairCounts(first[kept], second[kept], counts[kept], int(counts[spoilt].sum()))


def _alone(part: pa.Table, name: str) -> ValueCounts:
    part = _with_value(part, name)
    found, counts = _numpy(part[name]), _numpy(part["n"])
    spoilt = np.isnan(found) if found.dtype.kind == "f" else np.zeros(len(found), dtype=bool)
    return ValueCounts.tally(found[~spoilt], counts[~spoilt], int(counts[spoilt].sum()))


def _with_value(part: pa.Table, name: str) -> pa.Table:
    return part.filter(part[name].is_valid()) if part[name].null_count else part


def _groups(table: pa.Table) -> Iterator[tuple[Group, pa.Table]]:
    """Runs of equal cell and branch in a table sorted by them; without branches, of cells."""
    if table.num_rows == 0:
        return
    cells = _numpy(table["__n"])
    starts = np.ones(len(cells), dtype=bool)
    starts[1:] = cells[1:] != cells[:-1]
    names, codes = [""], np.zeros(len(cells), dtype=np.int64)
    if "branch" in table.column_names:
        branches = table["branch"].combine_chunks().dictionary_encode()
        names, codes = branches.dictionary.to_pylist(), _numpy(branches.indices)
        starts[1:] |= codes[1:] != codes[:-1]
    edges = [*np.flatnonzero(starts).tolist(), table.num_rows]
    for start, stop in itertools.pairwise(edges):
        yield (int(cells[start]), names[codes[start]]), table.slice(start, stop - start)


def _numpy(column: Any) -> Rows:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    found: Rows = column.to_numpy(zero_copy_only=False)
    return found


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
        codes, rows = _numpy(batch.column(0)), _numpy(batch.column(1))
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
    rows = rows[np.argsort(codes, kind="stable")]
    edges = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=groups))])
    for group in np.flatnonzero(np.diff(edges)).tolist():
        yield group, rows[edges[group] : edges[group + 1]]


def counts_of_sorted(rows: Rows) -> ValueCounts:
    """The value counts of rows in ascending order, NaN last."""
    kept = _without_nan(rows)
    starts_run = np.ones(len(kept), dtype=bool)
    np.not_equal(kept[1:], kept[:-1], out=starts_run[1:])
    starts = np.flatnonzero(starts_run)
    del starts_run  # of a long column, every array counts
    return ValueCounts(kept[starts], np.diff(starts, append=len(kept)), len(rows) - len(kept))


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
