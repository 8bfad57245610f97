"""What is stored of an experiment, as its pages read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sonde.datasets import truth as planted
from sonde.experiment import Experiment
from sonde.health import Check
from sonde.lake import Lake
from sonde.metric import AnalysisBasis
from sonde.pages.material import InForce, Material, Past, Truth
from sonde.pages.results import COLUMNS, Cell, Results, Window
from sonde.pages.suppress import Kinds
from sonde.plan.steps import (
    dataset,
    enrollments_table,
    errors_table,
    queries_table,
    statistics_table,
)
from sonde.roles import Roles
from sonde.run.health import stored
from sonde.site import Audience, site_table
from sonde.table import Receipt, Table
from sonde.window import Period
from sonde.window import Window as Days
from sonde.wire.provenance import Origin

OWNER = "experiment "


HISTORY_COLUMNS = pa.schema(
    [("headline", pa.string()), ("effect", pa.string()), ("units", pa.int64())]
)


def history_table(experiment: Experiment) -> Table:
    """What each publication of an experiment said."""
    return Table(f"{dataset(experiment)}/history", ("experiment", "as_of"))


@dataclass(frozen=True)
class Subject:
    """An experiment to publish, and what is said of it outside the lake.

    problem: why it cannot be analysed, if so. settings: each value in force with its origin.
    truth: a file with planted effects, or empty. origin: where the declarations were read.
    has_own_names: whether no other experiment's Jetstream files have the same names.
    """

    experiment: Experiment
    roles: Roles
    as_of: date
    problem: str = ""
    settings: tuple[InForce, ...] = ()
    truth: str = ""
    minimum_units: int = 20
    origin: Origin = field(default_factory=Origin)
    has_own_names: bool = True

    @property
    def owner(self) -> str:
        """The key of its files in the site."""
        return f"{OWNER}{self.experiment.slug}"

    @property
    def audience(self) -> Audience:
        """Who may see it."""
        return Audience.PRIVATE if self.experiment.is_private else Audience.PUBLIC


@dataclass
class Receipts:
    """The receipts of the tables that pages are made from; each table is read once."""

    lake: Lake
    _known: dict[str, dict[str, list[Receipt]]] = field(default_factory=dict)
    _site: dict[tuple[str, ...], Receipt] | None = None

    def of(self, table: Table, slug: str) -> list[Receipt]:
        """The partitions of an experiment, in order of their keys."""
        if table.path not in self._known:
            found: dict[str, list[Receipt]] = {}
            for key, receipt in sorted(self.lake.receipts(table).items()):
                found.setdefault(key[0] if key else "", []).append(receipt)
            self._known[table.path] = found
        return self._known[table.path].get(slug, [])

    def site(self) -> dict[tuple[str, ...], Receipt]:
        """What is published, by audience and owner."""
        if self._site is None:
            tables = (site_table(audience) for audience in Audience)
            self._site = {k: r for table in tables for k, r in self.lake.receipts(table).items()}
        return self._site


def read_material(subject: Subject, lake: Lake) -> Material:
    """Everything that is stored of an experiment."""
    receipts = Receipts(lake)
    experiment = subject.experiment
    found = estimates_of(experiment, lake, receipts)
    errors = errors_of(experiment, lake, receipts)
    return material_of(subject, lake, receipts, found, stored(lake, experiment), errors)


def material_of(
    subject: Subject,
    lake: Lake,
    receipts: Receipts,
    found: Estimates,
    checks: tuple[Check, ...],
    errors: Sequence[Mapping[str, Any]],
) -> Material:
    """The same, for whoever has read some of it already."""
    experiment = subject.experiment
    return Material(
        experiment=experiment,
        roles=subject.roles,
        results=Results.of(found.rows, found.partial),
        made_checks=checks,
        as_of=subject.as_of,
        errors=errors,
        queries=_queries(experiment, lake, receipts),
        settings=subject.settings,
        versions=found.versions,
        made_by=found.made_by,
        history=_history(experiment, subject.as_of, lake, receipts),
        truth=_planted(subject) if subject.truth else _unknown,
        minimum_units=subject.minimum_units,
        kinds=_kinds(experiment, lake, receipts),
        problem=subject.problem,
    )


def _kinds(experiment: Experiment, lake: Lake, receipts: Receipts) -> Callable[[str], Kinds | None]:
    """The combinations of segments that enrolled, or exposed, units are in; read when asked for."""
    enrolled = next(iter(receipts.of(enrollments_table(experiment), "")), None)
    names = [segment.name for segment in experiment.segments]

    @cache
    def kinds(basis: str) -> Kinds | None:
        if enrolled is None:
            return None
        file = pq.ParquetFile(lake.file(enrolled))
        wanted = ["branch", "exposure_date", "in_several_branches", *names]
        if not set(wanted) <= set(file.schema_arrow.names):
            return None
        rows = file.read(wanted, use_threads=False)
        rows = rows.filter(~pc.field("in_several_branches"))
        if basis == AnalysisBasis.EXPOSURES.value:
            rows = rows.filter(pc.field("exposure_date").is_valid())
        found: dict[str, set[frozenset[str]]] = {}
        for branch, *within in _distinct(rows, ["branch", *names]):
            inside = frozenset(n for n, flag in zip(names, within, strict=True) if flag)
            found.setdefault(branch, set()).add(inside)
        return found

    return kinds


def _distinct(rows: pa.Table, names: list[str]) -> Iterator[tuple[Any, ...]]:
    kinds = rows.group_by(names, use_threads=False).aggregate([])
    return zip(*(kinds[name].to_pylist() for name in names), strict=True)


def _unknown(*_: object) -> None:
    return None


def _planted(subject: Subject) -> Truth:
    """What a demo planted: the relative change in whole weeks, against the control."""
    known = planted.Truth.read(Path(subject.truth))
    slug, control = subject.experiment.slug, subject.experiment.reference_branch or "control"

    def truth(metric: str, cell: Cell, branch: str) -> float | None:
        if cell.window.period != Period.WEEK.value or branch == control:
            return None
        days = 7 * cell.window.number
        week, basis = Days(days - 7, days), AnalysisBasis(cell.basis)
        return known.relative(slug, metric, week, branch, basis, cell.segment)

    return truth


_KEYS = ("analysis_basis", "analysis_period", "window_index")


_INNER = [*(name for name in COLUMNS if name not in _KEYS), "ci_width"]
_SAME = ["sonde", "configuration", "inputs", "query_id"]  # in all rows of a partition
_READ = list(dict.fromkeys((*_INNER, *_SAME)))


@dataclass(frozen=True)
class Part:
    """A partition of the statistics: one basis, window and set of sources.

    columns: its rows, column by column. made_from: what they all say of their origin.
    """

    receipt: Receipt
    columns: Mapping[str, Sequence[Any]]
    made_from: Mapping[str, str | None]

    @property
    def keys(self) -> dict[str, str]:
        """The key of the partition, by name."""
        partition = self.receipt.partition
        return dict(zip(partition.table.keys, partition.key, strict=True))

    @property
    def basis(self) -> AnalysisBasis:
        """Which units count."""
        return AnalysisBasis(self.receipt.partition.key[1])

    @property
    def window(self) -> Window:
        """The window."""
        _, _, period, number, _ = self.receipt.partition.key
        return Window(period, int(number))

    @property
    def source(self) -> str:
        """The set of sources."""
        return self.receipt.partition.key[-1]

    @property
    def is_partial(self) -> bool:
        """Whether some units have not yet lived through the window."""
        return "partial" in self.receipt.marks

    @property
    def inputs(self) -> list[str]:
        """The tables that were read, as table@version."""
        return [each for each in (self.made_from.get("inputs") or "").split(", ") if each]

    @property
    def query_id(self) -> str | None:
        """The query behind its unit metrics."""
        return self.made_from.get("query_id")


@dataclass
class Estimates:
    """What the statistics of an experiment say, and what they were made of."""

    parts: list[Part] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    partial: dict[Window, bool] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)

    def add(self, part: Part) -> None:
        """A further partition."""
        window, number = part.window, len(part.columns["metric"])
        keys = dict(zip(_KEYS, (part.basis.value, *window), strict=True))
        columns = [
            [keys[name]] * number if name in keys else part.columns[name] for name in COLUMNS
        ]
        self.parts.append(part)
        self.rows += zip(*columns, strict=True)
        self.partial[window] = self.partial.get(window, False) or part.is_partial
        if part.made_from:
            self.versions["sonde"] = part.made_from["sonde"] or ""
            self.versions["Configuration"] = part.made_from["configuration"] or ""
        if part.query_id:
            self.made_by[part.query_id] = f"{part.source}, {window.period}, {part.basis}"


def estimates_of(experiment: Experiment, lake: Lake, receipts: Receipts) -> Estimates:
    """The stored estimates of an experiment."""
    found = Estimates()
    kept = receipts.of(statistics_table(experiment), experiment.slug)
    lake.fetch(kept)
    for receipt in kept:
        file = pq.ParquetFile(lake.file(receipt))
        table = file.read(_READ, use_threads=False)
        columns = {name: table[name].to_pylist() for name in _INNER}
        first = table.select(_SAME).slice(0, 1).to_pylist()
        found.add(Part(receipt, columns, first[0] if first else {}))
    tables = {each.partition("@")[0] for part in found.parts for each in part.inputs}
    if tables:
        found.versions["Tables read"] = ", ".join(sorted(tables))
    return found


def errors_of(experiment: Experiment, lake: Lake, receipts: Receipts) -> list[dict[str, Any]]:
    """Rows of the errors table, by time."""
    found: list[dict[str, Any]] = []
    for receipt in receipts.of(errors_table(experiment), experiment.slug):
        step = receipt.partition.key[1]
        found += [{**row, "step": step} for row in pq.read_table(lake.file(receipt)).to_pylist()]
    return sorted(found, key=lambda row: (row["timestamp"], row["step"], row["message"]))


def _queries(experiment: Experiment, lake: Lake, receipts: Receipts) -> dict[str, str]:
    found = {}
    kept = receipts.of(queries_table(experiment), experiment.slug)
    lake.fetch(kept)
    for receipt in kept:
        (row,) = pq.ParquetFile(lake.file(receipt)).read(use_threads=False).to_pylist()
        found[receipt.partition.key[1]] = row["sql"]
    return found


def _history(
    experiment: Experiment, as_of: date, lake: Lake, receipts: Receipts
) -> tuple[Past, ...]:
    found = []
    kept = receipts.of(history_table(experiment), experiment.slug)
    lake.fetch(kept)
    for receipt in kept:
        day = date.fromisoformat(receipt.partition.key[1])
        if day < as_of:
            (row,) = pq.ParquetFile(lake.file(receipt)).read(use_threads=False).to_pylist()
            found.append(Past(day, **row))
    return tuple(found)
