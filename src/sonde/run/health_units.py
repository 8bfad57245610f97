"""Who is enrolled, counted for the checks: by day, branch, exposure and segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sonde.experiment import Experiment
from sonde.sql.text import identifier, quoted
from sonde.stats.counts import Floats
from sonde.warehouse.duckdb import Session

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Enrolled:
    """Units by what they have in common; arrays have one entry a kind of unit.

    branches: those that the experiment declares with a ratio above 0; their units are in the
    arrays, those in several branches aside. days: on which any enrolled, in order. within: by
    segment, 1 in it, 0 not, -1 not known. several: units in several branches, of `units` in all.
    strangers: units of branches that the experiment does not declare.
    """

    branches: tuple[str, ...]
    ratios: tuple[int, ...]
    days: tuple[date, ...]
    day: npt.NDArray[np.int64]
    branch: npt.NDArray[np.int64]
    exposed: Flags
    within: Mapping[str, npt.NDArray[np.int8]]
    count: Floats
    units: int = 0
    several: int = 0
    strangers: Mapping[str, int] | None = None

    def by_day(self, chosen: Flags | None = None) -> Floats:
        """Counts of the chosen kinds of units, (days, branches)."""
        counts = np.zeros((len(self.days), len(self.branches)))
        kept = np.ones(len(self.count), dtype=np.bool_) if chosen is None else chosen
        np.add.at(counts, (self.day[kept], self.branch[kept]), self.count[kept])
        return counts

    def by_branch(self, chosen: Flags | None = None) -> Floats:
        """Counts of the chosen kinds of units."""
        total: Floats = self.by_day(chosen).sum(axis=0)
        return total


def read_enrolled(experiment: Experiment, session: Session, file: Path) -> Enrolled:
    """The counts of an enrollments file."""
    rows_of = f"read_parquet({quoted(str(file))})"
    known = session.columns(rows_of)
    segments = [each.name for each in experiment.segments if each.name in known]
    is_counted = "units" in known  # where they are, as in BigQuery
    found = session.rows(_kinds(rows_of, segments, "sum(units)" if is_counted else "count(*)"))
    rows = [row[1:] for row in found if not row[0]]
    several = session.rows(_several(rows_of, is_counted))[0][0] if len(rows) < len(found) else 0
    declared = {b.slug: b.ratio for b in experiment.branches if b.ratio > 0}
    strangers: dict[str, int] = {}
    for row in rows:
        if row[0] not in declared:
            strangers[row[0]] = strangers.get(row[0], 0) + row[-1]
    return _enrolled(
        [row for row in rows if row[0] in declared],
        declared,
        segments,
        units=int(sum(row[-1] for row in rows) + several),
        several=int(several),
        strangers=strangers,
    )


def _enrolled(
    rows: Sequence[tuple[object, ...]],
    declared: Mapping[str, int],
    segments: Sequence[str],
    units: int,
    several: int,
    strangers: Mapping[str, int],
) -> Enrolled:
    branches = tuple(declared)
    columns = list(zip(*rows, strict=True)) or [()] * (4 + len(segments))
    days = tuple(sorted({day for day in columns[1] if isinstance(day, date)}))
    places = {day: n for n, day in enumerate(days)}
    within = {
        name: np.array([-1 if v is None else int(bool(v)) for v in columns[3 + n]], dtype=np.int8)
        for n, name in enumerate(segments)
    }
    return Enrolled(
        branches=branches,
        ratios=tuple(declared.values()),
        days=days,
        day=np.array([places[day] for day in columns[1] if isinstance(day, date)], dtype=np.int64),
        branch=np.array([branches.index(str(slug)) for slug in columns[0]], dtype=np.int64),
        exposed=np.array(columns[2], dtype=np.bool_),
        within=within,
        count=np.array(columns[-1], dtype=np.float64),
        units=units,
        several=several,
        strangers=strangers,
    )


def _kinds(rows_of: str, segments: Sequence[str], number: str) -> str:
    columns = "".join(f", {identifier(name)}" for name in segments)
    kind = f"branch, enrollment_date, exposure_date IS NOT NULL{columns}"
    return f"""SELECT in_several_branches, {kind}, {number}
FROM {rows_of}
GROUP BY ALL ORDER BY ALL"""


def _several(rows_of: str, is_counted: bool) -> str:
    number = "sum(units)" if is_counted else "count(DISTINCT analysis_id)"
    return f"SELECT {number} FROM {rows_of} WHERE in_several_branches"
